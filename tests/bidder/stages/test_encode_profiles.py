"""What an exchange's profile changes in an answer, and which bids it leaves out."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

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
    MediaFile,
    MediaOffer,
    NativeAsset,
    NativeOffer,
    Slot,
    Targeting,
)
from bidder.stages.encode import REFUSALS, Encoded, Encoder, rounded

NOTICES = "https://bid.example"
BANNER = Creative(
    "cr-1", CreativeSpec(Format.BANNER, 300, 250, apis=frozenset({5})), "https://shop.example/", html="<b>ad</b>"
)
NATIVE = Creative("cr-2", CreativeSpec(Format.NATIVE), "https://shop.example/", title="A title")
VIDEO = Creative(
    "cr-3",
    CreativeSpec(Format.VIDEO, 640, 360, duration_s=15),
    "https://shop.example/",
    media=(MediaFile("https://cdn.example/ad.mp4", "video/mp4", 640, 360, 1200),),
)
SKIPPABLE = replace(VIDEO, spec=replace(VIDEO.spec, skippable=True), skip_after_s=5)
SLOT = Slot(
    "imp-1",
    banner=BannerOffer(((300, 250),)),
    native=NativeOffer((NativeAsset(1, True, "title"),)),
    video=MediaOffer(skip_after_s=7),
)
CAMPAIGN = Campaign(
    id="camp-1",
    advertiser_id="adv-1",
    seat="7",
    domains=("shop.example",),
    goal=Goal(GoalKind.CPM, 1_000_000),
    max_cpm_micros=5_000_000,
    currency="USD",
    prior=0.5,
    targeting=Targeting(),
    creatives=(BANNER, NATIVE, VIDEO),
)
AUCTION = Auction("auction-1", [SLOT], channel="app")


def bid(creative: Creative = BANNER, campaign: Campaign = CAMPAIGN, **changes: Any) -> Bid:
    candidate = Candidate(SLOT, campaign, creative, changes.pop("deal", None))
    return Bid(**{"candidate": candidate, "price_micros": 1_234_567, "currency": "USD", "score": 0.1} | changes)


def answer(*bids: Bid, notice_url: str = NOTICES, auction: Auction = AUCTION, **profile: Any) -> Encoded:
    return Encoder(notice_url).answer(auction, bids or [bid()], Exchange("demo", **profile))


def only(encoded: Encoded) -> dict[str, Any]:
    [seat] = json.loads(encoded.body)["seatbid"]
    [one] = seat["bid"]
    assert isinstance(one, dict)
    return one


# -- fields ------------------------------------------------------------------------------------------------------------


def test_what_an_exchange_does_not_take_is_left_out() -> None:
    """Fields that differ between bids are left out like those that do not."""
    omitted = frozenset({"cid", "adid", "exp", "w", "h", "apis"})
    assert not omitted & only(answer(omitted=omitted)).keys()
    assert omitted <= only(answer()).keys()


def test_a_required_list_is_sent_empty() -> None:
    """`attr` says by an empty list that the creative has no attributes."""
    assert only(answer(required=frozenset({"attr"})))["attr"] == []
    assert "attr" not in only(answer())


def test_extensions_are_sent_as_they_stand() -> None:
    """What a profile adds to bids and answers comes out unchanged."""
    ext = {"billing_id": 29290087654, "deep": {"list": [1, "a"]}}
    encoded = answer(bid_ext=ext, response_ext={"x": 1})
    assert only(encoded)["ext"] == ext
    assert json.loads(encoded.body)["ext"] == {"x": 1}


def test_slot_in_pod() -> None:
    """A bid for a place in a pod says which; OpenRTB 2.5 knows no pods."""
    assert only(answer(bid(VIDEO, slot_in_pod=-1)))["slotinpod"] == -1
    assert "slotinpod" not in only(answer(bid(VIDEO, slot_in_pod=-1), version="2.5"))
    assert "slotinpod" not in only(answer(bid(VIDEO)))


def test_a_bid_with_a_deal_stands_beside_one_without() -> None:
    """Several bids for one impression keep their own deals and their own ids."""
    encoded = answer(bid(), bid(deal=Deal("d-1")), bid(deal=Deal("d-2")))
    bids = json.loads(encoded.body)["seatbid"][0]["bid"]
    assert [each.get("dealid") for each in bids] == [None, "d-1", "d-2"]
    assert len({each["id"] for each in bids}) == 3
    assert {each["impid"] for each in bids} == {"imp-1"}


def test_a_test_auction_is_marked_in_every_url() -> None:
    """What comes back of it can be told apart."""
    encoded = only(answer(auction=changed(AUCTION, test=True)))
    assert all("&test=1&campaign=" in encoded[field] for field in ("nurl", "burl", "lurl"))
    assert "&amp;test=1&amp;campaign=" in encoded["adm"]
    assert "test=1" not in json.dumps(only(answer()))


def test_what_may_not_be_measured_is_marked_in_every_url() -> None:
    """What comes back of it is told apart; the bid is the same."""
    unmeasured = changed(AUCTION, may_measure=False)
    for creative in (BANNER, NATIVE, VIDEO):
        marked, plain = only(answer(bid(creative), auction=unmeasured)), only(answer(bid(creative)))
        for field in ("nurl", "burl", "lurl", "adm"):
            assert marked[field].count("m=0") == plain[field].count("/notice/") > 0
            assert marked[field].replace("&amp;m=0", "").replace("&m=0", "") == plain[field]
        assert "m=0" not in json.dumps(plain)
    assert "&test=1&m=0&" in only(answer(auction=changed(unmeasured, test=True)))["nurl"]


def test_a_flexible_size_is_answered_with_its_ratio() -> None:
    """A size of the list is not, nor what is no banner."""
    flexible = changed(SLOT, banner=BannerOffer(ratios=((6, 5, 100),)))
    for slot, creative, expected in (
        (flexible, BANNER, (6, 5)),
        (changed(flexible, banner=BannerOffer(((300, 250),), ratios=((6, 5, 100),))), BANNER, (None, None)),
        (flexible, VIDEO, (None, None)),
    ):
        candidate = Candidate(slot, CAMPAIGN, creative, None)
        encoded = only(answer(Bid(candidate, 1_000_000, "USD", 0.1)))
        assert (encoded.get("wratio"), encoded.get("hratio")) == expected


def test_categories_in_the_taxonomy_of_the_request() -> None:
    """Where the campaign is labelled in several, the exchange gets the one that it speaks."""
    campaign = replace(CAMPAIGN, categories=("IAB3",), category_taxonomy=1, more_categories=((7, ("53", "54")),))
    for asked, expected in ((1, (["IAB3"], 1)), (7, (["53", "54"], 7)), (2, (["IAB3"], 1))):
        encoded = only(answer(bid(campaign=campaign), auction=changed(AUCTION, category_taxonomy=asked)))
        assert (encoded["cat"], encoded["cattax"]) == expected


@pytest.mark.parametrize("profile", [{"version": "2.5"}, {"omitted": frozenset({"cattax"})}], ids=["2.5", "omitted"])
def test_categories_where_a_bid_cannot_name_their_taxonomy(profile: dict[str, Any]) -> None:
    """They are of Content Taxonomy 1.0, whatever the request speaks; those of another would be taken for it."""
    first = replace(CAMPAIGN, categories=("IAB3",), category_taxonomy=1, more_categories=((7, ("53",)),))
    more = replace(CAMPAIGN, categories=("53",), category_taxonomy=7, more_categories=((1, ("IAB3",)),))
    none = replace(CAMPAIGN, categories=("53",), category_taxonomy=7)
    for campaign, expected in ((first, ["IAB3"]), (more, ["IAB3"]), (none, None)):
        for asked in (1, 7):
            auction = changed(AUCTION, category_taxonomy=asked)
            encoded = only(answer(bid(campaign=campaign), auction=auction, **profile))
            assert (encoded.get("cat"), encoded.get("cattax")) == (expected, None)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "changes", "reason"),
    [
        ({"max_bytes": {"crid": 4}}, {}, None),
        ({"max_bytes": {"crid": 3}}, {}, "too_long"),
        ({"max_bytes": {"adomain": 11}}, {}, "too_long"),
        ({"max_bytes": {"nurl": 100}}, {}, "too_long"),
        ({"max_bytes": {"nurl": 2000}}, {}, None),
        ({"required": frozenset({"iurl"})}, {}, "missing"),
        ({"required": frozenset({"adomain"})}, {"domains": ()}, "missing"),
        ({"required": frozenset({"seat"})}, {"seat": ""}, "seat"),
        ({"numeric_seats": True}, {"seat": "seat-1"}, "seat"),
        ({"numeric_seats": True}, {"seat": "²"}, "seat"),
        ({"numeric_seats": True}, {}, None),
        ({"numeric_seats": True, "seats": {"x": "12"}}, {"seat": "x"}, None),
        ({"price_macro_required": True}, {}, None),
        ({"price_macro_required": True, "notices": frozenset({"nurl"})}, {}, "price_macro"),
        ({"price_macro_required": True, "notices": frozenset(), "price_in_adm": True}, {}, None),
        ({"price_decimals": 2}, {}, None),
    ],
)
def test_a_bid_that_the_exchange_would_not_take(
    profile: dict[str, Any], changes: dict[str, Any], reason: str | None
) -> None:
    """It is left out, with the reason, and an answer without bids is empty."""
    encoded = answer(bid(campaign=replace(CAMPAIGN, **changes)), **profile)
    assert encoded.refused == ([reason] if reason else [])
    assert (encoded.body == b"") == bool(reason)
    assert len(encoded.bids) == (0 if reason else 1)
    assert set(encoded.refused) <= set(REFUSALS)


def test_limits_count_bytes_and_not_characters() -> None:
    """An id of 32 characters can be 128 bytes."""
    creative = replace(BANNER, id="🎯" * 16)
    assert answer(bid(creative), max_bytes={"crid": 64}).refused == []
    assert answer(bid(replace(creative, id="🎯" * 16 + "x")), max_bytes={"crid": 64}).refused == ["too_long"]


def test_the_others_stay() -> None:
    """One bid left out takes no other with it."""
    long = replace(BANNER, id="x" * 65)
    encoded = answer(bid(), bid(long), bid(NATIVE), max_bytes={"crid": 64})
    assert [each.candidate.creative.id for each in encoded.bids] == ["cr-1", "cr-2"]
    assert [each["crid"] for each in json.loads(encoded.body)["seatbid"][0]["bid"]] == ["cr-1", "cr-2"]


def test_no_price_macro_without_notices() -> None:
    """Where the exchange insists on the price macro and we have no URL, only the creative's own helps."""
    assert answer(notice_url="", price_macro_required=True).refused == ["price_macro"]
    own = replace(BANNER, impression_trackers=("https://t.example/?p=${AUCTION_PRICE}",))
    assert answer(bid(own), notice_url="", price_macro_required=True).refused == []


# -- size and seats ----------------------------------------------------------------------------------------------------


def test_the_lowest_bids_go_until_the_answer_fits() -> None:
    """An answer above the exchange's size loses its cheapest bids, no more than it must."""
    bids = [bid(price_micros=price) for price in (3_000_000, 1_000_000, 4_000_000, 2_000_000)]
    whole = len(answer(*bids).body)
    for limit in range(whole + 1, 0, -97):
        encoded = answer(*bids, max_answer_bytes=limit)
        assert len(encoded.body) <= limit
        prices = sorted(each.price_micros for each in encoded.bids)
        assert prices == [1_000_000, 2_000_000, 3_000_000, 4_000_000][4 - len(prices) :]
        assert encoded.refused == ["answer_size"] * (4 - len(prices))
        if len(prices) < 4:  # one more would have been too many
            cheapest = [each for each in bids if each.price_micros >= 4_000_000 - len(prices) * 1_000_000]
            assert len(answer(*cheapest).body) > limit


def test_only_so_many_seats() -> None:
    """Where an exchange reads one seatbid, the seat with the highest bid stays."""
    other = replace(CAMPAIGN, id="camp-2", seat="8")
    encoded = answer(bid(), bid(campaign=other, price_micros=9_000_000), bid(NATIVE), max_seatbids=1)
    assert [seat["seat"] for seat in json.loads(encoded.body)["seatbid"]] == ["8"]
    assert encoded.refused == ["seatbids", "seatbids"]


# -- price -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "floor", "value", "decimals", "expected"),
    [
        (1_234_567, 0, 0, 6, 1_234_567),
        (1_234_567, 0, 0, 2, 1_230_000),
        (1_234_567, 1_230_000, 0, 2, 1_230_000),  # exactly at the floor stands
        (1_234_567, 1_230_001, 0, 2, 0),  # one micro-unit below does not
        (1_234_567, 1_230_001, 1_240_000, 2, 1_240_000),
        (1_234_567, 1_230_001, 1_239_999, 2, 0),
        (1_230_000, 1_230_000, 1_230_000, 2, 1_230_000),
        (999, 0, 0, 2, 0),
        (999, 0, 10_000, 2, 10_000),
        (1_999_999, 0, 0, 0, 1_000_000),
    ],
)
def test_rounding(price: int, floor: int, value: int, decimals: int, expected: int) -> None:
    """Down, but not below the floor; else up, but not above the value; else there is no bid."""
    assert rounded(bid(price_micros=price, floor_micros=floor, value_micros=value), decimals) == expected


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 6))
@settings(max_examples=100)
def test_a_rounded_price_lies_between_floor_and_value(price: int, floor: int, value: int, decimals: int) -> None:
    """Whatever the numbers are, as long as the price itself lies there."""
    floor, price, value = sorted((floor, price, value))
    made = rounded(bid(price_micros=price, floor_micros=floor, value_micros=value), decimals)
    assert made == 0 or (floor <= made <= value and made % 10 ** (6 - decimals) == 0)


@pytest.mark.parametrize(
    ("profile", "text"),
    [
        ({}, "1.234567"),
        ({"price_decimals": 4}, "1.2345"),
        ({"price_decimals": 1}, "1.2"),
        ({"price_decimals": 0}, "1"),
        ({"price_unit": "micros"}, "1234567"),
        ({"price_unit": "micros", "price_decimals": 2}, "1230000"),
    ],
)
def test_price_in_units_of_the_exchange(profile: dict[str, Any], text: str) -> None:
    """Written from digits, never as a float."""
    body = answer(**profile).body.decode()
    assert body.split('"price":')[1].split(",")[0] == text
    assert Decimal(text) > 0


def test_a_price_below_the_precision_is_no_bid() -> None:
    """It is left out and not sent as nought."""
    assert answer(bid(price_micros=9_999), price_decimals=2).refused == ["price"]


# -- markup and notices ------------------------------------------------------------------------------------------------


def test_native_wrapped_by_the_exchange() -> None:
    """An exchange may want the outer object although the request came without."""
    assert set(json.loads(only(answer(bid(NATIVE), native_wrapped=True))["adm"])) == {"native"}
    assert "native" not in json.loads(only(answer(bid(NATIVE)))["adm"])


@pytest.mark.parametrize("creative", [BANNER, NATIVE, VIDEO], ids=["banner", "native", "video"])
def test_a_registered_creative_has_no_markup(creative: Creative) -> None:
    """Where creatives lie at the exchange, `crid` names them."""
    encoded = only(answer(bid(creative), markup="registered"))
    assert "adm" not in encoded
    assert encoded["crid"] == creative.id


@pytest.mark.parametrize("creative", [BANNER, VIDEO, SKIPPABLE], ids=["banner", "video", "skippable"])
def test_markup_on_the_win_notice(creative: Creative) -> None:
    """What the win notice answers with is what `adm` would have held."""
    hostile = "\"'><]]>&${AUCTION_PRICE}"
    auction = changed(AUCTION, id=hostile)
    exchange = Exchange("demo", markup="nurl")
    encoder = Encoder(NOTICES)
    fetched = only(encoder.answer(auction, [bid(creative)], exchange))
    assert "adm" not in fetched
    query = dict(parse_qsl(urlsplit(fetched["nurl"]).query))
    assert query["markup"] == "1"
    assert "markup" not in fetched["burl"]
    markup = encoder.served(
        CAMPAIGN,
        creative,
        exchange,
        (query["auction"], query["bid"], query["imp"]),
        int(query.get("protocol", 0)),
        skippable=query.get("skip") == "1",
        skip_after_s=int(query.get("skipafter", 0)),
    )
    assert markup == only(answer(bid(creative), auction=auction))["adm"]
    assert encoder.answer(auction, [bid(creative)], Exchange("demo")).bids


def test_markup_that_cannot_be_fetched() -> None:
    """Native needs the assets that were asked for, and without notices there is nothing to call."""
    assert answer(bid(NATIVE), markup="nurl").refused == ["markup"]
    assert answer(markup="nurl", notice_url="").refused == ["markup"]
    encoder, exchange = Encoder(NOTICES), Exchange("demo", markup="nurl")
    with pytest.raises(ValueError, match="no markup to fetch"):
        encoder.served(CAMPAIGN, NATIVE, exchange, ("a", "b", "c"))
    with pytest.raises(ValueError, match="protocol 99 is no VAST"):
        encoder.served(CAMPAIGN, VIDEO, exchange, ("a", "b", "c"), 99)


@pytest.mark.parametrize("called", [(), ("nurl",), ("burl",), ("nurl", "burl", "lurl")])
def test_only_notices_that_are_called(called: tuple[str, ...]) -> None:
    """The others are not sent."""
    assert {"nurl", "burl", "lurl"} & only(answer(notices=frozenset(called))).keys() == set(called)


def test_macros_as_the_exchange_spells_them() -> None:
    """Its own spelling is used, and a parameter whose macro it does not know is left out."""
    macros = {"AUCTION_MIN_TO_WIN": "${AUCTION_MINIMUM_BID_TO_WIN}", "AUCTION_MBR": "", "AUCTION_CURRENCY": ""}
    encoded = only(answer(macros=macros, price_macro="%%WINNING_PRICE%%"))
    assert encoded["nurl"].endswith(
        "&price=%%WINNING_PRICE%%&seat=${AUCTION_SEAT_ID}&min=${AUCTION_MINIMUM_BID_TO_WIN}"
    )
    assert encoded["burl"].endswith("&exchange=demo&price=%%WINNING_PRICE%%")
    assert "${AUCTION_CURRENCY}" not in encoded["lurl"] + encoded["adm"]


@pytest.mark.parametrize("creative", [BANNER, NATIVE, VIDEO], ids=["banner", "native", "video"])
def test_the_price_in_the_markup(creative: Creative) -> None:
    """Where no notice tells the price, the impression tracker does; elsewhere it does not."""
    assert only(answer(bid(creative), price_in_adm=True))["adm"].count("price=${AUCTION_PRICE}") == 1
    assert "AUCTION_PRICE" not in only(answer(bid(creative)))["adm"]


def test_no_multiplier_where_billing_is_not_called() -> None:
    """DOOH on an exchange without `burl` has nowhere to put it."""
    auction = changed(AUCTION, channel="dooh")
    assert "multiplier=" in only(answer(auction=auction))["burl"]
    assert "burl" not in only(answer(auction=auction, notices=frozenset({"nurl"})))
