"""Counting latencies."""

from __future__ import annotations

import math
import pickle
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.sending.histogram import Histogram


def of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(st.integers(0, 1 << 40))
def test_a_value_is_known_to_four_in_a_thousand_and_never_flattered(value: int):
    """What is reported is the recorded value or up to 0.4 % more."""
    assert value <= of([value]).percentile(50) <= value * 1.004


@given(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=300), st.floats(0.1, 100))
def test_a_percentile_is_the_value_of_its_rank(values: list[int], percent: float):
    """The smallest value that at least so many percent stay within."""
    exact = sorted(values)[max(0, math.ceil(percent / 100 * len(values) - 1e-9) - 1)]
    assert exact <= of(values).percentile(percent) <= exact * 1.004


@given(st.lists(st.integers(0, 1 << 30)), st.lists(st.integers(0, 1 << 30)))
def test_merging_is_recording_both(some: list[int], others: list[int]):
    """Histograms of several workers together are the histogram of all."""
    merged = of(some)
    merged.merge(of(others))
    assert merged == of(some + others)
    assert len(merged) == len(some) + len(others)


def test_several_percentiles_in_one_pass():
    """They are what each alone would be."""
    histogram = of([Random(1).randrange(1 << 20) for _ in range(1000)])
    wanted = (1, 50, 90, 99, 99.9, 100)
    assert list(histogram.percentiles(wanted)) == [histogram.percentile(percent) for percent in wanted]


def test_memory_does_not_grow_with_the_count():
    """A million values, in no more buckets than their spread asks for: 256 a doubling."""
    rng, histogram = Random(1), Histogram()
    for _ in range(1_000_000):
        histogram.record(rng.randrange(1_000, 1_000_000))
    assert len(histogram.counts) <= 256 * 11
    assert len(pickle.dumps(histogram)) < 30_000


def test_an_empty_one_says_nothing():
    """NaN, not a figure."""
    assert all(math.isnan(value) for value in (of([]).percentile(99), of([]).mean, of([]).share_within(5)))


def test_shares_and_means():
    """Of 1 to 100, half are within 50 and the mean is 50.5."""
    histogram = of(list(range(1, 101)))
    assert (histogram.share_within(50), histogram.mean, histogram.highest) == (0.5, pytest.approx(50.5), 100)


def test_what_is_below_zero_counts_as_zero():
    """Clocks that disagree by a little do no harm."""
    assert of([-3]).percentile(100) == 0
