"""Histograms as CloudWatch reads them from log lines."""

from __future__ import annotations

import json
from bisect import bisect_left
from itertools import accumulate
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bidder.emf import HistogramLines, spread
from bidder.metrics import BID_BUCKETS, STAGE_BUCKETS, Histogram, Metrics


def percentile(values: list[float], counts: list[int], share: float) -> float:
    """The value that a share of the observations do not exceed."""
    pairs = sorted(zip(values, counts, strict=True))
    reached = list(accumulate(count for _, count in pairs))
    return pairs[bisect_left(reached, share * reached[-1])][0]


@given(st.lists(st.floats(0.000001, 0.3), min_size=1, max_size=400), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_percentile_of_the_line_is_in_the_bucket_of_the_true_one(observed: list[float], share: float) -> None:
    """No further from the truth than the histogram's own buckets are apart; above the last it is the last bound."""
    histogram = Histogram(BID_BUCKETS)
    for value in observed:
        histogram.observe(value)
    found = spread(histogram.bounds, histogram.counts)
    assert sum(found.values()) == len(observed)
    told = percentile(list(found), list(found.values()), share)
    true = percentile(observed, [1] * len(observed), share)
    assert bisect_left(BID_BUCKETS, told) == min(bisect_left(BID_BUCKETS, true), len(BID_BUCKETS) - 1)


def test_no_histogram_has_more_values_than_the_format_takes() -> None:
    """100 for a metric, whatever was observed."""
    for _, _, histogram in Metrics().histograms():
        assert len(spread(histogram.bounds, [1000] * len(histogram.counts))) <= 100


def lines_of(metrics: Metrics) -> tuple[HistogramLines, list[dict[str, Any]]]:
    written: list[dict[str, Any]] = []
    lines = HistogramLines(
        "Bidder/test",
        "bidder-test",
        metrics.histograms,
        lambda line: written.append(json.loads(line)),
        clock=lambda: 1767225600.5,
    )
    return lines, written


def test_a_line_says_what_was_observed_since_the_last() -> None:
    """In the Embedded Metric Format: what, where it belongs, and its distribution; the sum is the true one."""
    metrics = Metrics()
    lines, written = lines_of(metrics)
    metrics.stage_latency["decode"].observe(0.00002)
    lines.put_out()
    metrics.stage_latency["decode"].observe(0.00008)
    lines.put_out()
    assert [line["bidder_stage_latency_seconds"]["Sum"] for line in written] == [0.00002, 0.0001 - 0.00002]
    second = written[1]
    assert second["_aws"] == {
        "Timestamp": 1767225600500,
        "CloudWatchMetrics": [
            {
                "Namespace": "Bidder/test",
                "Dimensions": [["Service", "stage"]],
                "Metrics": [{"Name": "bidder_stage_latency_seconds", "Unit": "Seconds"}],
            }
        ],
    }
    assert (second["Service"], second["stage"]) == ("bidder-test", "decode")
    told = second["bidder_stage_latency_seconds"]
    assert (told["Count"], told["Counts"], len(told["Values"])) == (1, [1], 1)
    assert STAGE_BUCKETS[3] < told["Min"] == told["Max"] == told["Values"][0] < STAGE_BUCKETS[4]


def test_what_did_not_grow_has_no_line() -> None:
    """An idle bidder costs no log."""
    lines, written = lines_of(Metrics())
    lines.put_out()
    assert written == []


async def test_stopping_tells_the_rest() -> None:
    """The last minute of a process is not lost; one that never started has nothing to tell."""
    metrics = Metrics()
    lines, written = lines_of(metrics)
    metrics.answered("generic", "bid", 0.01)
    lines.stop()
    assert written == []
    lines.start()
    lines.stop()
    assert [line["bidder_bid_latency_seconds"]["Count"] for line in written] == [1]
