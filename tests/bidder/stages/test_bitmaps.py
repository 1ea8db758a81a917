"""Bitmaps: masks, versions, circles and bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bidder.domain import Campaign, Circle, Goal, GoalKind, Targeting
from bidder.stages.bitmaps import bits_of, mask_of
from bidder.stages.index import compile_index
from bidder.stages.versions import version_of

from .plain_circles import distance_km  # isort: skip

Make = Callable[..., Any]


@given(st.sets(st.integers(0, 5000)), st.integers(0, 40))
def test_bits_and_masks_are_inverse(bits: set[int], start: int) -> None:
    """A mask holds exactly its bits, wherever it starts, and gives them back highest first."""
    rising = sorted(bits)
    assert list(bits_of(mask_of(rising))) == rising[::-1]
    assert mask_of([bit + start for bit in rising], start) == mask_of(rising) == sum(1 << bit for bit in rising)


def test_include_lets_through_who_names_the_value_or_none(make_campaign: Make) -> None:
    """The first campaign takes all countries, the second one, the third, which is bit 0, two."""
    campaigns = [
        make_campaign("all"),
        make_campaign("one", countries=frozenset({"USA"})),
        make_campaign("two", countries=frozenset({"USA", "DEU"})),
    ]
    shard = compile_index(campaigns).shards[0]
    include = shard.included["country"]
    assert list(bits_of(include.of("USA"))) == [2, 1, 0]
    assert list(bits_of(include.of("DEU"))) == [2, 0]
    assert list(bits_of(include.of(""))) == [2]
    assert list(bits_of(include.any_of(["FRA", "DEU"]))) == [2, 0]


@pytest.mark.parametrize(
    ("lower", "higher"), [("9", "10"), ("14", "14.0.1"), ("14.2", "14.10"), ("", "1"), ("x", "0.1"), ("10_3", "10.3.1")]
)
def test_versions_are_compared_as_numbers(lower: str, higher: str) -> None:
    """10 is above 9, 14.10 above 14.2; the unreadable is below all."""
    assert version_of(lower) < version_of(higher)


def test_a_lowest_version_holds_for_its_system_only(make_campaign: Make) -> None:
    """Unknown versions pass only campaigns that name none."""
    campaigns = [
        make_campaign("0"),
        make_campaign("1", os_min_versions=(("ios", "15"),)),
        make_campaign("2", os_min_versions=(("ios", "16.2"), ("android", "12"))),
    ]
    versions = compile_index(campaigns).shards[0].versions
    assert versions.of("ios", "14.9") == 0b100
    assert versions.of("ios", "15.0") == 0b110
    assert versions.of("ios", "16.2") == 0b111
    assert versions.of("ios", "") == 0b100
    assert versions.of("android", "11") == 0b110
    assert versions.of("windows", "") == 0b111
    assert versions.of("", "") == 0b100


@given(st.floats(-85, 85), st.floats(-180, 180), st.floats(1, 500), st.floats(-85, 85), st.floats(-180, 180))
@example(0.0, 180.0, 1.0, 0.0, 180.0)
@example(0.0, 0.0, 20_016.0, 0.0, 180.0)
@example(80.0, 10.0, 15_000.0, -60.0, -100.0)
@example(0.0, 180.0, 1.0, 0.0, -180.0)
@example(0.0, -180.0, 50.0, 0.1, 179.9)
def test_circles_agree_with_the_distance(lat: float, lon: float, km: float, at_lat: float, at_lon: float) -> None:
    """The grid is only a shortcut: wherever the user is, it finds what the distance says."""
    targeting = Targeting(circles=(Circle(lat, lon, km),))
    goal = Goal(GoalKind.CPM, 1)
    campaign = Campaign("1", "a", "s", (), goal, 1, "USD", 0.1, targeting, ())
    inside = distance_km(at_lat, at_lon, lat, lon) <= km
    assert bool(compile_index([campaign]).parts.circles.around(at_lat, at_lon)) is inside


def test_without_a_position_only_campaigns_without_circles_pass(make_campaign: Make) -> None:
    """Unknown is outside."""
    campaigns = [make_campaign("0"), make_campaign("1", circles=(Circle(52.5, 13.4, 20),))]
    index = compile_index(campaigns)
    around, inside = index.parts.circles.around, index.shards[0].inside
    assert inside.any_of(around(None, None)) == 0b10
    assert inside.any_of(around(52.51, 13.41)) == 0b11
    assert inside.any_of(around(48.1, 11.6)) == 0b10
