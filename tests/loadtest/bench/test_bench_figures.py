"""A bench's arithmetic and its tables, from turns made up for it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from loadtest.bench.command import FULL, document, scenarios
from loadtest.bench.contest import cases_of
from loadtest.bench.figures import SYSTEMS, Contest, Pair, Scenario, Turn
from loadtest.bench.table import HEADS, markdown, rows
from loadtest.bench.tap import Tapped
from loadtest.traffic import Kind

TURN = Turn(
    system="bidder",
    yardstick_us=10.0,
    answers=4_000,
    cpu_s=0.8,
    bids=3_000,
    per_s=4_000.0,
    failures={},
    half_rate=2_000.0,
    p50_ms=3.5,
    p99_ms=9.0,
    model_p50_ms=3.25,
    model_p99_ms=5.0,
)


def pair(bidder_us: float, baseline_us: float, **changes: Any) -> Pair:
    """Turns of so much CPU time an answer."""
    turns = [replace(TURN, cpu_s=us * TURN.answers / 1e6, **changes) for us in (bidder_us, baseline_us)]
    return Pair(turns[0], replace(turns[1], system="baseline"))


CONTEST = Contest(Scenario(10_000), 2_300.0, (pair(200, 2_000), pair(300, 2_100), pair(100, 2_500)))


def test_a_turn_is_divided_by_its_answers():
    """200 µs an answer: 5,000 a second of CPU time, though 4,000 came in a second, so a fifth of it was idle."""
    assert TURN.cpu_us == pytest.approx(200)
    assert TURN.per_core_s == pytest.approx(5_000)
    assert TURN.busy == pytest.approx(0.8)
    assert TURN.yardsticks == pytest.approx(20)
    assert TURN.bid_share == pytest.approx(0.75)


def test_what_is_added_is_more_than_the_endpoint_took():
    """At both percentiles."""
    assert TURN.added_p50_ms == pytest.approx(0.25)
    assert TURN.added_p99_ms == pytest.approx(4.0)


def test_the_ratio_is_taken_pair_by_pair():
    """The median of 10, 7 and 25, which is not the ratio of the medians (2,100 / 200)."""
    assert CONTEST.ratios == pytest.approx([10, 7, 25])
    assert CONTEST.ratio == pytest.approx(10)
    assert CONTEST.median("baseline", lambda turn: turn.cpu_us) == pytest.approx(2_100)


def test_noise_is_what_the_yardstick_did():
    """From 10 to 15 µs: half as much again."""
    noisy = replace(CONTEST, pairs=(pair(1, 1), pair(1, 1, yardstick_us=15.0)))
    assert noisy.noise == pytest.approx(0.5)
    assert CONTEST.noise == pytest.approx(0.0)


def test_failures_of_both_systems_count():
    """Of all pairs, by system and kind."""
    pairs = (pair(1, 1, failures={"timed_out": 2}), pair(1, 1, failures={"timed_out": 1, "floor": 1}))
    expected = {"timed_out": 3, "floor": 1}
    found = replace(CONTEST, pairs=pairs).failures
    assert found == {f"{system} {kind}": count for kind, count in expected.items() for system in SYSTEMS}
    assert not CONTEST.failures


def test_tables_have_a_line_for_each_system():
    """As many columns as heads; the ratio with its range on the baseline's line."""
    lines = list(rows([CONTEST, replace(CONTEST, scenario=Scenario(100, 8))]))
    assert len(lines) == 4
    assert {len(line) for line in lines} == {len(HEADS)}
    assert [line[:3] for line in lines[::2]] == [("10,000", "mixed", "bidder"), ("100", "8", "bidder")]
    assert lines[0][-1] == ""
    assert lines[1][-1] == "10.0 (7.0-25.0)"
    assert markdown([CONTEST]).count("\n") == 4


def test_a_tap_is_shown_where_there_was_one():
    """Medians of the turns that have one; elsewhere the figure is left out."""
    tap = Tapped(3_000, 2_800, 3.5, 4.75, 3.25, 4.0, 0.25, 0.75, 0.5, 1.5, alone=0)
    tapped = replace(CONTEST, pairs=(pair(200, 2_000, tap=tap), *CONTEST.pairs[1:]))
    column = HEADS.index("tap")
    assert [line[column] for line in rows([tapped, CONTEST])] == ["+0.25, +0.75", "+0.25, +0.75", "", ""]
    assert ("| tap |" in markdown([tapped]), "| tap |" in markdown([CONTEST])) == (True, False)
    kept = json.loads(json.dumps(document([tapped], FULL, "2026-01-01T00:00:00+00:00")))["contests"][0]
    assert kept["pairs"][0]["bidder"]["tap"]["outer_p99_ms"] == pytest.approx(4.75)
    assert kept["pairs"][1]["bidder"]["tap"] is None
    assert kept["medians"]["bidder"]["tap_most_p99_ms"] == pytest.approx(1.5)


def test_the_document_has_everything_that_was_measured():
    """Turns as they were, ratios, medians; plain JSON."""
    failed = replace(CONTEST, pairs=(pair(200, 2_000, failures={"timed_out": 1}), *CONTEST.pairs[1:]))
    kept = json.loads(json.dumps(document([failed], FULL, "2026-01-01T00:00:00+00:00")))
    contest = kept["contests"][0]
    assert contest["scenario"] == {"campaigns": 10_000, "imps": None, "bids_only": False}
    assert [each["ratio"] for each in contest["pairs"]] == pytest.approx([10, 7, 25])
    assert contest["pairs"][0]["bidder"]["answers"] == 4_000
    assert contest["pairs"][0]["bidder"]["failures"] == {"timed_out": 1}
    assert contest["medians"]["bidder"]["cpu_us"] == pytest.approx(200)
    assert kept["effort"]["pairs"] == FULL.pairs


def test_impressions_are_compared_on_a_catalog_that_is_not_too_large():
    """Every size with mixed requests, then 1 and 8 impressions on the largest up to 10,000."""
    mixed = [Scenario(100), Scenario(10_000), Scenario(100_000)]
    bids = [Scenario(100, bids_only=True), Scenario(100_000, bids_only=True)]
    assert scenarios([100, 10_000, 100_000]) == [*mixed, Scenario(10_000, 1), Scenario(10_000, 8), *bids]
    assert scenarios([50_000])[1:] == [Scenario(50_000, 1), Scenario(50_000, 8)]


def test_both_systems_get_conforming_requests_only():
    """Of the number of impressions that the scenario asks for."""
    cases = cases_of(Scenario(100, 8), 30)
    assert len(cases) == 30
    assert {case.kind for case in cases} == {Kind.VALID}
    assert {len(case.request["imp"]) for case in cases if case.request} == {8}
