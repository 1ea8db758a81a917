"""Choosing among an auction's bids: slots, advertisers, deals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from bidder.domain import (
    Auction,
    BannerOffer,
    Bid,
    Campaign,
    Candidate,
    Creative,
    CreativeSpec,
    Deal,
    Exchange,
    Format,
    Goal,
    GoalKind,
    MediaOffer,
    Pod,
    Slot,
    Targeting,
)
from bidder.stages.select import Lot, one_each, one_each_is_wanted, select

from ..conftest import BANNER, VIDEO  # isort: skip

Make = Callable[..., Any]
ONE = Exchange("one")


def bid(
    slot: Slot, price: int, advertiser: str, *, deal: Deal | None = None, spec: CreativeSpec = BANNER, ad: str = ""
) -> Bid:
    name = ad or f"{advertiser}-{price}"
    made = Creative(name, spec, "https://x.example")
    domains, goal = (f"{advertiser}.example",), Goal(GoalKind.CPM, 1)
    campaign = Campaign(name, advertiser, "s", domains, goal, 10**9, "USD", 0.1, Targeting(), (made,))
    return Bid(Candidate(slot, campaign, made, deal), price, "USD", 0.1)


def banner(name: str, **changes: Any) -> Slot:
    return Slot(name, banner=BannerOffer(sizes=((300, 250),)), **changes)


def told(bids: list[Bid]) -> list[tuple[str, str, int]]:
    return [(each.candidate.slot.id, each.candidate.campaign.advertiser_id, each.price_micros) for each in bids]


def lots_of(bids: list[Bid]) -> list[Lot]:
    """What pricing makes of the candidates of these bids."""
    lots = []
    for slot in dict.fromkeys(each.candidate.slot.id for each in bids):
        here = [place for place, each in enumerate(bids) if each.candidate.slot.id == slot]
        has_deals = any(bids[place].candidate.deal for place in here)
        best = max(here, key=lambda place: bids[place].price_micros)
        lots.append(Lot(here[0], 0, here[-1] + 1, best, has_deals))
    return lots


def is_wanted(candidates: list[Candidate], auction: Auction, exchange: Exchange) -> bool:
    """As of an auction of the candidates' slots."""
    slots = [candidate.slot for candidate in candidates]
    return one_each_is_wanted(candidates, changed(auction, slots=slots), exchange)


def test_no_advertiser_is_on_a_page_twice() -> None:
    """The higher price keeps the advertiser; the other slot goes to the next."""
    one, two = banner("1"), banner("2")
    bids = [bid(one, 9, "a"), bid(one, 3, "b"), bid(two, 8, "a"), bid(two, 2, "c")]
    assert told(select(bids, ONE)) == [("1", "a", 9), ("2", "c", 2)]


def test_a_shared_domain_makes_two_accounts_one_advertiser() -> None:
    """Whatever their ids say."""
    one, two = banner("1"), banner("2")
    first, second = bid(one, 9, "a"), bid(two, 8, "b")
    second.candidate.campaign = replace(second.candidate.campaign, domains=("a.example",))
    assert told(select([first, second], ONE)) == [("1", "a", 9)]


def test_guaranteed_deals_stand_on_every_slot_that_has_them() -> None:
    """They must be bid; what is not guaranteed gives way."""
    deals = [Deal(name, guaranteed=True) for name in "gh"]
    one, two, three = (banner(name) for name in "123")
    bids = [bid(one, 1, "a", deal=deals[0]), bid(two, 1, "a", deal=deals[1], ad="x"), bid(three, 9, "a")]
    assert told(select(bids, ONE)) == [("1", "a", 1), ("2", "a", 1)]


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ({}, [9]),
        ({"bids_per_imp": 2}, [9, 8]),
        ({"deals_beside_open": True}, [9, 6, 5]),
        ({"bids_per_imp": 2, "deals_beside_open": True}, [9, 8, 6, 5]),
        ({"bids_per_imp": 9, "deals_beside_open": True}, [9, 8, 7, 6, 5]),
        ({"bids_per_imp": 9}, [9, 8, 7, 6, 5]),
    ],
)
def test_a_slot_gets_as_many_bids_as_the_exchange_takes(profile: dict[str, Any], expected: list[int]) -> None:
    """N without a deal; with M+N (§7.3) beside them one for each deal, its best."""
    slot = banner("1")
    first, second = Deal("d"), Deal("e")
    bids = [bid(slot, 9, "a"), bid(slot, 8, "b"), bid(slot, 7, "c")]
    bids += [bid(slot, 6, "d", deal=first), bid(slot, 4, "d", deal=first), bid(slot, 5, "e", deal=second)]
    assert [price for _, _, price in told(select(bids, Exchange("x", **profile)))] == expected


def test_at_the_same_price_a_deal_goes_first() -> None:
    """It may be preferred by the seller."""
    slot, deal = banner("1"), Deal("d")
    (only,) = select([bid(slot, 5, "a"), bid(slot, 5, "b", deal=deal)], ONE)
    assert only.candidate.deal is deal


def test_a_creative_stands_once_in_a_slot() -> None:
    """Two campaigns may share an ad; the exchange sees one `crid`."""
    slot = banner("1")
    bids = [bid(slot, 9, "a", ad="same"), bid(slot, 8, "b", ad="same"), bid(slot, 7, "c")]
    assert [price for _, _, price in told(select(bids, Exchange("x", bids_per_imp=3)))] == [9, 7]


def test_a_structured_pod_has_no_advertiser_twice() -> None:
    """Several impressions of one pod, each with a place of its own."""
    first, second = (Slot(name, video=MediaOffer()) for name in "12")
    bids = [bid(first, 9, "a", spec=VIDEO), bid(second, 8, "a", spec=VIDEO), bid(second, 1, "b", spec=VIDEO)]
    assert told(select(bids, ONE)) == [("1", "a", 9), ("2", "b", 1)]


def test_a_hybrid_pod_fills_its_dynamic_part_from_the_advertisers_left() -> None:
    """One impression with a place of its own, one with several; many bids for the latter, whatever the exchange takes
    elsewhere."""
    fixed, dynamic = Slot("1", video=MediaOffer()), Slot("2", video=MediaOffer(pod=Pod(seconds=30, most_ads=4)))
    bids = [bid(dynamic, 9, "a", spec=VIDEO), bid(dynamic, 5, "b", spec=VIDEO), bid(dynamic, 4, "c", spec=VIDEO)]
    bids += [bid(fixed, 7, "a", spec=VIDEO)]
    assert told(select(bids, ONE)) == [("2", "b", 5), ("2", "c", 4), ("1", "a", 7)]


@pytest.mark.parametrize(("price", "formats"), [(10, [Format.BANNER]), (9, [Format.VIDEO, Format.VIDEO])])
def test_another_format_of_a_pods_slot_must_be_worth_more_than_the_pod(price: int, formats: list[Format]) -> None:
    """The videos bring 9 together."""
    slot = banner("1", video=MediaOffer(pod=Pod(seconds=30)))
    bids = [bid(slot, price, "a"), bid(slot, 5, "b", spec=VIDEO), bid(slot, 4, "c", spec=VIDEO)]
    assert [each.candidate.creative.spec.format for each in select(bids, ONE)] == formats


def test_several_slots_get_their_bids_in_order() -> None:
    """That of the candidates, which is the request's."""
    slots = [banner(str(number)) for number in range(3)]
    bids = [bid(slot, number + 1, f"a{number}") for number, slot in enumerate(slots)]
    assert [slot for slot, _, _ in told(select(bids, ONE))] == ["0", "1", "2"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 99), st.sampled_from("abcdefg"), st.booleans()), max_size=24),
    st.integers(1, 3),
    st.booleans(),
)
def test_rules_hold_for_any_bids(
    offers: list[tuple[int, int, str, bool]], bids_per_imp: int, deals_beside_open: bool
) -> None:
    """An advertiser in one slot, no more bids than the exchange takes, each one of those offered."""
    deal = Deal("d")
    slots = [banner(str(number)) for number in range(4)] + [
        Slot("4", video=MediaOffer(pod=Pod(seconds=60, most_ads=3)))
    ]
    bids = [
        bid(slots[slot], price, name, deal=deal if dealt else None, spec=VIDEO if slot == 4 else BANNER)
        for slot, price, name, dealt in offers
    ]
    exchange = Exchange("x", bids_per_imp=bids_per_imp, deals_beside_open=deals_beside_open)
    chosen = select(bids, exchange)
    assert bool(chosen) == bool(bids)
    places: dict[str, set[str]] = {}
    for each in chosen:
        assert any(each is offered for offered in bids)
        places.setdefault(each.candidate.campaign.advertiser_id, set()).add(each.candidate.slot.id)
    assert all(len(slots_of_one) == 1 for slots_of_one in places.values())
    for slot in slots[:4]:
        here = [each for each in chosen if each.candidate.slot is slot]
        dealt = sum(each.candidate.deal is not None for each in here)
        assert len(here) - dealt <= bids_per_imp
        assert dealt <= 1 if deals_beside_open else len(here) <= bids_per_imp


def roadblock(slot: Slot, price: int, name: str) -> Bid:
    """A bid of a road-block; those of one name are of one campaign."""
    made = bid(slot, price, name, ad=name)
    made.candidate.campaign = replace(made.candidate.campaign, roadblock=True)
    return made


def test_a_road_block_takes_all_slots_or_none() -> None:
    """Where all of it brings more than all of the rest; a slot that it has no bid for breaks it."""
    one, two = banner("1"), banner("2")
    rest = [bid(one, 5, "a"), bid(two, 4, "b")]
    assert told(select([*rest, roadblock(two, 5, "x"), roadblock(one, 5, "x")], ONE, 2)) == [
        ("1", "x", 5),
        ("2", "x", 5),
    ]
    assert told(select([*rest, roadblock(one, 5, "x"), roadblock(two, 4, "x")], ONE, 2)) == [
        ("1", "a", 5),
        ("2", "b", 4),
    ]
    assert told(select([*rest, roadblock(one, 5, "x"), roadblock(two, 5, "x")], ONE, 3)) == [
        ("1", "a", 5),
        ("2", "b", 4),
    ]
    assert select([roadblock(one, 5, "x")], ONE, 2) == []


def test_what_a_choice_brings_counts_the_best_bid_of_a_slot() -> None:
    """Of several bids for one impression one wins."""
    slot = banner("1")
    bids = [bid(slot, 5, "a"), bid(slot, 4, "b"), roadblock(slot, 6, "x")]
    assert told(select(bids, Exchange("x", bids_per_imp=2), 1)) == [("1", "x", 6)]


@pytest.mark.parametrize("pods", [("p", "p"), ("p", "q"), ("", "")])
def test_a_road_block_is_not_in_one_pod_twice(pods: tuple[str, str]) -> None:
    """No advertiser is."""
    slots = [Slot(str(n), video=MediaOffer(pod=Pod(id=pod))) for n, pod in enumerate(pods)]
    bids = [roadblock(slot, 5, "x") for slot in slots]
    for each in bids:
        each.candidate.creative = replace(each.candidate.creative, spec=VIDEO)
    assert len(select(bids, ONE, 2)) == (0 if pods == ("p", "p") else 2)


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from("abcd"), st.sampled_from(["", "", "", "d", "guaranteed"])),
        min_size=1,
        max_size=24,
    ),
    st.integers(1, 4),
)
def test_one_bid_each_is_what_is_chosen_among_all_bids(offers: list[tuple[int, str, str]], slots: int) -> None:
    """Without an object each, where no slot wants more than one: by price, advertiser and deal, in one slot or more."""
    offered = tuple({deal: Deal(deal, guaranteed=len(deal) > 1) for _, _, deal in offers if deal}.values())
    page = [banner(str(number), deals=offered) for number in range(slots)]
    bids = [
        bid(
            page[number * slots // len(offers)],
            price,
            advertiser,
            deal=Deal(deal, guaranteed=len(deal) > 1) if deal else None,
        )
        for number, (price, advertiser, deal) in enumerate(offers)
    ]
    candidates = [each.candidate for each in bids]
    assert is_wanted(candidates, Auction("a", page), ONE)
    prices = [each.price_micros for each in bids]
    chosen = one_each(candidates, prices, lots_of(bids))
    assert [id(bids[lot.best]) for lot in chosen] == [id(each) for each in select(bids, ONE)]


def test_one_bid_each_is_not_wanted_where_bids_stand_beside_each_other() -> None:
    """Several bids a slot, deals beside others, pods, road-blocks."""
    plain = bid(banner("1"), 1, "a").candidate
    deals = bid(banner("2", deals=(Deal("d"),)), 1, "b").candidate
    pod = bid(Slot("3", video=MediaOffer(pod=Pod("p"))), 1, "c", spec=VIDEO).candidate
    roadblock = bid(banner("4"), 1, "d").candidate
    roadblock.campaign = replace(roadblock.campaign, roadblock=True)
    auction = Auction("a", [], all_impressions=True)
    assert is_wanted([plain, deals], auction, ONE)
    assert not is_wanted([plain], auction, replace(ONE, bids_per_imp=2))
    assert not is_wanted([plain, deals], auction, replace(ONE, deals_beside_open=True))
    assert not is_wanted([deals, plain], auction, replace(ONE, deals_beside_open=True))
    assert not is_wanted([plain, pod], auction, ONE)
    assert not is_wanted([plain, roadblock], auction, ONE)
    assert is_wanted([plain, roadblock], changed(auction, all_impressions=False), ONE)
