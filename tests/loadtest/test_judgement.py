"""The judgement of answers: a right one passes, and each way of being wrong is found and named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtest.traffic import BidRequestCase, Kind
from loadtest.verify import Judge, Rates, Verdict

JUDGE = Judge(Rates({"USD": 1.0, "EUR": 1.25, "GBP": 1.5}))
JSON = {"content-type": "application/json", "content-length": "1"}

VAST = """<?xml version="1.0"?><VAST version="3.0"><Ad id="a"><InLine><AdSystem>x</AdSystem><AdTitle>t</AdTitle>
<Impression><![CDATA[https://t.example/i]]></Impression><Creatives><Creative><Linear><Duration>00:00:15</Duration><MediaFiles>
<MediaFile type="video/mp4" width="640" height="360"><![CDATA[https://cdn.example/v.mp4]]></MediaFile></MediaFiles></Linear>
</Creative></Creatives></InLine></Ad></VAST>"""
SKIPS_AT = '<Linear skipoffset="00:00:'
COMPANION = """</Linear></Creative><Creative><CompanionAds><Companion width="%s" height="%s"%s/></CompanionAds>"""
NATIVE = {
    "ver": "1.2",
    "link": {"url": "https://shop.example"},
    "assets": [
        {"id": 1, "title": {"text": "Shoes"}},
        {"id": 2, "img": {"url": "https://cdn.example/a.jpg", "w": 600, "h": 314}},
    ],
}
ASKED = {
    "ver": "1.2",
    "assets": [
        {"id": 1, "required": 1, "title": {"len": 20}},
        {"id": 2, "required": 1, "img": {"type": 3, "wmin": 600, "hmin": 314}},
        {"id": 3, "data": {"type": 2, "len": 10}},
    ],
}
REQUEST: dict[str, Any] = {
    "id": "auction-1",
    "cur": ["USD", "EUR"],
    "bcat": ["IAB26", "IAB7-39"],
    "badv": ["rival.example"],
    "bapp": ["com.example.rival"],
    "bseat": ["seat-9"],
    "wlang": ["en"],
    "imp": [
        {"id": "1", "secure": 1, "bidfloor": 1.0, "bidfloorcur": "EUR",
         "banner": {"format": [{"w": 300, "h": 250}, {"w": 728, "h": 90}], "battr": [1, 2]}},
        {"id": "2", "bidfloor": 0.5,
         "video": {"mimes": ["video/mp4"], "minduration": 5, "maxduration": 30, "protocols": [2, 3], "skip": 1,
                   "skipmin": 10, "skipafter": 5, "companionad": [{"w": 300, "h": 250}]},
         "banner": {"wmin": 300, "wmax": 340, "hmin": 200, "hmax": 260}},
        {"id": "3", "native": {"request": json.dumps(ASKED), "ver": "1.2"}},
        {"id": "4", "banner": {"w": 320, "h": 50},
         "pmp": {"private_auction": 1, "deals": [{"id": "d1", "bidfloor": 2.0, "wseat": ["seat-1"]},
                                                 {"id": "d2", "bidfloor": 1.0, "bidfloorcur": "EUR",
                                                  "wadomain": ["other.example"]}]}},
        {"id": "5", "bidfloor": 0.1,
         "audio": {"mimes": ["video/mp4"], "minduration": 5, "maxduration": 30, "mincpmpersec": 0.2}},
    ],
}  # fmt: skip


def bid(slot: str, /, **changes: Any) -> dict[str, Any]:
    """A bid that is right for the slot, with changes; a change to None removes the field."""
    right: dict[str, dict[str, Any]] = {
        "1": {"mtype": 1, "adm": '<a href="https://shop.example">Shoes</a>', "w": 300, "h": 250},
        "2": {"mtype": 2, "adm": VAST, "protocol": 3},
        "3": {"mtype": 4, "adm": json.dumps(NATIVE)},
        "4": {"mtype": 1, "adm": "<b>Shoes</b>", "w": 320, "h": 50, "dealid": "d1"},
        "5": {"mtype": 3, "adm": VAST, "dur": 15},
    }
    common = {"id": "b1", "impid": slot, "price": 3.5, "crid": "c1", "adomain": ["shop.example"], "cat": ["IAB22"]}
    made = {**common, **right[slot], **changes}
    return {key: value for key, value in made.items() if value is not None}


def judged(*bids: dict[str, Any], request: dict[str, Any] = REQUEST, **changes: Any) -> Verdict:
    seat = changes.pop("seat", "seat-1")
    response = {"id": "auction-1", "cur": "USD", "seatbid": [{"seat": seat, "bid": list(bids)}], **changes}
    case = BidRequestCase("auction-1", json.dumps(request).encode(), Kind.VALID, request, frozenset({"bid", "no-bid"}))
    return JUDGE.verdict(case, 200, JSON, json.dumps(response).encode())


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    request = copy.deepcopy(REQUEST)
    change(request)
    return request


@pytest.mark.parametrize("impid", ["1", "2", "3", "4", "5"])
def test_a_right_bid_passes(impid: str):
    """A right bid of each format is found without fault."""
    verdict = judged(bid(impid))
    assert verdict.violations == ()
    assert verdict.outcome == "bid"


BROKEN = {
    "another impression": ("impid", bid("1", impid="7")),
    "below the floor, which is in euros": ("floor", bid("1", price=1.2)),
    "price of zero": ("price", bid("1", price=0.0)),
    "negative price": ("price", bid("1", price=-1.0)),
    "a size that was not asked for": ("size", bid("1", w=300, h=600)),
    "no size": ("size", bid("1", w=None, h=None)),
    "a size outside of the range": ("size", bid("2", mtype=1, adm="<b>Shoes</b>", w=341, h=250)),
    "a format that was not offered": ("mtype", bid("1", mtype=2)),
    "no mtype where two formats are offered": ("mtype", bid("2", mtype=None)),
    "a blocked category": ("category", bid("1", cat=["IAB7-39"])),
    "a category below a blocked one": ("category", bid("1", cat=["IAB26-3"])),
    "a blocked advertiser": ("advertiser", bid("1", adomain=["rival.example"])),
    "a domain below a blocked one": ("advertiser", bid("1", adomain=["shop.Rival.example"])),
    "a blocked app": ("bundle", bid("1", bundle="com.example.rival")),
    "a blocked attribute": ("attribute", bid("1", attr=[2])),
    "another language": ("language", bid("1", language="de")),
    "no creative id": ("crid", bid("1", crid=None)),
    "a creative id of 65 bytes": ("crid", bid("1", crid="c" * 65)),
    "no advertiser": ("adomain", bid("1", adomain=None)),
    "a notice that is no address": ("url", bid("1", nurl="//t.example/win")),
    "no markup": ("adm", bid("1", adm=None)),
    "markup without an element": ("adm", bid("1", adm="Shoes")),
    "an address without TLS in a secure slot": ("secure", bid("1", adm='<img src="HTTP://cdn.example/a">')),
    "a macro that nobody fills in": ("macro", bid("1", adm="<b>${CLICK_URL}</b>")),
    "an unknown deal": ("deal", bid("4", dealid="d7")),
    "a deal of another slot": ("deal", bid("1", dealid="d1")),
    "no deal in a private auction": ("private", bid("4", dealid=None)),
    "below the deal's floor": ("floor", bid("4", price=1.9)),
    "below the deal's floor in euros": ("floor", bid("4", dealid="d2", adomain=["other.example"], price=1.2)),
    "an advertiser that the deal is not for": ("deal", bid("4", dealid="d2")),
    "VAST that does not parse": ("adm", bid("2", adm=VAST[:-3])),
    "VAST with a declaration": ("adm", bid("2", adm=VAST.replace("<VAST", "<!DOCTYPE x><VAST", 1))),
    "HTML in place of VAST": ("adm", bid("2", adm="<html></html>")),
    "VAST without an ad": ("adm", bid("2", adm='<VAST version="3.0"/>')),
    "VAST without Impression": ("adm", bid("2", adm=VAST.replace("Impression", "Expression"))),
    "VAST without a file": ("adm", bid("2", adm=VAST.replace("MediaFile", "MediaPile"))),
    "VAST of no duration": ("adm", bid("2", adm=VAST.replace("00:00:15", "15 s"))),
    "a video of a type that does not play": ("mime", bid("2", adm=VAST.replace("video/mp4", "video/webm"))),
    "a video that is too long": ("duration", bid("2", adm=VAST.replace("00:00:15", "00:00:31"))),
    "a skipoffset that is no time": ("adm", bid("2", adm=VAST.replace("<Linear>", '<Linear skipoffset="5 s">'))),
    "skippable before the player allows it": ("skip", bid("2", adm=VAST.replace("<Linear>", SKIPS_AT + '04">'))),
    "skippable though not longer than skipmin": ("skip", bid("2", adm=VAST.replace(":15", ":10").replace(
        "<Linear>", SKIPS_AT + '05">'))),
    "a companion without a place": ("companion", bid("2", adm=VAST.replace("</Linear>", COMPANION % (300, 600, "")))),
    "an end-card beside the video": ("companion", bid("2", adm=VAST.replace(
        "</Linear>", COMPANION % (300, 250, ' renderingMode="end-card"')))),
    "a protocol that the player does not take": ("protocol", bid("2", protocol=7)),
    "below the floor by second": ("floor", bid("5", price=2.9)),
    "a privacy notice that the slot does not show": ("privacy", bid("3", adm=json.dumps(
        {**NATIVE, "privacy": "https://shop.example/privacy"}))),
    "native that is no JSON": ("adm", bid("3", adm="{")),
    "native without a link": ("adm", bid("3", adm=json.dumps({**NATIVE, "link": {}}))),
    "native without a required asset": ("asset", bid("3", adm=json.dumps({**NATIVE, "assets": NATIVE["assets"][:1]}))),
    "native with an asset of another kind": ("asset", bid("3", adm=json.dumps(NATIVE).replace("title", "data"))),
    "native with too long a title": ("asset", bid("3", adm=json.dumps(NATIVE).replace("Shoes", "S" * 21))),
    "native with too small an image": ("asset", bid("3", adm=json.dumps(NATIVE).replace("314", "313"))),
    "native with an asset nobody asked for": ("asset", bid("3", adm=json.dumps(
        {**NATIVE, "assets": [*NATIVE["assets"], {"id": 9, "title": {"text": "x"}}]}))),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "broken"), BROKEN.values(), ids=BROKEN.keys())
def test_a_wrong_bid_is_found(rule: str, broken: dict[str, Any]):
    """Exactly the rule that the bid breaks is named."""
    assert {violation.rule for violation in judged(broken).violations} == {rule}


POD = {"mimes": ["video/mp4"], "maxduration": 30, "podid": "p"}
FIXED, PART = {**POD, "slotinpod": 1}, {**POD, "poddur": 60, "poddedupe": [1, 2, 3, 4]}


def in_pod(*bids: dict[str, Any], offers: tuple[dict[str, Any], ...] = (FIXED, PART)) -> list[str]:
    """The rules that bids for the impressions of one pod break. They share nothing but what is said."""
    request = {"id": "auction-1", "imp": [{"id": str(n), "video": offer} for n, offer in enumerate(offers)]}
    told = [
        bid("2", id=str(n), crid=str(n), adomain=[f"{n}.example"], cat=[f"IAB{n + 1}"], protocol=None)
        | {"adm": VAST.replace("v.mp4", f"{n}.mp4")}
        | each
        for n, each in enumerate(bids)
    ]
    return [violation.rule for violation in judged(*told, request=request).violations]


def test_bids_for_one_pod_go_together():
    """The first place is an impression by itself; the last may be asked for, once."""
    assert in_pod({"impid": "0"}, {"impid": "1", "slotinpod": -1}, {"impid": "1"}) == []
    assert in_pod({"impid": "1", "slotinpod": 1}, offers=(POD, PART)) == []


@pytest.mark.parametrize(
    ("rule", "bids"),
    [
        ("slotinpod", [{"impid": "0", "slotinpod": 1}]),
        ("slotinpod", [{"impid": "1", "slotinpod": 1}]),
        ("slotinpod", [{"impid": "1", "slotinpod": -1}, {"impid": "1", "slotinpod": -1}]),
        ("poddedupe", [{"impid": "1", "adomain": ["x.example"]}, {"impid": "1", "adomain": ["x.example"]}]),
        ("poddedupe", [{"impid": "1", "cat": ["IAB1-2"]}, {"impid": "1", "cat": ["IAB1-2"]}]),
        ("poddedupe", [{"impid": "1", "crid": "c"}, {"impid": "1", "crid": "c"}]),
        ("poddedupe", [{"impid": "1", "adm": VAST}, {"impid": "1", "adm": VAST}]),
        ("poddedupe", [{"impid": "1", "cat": ["IAB1-2"]}, {"impid": "2", "cat": ["IAB1-2"]}]),
    ],
)
def test_bids_that_do_not_go_together_in_a_pod_are_found(rule: str, bids: list[dict[str, Any]]):
    """A place that the impression says, one that is taken, one twice; what the pod wants distinct and is not."""
    assert in_pod(*bids, offers=(FIXED, PART, PART)) == [rule]


def test_skipping_and_companions_that_the_player_allows_pass():
    """Skippable from `skipafter` on; a companion of the size that has a place."""
    skips = VAST.replace("<Linear>", SKIPS_AT + '05">')
    assert judged(bid("2", adm=skips.replace("</Linear>", COMPANION % (300, 250, "")))).violations == ()
    no_control = changed(lambda r: r["imp"][1]["video"].update(skip=0))
    assert [v.rule for v in judged(bid("2", adm=skips), request=no_control).violations] == ["skip"]


@pytest.mark.parametrize(("extended", "fits"), [(0, False), (4, False), (5, True), (-1, True)])
def test_videos_may_be_longer_where_extension_is_allowed(extended: int, fits: bool):
    """By `maxextended` seconds, or by any."""
    request = changed(lambda r: r["imp"][1]["video"].update(maxduration=10, maxextended=extended))
    assert [v.rule for v in judged(bid("2"), request=request).violations] == ([] if fits else ["duration"])


def test_a_namespace_is_no_address():
    """VAST 4 stands in a namespace whose name begins with http://: nothing is loaded from there."""
    request = changed(lambda r: r["imp"][1].update(secure=1))
    spelled = VAST.replace(
        "<VAST ", '<VAST xmlns="http://www.iab.com/VAST" xmlns:xs="http://www.w3.org/2001/XMLSchema" '
    )
    assert judged(bid("2", adm=spelled), request=request).violations == ()
    loading = bid("2", adm=spelled.replace("https://cdn", "http://cdn"))
    assert [v.rule for v in judged(loading, request=request).violations] == ["secure"]


def test_a_size_within_the_range_of_2_5_passes():
    """wmin to wmax and hmin to hmax allow any size within."""
    assert judged(bid("2", mtype=1, adm="<b>Shoes</b>", protocol=None, w=320, h=250)).violations == ()


def test_floors_are_converted():
    """A floor of 1 EUR is 1.25 USD: a bid of 1.25 USD passes, and so does one of 1 EUR."""
    assert judged(bid("1", price=1.25)).violations == ()
    assert judged(bid("1", price=1.0), cur="EUR").violations == ()


def test_a_floor_without_a_rate_cannot_be_met():
    """A bid against a floor in a currency without a rate was a guess."""
    request = changed(lambda r: r["imp"][0].update(bidfloorcur="XXX"))
    assert [v.rule for v in judged(bid("1"), request=request).violations] == ["floor"]


def test_a_currency_that_was_not_asked_for_is_found():
    """The response's currency must be among the request's; without a list, USD alone is."""
    assert [v.rule for v in judged(bid("1"), cur="GBP").violations] == ["currency"]
    request = changed(lambda r: r.pop("cur"))
    assert [v.rule for v in judged(bid("1"), request=request, cur="EUR").violations] == ["currency"]


def test_seats_are_held_against_both_lists():
    """A blocked seat, and one missing from a list of those allowed."""
    assert [v.rule for v in judged(bid("1"), seat="seat-9").violations] == ["seat"]
    request = changed(lambda r: r.update(wseat=["seat-2"]))
    assert [v.rule for v in judged(bid("1"), request=request).violations] == ["seat"]


def test_a_deal_is_for_its_seats():
    """A deal with wseat is open to those seats alone."""
    assert [v.rule for v in judged(bid("4"), seat="seat-2").violations] == ["deal"]


def test_another_auctions_id_is_found():
    """The answer must echo the request's id."""
    assert [v.rule for v in judged(bid("1"), id="auction-2").violations] == ["id"]


def test_two_bids_of_one_id_are_found():
    """Bid ids are unique in an answer."""
    assert [v.rule for v in judged(bid("1"), bid("2")).violations] == ["bid id"]


def test_categories_of_another_taxonomy_are_not_compared():
    """IAB26 of another taxonomy than the request's says nothing."""
    assert judged(bid("1", cat=["IAB26"], cattax=7)).violations == ()


def test_only_allowed_categories_pass():
    """With acat, every category must be among those allowed."""
    request = changed(lambda r: (r.pop("bcat"), r.update(acat=["IAB1"])))
    assert [v.rule for v in judged(bid("1"), request=request).violations] == ["category"]


def test_the_envelope_of_native_1_0_is_kept():
    """Asked for inside {"native": …}, the answer stands in it too."""
    request = changed(lambda r: r["imp"][2]["native"].update(request=json.dumps({"native": ASKED})))
    assert [v.rule for v in judged(bid("3"), request=request).violations] == ["adm"]
    wrapped = bid("3", adm=json.dumps({"native": NATIVE}))
    assert judged(wrapped, request=request).violations == ()


def test_prices_are_seen_in_dollars():
    """What the report adds up is the price in USD, with the format and whether it is a deal's."""
    (seen,) = judged(bid("4", price=4.0), cur="EUR").bids
    assert (seen.format, seen.price_usd, seen.deal) == ("banner", 5.0, True)


def verdict_of(kind: Kind, expected: str, status: int, body: bytes = b"", headers: dict[str, str] = JSON) -> Verdict:
    case = BidRequestCase("auction-1", b"", kind, REQUEST, frozenset(expected.split()), "a defect")
    return JUDGE.verdict(case, status, headers, body)


NO_BIDS = {"204": (204, b""), "empty object": (200, b"{}"), "no seatbid": (200, b'{"id":"auction-1","nbr":2}'),
           "empty seatbid": (200, b'{"id":"auction-1","seatbid":[]}')}  # fmt: skip


@pytest.mark.parametrize(("status", "body"), NO_BIDS.values(), ids=NO_BIDS.keys())
def test_all_forms_of_a_no_bid_are_one(status: int, body: bytes):
    """204, {}, no seatbid and an empty one are no-bids (implementation guide, 7.1)."""
    verdict = verdict_of(Kind.VALID, "bid no-bid", status, body)
    assert (verdict.outcome, verdict.violations) == ("no-bid", ())


ANSWERS = {
    "a valid request refused": (Kind.VALID, "bid no-bid", 400, b"", "outcome"),
    "a malformed one answered with a no-bid": (Kind.MALFORMED, "refused", 204, b"", "outcome"),
    "an unreadable restriction bid on": (Kind.MALFORMED, "refused no-bid", 200,
        json.dumps({"id": "auction-1", "seatbid": [{"seat": "s", "bid": [bid("1")]}]}).encode(), "outcome"),
    "an internal error": (Kind.VALID, "bid no-bid", 500, b"", "status"),
    "204 with a body": (Kind.VALID, "bid no-bid", 204, b"{}", "body"),
    "a body that is no JSON": (Kind.VALID, "bid no-bid", 200, b"<html>", "schema"),
    "a price in words": (Kind.VALID, "bid no-bid", 200,
        b'{"id":"auction-1","seatbid":[{"bid":[{"id":"1","impid":"1","price":"1"}]}]}', "schema"),
    "a field that no OpenRTB has": (Kind.VALID, "bid no-bid", 200, b'{"id":"auction-1","seatbids":[]}', "schema"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "expected", "status", "body", "rule"), ANSWERS.values(), ids=ANSWERS.keys())
def test_a_wrong_answer_is_found(kind: Kind, expected: str, status: int, body: bytes, rule: str):
    """What came back is held against what was expected for that kind of request."""
    assert [v.rule for v in verdict_of(kind, expected, status, body).violations] == [rule]


def test_an_answer_says_its_type_and_length():
    """A 200 without application/json or without Content-Length is found."""
    violations = verdict_of(Kind.VALID, "bid no-bid", 200, b"{}", {"content-type": "text/html"}).violations
    assert [v.rule for v in violations] == ["header", "header"]


def test_a_malformed_request_refused_is_right():
    """400 for what is no request is no violation."""
    assert verdict_of(Kind.MALFORMED, "refused", 400).violations == ()


def test_rates_come_from_a_file_of_units_by_base(tmp_path: Path):
    """The file says how many units one unit of the base buys; what counts is what a unit is worth in dollars."""
    path = tmp_path / "rates.json"
    path.write_text('{"date": "2025-01-01", "base": "EUR", "rates": {"USD": 1.25, "JPY": 250}}')
    assert Rates.load(path).dollars == {"EUR": 1.25, "USD": 1.0, "JPY": 0.005}
