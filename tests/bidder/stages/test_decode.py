"""Decoding: what is read, what is normalised, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
import pytest

from bidder.domain import Auction, NoBid, NoBidReason
from bidder.stages.decode import MAX_SLOTS, MalformedError, decode

Body = Callable[..., bytes]


def auction_of(body: bytes) -> Auction:
    auction = decode(body)
    assert isinstance(auction, Auction), auction
    return auction


def banner(**fields: Any) -> list[dict[str, Any]]:
    return [{"id": "1", "banner": {"w": 300, "h": 250}, **fields}]


def test_a_plain_request_is_read_whole(make_body: Body) -> None:
    """Terms, inventory, device and slots arrive where the domain has them."""
    auction = auction_of(make_body(cur=["usd"], bcat=["IAB7"], badv=["Evil.Example"], at=1))
    assert (auction.id, auction.tmax_ms, auction.auction_type, auction.channel) == ("auction-1", 100, 1, "site")
    assert (auction.domain, auction.publisher_id, auction.categories) == ("news.example", "p-1", {"IAB12"})
    assert (auction.os, auction.os_version, auction.browser) == ("android", "14.1", "chrome")
    assert (auction.currencies, auction.blocked_domains) == (("USD",), {"evil.example"})
    (slot,) = auction.slots
    assert slot.banner is not None
    assert (slot.banner.sizes, slot.floor_micros, slot.floor_currency) == (((300, 250),), 500_000, "USD")


def test_app_wins_where_site_stands_too(make_body: Body) -> None:
    """A request with both must not be, but is answered as an app's."""
    auction = auction_of(make_body(app={"id": "a-1", "bundle": "com.example"}))
    assert (auction.channel, auction.bundle) == ("app", "com.example")


@pytest.mark.parametrize(
    "place_26",
    [
        {"regs": {"gdpr": 1}},
        {"regs": {"us_privacy": "1YYN"}},
        {"regs": {"us_privacy": "nonsense"}},
        {"regs": {"coppa": 1}},
        {"regs": {"gpp_sid": [7]}},
        {"regs": {"ext": {"gdpr": 1}}},
        {"regs": {"ext": {"us_privacy": "1-Y-"}}},
        {"regs": {"ext": {"gpp": "DBACNYA"}}},
        {"device": {"lmt": 1, "ifa": "abc"}},
        {"device": {"dnt": "1", "ifa": "abc"}},
    ],
)
def test_a_privacy_signal_removes_who_and_exactly_where(make_body: Body, place_26: dict[str, Any]) -> None:
    """In 2.6's place or 2.5's: no profile key, no segment, no zip, a position of two decimals."""
    who = {
        "user": {"buyeruid": "u-1", "data": [{"segment": [{"id": "travel"}]}]},
        "device": {"ifa": "abc"},
    }
    geo = {"lat": 52.520008, "lon": 13.404954, "zip": "10115", "country": "DEU"}
    request = who | place_26
    request["device"] = {**request["device"], "geo": geo}
    auction = auction_of(make_body(**request))
    assert auction.redacted
    assert (auction.profile_keys, auction.segments, auction.zip) == ((), frozenset(), "")
    assert (auction.latitude, auction.longitude, auction.country) == (52.52, 13.4, "DEU")


def test_without_a_privacy_signal_the_user_is_known(make_body: Body) -> None:
    """Keys best first (own id, device, third parties), as digests only."""
    user = {"buyeruid": "u-1", "ext": {"eids": [{"source": "id.example", "uids": [{"id": "third"}]}]}}
    auction = auction_of(make_body(user=user, device={"ifa": "ABC-DEF"}, regs={"us_privacy": "1YNN", "gdpr": 0}))
    assert len([*auction.profile_keys]) == 3
    text = repr(auction)
    assert not any(raw in text for raw in ("u-1'", "ABC-DEF", "abc-def", "third"))


def test_26_wins_over_25_where_both_stand(make_body: Body) -> None:
    """regs.gdpr says 0, regs.ext.gdpr says 1: 0 counts."""
    auction = auction_of(make_body(regs={"gdpr": 0, "ext": {"gdpr": 1}}))
    assert not auction.redacted


@pytest.mark.parametrize("unreadable", [{"yob": {}}, {"gender": 5.5}, {"data": "no list"}])
def test_an_unreadable_hint_counts_as_absent(make_body: Body, unreadable: dict[str, Any]) -> None:
    """A hint never costs a bid."""
    assert auction_of(make_body(user=unreadable)).slots


@pytest.mark.parametrize(
    "unreadable",
    [
        {"bcat": {"no": "list"}},
        {"badv": {"a": 1}},
        {"wseat": [{}]},
        {"cur": {"USD": 1}},
        {"regs": []},
        {"tmax": "soon"},
        {"imp": [{"id": "1", "banner": {"w": 300, "h": 250, "battr": "none"}}]},
        {"imp": [{"id": "1", "banner": {}, "bidfloor": "cheap"}]},
    ],
)
def test_an_unreadable_restriction_fails_closed(make_body: Body, unreadable: dict[str, Any]) -> None:
    """No bid, with the reason "invalid request" and the auction's id."""
    answer = decode(make_body(**unreadable))
    assert isinstance(answer, NoBid)
    assert (answer.reason, answer.auction_id) == (NoBidReason.INVALID_REQUEST, "auction-1")
    assert answer.detail.startswith("unreadable: ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"{}",
        b'{"id":"1"}',
        b'{"id":"1","imp":{}}',
        b'{"id":"1","imp":[{}]}',
        b'{"id":"\xff","imp":[{"id":"1"}]}',
        b'{"id":"\\ud800","imp":[{"id":"1"}]}',
        b'{"id":NaN,"imp":[{"id":"1"}]}',
        b'{"id":"1","imp":[{"id":"1"}],"ext":{"a":-Infinity}}',
        b'{"id":"1","imp":[{"id":"1"}],"ext":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"id":"1","imp":[{"id":"1"}],"unknown":' + b'{"a":' * 100_000,
    ],
)
def test_what_is_no_request_is_malformed(body: bytes) -> None:
    """The message says where and what."""
    with pytest.raises(MalformedError, match=r".+: .+"):
        decode(body)


@pytest.mark.parametrize("floor", ["1e400", "NaN", "-1", "9" * 5000])
def test_a_floor_that_is_no_amount_of_money_earns_no_bid(make_body: Body, floor: str) -> None:
    """Infinite, not a number, negative or absurd: malformed or no bid, never an auction."""
    body = make_body().replace(b'"bidfloor":0.5', f'"bidfloor":{floor}'.encode())
    with suppress(MalformedError):
        assert isinstance(decode(body), NoBid)


def test_an_absurd_floor_is_a_floor(make_body: Body) -> None:
    """1e303 is a number: read as more money than there is, so that nobody reaches it."""
    (slot,) = auction_of(make_body().replace(b'"bidfloor":0.5', b'"bidfloor":1e303')).slots
    assert slot.floor_micros == 10**21


@pytest.mark.parametrize(("tmax", "expected"), [(None, None), ("150", 150), (1.0, 1)])
def test_tmax_is_read_as_sent(make_body: Body, tmax: Any, expected: int | None) -> None:
    """Missing stays missing; numbers in strings and whole floats are numbers."""
    assert auction_of(make_body(tmax=tmax)).tmax_ms == expected


@pytest.mark.parametrize("tmax", [0, -5])
def test_no_time_is_no_bid(make_body: Body, tmax: int) -> None:
    """A tmax of nothing leaves no time to bid."""
    answer = decode(make_body(tmax=tmax))
    assert isinstance(answer, NoBid)
    assert answer.reason is NoBidReason.INSUFFICIENT_TIME


def test_impressions_that_share_an_id_are_left_out(make_body: Body) -> None:
    """An answer could mean either of them."""
    imps = [{"id": name, "banner": {"w": 1, "h": 1}} for name in ("a", "b", "a")]
    assert [slot.id for slot in auction_of(make_body(imp=imps)).slots] == ["b"]


@pytest.mark.parametrize("distance", [1, MAX_SLOTS])
def test_an_impression_that_is_not_read_shares_its_id_too(make_body: Body, distance: int) -> None:
    """One that sells nothing, or that stands beyond those that are read."""
    imps = [{"id": str(number), "banner": {"w": 1, "h": 1}} for number in range(distance)]
    imps.append({"id": "0", "banner": {"w": 1, "h": 1}, "qty": {"multiplier": 0}})
    assert "0" not in [slot.id for slot in auction_of(make_body(imp=imps)).slots]


def test_a_thousand_impressions_are_bounded(make_body: Body) -> None:
    """Only so many are read."""
    imps = [{"id": str(number), "banner": {"w": 1, "h": 1}} for number in range(1000)]
    assert len(auction_of(make_body(imp=imps)).slots) == MAX_SLOTS


NATIVE = {"assets": [{"id": 1, "required": 1, "title": {"len": 90}}, {"id": 2, "img": {"type": 3, "wmin": 10}}]}


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_native_request_is_read_as_text_or_object_wrapped_or_not(
    make_body: Body, as_text: bool, wrapped: bool
) -> None:
    """All four spellings give the same assets; the wrapping is remembered for the answer."""
    request: Any = {"native": NATIVE} if wrapped else NATIVE
    request = orjson.dumps(request).decode() if as_text else request
    (slot,) = auction_of(make_body(imp=[{"id": "1", "native": {"request": request}}])).slots
    assert slot.native is not None
    assert slot.native.wrapped is wrapped
    assert [(a.kind, a.required) for a in slot.native.assets] == [("title", True), ("image", False)]


@pytest.mark.parametrize("request_text", ["", "{", "[]", '{"assets":[]}', '{"assets":7}'])
def test_an_unreadable_native_request_offers_nothing(make_body: Body, request_text: str) -> None:
    """The slot takes no native ad, but its banner stands."""
    (slot,) = auction_of(make_body(imp=banner(native={"request": request_text}))).slots
    assert slot.native is None
    assert slot.banner is not None


def test_deals_do_not_inherit_the_currency_of_the_slot(make_body: Body) -> None:
    """§3.2.12: a deal's floor is in US dollars unless it says otherwise."""
    pmp = {"private_auction": 1, "deals": [{"id": "d", "bidfloor": 2, "wadomain": ["A.example"], "at": 3}]}
    (slot,) = auction_of(make_body(imp=banner(pmp=pmp, bidfloorcur="EUR"))).slots
    (deal,) = slot.deals
    assert slot.private
    assert (slot.floor_currency, deal.floor_currency, deal.floor_micros) == ("EUR", "USD", 2_000_000)
    assert (deal.domains, deal.auction_type) == ({"a.example"}, 3)


def test_video_of_25_is_read_like_that_of_26(make_body: Body) -> None:
    """`protocol` and `placement` count where their successors are missing."""
    video = {"mimes": ["video/mp4"], "protocol": 3, "placement": 1, "skip": 0, "maxduration": 30, "mincpmpersec": 0.1}
    (slot,) = auction_of(make_body(imp=[{"id": "1", "video": video}])).slots
    assert slot.video is not None
    assert (slot.video.protocols, slot.video.placement, slot.video.skippable) == ({3}, 1, False)
    assert slot.video.floor_per_second_micros == 100_000


def test_rewarded_by_prebids_extension(make_body: Body) -> None:
    """Before rwdd, Prebid said so in imp.ext."""
    (slot,) = auction_of(make_body(imp=banner(ext={"prebid": {"is_rewarded_inventory": 1}}))).slots
    assert slot.rewarded
