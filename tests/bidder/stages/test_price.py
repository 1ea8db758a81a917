"""Pricing: value, floors, currencies, to the micro-unit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidder.domain import (
    Auction,
    Campaign,
    Candidate,
    Creative,
    Deal,
    Exchange,
    Goal,
    GoalKind,
    MediaOffer,
    NoBidReason,
    Rates,
    Slot,
    Targeting,
)
from bidder.stages.floors import floor_of
from bidder.stages.price import bid_currency, price, price_micros, value_micros

from ..conftest import VIDEO

Make = Callable[..., Any]


@pytest.fixture
def candidate(make_campaign: Make) -> Make:
    """A candidate of a campaign that pays 1 USD a click: a score of 0.001 is worth 1 USD CPM."""

    def make(slot: Slot | None = None, deal: Deal | None = None, **campaign: Any) -> Candidate:
        made = make_campaign(**({"max_cpm_micros": 1_000_000_000} | campaign))
        return Candidate(slot or Slot("1", deals=(deal,) if deal else ()), made, made.creatives[0], deal)

    return make


@pytest.mark.parametrize(
    ("goal", "score", "expected"),
    [
        (Goal(GoalKind.CPM, 3_000_000), 0.6, 1_800_000),
        (Goal(GoalKind.CPC, 500_000), 0.01, 5_000_000),
        (Goal(GoalKind.CPA, 20_000_000), 0.0005, 10_000_000),
        (Goal(GoalKind.CPC, 500_000), 0.9, 40_000_000),
        (Goal(GoalKind.CPC, 1), 0.0000001, 0),
    ],
)
def test_the_value_is_score_times_goal_up_to_the_maximum(
    make_campaign: Make, goal: Goal, score: float, expected: int
) -> None:
    """A CPM goal pays for 1,000 events, the others for each; rounded down."""
    assert value_micros(make_campaign(goal=goal, max_cpm_micros=40_000_000), score) == expected


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, -0.1, 1.1])
def test_a_score_that_is_no_probability_earns_no_bid(
    candidate: Make, exchange: Exchange, rates: Rates, score: float
) -> None:
    """Never a price that is no number."""
    assert price([candidate()], [score], Auction("a", []), exchange, rates).bids == []


@pytest.mark.parametrize("scores", [[], [0.1, 0.1]])
def test_each_candidate_has_a_score(candidate: Make, exchange: Exchange, rates: Rates, scores: list[float]) -> None:
    """Those of other rows are not taken for its own."""
    with pytest.raises(ValueError, match=f"{len(scores)} scores for 1 candidates"):
        price([candidate()], scores, Auction("a", []), exchange, rates)


def test_a_bid_at_the_floor_stands_and_one_micro_below_does_not(
    candidate: Make, exchange: Exchange, rates: Rates
) -> None:
    """The value is exactly 2.50 USD CPM."""
    for floor, bids in ((2_500_000, 1), (2_500_001, 0)):
        found = price([candidate(Slot("1", floor_micros=floor))], [0.0025], Auction("a", []), exchange, rates)
        assert len(found.bids) == bids
        assert found.reason is (None if bids else NoBidReason.BELOW_FLOOR)


@given(st.integers(1, 10**9), st.sampled_from(["EUR", "GBP", "JPY"]), st.floats(0.0001, 1))
def test_a_converted_floor_is_never_undercut(floor: int, currency: str, score: float) -> None:
    """Held against the exact floor by the same rates."""
    rates = Rates("2026-01-02", "USD", {"EUR": 0.8371, "GBP": 0.7513, "JPY": 151.23})
    creative = Creative("c", VIDEO, "https://x.example")
    goal = Goal(GoalKind.CPC, 1_000_000)
    campaign = Campaign("c", "a", "", (), goal, 10**9, "USD", 0.1, Targeting(), (creative,))
    slot = Slot("1", floor_micros=floor, floor_currency=currency)
    found = price([Candidate(slot, campaign, creative, None)], [score], Auction("a", []), Exchange("x"), rates)
    for bid in found.bids:
        assert bid.price_micros * Fraction(str(rates.per_base[currency])) >= floor


@pytest.mark.parametrize(
    ("allowed", "preferred", "expected"),
    [
        ((), "USD", "USD"),
        ((), "EUR", "USD"),
        (("EUR", "USD"), "USD", "USD"),
        (("EUR", "GBP"), "USD", "EUR"),
        (("XXX", "GBP"), "USD", "GBP"),
        (("XXX",), "USD", None),
    ],
)
def test_the_currency_is_one_that_is_allowed(
    rates: Rates, allowed: tuple[str, ...], preferred: str, expected: str | None
) -> None:
    """The exchange's usual one if it may, else the first that has a rate; nothing said means USD."""
    auction = Auction("a", [], currencies=allowed)
    assert bid_currency(auction, Exchange("x", currency=preferred), rates) == expected


def test_no_currency_in_common_is_no_bid(candidate: Make, exchange: Exchange, rates: Rates) -> None:
    """With that reason."""
    assert price([candidate()], [0.01], Auction("a", [], currencies=("XXX",)), exchange, rates).reason is (
        NoBidReason.CURRENCY
    )


def test_the_price_is_in_the_requests_currency(candidate: Make, exchange: Exchange, rates: Rates) -> None:
    """10 USD are 8 EUR."""
    (bid,) = price([candidate()], [0.01], Auction("a", [], currencies=("EUR",)), exchange, rates).bids
    assert (bid.price_micros, bid.currency) == (8_000_000, "EUR")


def test_a_campaign_or_floor_in_a_currency_without_a_rate_does_not_bid(
    candidate: Make, exchange: Exchange, rates: Rates
) -> None:
    """A price is never guessed."""
    auction = Auction("a", [])
    assert price([candidate(currency="XXX")], [0.01], auction, exchange, rates).bids == []
    slot = Slot("1", floor_micros=1, floor_currency="XXX")
    assert price([candidate(slot)], [0.01], auction, exchange, rates).bids == []


def test_the_best_candidate_of_each_slot_wins(candidate: Make, exchange: Exchange, rates: Rates) -> None:
    """By price, whatever its rank by prior."""
    one, two = Slot("1"), Slot("2")
    other = {"advertiser_id": "other", "domains": ("other.example",)}
    candidates = [candidate(one), candidate(one), candidate(two, **other)]
    bids = price(candidates, [0.001, 0.002, 0.003], Auction("a", []), exchange, rates).bids
    assert [(bid.candidate.slot.id, bid.price_micros) for bid in bids] == [("1", 2_000_000), ("2", 3_000_000)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.floats(0, 1) | st.floats(), st.sampled_from(["USD", "EUR", "XXX"]), st.integers(1, 9)), min_size=1
    ),
    st.data(),
)
def test_of_one_slot_the_first_with_the_highest_price_is_bid(
    candidate: Make, rates: Rates, given: list[tuple[float, str, int]], data: st.DataObject
) -> None:
    """As `price_micros` says of each by itself, whatever is not worked out."""
    slot = Slot("1", floor_micros=data.draw(st.sampled_from([0, 1, 900])), floor_currency="EUR")
    candidates = [
        candidate(slot, goal=Goal(GoalKind.CPC, amount), currency=currency, max_cpm_micros=2_000)
        for _, currency, amount in given
    ]
    scores = [score for score, _, _ in given]
    prices = [price_micros(*each, "USD", rates) or 0 for each in zip(candidates, scores, strict=True)]
    bids = price(candidates, scores, Auction("a", [slot]), Exchange("e"), rates).bids
    assert [(bid.candidate, bid.price_micros) for bid in bids] == (
        [(candidates[prices.index(max(prices))], max(prices))] if max(prices) else []
    )


def test_a_deals_floor_comes_before_the_slots(candidate: Make, exchange: Exchange, rates: Rates) -> None:
    """§7.11: the deal's floor, in the deal's own currency."""
    deal = Deal("d", floor_micros=4_000_000, floor_currency="EUR")
    slot = Slot("1", floor_micros=9_000_000, deals=(deal,))
    auction = Auction("a", [])
    assert price([candidate(slot, deal)], [0.005], auction, exchange, rates).bids
    assert not price([candidate(slot, deal)], [0.0049], auction, exchange, rates).bids


def test_a_fixed_price_deal_costs_its_floor(candidate: Make, exchange: Exchange, rates: Rates) -> None:
    """`at` 3: the floor is the agreed price."""
    deal = Deal("d", floor_micros=4_000_000, auction_type=3)
    (bid,) = price([candidate(deal=deal)], [0.05], Auction("a", []), exchange, rates).bids
    assert bid.price_micros == 4_000_000


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        ({}, 700_000),
        ({"floor_per_second_micros": 100_000}, 1_500_000),
        ({"duration_floors": ((0, 10, 1), (11, 20, 2_000_000), (15, 0, 2_500_000))}, 2_500_000),
        ({"duration_floors": ((0, 10, 1),)}, None),
        ({"duration_floors": ((15, 15, 1),)}, 1),
        ({"duration_floors": ((0, 14, 1), (16, 0, 2))}, None),
        ({"floor_per_second_micros": Fraction("333333.3")}, 5_000_000),
        ({"floor_per_second_micros": 100_000, "duration_floors": ((0, 0, 1_400_000),)}, 1_500_000),
    ],
)
def test_video_floors_by_duration_come_before_the_slots(
    make_creative: Make, media: dict[str, Any], expected: int | None
) -> None:
    """A 15 second video: by the second, or by the range it falls in."""
    slot = Slot("1", video=MediaOffer(**media), floor_micros=700_000)
    floor = floor_of(slot, make_creative(spec=VIDEO).spec, None)
    assert floor == (None if expected is None else (expected, "USD"))


def test_rates_convert_both_ways(rates: Rates) -> None:
    """From and to the base, and across it."""
    assert rates.convert(1_000_000, "USD", "EUR") == 800_000
    assert rates.convert(800_000, "EUR", "USD") == 1_000_000
    assert rates.convert(800_000, "EUR", "GBP") == 750_000
    assert replace(rates, base="EUR", per_base={"USD": 1.25}).convert(1_000_000, "EUR", "USD") == 1_250_000
    with pytest.raises(KeyError):
        rates.convert(1, "USD", "XXX")


OWN_FLOORS: list[tuple[dict[str, Any], int | None]] = [
    ({"floor_micros": 4_000_000}, 4_000_000),
    ({"floor_per_second_micros": 200_000}, 3_000_000),
    ({"duration_floors": ((0, 15, 2_000_000), (16, 0, 9_000_000))}, 2_000_000),
    ({"duration_floors": ((16, 0, 9_000_000),)}, None),
    ({"floor_micros": 4_000_000, "floor_per_second_micros": 200_000}, 4_000_000),
    ({"floor_micros": 0}, 0),
]


@pytest.mark.parametrize(("terms", "expected"), OWN_FLOORS, ids=str)
def test_a_deals_own_floors_count_for_the_deal(
    make_creative: Make, terms: dict[str, Any], expected: int | None
) -> None:
    """Whole, by the second or by duration, in the deal's currency, whatever video and slot say."""
    slot = Slot("1", video=MediaOffer(floor_per_second_micros=1_000_000), floor_micros=700_000)
    floor = floor_of(slot, make_creative(spec=VIDEO).spec, Deal("d", floor_currency="EUR", **terms))
    assert floor == (None if expected is None else (expected, "EUR"))


def test_a_deal_without_floors_falls_back_to_the_videos_then_the_slots(make_creative: Make) -> None:
    """§7.11: deal, then video or audio, then slot; the latter two in the slot's currency."""
    video = Slot("1", video=MediaOffer(floor_per_second_micros=100_000), floor_micros=700_000, floor_currency="GBP")
    silent = Deal("d", floor_currency="EUR")
    assert floor_of(video, make_creative(spec=VIDEO).spec, silent) == (1_500_000, "GBP")
    assert floor_of(video, make_creative().spec, silent) == (700_000, "GBP")
    by_duration = Deal("d", duration_floors=((0, 0, 9_000_000),))
    assert floor_of(video, make_creative().spec, by_duration) == (700_000, "GBP")  # a banner has no duration


@pytest.mark.parametrize(("score", "bids"), [(0.004, 1), (0.0039999, 0)])
def test_an_agreed_price_is_bid_if_the_value_reaches_it(
    candidate: Make, exchange: Exchange, rates: Rates, score: float, bids: int
) -> None:
    """`at` 3: the price itself, to the micro-unit; below it there is no bid."""
    deal = Deal("d", floor_micros=4_000_000, auction_type=3)
    found = price([candidate(deal=deal)], [score], Auction("a", []), exchange, rates).bids
    assert [bid.price_micros for bid in found] == [4_000_000] * bids


@pytest.mark.parametrize("auction_type", [1, 2, None, 7])
def test_other_auction_types_of_a_deal_bid_the_value(
    candidate: Make, exchange: Exchange, rates: Rates, auction_type: int | None
) -> None:
    """First price, second price plus, or what nobody knows."""
    deal = Deal("d", floor_micros=4_000_000, auction_type=auction_type)
    (bid,) = price([candidate(deal=deal)], [0.005], Auction("a", []), exchange, rates).bids
    assert (bid.price_micros, bid.floor_micros, bid.value_micros) == (5_000_000, 4_000_000, 5_000_000)


@pytest.mark.parametrize("score", [0.0, 0.004, 0.9, math.nan])
@pytest.mark.parametrize("auction_type", [None, 1, 3])
def test_a_guaranteed_deal_is_bid_at_its_price_whatever_the_value(
    candidate: Make, exchange: Exchange, rates: Rates, score: float, auction_type: int | None
) -> None:
    """`guar`: the buyer must bid."""
    deal = Deal("d", floor_micros=4_000_000, auction_type=auction_type, guaranteed=True)
    (bid,) = price([candidate(deal=deal)], [score], Auction("a", []), exchange, rates).bids
    assert bid.price_micros == 4_000_000


@pytest.mark.parametrize(("maximum", "bids"), [(4_000_000, 1), (3_999_999, 0)])
def test_a_guaranteed_deal_keeps_to_the_campaigns_maximum(
    candidate: Make, exchange: Exchange, rates: Rates, maximum: int, bids: int
) -> None:
    """Nothing is promised beyond it."""
    deal = Deal("d", floor_micros=4_000_000, guaranteed=True)
    found = price([candidate(deal=deal, max_cpm_micros=maximum)], [0.0], Auction("a", []), exchange, rates).bids
    assert len(found) == bids


def test_a_guaranteed_deal_comes_before_a_higher_bid(candidate: Make, exchange: Exchange, rates: Rates) -> None:
    """Where the exchange takes one bid only."""
    deal = Deal("d", floor_micros=1_000_000, guaranteed=True)
    slot = Slot("1", deals=(deal,))
    bids = price([candidate(slot), candidate(slot, deal)], [0.5, 0.0], Auction("a", []), exchange, rates).bids
    assert [bid.candidate.deal for bid in bids] == [deal]


def test_without_rates_the_same_currency_still_bids(candidate: Make, rates: Rates) -> None:
    """Stale rates convert nothing: the answer is in a currency that a campaign pays in, or there is none."""
    auction = Auction("a", [], currencies=("GBP", "EUR"))
    stale = replace(rates, max_age_days=3).at(1e10)
    exchange = Exchange("x", currency="GBP")
    slot = Slot("1", floor_micros=1_000_000, floor_currency="EUR")
    candidates = [candidate(slot, currency="EUR", id="eur"), candidate(slot, currency="USD", id="usd")]
    (bid,) = price(candidates, [0.001, 0.9], auction, exchange, stale).bids
    assert (bid.candidate.campaign.id, bid.currency, bid.price_micros) == ("eur", "EUR", 1_000_000)
    assert price(candidates, [0.001, 0.9], Auction("a", []), exchange, stale).reason is NoBidReason.BELOW_FLOOR
    assert price(candidates[:1], [0.001], Auction("a", []), exchange, stale).reason is NoBidReason.CURRENCY


@pytest.mark.parametrize(("floor", "bids"), [(3_333_332, 1), (3_333_333, 1), (3_333_334, 0)])
def test_a_floor_in_another_currency_is_exact_to_the_micro_unit(
    candidate: Make, exchange: Exchange, floor: int, bids: int
) -> None:
    """3.333333 XTS are exactly 1.111111 USD at 3 to 1: a micro-unit more is above a value of 1.111111 USD."""
    rates = Rates("2026-01-02", "USD", {"XTS": 3})
    slot = Slot("1", floor_micros=floor, floor_currency="XTS")
    goal = Goal(GoalKind.CPM, 1_111_111)
    found = price([candidate(slot, goal=goal)], [1.0], Auction("a", []), exchange, rates).bids
    assert len(found) == bids
