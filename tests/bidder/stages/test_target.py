"""Targeting: who may bid on what."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as changed

from bidder.domain import (
    Auction,
    BannerOffer,
    Candidate,
    Circle,
    Deal,
    Exchange,
    MediaOffer,
    NativeAsset,
    NativeOffer,
    Pod,
    Profile,
    Rates,
    Slot,
)
from bidder.stages.features import packed
from bidder.stages.index import HEAD_CAMPAIGNS, compile_index
from bidder.stages.search import MAX_LOOKED_AT
from bidder.stages.target import POD_CANDIDATES, target

from ..conftest import NATIVE, VIDEO  # isort: skip

Make = Callable[..., Any]
MONDAY_NOON_S = 1_767_614_400.0  # 2026-01-05 12:00 UTC


@pytest.fixture
def find(exchange: Exchange, rates: Rates) -> Make:
    """The campaign ids that may bid. Each candidate has its own part of a row with it."""

    def run(campaigns: list[Any], auction: Auction, profile: Profile | None = None, **changes: Any) -> list[str]:
        used = replace(exchange, **changes)
        found: list[Candidate] = target(auction, used, profile, compile_index(campaigns), rates, MONDAY_NOON_S, 100)
        assert all(each.row == packed(each.campaign, each.creative) for each in found)
        return [candidate.campaign.id for candidate in found]

    return run


def site(**changes: Any) -> Auction:
    slot = changes.pop("slot", Slot("1", banner=BannerOffer(sizes=((300, 250),), position=1)))
    fields: dict[str, Any] = {
        "channel": "site",
        "domain": "news.example",
        "inventory_id": "s-1",
        "publisher_id": "p-1",
        "country": "USA",
        "region": "CA",
        "metro": "807",
        "city": "oakland",
        "zip": "94607",
        "latitude": 37.8,
        "longitude": -122.27,
        "utc_offset_min": -480,
        "device_type": 4,
        "os": "ios",
        "os_version": "16.1",
        "connection_type": 2,
        "carrier": "att",
        "language": "en",
        "categories": frozenset({"IAB12-1"}),
        "segments": frozenset({"travel"}),
    }
    return Auction("a", [slot], **(fields | changes))


MATCHING: list[dict[str, Any]] = [
    {"exchanges": frozenset({"generic"})},
    {"channels": frozenset({"site"})},
    {"countries": frozenset({"USA", "CAN"})},
    {"regions": frozenset({"USA/CA"})},
    {"metros": frozenset({"807"})},
    {"cities": frozenset({"oakland"})},
    {"zips": frozenset({"94607"})},
    {"circles": (Circle(37.77, -122.42, 30),)},
    {"device_types": frozenset({4})},
    {"operating_systems": frozenset({"ios"})},
    {"os_min_versions": (("ios", "16"),)},
    {"connection_types": frozenset({2})},
    {"carriers": frozenset({"att"})},
    {"languages": frozenset({"en"})},
    {"positions": frozenset({1})},
    {"sites": frozenset({"news.example"})},
    {"sites": frozenset({"s-1"})},
    {"publishers": frozenset({"p-1"})},
    {"categories": frozenset({"IAB12"})},
    {"categories": frozenset({"IAB12-1"})},
    {"segments": frozenset({"travel"})},
    {"hours": frozenset({4})},  # Monday 04:00, eight hours behind
    {"excluded_countries": frozenset({"DEU"})},
    {"excluded_sites": frozenset({"sports.example"})},
    {"excluded_segments": frozenset({"finance"})},
    {"blocked_attributes": frozenset({"interstitial"})},
]
OTHER: list[dict[str, Any]] = [
    {"exchanges": frozenset({"other"})},
    {"channels": frozenset({"app"})},
    {"countries": frozenset({"DEU"})},
    {"regions": frozenset({"USA/NY"})},
    {"regions": frozenset({"CA"})},
    {"metros": frozenset({"501"})},
    {"cities": frozenset({"berlin"})},
    {"zips": frozenset({"10001"})},
    {"circles": (Circle(40.7, -74.0, 50),)},
    {"device_types": frozenset({2})},
    {"operating_systems": frozenset({"android"})},
    {"os_min_versions": (("ios", "17"),)},
    {"connection_types": frozenset({6})},
    {"carriers": frozenset({"verizon"})},
    {"languages": frozenset({"de"})},
    {"positions": frozenset({3})},
    {"sites": frozenset({"sports.example"})},
    {"apps": frozenset({"s-1"})},
    {"bundles": frozenset({"com.example"})},
    {"publishers": frozenset({"p-2"})},
    {"categories": frozenset({"IAB1"})},
    {"segments": frozenset({"finance"})},
    {"hours": frozenset({12})},
    {"deals": frozenset({"deal-1"})},
    {"excluded_countries": frozenset({"USA"})},
    {"excluded_sites": frozenset({"news.example"})},
    {"excluded_publishers": frozenset({"p-1"})},
    {"excluded_categories": frozenset({"IAB12"})},
    {"excluded_segments": frozenset({"travel"})},
    {"required_attributes": frozenset({"rewarded"})},
]


@pytest.mark.parametrize("targeting", MATCHING, ids=lambda t: next(iter(t)))
def test_a_campaign_bids_where_its_targeting_matches(
    find: Make, make_campaign: Make, targeting: dict[str, Any]
) -> None:
    """Each dimension lets through what it names."""
    assert find([make_campaign("c", **targeting)], site()) == ["c"]


@pytest.mark.parametrize("targeting", OTHER, ids=lambda t: next(iter(t)))
def test_a_campaign_does_not_bid_elsewhere(find: Make, make_campaign: Make, targeting: dict[str, Any]) -> None:
    """Each dimension keeps out what it does not name; its neighbour without targeting still bids."""
    assert find([make_campaign("c", **targeting), make_campaign("any")], site()) == ["any"]


@pytest.mark.parametrize("targeting", MATCHING[1:22], ids=lambda t: next(iter(t)))
def test_the_unknown_passes_only_those_that_do_not_ask(
    find: Make, make_campaign: Make, targeting: dict[str, Any]
) -> None:
    """A request that says nothing about a dimension matches nobody who targets it."""
    bare = Auction("a", [Slot("1", banner=BannerOffer(sizes=((300, 250),)))])
    assert find([make_campaign("c", **targeting), make_campaign("any")], bare) == ["any"]


@pytest.mark.parametrize(
    "refusal",
    [
        {"blocked_categories": frozenset({"IAB1"})},
        {"blocked_categories": frozenset({"IAB1-2"}), "category_taxonomy": 7},
        {"allowed_categories": frozenset({"IAB2"})},
        {"blocked_domains": frozenset({"brand.example"})},
        {"blocked_bundles": frozenset({"com.brand"})},
        {"allowed_seats": frozenset({"seat-2"})},
        {"blocked_seats": frozenset({"seat-1"})},
        {"allowed_languages": frozenset({"de"})},
    ],
    ids=str,
)
def test_what_the_request_refuses_does_not_bid(find: Make, make_campaign: Make, refusal: dict[str, Any]) -> None:
    """Categories (with children, and all of another taxonomy), domains, bundles, seats, languages."""
    campaign = make_campaign("c", ad_categories=("IAB1-3",), bundle="com.brand", domains=("shop.brand.example",))
    assert find([campaign], site(**refusal)) == []
    assert find([campaign], site()) == ["c"]


def test_seats_are_compared_as_the_exchange_names_them(find: Make, make_campaign: Make) -> None:
    """Our seat-1 is its 4711."""
    auction = site(allowed_seats=frozenset({"4711"}))
    assert find([make_campaign("c")], auction) == []
    assert find([make_campaign("c")], auction, seats={"seat-1": "4711"}) == ["c"]


def test_private_auctions_take_deals_only(find: Make, make_campaign: Make) -> None:
    """A deal must be named by both, and take the seat and the domains."""
    campaigns = [make_campaign("open"), make_campaign("deal", deals=frozenset({"d"}))]
    banner = BannerOffer(sizes=((300, 250),))
    deal = Deal("d", seats=frozenset({"seat-1"}), domains=frozenset({"brand.example"}))
    assert find(campaigns, site(slot=Slot("1", banner=banner, deals=(deal,), private=True))) == ["deal"]
    assert find(campaigns, site(slot=Slot("1", banner=banner, deals=(deal,)))) == ["deal", "open"]
    for other in (
        changed(deal, seats=frozenset({"x"})),
        changed(deal, domains=frozenset({"x"})),
        changed(deal, id="e"),
    ):
        assert find(campaigns, site(slot=Slot("1", banner=banner, deals=(other,), private=True))) == []


@pytest.mark.parametrize(
    ("spec", "offer", "fits"),
    [
        ({}, {}, True),
        ({}, {"sizes": ((728, 90),)}, False),
        ({}, {"sizes": (), "width_range": (250, 320), "height_range": (200, 300)}, True),
        ({}, {"sizes": (), "width_range": (310, 320), "height_range": (200, 300)}, False),
        ({"attributes": frozenset({1})}, {"blocked_attributes": frozenset({1})}, False),
        ({}, {"blocked_types": frozenset({4})}, False),
        ({}, {"mimes": frozenset({"image/gif"})}, False),
        ({"apis": frozenset({5})}, {}, False),
        ({"apis": frozenset({5})}, {"apis": frozenset({5, 6})}, True),
    ],
)
def test_a_banner_must_fit(
    find: Make, make_campaign: Make, make_creative: Make, spec: dict[str, Any], offer: dict[str, Any], fits: bool
) -> None:
    """Size, attributes, type, MIME type, API."""
    campaign = make_campaign("c", creatives=(make_creative("x", **spec),))
    slot = Slot("1", banner=BannerOffer(**({"sizes": ((300, 250),)} | offer)))
    assert find([campaign], site(slot=slot)) == (["c"] if fits else [])


def test_an_insecure_creative_does_not_go_into_a_secure_slot(
    find: Make, make_campaign: Make, make_creative: Make
) -> None:
    """`secure`: every asset by HTTPS."""
    campaign = make_campaign("c", creatives=(make_creative("x", secure=False),))
    banner = BannerOffer(sizes=((300, 250),))
    assert find([campaign], site(slot=Slot("1", banner=banner, secure=True))) == []
    assert find([campaign], site(slot=Slot("1", banner=banner))) == ["c"]


@pytest.mark.parametrize(
    ("spec", "offer", "fits"),
    [
        ({}, {}, True),
        ({}, {"mimes": frozenset({"video/webm"})}, False),
        ({}, {"protocols": frozenset({8})}, False),
        ({}, {"min_duration_s": 16}, False),
        ({}, {"max_duration_s": 14}, False),
        ({}, {"max_duration_s": 15, "min_duration_s": 15}, True),
        ({}, {"required_durations_s": frozenset({6, 30})}, False),
        ({}, {"required_durations_s": frozenset({15})}, True),
        ({}, {"linearity": 2}, False),
        ({"skippable": True}, {"skippable": False}, False),
        ({"skippable": True}, {"blocked_attributes": frozenset({16})}, False),
        ({"skippable": True}, {"skippable": True}, True),
        ({}, {"delivery": frozenset({1})}, False),
        ({}, {"max_bitrate_kbps": 800}, False),
        ({}, {"min_bitrate_kbps": 1000, "max_bitrate_kbps": 1300}, True),
        ({}, {"duration_floors": ((0, 10, 5),)}, False),
    ],
)
def test_a_video_must_fit(
    find: Make, make_campaign: Make, make_creative: Make, spec: dict[str, Any], offer: dict[str, Any], fits: bool
) -> None:
    """MIME type, protocol, duration, linearity, skipping, delivery, bitrate, floors by duration."""
    campaign = make_campaign("c", creatives=(make_creative("x", VIDEO, **spec),))
    slot = Slot("1", video=MediaOffer(**({"mimes": frozenset({"video/mp4"})} | offer)))
    assert find([campaign], site(slot=slot)) == (["c"] if fits else [])


@pytest.mark.parametrize(
    ("asset", "fits"),
    [
        (NativeAsset(1, True, "title", max_length=25), True),
        (NativeAsset(1, True, "title", max_length=5), False),
        (NativeAsset(1, True, "image", type=3, min_width=600, min_height=300), True),
        (NativeAsset(1, True, "image", type=3, width=600, height=300), False),
        (NativeAsset(1, True, "image", type=1, width=80, height=80), True),
        (NativeAsset(1, True, "image", type=1, mimes=frozenset({"image/webp"})), False),
        (NativeAsset(1, True, "data", type=2, max_length=30), True),
        (NativeAsset(1, True, "data", type=12), False),
        (NativeAsset(1, False, "data", type=12), True),
        (NativeAsset(1, True, "video"), False),
    ],
)
def test_a_native_ad_must_fill_the_required_assets(
    find: Make, make_campaign: Make, make_creative: Make, asset: NativeAsset, fits: bool
) -> None:
    """By kind, type, size, length; the optional may stay empty."""
    campaign = make_campaign("c", creatives=(make_creative("x", NATIVE),))
    assert find([campaign], site(slot=Slot("1", native=NativeOffer((asset,))))) == (["c"] if fits else [])


@pytest.mark.parametrize(
    ("offer", "present"),
    [
        ({}, set()),
        ({"start_delay_s": 0}, {"pre_roll"}),
        ({"start_delay_s": 30}, {"mid_roll"}),
        ({"start_delay_s": -1}, {"mid_roll"}),
        ({"start_delay_s": -2, "placement": 1}, {"post_roll", "in_stream"}),
        ({"start_delay_s": 0, "placement": 3, "skippable": True}, {"pre_roll", "skippable"}),
    ],
)
def test_a_campaign_may_ask_for_or_refuse_what_a_video_slot_is(
    find: Make, make_campaign: Make, make_creative: Make, offer: dict[str, Any], present: set[str]
) -> None:
    """When it plays, within what, and whether it can be skipped; what is not said is not so."""
    video = (make_creative("x", VIDEO),)
    names = ("pre_roll", "mid_roll", "post_roll", "in_stream", "skippable")
    asking = [make_campaign(name, creatives=video, required_attributes=frozenset({name})) for name in names]
    refusing = [make_campaign(f"not {name}", creatives=video, blocked_attributes=frozenset({name})) for name in names]
    slot = Slot("1", video=MediaOffer(**({"mimes": frozenset({"video/mp4"})} | offer)))
    expected = {name if name in present else f"not {name}" for name in names}
    assert set(find(asking + refusing, site(slot=slot))) == expected


def test_flights_begin_and_end(find: Make, make_campaign: Make) -> None:
    """Not before the start, not from the end on."""
    now = int(MONDAY_NOON_S)
    campaigns = [
        make_campaign("running", start_s=now, end_s=now + 1),
        make_campaign("over", end_s=now),
        make_campaign("future", start_s=now + 1),
    ]
    assert find(campaigns, site()) == ["running"]


def test_a_frequency_cap_needs_to_know_the_user(find: Make, make_campaign: Make) -> None:
    """Below the cap it bids; at the cap, or for an unknown user, it does not."""
    campaigns = [make_campaign("capped", daily_frequency_cap=3)]
    assert find(campaigns, site(), Profile(campaign_impressions={"capped": 2})) == ["capped"]
    assert find(campaigns, site(), Profile(campaign_impressions={"capped": 3})) == []
    assert find(campaigns, site()) == []


def test_segments_of_the_profile_count(find: Make, make_campaign: Make) -> None:
    """What the store knows of a user is as good as what the request says."""
    campaigns = [make_campaign("c", segments=frozenset({"gamers"}))]
    assert find(campaigns, site()) == []
    assert find(campaigns, site(), Profile(segments=frozenset({"gamers"}))) == ["c"]


def test_a_campaign_whose_maximum_is_below_the_floor_is_not_asked(find: Make, make_campaign: Make) -> None:
    """In the floor's own currency: 5 USD are 4 EUR."""
    banner = BannerOffer(sizes=((300, 250),))
    for floor, expected in ((4_000_000, ["c"]), (4_000_001, [])):
        slot = Slot("1", banner=banner, floor_micros=floor, floor_currency="EUR")
        assert find([make_campaign("c", max_cpm_micros=5_000_000)], site(slot=slot)) == expected


def test_the_best_come_first_and_the_tail_is_searched_when_they_do_not_suffice(
    make_campaign: Make, exchange: Exchange, rates: Rates
) -> None:
    """Candidates beyond the first shard are found, in order."""
    total = HEAD_CAMPAIGNS + 50
    matching = {5, HEAD_CAMPAIGNS - 1, HEAD_CAMPAIGNS, total - 1}
    elsewhere, here = frozenset({"DEU"}), frozenset({"USA"})
    base = make_campaign("base")
    campaigns = [
        replace(base, id=str(n), targeting=replace(base.targeting, countries=here if n in matching else elsewhere))
        for n in range(total)
    ]
    index = compile_index(campaigns)
    found = target(site(), exchange, None, index, rates, MONDAY_NOON_S, 3)
    assert [int(c.campaign.id) for c in found] == sorted(matching)[:3]
    assert len(target(site(), exchange, None, index, rates, MONDAY_NOON_S, 10)) == len(matching)


@pytest.mark.parametrize("shards", [(8, 8), (8, 4096), (600, 8)])
@pytest.mark.parametrize("formats", [{}, {"video": MediaOffer(mimes=frozenset({"video/mp4"}))}])
def test_a_slot_looks_at_so_many_campaigns_and_no_more(
    make_campaign: Make, exchange: Exchange, rates: Rates, shards: tuple[int, int], formats: dict[str, Any]
) -> None:
    """Those whose flight is over count: the one behind the bound is not found, wherever the shards end."""
    over = make_campaign("over", end_s=1)
    slot = Slot("1", banner=BannerOffer(sizes=((300, 250),), position=1), **formats)
    for before, found in ((MAX_LOOKED_AT - 1, 1), (MAX_LOOKED_AT, 0), (MAX_LOOKED_AT + 60, 0)):
        campaigns = [*(replace(over, id=str(number)) for number in range(before)), make_campaign("now")]
        index = compile_index(campaigns, *shards)
        assert len(target(site(slot=slot), exchange, None, index, rates, MONDAY_NOON_S, 8)) == found


def test_bitmaps_agree_with_looking_at_each_campaign(make_campaign: Make, find: Make) -> None:
    """Over random campaigns, the index finds exactly those that are found when each stands alone."""
    rng = random.Random(3)
    choices = MATCHING + OTHER
    campaigns = []
    for number in range(200):
        targeting: dict[str, Any] = {}
        for choice in rng.sample(choices, 3):
            targeting |= choice
        campaigns.append(make_campaign(str(number), **targeting))
    alone = [campaign.id for campaign in campaigns if find([campaign], site())]
    assert find(campaigns, site())[:100] == alone[:100]
    assert 0 < len(alone) < 200


def test_a_slot_with_deals_has_places_for_both_markets(make_campaign: Make, exchange: Exchange, rates: Rates) -> None:
    """Deals come first and take half at most; in a private auction they may take all."""
    campaigns = [make_campaign(f"o{n}") for n in range(9)]
    campaigns += [make_campaign(f"d{n}", deals=frozenset({"d"})) for n in range(9)]
    for private, expected in ((False, ["d0", "d1", "o0", "o1"]), (True, ["d0", "d1", "d2", "d3"])):
        slot = Slot("1", banner=BannerOffer(sizes=((300, 250),)), deals=(Deal("d"),), private=private)
        found = target(site(slot=slot), exchange, None, compile_index(campaigns), rates, MONDAY_NOON_S, 4)
        assert [candidate.campaign.id for candidate in found] == expected


@pytest.mark.parametrize(
    ("offered", "private", "expected"),
    [
        (["x"], False, ["o"]),
        (["x"], True, []),
        ([], True, []),
        (["x", "d"], False, ["d", "o"]),
        (["x", "d"], True, ["d"]),
    ],
)
def test_deals_that_no_campaign_has_change_nothing_but_who_is_wanted(
    find: Make, make_campaign: Make, offered: list[str], private: bool, expected: list[str]
) -> None:
    """Neither where they stand alone, nor beside one that a campaign has; guaranteed or not."""
    campaigns = [make_campaign("o"), make_campaign("d", deals=frozenset({"d"}))]
    for guaranteed in (False, True):
        deals = tuple(Deal(name, guaranteed=guaranteed and name == "x") for name in offered)
        slot = Slot("1", banner=BannerOffer(sizes=((300, 250),)), deals=deals, private=private)
        assert find(campaigns, site(slot=slot)) == expected


def test_a_slot_that_no_creative_fits_leaves_the_others_alone(find: Make, make_campaign: Make) -> None:
    fits, other = BannerOffer(sizes=((300, 250),)), BannerOffer(sizes=((1, 1),))
    auction = site(slot=Slot("1", banner=fits))
    auction.slots = [Slot("0", banner=other), *auction.slots, Slot("2", banner=other)]
    assert find([make_campaign("c")], auction) == ["c"]


def test_guaranteed_deals_are_looked_at_first(make_campaign: Make, exchange: Exchange, rates: Rates) -> None:
    """And a campaign that has both of two deals uses the guaranteed one, once."""
    campaigns = [make_campaign("a", deals=frozenset({"d"})), make_campaign("b", deals=frozenset({"d", "g"}))]
    deals = (Deal("d"), Deal("g", floor_micros=5_000_000, guaranteed=True))
    slot = Slot("1", banner=BannerOffer(sizes=((300, 250),)), deals=deals)
    found = target(site(slot=slot), exchange, None, compile_index(campaigns), rates, MONDAY_NOON_S, 8)
    assert [(c.campaign.id, c.deal.id if c.deal else "") for c in found] == [("b", "g"), ("a", "d")]


def test_an_unreachable_deal_gives_way_to_another(make_campaign: Make, exchange: Exchange, rates: Rates) -> None:
    """The first of the campaign's deals whose floor is within its maximum."""
    campaign = make_campaign("c", deals=frozenset({"d", "e"}), max_cpm_micros=2_000_000)
    deals = (Deal("d", floor_micros=2_000_001), Deal("e", floor_micros=2_000_000))
    slot = Slot("1", banner=BannerOffer(sizes=((300, 250),)), deals=deals)
    (found,) = target(site(slot=slot), exchange, None, compile_index([campaign]), rates, MONDAY_NOON_S, 8)
    assert found.deal == deals[1]


def test_a_slot_of_several_formats_gets_one_candidate_of_each(
    make_campaign: Make, make_creative: Make, exchange: Exchange, rates: Rates
) -> None:
    """The model says which of a campaign's ads is worth more."""
    creatives = (make_creative("b"), make_creative("b2"), make_creative("v", VIDEO))
    slot = Slot("1", banner=BannerOffer(sizes=((300, 250),)), video=MediaOffer(mimes=frozenset({"video/mp4"})))
    index = compile_index([make_campaign("c", creatives=creatives)])
    found = target(site(slot=slot), exchange, None, index, rates, MONDAY_NOON_S, 8)
    assert [candidate.creative.id for candidate in found] == ["b", "v"]
    assert len(target(site(slot=slot), exchange, None, index, rates, MONDAY_NOON_S, 1)) == 1


def test_a_pod_gets_a_candidate_of_each_duration(
    make_campaign: Make, make_creative: Make, exchange: Exchange, rates: Rates
) -> None:
    """And more candidates than another slot: it takes several ads."""
    creatives = tuple(make_creative(f"v{n}", VIDEO, duration_s=seconds) for n, seconds in enumerate((15, 15, 30, 90)))
    slot = Slot("1", video=MediaOffer(mimes=frozenset({"video/mp4"}), pod=Pod(seconds=60)))
    index = compile_index([make_campaign(f"c{n}", creatives=creatives) for n in range(20)])
    found = target(site(slot=slot), exchange, None, index, rates, MONDAY_NOON_S, 2)
    assert len(found) == POD_CANDIDATES
    assert [candidate.creative.id for candidate in found[:4]] == ["v0", "v2", "v0", "v2"]


@pytest.mark.parametrize(("strict", "expected"), [(False, ["c"]), (True, [])])
def test_a_flexible_size_is_bid_on_unless_the_exchange_is_strict(
    find: Make, make_campaign: Make, strict: bool, expected: list[str]
) -> None:
    """A 300 x 250 ad in a slot of 6:5."""
    auction = site(slot=Slot("1", banner=BannerOffer(ratios=((6, 5, 300),))))
    assert find([make_campaign("c")], auction, strict_banner_size=strict) == expected


def test_an_ad_that_does_not_fit_is_never_proposed(make_campaign: Make, exchange: Exchange, rates: Rates) -> None:
    """Where bitmaps and a campaign's ads do not agree, the auction fails rather than that a wrong ad is bid."""
    index = compile_index([make_campaign()])
    campaign, currency, begins_s, ends_s, spec_number, creative, row, _ = index.entries[0]
    other = spec_number + 1
    index.entries.kept[0] = (campaign, currency, begins_s, ends_s, other, creative, row, ((other, creative, row),))
    with pytest.raises(LookupError, match="no ad of the specs"):
        target(site(), exchange, None, index, rates, MONDAY_NOON_S, 8)
