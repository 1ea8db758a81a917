"""Outgoing answers against the profiles: each profile with each format, what is wrong with others, the self-check."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
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
    Pod,
    Slot,
    Targeting,
)
from bidder.exchanges import built_in_exchanges
from bidder.stages.conformance import KINDS, SelfCheck, violations
from bidder.stages.encode import Encoder

EXCHANGES = built_in_exchanges()
LANDING = "https://shop.example/landing"
PREVIEW = "https://cdn.example/preview.png"
CREATIVES = {
    Format.BANNER: Creative(
        "cr-1",
        CreativeSpec(Format.BANNER, 300, 250),
        LANDING,
        html='<a href="${CLICK_URL}">Buy</a>',
        preview_url=PREVIEW,
    ),
    Format.VIDEO: Creative(
        "cr-2",
        CreativeSpec(Format.VIDEO, 640, 360, duration_s=30, attributes=frozenset({13})),
        LANDING,
        media=(MediaFile("https://cdn.example/ad.mp4", "video/mp4", 640, 360, 1200),),
        preview_url=PREVIEW,
    ),
    Format.AUDIO: Creative(
        "cr-3",
        CreativeSpec(Format.AUDIO, duration_s=15),
        LANDING,
        media=(MediaFile("https://cdn.example/ad.mp3", "audio/mpeg", 0, 0, 128),),
        preview_url=PREVIEW,
    ),
    Format.NATIVE: Creative("cr-4", CreativeSpec(Format.NATIVE), LANDING, title="A title", preview_url=PREVIEW),
}
SLOT = Slot(
    "imp-1",
    banner=BannerOffer(((300, 250),)),
    video=MediaOffer(),
    audio=MediaOffer(),
    native=NativeOffer((NativeAsset(1, True, "title"),)),
    floor_micros=1_000_000,
)
CAMPAIGN = Campaign(
    id="camp-1",
    advertiser_id="adv-1",
    seat="seat-1",
    domains=("shop.example",),
    goal=Goal(GoalKind.CPM, 1_000_000),
    max_cpm_micros=5_000_000,
    currency="USD",
    prior=0.5,
    targeting=Targeting(),
    creatives=tuple(CREATIVES.values()),
    categories=("IAB3",),
)
AUCTION = Auction("auction-1", [SLOT], channel="app")
GENERIC = EXCHANGES["generic"]
ENCODER = Encoder("https://bid.example")


def bid(format: Format = Format.BANNER, slot: Slot = SLOT, deal: Deal | None = None, **changes: Any) -> Bid:
    creative = CREATIVES[format]
    candidate = Candidate(slot, CAMPAIGN, creative, deal)
    return Bid(**{"candidate": candidate, "price_micros": 1_234_567, "currency": "USD", "score": 0.1} | changes)


def kinds(answer: bytes, auction: Auction = AUCTION, exchange: Exchange = GENERIC) -> list[str]:
    found = [each.partition(":")[0] for each in violations(answer, auction, exchange)]
    assert set(found) <= set(KINDS)
    return found


# -- every profile -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("name", EXCHANGES)
def test_every_profile_with_every_format(name: str, format: Format) -> None:
    """What the encoder makes for an exchange that ships is what that exchange takes."""
    exchange = replace(EXCHANGES[name], seats={"seat-1": "4711"})
    slot = changed(SLOT, deals=(Deal("d-1"),))
    auction = changed(AUCTION, slots=[slot])
    for one in (bid(format, slot), bid(format, slot, slot.deals[0])):
        encoded = ENCODER.answer(auction, [one], exchange)
        assert (encoded.refused, len(encoded.bids)) == ([], 1)
        assert violations(encoded.body, auction, exchange) == []


@pytest.mark.parametrize("name", EXCHANGES)
def test_every_profile_with_hostile_ids(name: str) -> None:
    """Ids of 10 KB, quotes and `]]>` make either an answer that the exchange takes or none."""
    exchange = replace(EXCHANGES[name], seats={"seat-1": "4711"})
    for hostile in ("\"'><script>", "]]><Evil/>", "🎯" * 2500, "${AUCTION_PRICE}", "\r\n\x00\x01\x02\x03"):
        slot = changed(SLOT, id=hostile[::-1])
        auction = changed(AUCTION, id=hostile, slots=[slot])
        for format in Format:
            encoded = ENCODER.answer(auction, [bid(format, slot)], exchange)
            if encoded.body:
                assert violations(encoded.body, auction, exchange) == []
            else:
                assert encoded.refused in (["answer_size"], ["too_long"])


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_creative_that_says_the_least(name: str) -> None:
    """It is left out where the exchange requires more, and never sent without."""
    exchange = EXCHANGES[name]
    campaign = replace(CAMPAIGN, domains=(), categories=(), seat="")
    candidate = Candidate(SLOT, campaign, Creative("c", CreativeSpec(Format.NATIVE), LANDING, title="T"), None)
    for encoder in (Encoder(), ENCODER):
        encoded = encoder.answer(AUCTION, [Bid(candidate, 2_000_000, "USD", 0.1)], exchange)
        assert bool(encoded.body) == (encoded.refused == [])
        if encoded.body:
            assert violations(encoded.body, AUCTION, exchange) == []


# -- what is wrong -----------------------------------------------------------------------------------------------------


def made(exchange: Exchange = GENERIC, *bids: Bid) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(ENCODER.encode(AUCTION, bids or [bid()], exchange))
    return content


def first(content: dict[str, Any]) -> dict[str, Any]:
    one: dict[str, Any] = content["seatbid"][0]["bid"][0]
    return one


def change_bid(**changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        for name, value in changes.items():
            if value is None:
                del first(content)[name]
            else:
                first(content)[name] = value

    return change


def change_answer(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.update(changes)


def change_seat(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["seatbid"][0].update(changes)


@pytest.mark.parametrize(
    ("change", "profile", "expected"),
    [
        (change_answer(), {}, []),
        (change_answer(id="other"), {}, ["auction"]),
        (change_answer(cur="EUR"), {}, ["currency"]),
        (change_answer(surprise=1), {}, ["schema"]),
        (change_answer(), {"max_answer_bytes": 100}, ["size"]),
        (change_answer(), {"response_ext": {"x": 1}}, ["ext"]),
        (change_answer(), {"bid_ext": {"x": 1}}, ["ext"]),
        (change_bid(ext={"x": 1}), {"bid_ext": {"x": 1}}, []),
        (change_bid(ext={"x": 2.5}), {"bid_ext": {"x": 2.5}}, []),
        (change_seat(seat=""), {"required": frozenset({"seat"})}, ["seat"]),
        (change_seat(), {"numeric_seats": True}, ["seat"]),
        (change_bid(impid="imp-9"), {}, ["imp"]),
        (change_bid(adomain=None), {"required": frozenset({"adomain"})}, ["missing"]),
        (change_bid(), {"omitted": frozenset({"cid"})}, ["omitted"]),
        (change_bid(crid="x" * 65), {"max_bytes": {"crid": 64}}, ["too_long"]),
        (change_bid(adomain=["a.example", "x" * 129]), {"max_bytes": {"adomain": 128}}, ["too_long"]),
        (change_bid(price=0), {}, ["price", "floor"]),
        (change_bid(price=1.2345), {"price_decimals": 2}, ["price"]),
        (change_bid(price=1.23), {"price_decimals": 2}, []),
        (change_bid(price=1.0), {}, []),
        (change_bid(price=0.999999), {}, ["floor"]),
        (change_bid(price=1_000_000), {"price_unit": "micros"}, []),
        (change_bid(price=999_999), {"price_unit": "micros"}, ["floor"]),
        (change_bid(dealid="d-9"), {}, ["deal"]),
        (change_bid(adm=""), {}, ["markup"]),
        (change_bid(adm="a\x00b"), {}, ["markup"]),
        (change_bid(mtype=2), {}, ["markup"]),
        (change_bid(mtype=2, adm="<VAST/>"), {}, []),
        (change_bid(mtype=2, adm="<html/>"), {}, ["markup"]),
        (change_bid(mtype=2, adm='<!DOCTYPE a [<!ENTITY b "c">]><VAST>&b;</VAST>'), {}, ["markup"]),
        (change_bid(mtype=4), {}, ["markup"]),
        (change_bid(mtype=4, adm='{"link":{"url":"u"}}'), {}, []),
        (change_bid(mtype=4, adm='{"native":{"link":{"url":"u"}}}'), {}, ["markup"]),
        (change_bid(mtype=4, adm='{"link":{"url":"u"}}'), {"native_wrapped": True}, ["markup"]),
        (change_bid(), {"markup": "registered"}, ["markup"]),
        (change_bid(adm=None, crid=None, adid=None), {"markup": "registered"}, ["markup"]),
        (change_bid(), {"notices": frozenset({"nurl", "burl"})}, ["notice"]),
        (change_bid(burl=None), {"price_macro_required": True}, ["price_macro"]),
        (change_bid(w=320, h=50), {"strict_banner_size": True}, ["banner_size"]),
        (change_bid(w=320, h=50), {}, []),
    ],
)
def test_each_violation_is_found(
    change: Callable[[dict[str, Any]], None], profile: dict[str, Any], expected: list[str]
) -> None:
    """One thing wrong is one violation, of its kind."""
    content = made()
    change(content)
    assert kinds(json.dumps(content).encode(), exchange=replace(GENERIC, **profile)) == expected


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"null", b'{"id":"a","seatbid":[{"bid":[]}]}', b"[" * 100_000])
def test_what_is_no_response(answer: bytes) -> None:
    """It is one violation and no exception."""
    assert kinds(answer) in (["json"], ["schema"])


def test_numbers_that_are_no_json() -> None:
    """NaN, which some parsers let through, is refused."""
    assert kinds(b'{"id":"auction-1","seatbid":[{"bid":[{"id":"1","impid":"imp-1","price":NaN}]}]}') == ["json"]


def test_seats_of_the_request() -> None:
    """A seat that is blocked, or not among those allowed, may not bid."""
    answer = ENCODER.encode(AUCTION, [bid()], GENERIC)
    assert kinds(answer, changed(AUCTION, blocked_seats=frozenset({"seat-1"}))) == ["seat"]
    assert kinds(answer, changed(AUCTION, allowed_seats=frozenset({"seat-2"}))) == ["seat"]
    assert kinds(answer, changed(AUCTION, allowed_seats=frozenset({"seat-1"}))) == []


def test_two_seats_where_one_is_read() -> None:
    """An answer with more seatbids than the exchange reads loses bids there."""
    content = made(GENERIC, bid(), bid())
    one, two = content["seatbid"][0]["bid"]
    content["seatbid"] = [{"seat": "a", "bid": [one]}, {"seat": "b", "bid": [two]}]
    answer = json.dumps(content).encode()
    assert kinds(answer, exchange=replace(GENERIC, max_seatbids=1, bids_per_imp=2)) == ["seatbids"]


def test_two_bids_with_one_id() -> None:
    """Ids tell bids apart in notices."""
    answer = ENCODER.encode(AUCTION, [bid(id="x"), bid(id="x")], GENERIC)
    assert kinds(answer, exchange=replace(GENERIC, bids_per_imp=2)) == ["bid_id"]


@pytest.mark.parametrize(
    ("open_", "dealt", "profile", "expected"),
    [
        (1, 0, {}, []),
        (2, 0, {}, ["bids_per_imp"]),
        (2, 0, {"bids_per_imp": 2}, []),
        (1, 1, {}, ["bids_per_imp"]),
        (1, 1, {"deals_beside_open": True}, []),
        (1, 1, {"bids_per_imp": 2}, []),
        (1, 2, {"deals_beside_open": True}, []),
        (2, 1, {"deals_beside_open": True}, ["bids_per_imp"]),
    ],
)
def test_bids_for_one_impression(open_: int, dealt: int, profile: dict[str, Any], expected: list[str]) -> None:
    """As many as the profile takes, bids with deals beside them where it says so."""
    slot = changed(SLOT, deals=(Deal("d-1"), Deal("d-2")))
    auction = changed(AUCTION, slots=[slot])
    bids = [bid(slot=slot) for _ in range(open_)] + [bid(slot=slot, deal=slot.deals[n]) for n in range(dealt)]
    exchange = replace(GENERIC, **profile)
    assert kinds(ENCODER.encode(auction, bids, exchange), auction, exchange) == expected


def test_a_deal_twice() -> None:
    """Two bids with one deal for one impression are one too many."""
    slot = changed(SLOT, deals=(Deal("d-1"),))
    auction = changed(AUCTION, slots=[slot])
    exchange = replace(GENERIC, bids_per_imp=2)
    bids = [bid(slot=slot, deal=slot.deals[0]) for _ in range(2)]
    assert kinds(ENCODER.encode(auction, bids, exchange), auction, exchange) == ["bids_per_imp"]


def test_a_pod_takes_as_many_as_fill_it() -> None:
    """Its bids for one impression are not counted."""
    slot = changed(SLOT, video=MediaOffer(pod=Pod(seconds=60, most_ads=3)))
    auction = changed(AUCTION, slots=[slot])
    bids = [bid(Format.VIDEO, slot, slot_in_pod=place) for place in (1, 0, -1)]
    assert kinds(ENCODER.encode(auction, bids, GENERIC), auction) == []


def test_deals_and_their_floors() -> None:
    """A private slot takes bids with deals only, and a deal's floor goes before the slot's."""
    slot = changed(SLOT, private=True, deals=(Deal("d-1", floor_micros=2_000_000),))
    auction = changed(AUCTION, slots=[slot])
    assert kinds(ENCODER.encode(auction, [bid(slot=slot, price_micros=2_000_000)], GENERIC), auction) == ["private"]
    for price, expected in ((2_000_000, []), (1_999_999, ["floor"])):
        answer = ENCODER.encode(auction, [bid(slot=slot, deal=slot.deals[0], price_micros=price)], GENERIC)
        assert kinds(answer, auction) == expected


def test_a_floor_in_another_currency_is_not_compared() -> None:
    """Without rates there is nothing to hold it against."""
    auction = changed(AUCTION, slots=[changed(SLOT, floor_currency="JPY", floor_micros=900_000_000)])
    assert kinds(ENCODER.encode(auction, [bid()], GENERIC), auction) == []


# -- in production -----------------------------------------------------------------------------------------------------


def test_every_nth_answer_is_looked_at() -> None:
    """The others cost a subtraction."""
    check = SelfCheck(every=3)
    answer = ENCODER.encode(AUCTION, [bid()], GENERIC)
    for _ in range(8):
        check.look(answer, AUCTION, GENERIC)
    assert check.checked == 2
    assert sum(check.violations.values()) == 0


def test_violations_are_counted_by_kind() -> None:
    """And the latest is kept in words."""
    check = SelfCheck(every=1)
    check.look(ENCODER.encode(AUCTION, [bid(price_micros=999_999)], GENERIC), AUCTION, GENERIC)
    assert {kind: count for kind, count in check.violations.items() if count} == {"floor": 1}
    assert check.last.startswith("generic: floor: ")
    assert set(check.violations) == set(KINDS)


def test_the_self_check_can_be_off() -> None:
    """At 0 nothing is looked at."""
    check = SelfCheck(every=0)
    check.look(b"no answer", AUCTION, GENERIC)
    assert check.checked == 0


def test_the_self_check_never_raises() -> None:
    """A mistake of its own is counted too."""
    check = SelfCheck(every=1)
    broken = changed(AUCTION, slots=[object()])  # type: ignore[list-item]
    check.look(ENCODER.encode(AUCTION, [bid()], GENERIC), broken, GENERIC)
    assert check.violations["failed"] == 1
