"""The report of a sweep: latency against load, and every try.

The rule: as for a run's page; the best rate's own figures come after the curve.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loadtest.load.charts import Series, line_chart, linear
from loadtest.load.elements import frame, header, ms, note, pair, section, settings, table, tile
from loadtest.load.page import AMBER, BLUE, HEADROOM, RED, TEAL, VIOLET, fitting

Json = dict[str, Any]


def render(document: Json) -> str:
    """The page of a sweep's document."""
    title = f"Highest rate that holds: {document['holds']:,.0f} requests/s"
    return frame(title, _parts(title, document))


def cost_us(step: Json) -> float | None:
    """The bidder's CPU time for a request."""
    process = step["processes"].get("bidder") or step["processes"].get("server")
    return None if process is None else process["cpu_us_per_request"]


def _parts(title: str, document: Json) -> Iterator[str]:
    yield header(title, document)
    if document["limits"]:
        yield note("bad", "The generator was a limit: the server may hold more.", document["limits"])
    yield _tiles(document)
    lasts, asked = f"{document['settings']['duration_s']:g} s", " and ".join(document["thresholds"])
    explained = f"Each point is a run of {lasts} after a warm-up, the better one of two. What must hold: {asked}."
    yield section("Latency against load", _curves(document), explained)
    yield section("Every try", _tries(document))
    yield section("How it was done", settings(document))
    yield "<footer>Made by <code>python -m loadtest sweep</code>.</footer>"


def _tiles(document: Json) -> str:
    breaks = document["breaks"]
    tiles = [
        tile(
            "holds", f"{document['holds']:,.0f}/s", f"{breaks:,.0f}/s does not" if breaks else "the most that was tried"
        )
    ]
    if best := document["at_best"]:
        latency, cost = best["summary"]["latency_ms"], cost_us(best)
        tiles += [
            tile("p50 there", ms(latency["p50"])),
            tile("p99 there", ms(latency["p99"]), f"p99.9 {ms(latency['p99.9'])}"),
            tile("errors there", f"{best['summary']['error_share']:.2%}"),
        ]
        if cost is not None:
            tiles.append(tile("CPU a request there", f"{cost:,.0f} µs", "of the bidder"))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _curves(document: Json) -> str:
    steps = _better_tries(document["steps"])
    x = linear(steps[-1]["settings"]["rate"], exact=True)

    def series(name: str, colour: str, *path: str) -> Series:
        points = []
        for step in steps:
            value: Any = step
            for key in path:
                value = value[key]
            points.append((step["settings"]["rate"], value))
        return Series(name, points, colour, dots=True)

    times = [
        series("p99.9", AMBER, "summary", "latency_ms", "p99.9"),
        series("p99", RED, "summary", "latency_ms", "p99"),
        series("p50", BLUE, "summary", "latency_ms", "p50"),
    ]
    tmax_ms = document["settings"]["tmax_ms"]
    most = min(max(value or 0 for each in times for _, value in each.points), 2 * tmax_ms)
    rates = [
        series("right answers/s", TEAL, "summary", "answers_per_s"),
        series("due/s", VIOLET, "summary", "due_per_s"),
    ]
    return pair(
        ("Latency, by requests due a second", line_chart(times, x, linear(most * HEADROOM, " ms"))),
        ("Right answers, by requests due a second", line_chart(rates, x, fitting(rates))),
    )


def _better_tries(steps: list[Json]) -> list[Json]:
    """One for each rate, ascending: the one with the lower p99 decides."""
    better: dict[float, Json] = {}
    for step in sorted(steps, key=lambda step: step["summary"]["latency_ms"]["p99"] or float("inf")):
        better.setdefault(step["settings"]["rate"], step)
    return [better[rate] for rate in sorted(better)]


def _tries(document: Json) -> str:
    head = ("requests/s", "right answers/s", "p50", "p99", "errors", "CPU a request", "")
    rows = []
    for step in document["steps"]:
        summary, cost = step["summary"], cost_us(step)
        broken = ", ".join(each["text"] for each in step["thresholds"] if not each["held"])
        rows.append(
            (
                f"{step['settings']['rate']:,.0f}",
                f"{summary['answers_per_s']:,.0f}",
                ms(summary["latency_ms"]["p50"]),
                ms(summary["latency_ms"]["p99"]),
                f"{summary['error_share']:.2%}",
                "-" if cost is None else f"{cost:,.0f} µs",
                f"broken: {broken}" if broken else "held",
            )
        )
    return table(rows, head)
