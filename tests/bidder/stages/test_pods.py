"""Filling a pod: what is chosen is worth most, and breaks nothing."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.domain import Bid, Campaign, Candidate, Creative, Deal, Goal, GoalKind, MediaFile, Pod, Slot, Targeting
from bidder.stages.pods import MAX_BIDS, best_set, conflicts, fill

from ..conftest import VIDEO  # isort: skip

NONE: frozenset[int] = frozenset()


def bid(
    price: int,
    duration_s: int,
    advertiser: str,
    *,
    creative: str = "",
    domain: str = "",
    category: str = "",
    media: str = "",
    guaranteed: bool = False,
    wants: str = "",
) -> Bid:
    """A bid for a video; what is not named is shared with no other."""
    name = creative or f"{advertiser}-{price}-{duration_s}"
    spec = type(VIDEO)(VIDEO.format, 640, 360, protocols=VIDEO.protocols, duration_s=duration_s)
    made = Creative(name, spec, "https://x.example", media=(MediaFile(media or name, "video/mp4", 1, 1, 1),))
    goal = Goal(GoalKind.CPM, 1)
    domains = (domain or f"{advertiser}.example",)
    categories = (category or f"category of {name}",)
    targeting = Targeting(required_attributes=frozenset({wants} if wants else ()))
    campaign = Campaign(
        name, advertiser, "s", domains, goal, 10**9, "USD", 0.1, targeting, (made,), categories=categories
    )
    deal = Deal("g", floor_micros=price, guaranteed=True) if guaranteed else None
    return Bid(Candidate(Slot("1"), campaign, made, deal), price, "USD", 0.1, floor_micros=price)


def exhaustive(prices: list[int], durations: list[int], conflicting: list[int], seconds: int, most: int) -> int:
    """The highest sum of all sets that may stand together."""
    best = 0
    for size in range(1, min(most, len(prices)) + 1):
        for chosen in combinations(range(len(prices)), size):
            clash = any(conflicting[one] >> other & 1 for one, other in combinations(chosen, 2))
            if not clash and sum(durations[position] for position in chosen) <= seconds:
                best = max(best, sum(prices[position] for position in chosen))
    return best


BIDS = st.lists(
    st.builds(
        bid,
        st.integers(1, 50),
        st.sampled_from([6, 10, 15, 20, 30, 45]),
        st.sampled_from("abcdef"),
        domain=st.sampled_from(["", "", "", "x.example", "y.example"]),
        category=st.sampled_from(["", "", "cars"]),
        creative=st.sampled_from(["", "", "", "c1"]),
    ),
    max_size=9,
)


@settings(max_examples=300, deadline=None)
@given(BIDS, st.integers(5, 120), st.integers(1, 6), st.sampled_from([NONE, frozenset({2}), frozenset({1, 4})]))
def test_no_other_choice_is_worth_more(bids: list[Bid], seconds: int, most: int, distinct: frozenset[int]) -> None:
    """Held against all choices, one by one; and the choice keeps to length, number and conflicts."""
    durations = [each.candidate.creative.spec.duration_s for each in bids]
    conflicting = conflicts(bids, distinct)
    prices = [each.price_micros for each in bids]
    chosen = best_set(prices, durations, conflicting, seconds, most)
    assert sum(prices[position] for position in chosen) == exhaustive(prices, durations, conflicting, seconds, most)
    assert len(chosen) <= most
    assert sum(durations[position] for position in chosen) <= seconds
    assert not any(conflicting[one] >> other & 1 for one, other in combinations(chosen, 2))


@settings(max_examples=200, deadline=None)
@given(BIDS, st.integers(0, 120), st.integers(0, 6))
def test_a_pod_never_repeats_an_advertiser_a_domain_or_a_creative(bids: list[Bid], seconds: int, most: int) -> None:
    """And each bid is one of those given, at its own price."""
    chosen = fill(bids, Pod(seconds=seconds, most_ads=most))
    for name in (
        [each.candidate.campaign.advertiser_id for each in chosen],
        [each.candidate.creative.id for each in chosen],
        [domain for each in chosen for domain in each.candidate.campaign.domains],
    ):
        assert len(name) == len(set(name))
    assert all(any(each is given for given in bids) and each.price_micros >= each.floor_micros for each in chosen)
    assert not most or len(chosen) <= most
    assert not seconds or sum(each.candidate.creative.spec.duration_s for each in chosen) <= seconds


def test_two_short_ads_beat_a_long_one_worth_less() -> None:
    """Value counts, not the single highest price."""
    bids = [bid(10, 30, "a"), bid(6, 15, "b"), bid(5, 15, "c")]
    assert [each.price_micros for each in fill(bids, Pod(seconds=30, most_ads=4))] == [6, 5]
    assert [each.price_micros for each in fill(bids, Pod(seconds=30, most_ads=1))] == [10]
    assert [each.price_micros for each in fill(bids, Pod(seconds=45, most_ads=0))] == [10, 6]


@pytest.mark.parametrize(
    ("shared", "setting", "together"),
    [
        ({"category": "cars"}, NONE, 2),
        ({"category": "cars"}, frozenset({2}), 1),
        ({"media": "https://cdn.example/a.mp4"}, NONE, 2),
        ({"media": "https://cdn.example/a.mp4"}, frozenset({4}), 1),
        ({"domain": "brand.example"}, frozenset({5}), 1),
        ({"creative": "same"}, frozenset({5}), 1),
    ],
)
def test_what_the_pod_wants_distinct_is(shared: dict[str, Any], setting: frozenset[int], together: int) -> None:
    """`poddedupe`: by category or media file on demand; by advertiser's domain and creative always."""
    bids = [bid(6, 15, "a", **shared), bid(5, 15, "b", **shared)]
    assert len(fill(bids, Pod(seconds=60, most_ads=4, distinct=setting))) == together


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 50), st.sampled_from(["", "first_in_pod", "last_in_pod"])), max_size=9),
    st.sampled_from([NONE, frozenset({1}), frozenset({-1}), frozenset({1, -1})]),
)
def test_a_place_is_asked_for_once_and_only_where_it_is_open(
    wants: list[tuple[int, str]], open_: frozenset[int]
) -> None:
    """The best of those that want it; who wants none names none."""
    bids = [bid(price, 15, f"a{n}", wants=place) for n, (price, place) in enumerate(wants)]
    chosen = fill(bids, Pod(open_places=open_))
    best = {
        place: max((price for price, name in wants if name == wanted), default=0)
        for wanted, place in (("first_in_pod", 1), ("last_in_pod", -1))
        if place in open_
    }
    asked = {each.slot_in_pod: each.price_micros for each in chosen if each.slot_in_pod}
    assert asked == {place: price for place, price in best.items() if price}
    assert len(chosen) == len(asked) + sum(not name for _, name in wants)


def test_guaranteed_deals_go_in_first() -> None:
    """Though the pod would be worth more without."""
    bids = [bid(1, 30, "g", guaranteed=True), bid(50, 15, "a"), bid(60, 30, "b")]
    assert [each.price_micros for each in fill(bids, Pod(seconds=45, most_ads=4))] == [1, 50]


def test_a_pod_that_states_no_limits_is_bounded() -> None:
    """Not every bid there is."""
    assert len(fill([bid(n + 1, 15, f"a{n}") for n in range(40)], Pod())) == MAX_BIDS


def test_nothing_fits_nothing() -> None:
    """No bids, or none short enough."""
    assert fill([], Pod(seconds=30)) == []
    assert fill([bid(5, 31, "a")], Pod(seconds=30)) == []


def test_the_search_is_bounded_and_still_good() -> None:
    """Hard on purpose: 32 bids of nearly equal density. At least 95 % of what the seconds could bring at best."""
    durations = [6 + (n * 7) % 25 for n in range(32)]
    prices = [seconds * 1000 + (n * 37) % 101 for n, seconds in enumerate(durations)]
    chosen = best_set(prices, durations, [1 << n for n in range(32)], 173, 16)
    assert sum(prices[position] for position in chosen) >= 0.95 * 173 * max(
        price / seconds for price, seconds in zip(prices, durations, strict=True)
    )
