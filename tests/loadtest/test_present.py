"""What the demo shows."""

from __future__ import annotations

import io
import json

from rich.console import Console

from loadtest.connection import Answer
from loadtest.present import pretty, progress, show_example, summary
from loadtest.report import Report
from loadtest.scrape import Metrics
from loadtest.traffic import BidRequestCase, Kind, requests
from loadtest.verify import SeenBid, Verdict


def on_paper(width: int = 100) -> Console:
    return Console(file=io.StringIO(), width=width)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def report() -> Report:
    made = Report()
    body = json.dumps({"id": "a", "imp": [{"id": "1"}]}).encode()
    case = BidRequestCase("a", body, Kind.VALID, None, frozenset({"bid"}))
    for took_s in (0.001, 0.002, 0.003, 0.004):
        adm = '{"id":"a","adm":"' + "x" * 300 + '"}'
        made.add(
            case, Answer(200, {}, adm.encode(), took_s), Verdict("bid", (SeenBid("banner", 2.5, True),)), tmax_s=0.0035
        )
    made.account = Metrics.parse(
        'bidder_no_bids_total{reason="below_floor"} 3\nbidder_endpoint_calls_total 2\n'
        "bidder_endpoint_rows_per_call_sum 9\n"
        'bidder_endpoint_rows_per_call_count 2\nbidder_scores_total{source="sagemaker"} 9\n'
    )
    return made


def test_pretty_json_is_the_same_json():
    """Nothing is lost or changed by the layout."""
    for case in requests(1, 20, valid_only=True):
        assert json.loads(pretty(case.request)) == case.request


def test_pretty_json_keeps_to_the_width_where_strings_allow():
    """Objects and arrays that do not fit in a line are spread over several, small ones stand on one."""
    value = {"a": [1, 2, 3], "b": {"c": ["x" * 30] * 4}}
    lines = pretty(value, width=60).splitlines()
    assert '  "a": [1, 2, 3],' in lines
    assert max(len(line) for line in lines) <= 60


def test_the_table_fits_a_terminal_of_100_columns():
    """Counts, reasons, percentiles, calls and prices are all there, and no line is longer."""
    console = on_paper()
    console.print(summary(report()))
    text = written(console)
    for part in ("4 (100.0%)", "below_floor 3", "2.00 ms", "4.00 ms", "4.5", "2.50 USD", "banner 2.50", "sagemaker 9"):
        assert part in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_a_play_without_answers_can_be_shown():
    """No bid, no call, no latency: the table stands all the same."""
    console = on_paper()
    console.print(summary(Report()))
    assert "requests" in written(console)


def test_the_pair_is_shown_whole():
    """Request and answer are printed without a cut, however long the markup."""
    console = on_paper()
    show_example(console, report())
    assert "x" * 300 in written(console)
    assert '"imp"' in written(console)


def test_progress_in_a_log_is_one_line_a_tenth():
    """Where there is no terminal, a line is printed at every 10 % and at no other time."""
    console = on_paper()
    with progress(console, "playing", 200) as advance:
        for _ in range(200):
            advance(1)
    assert written(console).splitlines() == [f"playing: {n * 10:3d} % ({n * 20} of 200)" for n in range(1, 11)]


def test_progress_on_a_terminal_is_a_bar():
    """On a terminal the count is drawn in place."""
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with progress(console, "playing", 200) as advance:
        advance(200)
    assert "200/200" in written(console)


def test_percentiles_are_of_answers():
    """The 50th percentile of four latencies is the second, the 99th the last."""
    made = report()
    assert (made.latency_ms(50), made.latency_ms(99), made.late) == (2.0, 4.0, 1)
