"""How a play is shown: progress, the table, one request with its answer.

The rule: the same facts on a terminal and in a log file; a log gets whole lines, and no more than one for every tenth
of the way.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from loadtest.report import Report

JSON_WIDTH = 96


@contextmanager
def progress(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields a function that is told how many more are done."""
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(what, total=total)
            yield lambda count: bar.advance(task, count)
        return
    done = shown = 0

    def advance(count: int) -> None:
        nonlocal done, shown
        done += count
        if (tenths := 10 * done // total) > shown:
            shown = tenths
            console.print(f"{what}: {tenths * 10:3d} % ({done} of {total})", highlight=False)

    yield advance


def summary(report: Report) -> Table:
    """What the exchange saw, and the bidder's own account of it."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    outcomes, account = report.outcomes, report.account

    table.add_row("requests", f"{report.requests:,}", "")
    prices = ", ".join(f"{kind} {report.mean_price_usd(kind):.2f}" for kind in sorted(report.prices_usd))
    table.add_row(
        "  with a bid", _share(outcomes["bid"], report), f"{report.bids:,} bids, {report.deal_bids:,} of them on a deal"
    )
    table.add_row("  without a bid", _share(outcomes["no-bid"], report), _counts(report.no_bid_reasons))
    table.add_row("  refused (400)", _share(outcomes["refused"], report), "malformed on purpose")
    failed = outcomes["error"] + outcomes["lost"]
    table.add_row(
        "  failed", _share(failed, report), f"{outcomes['error']} answered wrongly, {outcomes['lost']} not at all"
    )
    table.add_row(
        "violations",
        f"{report.violations.total():,}",
        _counts(report.violations) or "of OpenRTB and the auction's terms",
    )
    table.add_row("mean price", f"{report.mean_price_usd():.2f} USD", f"CPM; {prices}" if prices else "CPM")
    table.add_section()
    for percent in (50, 95, 99):
        table.add_row(
            f"latency p{percent}",
            f"{report.latency_ms(percent):.2f} ms",
            "at the exchange, by loopback" if percent == 50 else "",
        )
    table.add_row("later than tmax", f"{report.late:,}", "")
    table.add_section()
    calls = account.total("bidder_endpoint_calls_total")
    batches = account.total("bidder_endpoint_rows_per_call_count")
    rows = account.total("bidder_endpoint_rows_per_call_sum")
    table.add_row("endpoint calls", f"{calls:,.0f}", "InvokeEndpoint, signed")
    table.add_row("rows per call", f"{rows / batches:.1f}" if batches else "-", "candidates scored at once, on average")
    scores = account.by("bidder_scores_total", "source")
    table.add_row("scores", f"{scores.total():,}", "by " + _counts(scores) if scores else "")
    return table


def pretty(value: Any, width: int = JSON_WIDTH, indent: int = 0) -> str:
    """JSON with one line for each value that fits in one; strings are never cut."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or len(flat) + indent <= width:
        return flat
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        lines = [
            f"{inner}{json.dumps(key, ensure_ascii=False)}: {pretty(item, width, indent + 2)}"
            for key, item in value.items()
        ]
        return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(inner + pretty(item, width, indent + 2) for item in value) + "\n" + " " * indent + "]"


def show_example(console: Console, report: Report) -> None:
    """One whole request and its whole answer."""
    if report.example is None:
        return
    case, answer = report.example
    _show_json(console, f"POST /openrtb2/bid, {len(case.body)} bytes", json.loads(case.body))
    _show_json(
        console,
        f"{answer.status} after {answer.took_s * 1000:.2f} ms, {len(answer.body)} bytes",
        json.loads(answer.body),
    )


def _show_json(console: Console, title: str, value: Any) -> None:
    console.rule(title, align="left")
    console.print(JSONHighlighter()(Text(pretty(value))), soft_wrap=True)  # long lines stay whole, to be copied


def _share(count: int, report: Report) -> str:
    return f"{count:,} ({count / report.requests:.1%})" if report.requests else "0"


def _counts(counts: Counter[str] | Mapping[str, int]) -> str:
    return ", ".join(
        f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
