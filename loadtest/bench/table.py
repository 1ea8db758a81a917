"""A bench's results to look at: a table for the terminal, one in Markdown for the documents.

The rule: both have the same columns; every figure is a median of pairs, the ratio with its smallest and largest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from loadtest.bench.figures import SYSTEMS, Contest

HEADS = ("campaigns", "imps", "", "CPU µs", "loads", "a core", "p50 ms", "p99 ms", "added", "tap", "bids", "ratio")
LEGEND = """\
CPU µs: CPU time of the system an answer, saturated; loads: the same in times of orjson.loads of the request; a core:
answers a second of CPU time; p50, p99: of answers with a bid, at half the load it can take; added: p50 and p99 less
those of the endpoint's own time; tap: p50 and p99 of answers with a bid less those of the calls, by the kernel's times
of the bytes at the system's sockets, where it was asked for; bids: the share of answers with a bid; ratio: how many
times the bidder's CPU time the baseline takes, smallest and largest pair in brackets. All are medians of pairs."""


def rows(contests: Sequence[Contest]) -> Iterator[tuple[str, ...]]:
    """Two lines a scenario, with the columns of `HEADS`; see `LEGEND`."""
    for contest in contests:
        scenario = contest.scenario
        for system in SYSTEMS:
            median = contest.document()["medians"][system]
            tap, first = median["tap_added_p50_ms"], system == SYSTEMS[0]
            yield (
                f"{scenario.campaigns:,}" if first else "",
                f"{scenario.imps or 'mixed'}{', bids' if scenario.bids_only else ''}" if first else "",
                system,
                f"{median['cpu_us']:,.0f}",
                f"{median['yardsticks']:,.0f}",
                f"{median['per_core_s']:,.0f}",
                f"{median['p50_ms']:.1f}",
                f"{median['p99_ms']:.1f}",
                f"{median['added_p50_ms']:+.1f}, {median['added_p99_ms']:+.1f}",
                "" if tap is None else f"{tap:+.2f}, {median['tap_added_p99_ms']:+.2f}",
                f"{median['bid_share']:.0%}",
                "" if first else f"{contest.ratio:.1f} ({min(contest.ratios):.1f}-{max(contest.ratios):.1f})",
            )


def shown(contests: Sequence[Contest]) -> list[tuple[str, ...]]:
    """The heads and the lines; the tap's column only where there was one."""
    lines, tap = [HEADS, *rows(contests)], HEADS.index("tap")
    if any(line[tap] for line in lines[1:]):
        return lines
    return [line[:tap] + line[tap + 1 :] for line in lines]


def table(contests: Sequence[Contest]) -> Table:
    heads, *lines = shown(contests)
    made = Table(*heads, caption=LEGEND, caption_justify="left")
    for column in made.columns[3:]:
        column.justify = "right"
    for line in lines:
        made.add_row(*line)
    return made


def markdown(contests: Sequence[Contest]) -> str:
    heads, *rest = shown(contests)
    lines = ["| " + " | ".join(heads) + " |", "|---:|---:|---|" + "---:|" * (len(heads) - 3)]
    lines += ["| " + " | ".join(line) + " |" for line in rest]
    return "\n".join(lines) + "\n"
