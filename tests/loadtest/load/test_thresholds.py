"""What a run must hold."""

from __future__ import annotations

import math

import pytest

from loadtest.load.thresholds import Threshold

SUMMARY = {
    "due": 1000, "errors": 2, "timed_out": 1, "wrong_ids": 0, "violations": 1, "judged": 50, "answers_per_s": 99.8,
    "latency_ms": {"max": 80.0, "mean": None},
}  # fmt: skip


def holds(text: str) -> bool:
    threshold = Threshold.parse(text)
    return threshold.holds(threshold.value(SUMMARY, lambda percent: percent / 10))


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("p99<20ms", True),
        ("p99 < 9.9 ms", False),
        ("p99<=9.9ms", True),
        ("p99.9<9995us", True),
        ("p50<0.001s", False),
        ("max<=80ms", True),
        ("errors<0.2%", False),
        ("errors<=0.2%", True),
        ("errors<3", True),
        ("timeouts==1", True),
        ("wrong_ids==0", True),
        ("violations<=2%", True),
        ("violations<2%", False),
        ("answers_per_s>=99", True),
        ("answers_per_s>100", False),
    ],
)
def test_thresholds_are_held_or_not(text: str, held: bool):
    """Latencies in their unit; counts as such or, with %, as shares; violations as shares of what was judged."""
    assert holds(text) is held


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("p99", "is no threshold"),
        ("p99<20", "needs a unit"),
        ("p99<20%", "needs a unit"),
        ("speed>9", "'speed' is not known; there are p50"),
        ("errors<1ms", "has no unit 'ms'"),
        ("answers_per_s>1%", "has no unit"),
        ("p99<fast", "is no threshold"),
        ("p100<1ms", "not known"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, why: str):
    """The text says what was wrong, and what there is."""
    with pytest.raises(ValueError, match=why):
        Threshold.parse(text)


def test_a_figure_that_is_not_there_holds_nothing():
    """No answer, no mean: neither above nor below."""
    for text in ("mean<1s", "mean>=0ms"):
        assert not holds(text)
    assert Threshold.parse("p99<1s").shown(math.nan) == "none"


@pytest.mark.parametrize(
    ("text", "shown"), [("p99<20ms", "9.90 ms"), ("errors<1%", "0.200%"), ("errors<1", "2"), ("answers_per_s>1", "100")]
)
def test_a_value_is_shown_in_its_unit(text: str, shown: str):
    """As it stands beside the threshold."""
    threshold = Threshold.parse(text)
    assert threshold.shown(threshold.value(SUMMARY, lambda percent: percent / 10)) == shown
