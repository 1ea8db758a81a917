"""The report of a run: one HTML page that shows a document, by itself.

The rule: everything is inline and nothing is loaded, so that the file can be mailed and kept; it works without
scripts, and prints. What spoils the figures stands above them. Figures come from the document alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from loadtest.load.charts import Axis, Series, line_chart, linear, nines
from loadtest.load.display import LABELS
from loadtest.load.elements import bar, frame, header, ms, note, pair, section, settings, table, thresholds, tile
from loadtest.sending.tally import GOOD, Outcome

Json = dict[str, Any]
BLUE, TEAL, AMBER, RED, VIOLET = (f"var(--{name})" for name in ("blue", "teal", "amber", "red", "violet"))
HEADROOM = 1.1  # above the highest line


def render(document: Json) -> str:
    """The page of a run's document."""
    told = document["settings"]
    title = f"Load test: {told['rate']:,g} requests/s, {told['profile']}"
    return frame(title, _parts(title, document))


def _parts(title: str, document: Json) -> Iterator[str]:
    yield header(title, document)
    yield from warnings(document)
    yield _tiles(document)
    yield thresholds(document["thresholds"])
    yield section("Latency", _latency(document), "From the moment a request was due to the last byte of its answer.")
    yield section("Over time", _over_time(document), "By the moment requests were due; the warm-up is left out.")
    yield section("What became of the requests", _outcomes(document))
    yield section("The processes", _processes(document))
    if document["stages"]:
        explained = "Mean time on the clock, by the bidder's own account; inference is waiting, the others are work."
        yield section("Stages of a bid", _stages(document["stages"]), explained)
    yield section("How it was done", settings(document))
    yield "<footer>Made by <code>python -m loadtest run</code>.</footer>"


def warnings(document: Json) -> Iterator[str]:
    """What a reader must know before the figures."""
    if document["limits"]:
        yield note("bad", "The generator was a limit: these figures are not the server's alone.", document["limits"])
    if document["problems"]:
        yield note("warn", "Not everything could be measured.", document["problems"])
    if examples := document["judged"]["examples"]:
        yield note("bad", "Answers broke rules.", [f"{rule}: {'; '.join(found)}" for rule, found in examples.items()])


def _tiles(document: Json) -> str:
    summary, latency = document["summary"], document["summary"]["latency_ms"]
    errors = f"{summary['errors']:,} of {summary['due']:,}"
    tiles = [
        tile("right answers in time", f"{summary['answers_per_s']:,.0f}/s", f"of {summary['due_per_s']:,.0f}/s due"),
        tile("p50", ms(latency["p50"]), f"mean {ms(latency['mean'])}"),
        tile("p99", ms(latency["p99"]), f"p99.9 {ms(latency['p99.9'])}"),
        tile("errors", f"{summary['error_share']:.2%}", errors, "bad" if summary["errors"] else ""),
        tile("bids", f"{summary['bid_share']:.0%}", f"{summary['bid']:,} answers"),
    ]
    for name in ("bidder", "server"):
        process = document["processes"].get(name)
        if process is not None and process["cpu_us_per_request"] is not None:
            cost = f"{process['cpu_us_per_request']:,.0f} µs"
            tiles.append(tile("CPU a request", cost, f"{name}: {process['cores']:.0%} of a core"))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _latency(document: Json) -> str:
    points = [(percent, value) for percent, value in document["spectrum"]]
    if not points:
        return "<p>There was no answer.</p>"
    tmax_ms = document["settings"]["tmax_ms"]
    chart = line_chart(
        [Series("latency that so many percent of the requests stayed within", points, BLUE, filled=True)],
        nines(points[-1][0]),
        linear(points[-1][1] * HEADROOM, " ms"),
        rule=(tmax_ms, f"tmax {tmax_ms} ms"),
    )
    summary = document["summary"]
    rows = [(name, ms(value)) for name, value in summary["latency_ms"].items()]
    rows += [(f"send lag {name}", ms(value)) for name, value in summary["send_lag_ms"].items()]
    return f'<div class="wide-pair"><figure>{chart}</figure>{table(rows)}</div>'


def _over_time(document: Json) -> str:
    moments = document["over_time"]
    x = linear(moments[-1]["at_s"] or 1, " s", exact=True)

    def series(name: str, key: str, colour: str, *, filled: bool = False, dashed: bool = False) -> Series:
        return Series(name, [(each["at_s"], each[key]) for each in moments], colour, filled=filled, dashed=dashed)

    rates = [
        series("right answers/s", "good_per_s", TEAL, filled=True),
        series("errors/s", "errors_per_s", RED),
        series("due/s", "due_per_s", VIOLET, dashed=True),
    ]
    times = [
        series("max", "max_ms", AMBER),
        series("p99", "p99_ms", RED),
        series("p50", "p50_ms", BLUE, filled=True),
    ]
    return pair(
        ("Throughput", line_chart(rates, x, fitting(rates))), ("Latency", line_chart(times, x, fitting(times, " ms")))
    )


def _outcomes(document: Json) -> str:
    total = document["summary"]["due"] or 1
    bars = []
    for outcome, label in LABELS.items():
        count = document["outcomes"][outcome.value]
        if count or outcome is not Outcome.REFUSED:
            kind = "good" if outcome in GOOD else "bad"
            bars.append(bar(label, count / total, f"{count:,} ({count / total:.2%})", kind))
    judged = document["judged"]
    rows = [("answers nobody had asked for", f"{document['summary']['strays']:,}")]
    rows += [(f"status {status}", f"{count:,}") for status, count in document["statuses"].items()]
    rows += [(f"no-bid: {reason}", f"{count:,}") for reason, count in _largest(document["no_bid_reasons"])]
    rows += [(f"scored by {source}", f"{count:,}") for source, count in _largest(document["scores"])]
    rows.append(("judged by all rules", f"{judged['answers']:,}"))
    rows.append(("violations", f"{sum(judged['violations'].values()):,}"))
    return f'<div class="wide-pair"><div class="bars">{"".join(bars)}</div>{table(rows)}</div>'


def _processes(document: Json) -> str:
    processes, charts = document["processes"], ""
    traced = {name: each["over_time"] for name, each in processes.items() if each["over_time"]}
    if traced:
        colours = (BLUE, TEAL, AMBER, VIOLET)
        named = list(zip(traced.items(), colours, strict=False))
        cpu = [Series(name, [(at["at_s"], at["cores"] * 100) for at in all], colour) for (name, all), colour in named]
        memory = [Series(name, [(at["at_s"], at["mb"]) for at in all], colour) for (name, all), colour in named]
        x = linear(max(moments[-1]["at_s"] for moments in traced.values()), " s", exact=True)
        charts = pair(
            ("CPU, % of a core", line_chart(cpu, x, fitting(cpu, "%"))),
            ("Memory, MB", line_chart(memory, x, fitting(memory))),
        )
    rows = []
    for name, each in processes.items():
        cost = each["cpu_us_per_request"]
        spent = f"{cost:,.0f} µs a request" if cost is not None else ""
        rows.append((name, f"{each['cores']:.0%} of a core", spent, f"{each['peak_mb']:,.0f} MB"))
    for number, each in enumerate(document["workers"], 1):
        lag = f"send lag p99 {ms(each['send_lag_p99_ms'])}"
        rows.append((f"generator {number}", f"{each['cores']:.0%} of a core", lag, f"{each['peak_mb']:,.0f} MB"))
    return charts + table(rows)


def _stages(stages: list[Json]) -> str:
    most = stages[0]["mean_us"] or 1
    return "".join(bar(each["stage"], each["mean_us"] / most, f"{each['mean_us']:,.1f} µs", "") for each in stages)


def fitting(series: Iterable[Series], unit: str = "") -> Axis:
    """An axis for all of them."""
    values = (value for each in series for _, value in each.points if value is not None)
    return linear(max(values, default=1.0) * HEADROOM or 1.0, unit)


def _largest(counts: Mapping[str, int], most: int = 6) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
