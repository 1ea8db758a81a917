"""A run on the terminal: how it goes, and how it went.

The rule: the same figures on a terminal and in a log; a log gets one line for every tenth of the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadtest.engine import Outcome, Progress
from loadtest.sending.tally import GOOD

Json = dict[str, Any]
LABELS = {
    Outcome.BID: "bids",
    Outcome.NO_BID: "no-bids",
    Outcome.REFUSED: "refused, being broken on purpose",
    Outcome.TIMED_OUT: "timed out",
    Outcome.BAD_STATUS: "other statuses",
    Outcome.WRONG_ID: "another request's answer",
    Outcome.UNREADABLE: "not a bid response",
    Outcome.CONNECTION_ERROR: "connection errors",
    Outcome.DROPPED_NO_CONNECTION: "dropped: no free connection",
    Outcome.DROPPED_BEHIND: "dropped: generator behind",
}


@contextmanager
def progress(console: Console, what: str, *, in_log: bool = True) -> Iterator[Callable[[Progress], None]]:
    """Yields a function that shows where a run stands; `in_log`: also where there is no terminal."""
    if not console.is_terminal:
        yield _Log(console, what).show if in_log else lambda progress: None
        return
    with Live(Text(what), console=console, auto_refresh=False, transient=True) as live:
        yield lambda progress: live.update(_panel(what, progress), refresh=True)


class _Log:
    def __init__(self, console: Console, what: str) -> None:
        self._console, self._what, self._shown = console, what, -1

    def show(self, progress: Progress) -> None:
        tenths = min(10, int(10 * progress.elapsed_s / progress.total_s))
        if tenths > self._shown:
            self._shown = tenths
            self._console.print(f"{self._what}: {tenths * 10:3d} %, {_line(progress)}", highlight=False)


def _line(progress: Progress) -> str:
    latest, errors = progress.latest, _errors(progress)
    done = f"{progress.outcomes.total():,} requests, {errors:,} errors"
    if not latest.due:
        return done
    return f"{done}; of late p50 {latest.latency_ms(50):.1f} ms, p99 {latest.latency_ms(99):.1f} ms"


def _errors(progress: Progress) -> int:
    return sum(count for outcome, count in progress.outcomes.items() if outcome not in GOOD)


def _panel(what: str, progress: Progress) -> Panel:
    table = Table(box=None, show_header=False, padding=(0, 3, 0, 0))
    latest = progress.latest
    table.add_row("requests", f"{progress.outcomes.total():,}", "errors", _red(_errors(progress)))
    if latest.due:
        table.add_row("p50", f"{latest.latency_ms(50):.2f} ms", "p99", f"{latest.latency_ms(99):.2f} ms")
        table.add_row("bids", f"{latest.bid_share:.0%}", "send lag p99", _lag(latest.send_lag_us.percentile(99)))
    for name, usage in progress.usage.items():
        table.add_row(name, f"{usage.cores:.0%} of a core", "memory", f"{usage.peak_bytes / 1e6:,.0f} MB")
    for outcome, count in sorted(progress.outcomes.items()):
        if outcome not in GOOD:
            table.add_row(LABELS[outcome], _red(count))
    bar = ProgressBar(total=progress.total_s, completed=min(progress.elapsed_s, progress.total_s), width=60)
    return Panel(Group(bar, Text(), table), title=what, title_align="left", width=76)


def _red(count: int) -> Text:
    return Text(f"{count:,}", style="bold red" if count else "green")


def _lag(us: float) -> str:
    return "-" if us != us else f"{us / 1000:.2f} ms"


def verdict(console: Console, document: Json) -> None:
    """The figures, the thresholds, and loudly what spoils them."""
    summary, latency = document["summary"], document["summary"]["latency_ms"]
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    table.add_row("requests due", f"{summary['due']:,}", f"{summary['due_per_s']:,.0f} a second")
    table.add_row("answered rightly", f"{summary['good']:,}", f"{summary['answers_per_s']:,.0f} a second, within tmax")
    for outcome, label in LABELS.items():
        if count := document["outcomes"][outcome.value]:
            table.add_row(f"  {label}", f"{count:,}", f"{count / summary['due']:.2%}")
    judged = document["judged"]
    table.add_row("judged by all rules", f"{judged['answers']:,}", f"{summary['violations']:,} violations")
    table.add_section()
    for name in ("p50", "p90", "p99", "p99.9", "max"):
        note = "from the moment a request was due" if name == "p50" else ""
        table.add_row(f"latency {name}", _ms(latency[name]), note)
    table.add_row(
        "send lag p99", _ms(summary["send_lag_ms"]["p99"]), f"the generator's own; {summary['late_sends']:,} above 1 ms"
    )
    for name, process in document["processes"].items():
        cost = process["cpu_us_per_request"]
        note = f"{cost:,.0f} µs CPU a request, {process['peak_mb']:,.0f} MB" if cost is not None else ""
        table.add_row(name, f"{process['cores']:.0%}", f"of a core; {note}")
    console.print(table)
    for each in document["thresholds"]:
        mark = Text("held  ", "green") if each["held"] else Text("BROKEN", "bold red")
        console.print(mark, Text(f"{each['text']:<24} {each['value']}"))
    for rule, examples in document["judged"]["examples"].items():
        console.print(Text(f"{rule}: {'; '.join(examples)}", "red"), soft_wrap=True)
    for problem in document["problems"]:
        console.print(Text(problem, "yellow"), soft_wrap=True)
    if document["limits"]:
        lines = "\n".join(document["limits"])
        title = "THE GENERATOR WAS A LIMIT: these figures are not the server's alone"
        console.print(Panel(lines, title=title, style="bold red"))


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ms"
