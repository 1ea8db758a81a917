"""Documents and pages of results, without running anything."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from rich.console import Console

from loadtest.engine import Outcome, Plan, Profile, Result, Tally
from loadtest.engine.judged import Judged
from loadtest.engine.result import WorkerUsage
from loadtest.engine.usage import Sample, Usage
from loadtest.load import page, sweep_page
from loadtest.load.charts import Series, line_chart, linear, nines
from loadtest.load.display import verdict
from loadtest.load.document import document
from loadtest.load.search import Found
from loadtest.load.sweep import sweep_document
from loadtest.load.thresholds import Threshold
from loadtest.scrape import Metrics
from loadtest.traffic import requests

CASES = list(requests(1, 5, valid_only=True))
SETTINGS = {"rate": 100.0, "profile": "poisson", "tmax_ms": 100, "url": "http://x<y>", "duration_s": 2.0}
PAGE = """\
bidder_stage_latency_seconds_sum{stage="decode"} 0.02
bidder_stage_latency_seconds_count{stage="decode"} 200
bidder_stage_latency_seconds_sum{stage="price"} 0.001
bidder_stage_latency_seconds_count{stage="price"} 100
bidder_no_bids_total{reason="below_floor"} 7
process_cpu_seconds_total 0.5
process_resident_memory_bytes 2e8
"""


def tally(bids: int, late: int = 0) -> Tally:
    made = Tally()
    made.outcomes.update({Outcome.BID: bids, Outcome.TIMED_OUT: late} if late else {Outcome.BID: bids})
    for number in range(bids):
        made.latency_us.record(1000 + 10 * number)
        made.send_lag_us.record(50)
    for _ in range(late):
        made.latency_us.record(150_000)
        made.send_lag_us.record(50)
    return made


def result(**changes: object) -> Result:
    plan = Plan("http://h:1/bid", CASES, rate=100, profile=Profile.POISSON, duration_s=2)
    samples = tuple(Sample(10.0 + at, 5.0 + at * 0.25, (90 + at) * 1_000_000) for at in range(3))
    given = {
        "plan": plan,
        "started_at": "2026-01-02T03:04:05+00:00",
        "machine": "a machine",
        "intervals": [tally(100), tally(90, late=10)],
        "warm_up": tally(20),
        "workers": [WorkerUsage(0.3, 50_000_000, 60.0)],
        "usage": {"bidder": Usage(samples)},
        "judged": Judged(answers=20),
        "strays": 0,
        "metrics": Metrics.parse(PAGE),
        "closing_metrics": Metrics.parse(PAGE),
        **changes,
    }
    return Result(**given)


def of(*thresholds: str, rate: float = 100.0, **changes: object) -> dict:
    parsed = [Threshold.parse(text) for text in thresholds]
    return json.loads(json.dumps(document(result(**changes), parsed, SETTINGS | {"rate": rate}), allow_nan=False))


class Checked(HTMLParser):
    """Collects what a page would load, and whether its tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        if tag not in ("meta", "line", "polyline", "polygon", "circle"):
            self.open.append(tag)
        self.loaded += [value for name, value in attributes if name in ("src", "href")]
        assert tag != "script"

    def handle_startendtag(self, tag: str, attributes: list) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_document_has_the_figures():
    """Counts add up over intervals; latencies are in milliseconds; the warm-up stands apart."""
    made = of("p50<5ms")
    summary = made["summary"]
    assert (summary["due"], summary["good"], summary["errors"], summary["error_share"]) == (200, 190, 10, 0.05)
    assert (summary["due_per_s"], summary["answers_per_s"]) == (100, 95)
    assert summary["latency_ms"]["p50"] == pytest.approx(1.5, rel=0.01)
    assert summary["latency_ms"]["p99"] == pytest.approx(150, rel=0.01)
    assert made["warm_up"] == {"bid": 20}
    assert [moment["errors_per_s"] for moment in made["over_time"]] == [0, 10]
    assert made["spectrum"] == sorted(made["spectrum"])
    assert made["passed"]


def test_processes_have_cpu_and_memory():
    """Half a CPU second for 200 requests are 2,500 µs each; a quarter of a core; the highest memory."""
    bidder = of()["processes"]["bidder"]
    assert (bidder["cpu_us_per_request"], bidder["cores"], bidder["peak_mb"]) == (2500, 0.25, 92)
    assert [moment["cores"] for moment in bidder["over_time"]] == [0.25, 0.25]


def test_a_server_elsewhere_is_measured_by_its_own_account():
    """Without a process on this machine, its process_* metrics are what there is."""
    server = of(usage={})["processes"]["server"]
    assert (server["cpu_us_per_request"], server["cores"], server["peak_mb"]) == (2500, 0.25, 200)


def test_stages_come_with_their_mean_time():
    """The dearest first, in microseconds."""
    found = [(stage["stage"], stage["mean_us"]) for stage in of()["stages"]]
    assert found == [("decode", 100), ("price", 10)]


def test_a_broken_threshold_fails_the_run():
    """And says by how much."""
    made = of("errors<1%")
    assert not made["passed"]
    assert made["thresholds"][-1] == {"text": "errors<1%", "value": "5.000%", "held": False}


@pytest.mark.parametrize("where", ["intervals", "warm_up"])
def test_a_mixed_up_answer_always_fails_the_run(where: str):
    """Without any threshold for it, and in the warm-up too."""
    bad = tally(10)
    bad.outcomes[Outcome.WRONG_ID] = 1
    assert not of(**{where: [bad] if where == "intervals" else bad})["passed"]
    assert not of(strays=1)["passed"]


@pytest.mark.parametrize(
    ("worker", "said"),
    [
        (WorkerUsage(0.9, 1, 60.0), "busy for 90% of a core"),
        (WorkerUsage(0.3, 1, 1_500.0), "sent late: its p99 lag was 1.5 ms"),
    ],
)
def test_a_generator_at_its_limit_is_said_loudly(worker: WorkerUsage, said: str):
    """In the document, above the page's figures, and on the terminal."""
    made = of(workers=[worker])
    assert said in made["limits"][0]
    text = page.render(made)
    assert text.index(said.split(":")[0]) < text.index("right answers in time")
    console = Console(record=True, width=200, quiet=True)
    console.quiet = False
    with console.capture() as capture:
        verdict(console, made)
    assert "THE GENERATOR WAS A LIMIT" in capture.get()


def test_a_generator_below_its_limits_is_not_accused():
    """Nor one in a closed run, which has no lag."""
    assert of()["limits"] == []
    assert of(workers=[WorkerUsage(0.5, 1, float("nan"))])["limits"] == []


def test_dropped_requests_by_a_generator_behind_are_a_limit():
    """What was not sent is not the server's fault."""
    behind = tally(10)
    behind.outcomes[Outcome.DROPPED_BEHIND] = 3
    assert "3 requests were not sent" in of(intervals=[behind])["limits"][0]


def test_the_page_stands_by_itself():
    """It loads nothing, runs nothing, closes its tags and escapes what it is given."""
    checked = Checked(page.render(of("p99<20ms")))
    assert checked.loaded == []
    assert checked.open == []
    for word in ("failed", "p99<20ms", "Latency", "timed out", "decode", "http://x<y>", "a machine", "2026-01-02"):
        assert word in checked.text


def test_a_run_without_an_answer_has_a_page():
    """All was dropped."""
    nothing = Tally()
    nothing.outcomes[Outcome.DROPPED_NO_CONNECTION] = 5
    made = of("p99<1s", intervals=[nothing], metrics=None, usage={}, judged=Judged())
    assert not made["passed"]
    assert "There was no answer." in page.render(made)
    verdict(Console(quiet=True), made)


def test_a_sweep_has_its_curve_and_its_tries():
    """The highest rate that holds, its own figures, and every try."""
    steps = [of("errors<8%", rate=100.0), of("errors<1%", rate=200.0)]
    made = sweep_document(steps, Found(100.0, 200.0), ["errors<8%"])
    assert made["passed"]
    assert made["at_best"]["settings"]["rate"] == 100
    checked = Checked(sweep_page.render(made))
    assert checked.loaded == checked.open == []
    for word in ("Highest rate that holds: 100 requests/s", "200/s does not", "broken: errors<1%", "held"):
        assert word in checked.text


def test_a_sweep_says_whose_limit_it_found():
    """Where the generator was the limit at the rate that decided."""
    busy = of("errors<1%", rate=200.0, workers=[WorkerUsage(0.95, 1, 60.0)])
    made = sweep_document([of(rate=100.0), busy], Found(100.0, 200.0), [])
    assert "busy for 95%" in made["limits"][0]
    assert "The generator was a limit" in sweep_page.render(made)


def test_a_sweep_with_a_mixed_up_answer_fails():
    """Whatever rate holds."""
    bad = tally(10)
    bad.outcomes[Outcome.WRONG_ID] = 1
    assert not sweep_document([of(rate=100.0), of(rate=200.0, intervals=[bad])], Found(100.0, 200.0), [])["passed"]


def test_axes_end_on_round_numbers():
    """1, 2 or 5 times a power of ten a step, unless they are to end where the values do; percentiles as far apart as
    nines are."""
    assert [label for _, label in linear(78, " ms").ticks] == ["0 ms", "20 ms", "40 ms", "60 ms", "80 ms"]
    assert [label for _, label in linear(0.3).ticks] == ["0", "0.1", "0.2", "0.3"]
    exact = linear(11, " s", exact=True)
    assert (exact.high, [label for _, label in exact.ticks]) == (11, ["0 s", "5 s", "10 s"])
    axis = nines(99.99)
    assert axis.share(90) == pytest.approx(0.25)
    assert axis.share(99) == pytest.approx(0.5)


def test_a_missing_value_is_a_gap():
    """A line is not drawn through a second without answers."""
    drawn = line_chart([Series("a", [(0, 1), (1, 2), (2, None), (3, 1), (4, 2)], "red")], linear(4), linear(2))
    assert drawn.count("<polyline") == 2
