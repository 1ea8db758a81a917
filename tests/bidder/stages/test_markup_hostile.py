"""Ids of a request cannot break out of URL, HTML, script, XML or JSON."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.domain import (
    Auction,
    Bid,
    Campaign,
    Candidate,
    Creative,
    CreativeSpec,
    Exchange,
    Format,
    Goal,
    GoalKind,
    MediaFile,
    NativeAsset,
    NativeOffer,
    Slot,
    Targeting,
)
from bidder.stages.encode import Encoder

HOSTILE = [
    "\"'><script>alert(1)</script>",
    "]]><Evil/><![CDATA[",
    "line\r\nbreak\t\x00\x01\x02\x03",
    "</script></body></VAST>",
    "100% &amp; & ; # ? = +",
    "${AUCTION_PRICE}${CLICK_URL}[ERRORCODE]",
    "emoji 🎯 ünï",
    '\\"}],"price":99,"x":"',
    "&auction=other&bid=other&to=https://evil.example",
    "//evil.example/../..",
    "%%WINNING_PRICE%%%24%7BAUCTION_PRICE%7D",
    "-->`&#34;&quot;\u2028\u2029\u202e\x7f",
    "\"'<]]>${" * 1300,
]
EXCHANGE = Exchange("demo")
LANDING = "https://shop.example/landing?a=1&b=2"
BANNER = Creative(
    "cr-1",
    CreativeSpec(Format.BANNER, 300, 250),
    LANDING,
    html='<script>var clickTag = "${CLICK_URL}";</script><a href="${CLICK_URL}">Buy</a>',
)
VIDEO = Creative(
    "cr-2",
    CreativeSpec(Format.VIDEO, 640, 360, duration_s=30, protocols=frozenset({13})),
    LANDING,
    media=(MediaFile("https://cdn.example/ad.mp4", "video/mp4", 640, 360, 1200),),
)
NATIVE = Creative("cr-3", CreativeSpec(Format.NATIVE), LANDING, title="A title")
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
    creatives=(BANNER, VIDEO, NATIVE),
)
ENCODER = Encoder("https://bid.example")


def encoded(creative: Creative, auction_id: str, slot_id: str) -> dict[str, Any]:
    slot = Slot(slot_id, native=NativeOffer((NativeAsset(1, True, "title"),)))
    bid = Bid(Candidate(slot, CAMPAIGN, creative, None), 1_000_000, "USD", 0.1)
    answer = json.loads(ENCODER.encode(Auction(auction_id, [slot]), [bid], EXCHANGE))
    assert answer["id"] == auction_id
    [only] = answer["seatbid"][0]["bid"]
    assert isinstance(only, dict)
    assert (only["impid"], only["price"]) == (slot_id, 1.0)
    return only


def check_url(url: str, auction_id: str, slot_id: str) -> None:
    """The URL is ours, holds both ids and each parameter once."""
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "bid.example", "")
    parameters = parse_qs(parts.query, keep_blank_values=True)
    assert (parameters["auction"], parameters["imp"]) == ([auction_id[:128]], [slot_id[:128]])
    assert all(len(values) == 1 for values in parameters.values())
    assert "to" not in parameters  # the server knows the landing page: a target here would be an open redirect


class Page(HTMLParser):
    """The URLs and the elements of a page."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.urls: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.urls += [text or "" for name, text in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        if data.startswith("var clickTag"):
            self.urls.append(data.split('"')[1])
            assert data == f'var clickTag = "{self.urls[-1]}";'


def check_all(auction_id: str, slot_id: str) -> None:
    only = encoded(BANNER, auction_id, slot_id)
    page = Page(only["adm"])
    assert page.elements == ["script", "a", "img"]
    for url in [*page.urls, only["nurl"], only["burl"], only["lurl"]]:
        check_url(url, auction_id, slot_id)

    root = ET.fromstring(encoded(VIDEO, auction_id, slot_id)["adm"])
    assert {each.tag.partition("}")[2] for each in root.iter()} == {
        *("VAST", "Ad", "InLine", "AdSystem", "AdServingId", "Error", "Impression", "AdTitle", "Creatives", "Creative"),
        *("Linear", "TrackingEvents", "Tracking", "Duration", "MediaFiles", "MediaFile", "VideoClicks"),
        *("ClickTracking", "ClickThrough", "UniversalAdId"),
    }
    for each in root.iter():
        if (each.text or "").startswith("https://bid.example"):
            check_url(each.text or "", auction_id, slot_id)

    native = json.loads(encoded(NATIVE, auction_id, slot_id)["adm"])
    assert set(native) == {"ver", "assets", "link", "imptrackers"}
    for url in native["imptrackers"] + native["link"]["clicktrackers"]:
        check_url(url, auction_id, slot_id)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_ids_stay_values(hostile: str) -> None:
    """An id with the syntax of any of the formats comes out as a value and nothing else."""
    check_all(hostile, hostile[::-1])


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=50)
def test_any_ids_stay_values(auction_id: str, slot_id: str) -> None:
    """Whatever Unicode text the ids are."""
    check_all(auction_id, slot_id)


@pytest.mark.parametrize("creative", [BANNER, VIDEO, NATIVE], ids=["banner", "video", "native"])
def test_macros_in_ids_reach_no_exchange(creative: Creative) -> None:
    """An exchange that fills in the price finds its macro only where we put it."""
    only = encoded(creative, "${AUCTION_PRICE}", "${AUCTION_PRICE}")
    assert "${AUCTION_PRICE}" not in only["adm"]
    assert [only[name].count("${AUCTION_PRICE}") for name in ("nurl", "burl", "lurl")] == [1, 1, 1]


@pytest.mark.parametrize("creative", [BANNER, VIDEO, NATIVE], ids=["banner", "video", "native"])
@pytest.mark.parametrize("macro", ["${AUCTION_PRICE}", "${AUCTION_PRICE:B64}", "%%WINNING_PRICE%%"])
def test_an_exchanges_own_macro_is_found_once(creative: Creative, macro: str) -> None:
    """The price macro stands verbatim in the impression tracker and the notices, and an id cannot add another."""
    slot = Slot(macro, native=NativeOffer((NativeAsset(1, True, "title"),)))
    bid = Bid(Candidate(slot, CAMPAIGN, creative, None), 1_000_000, "USD", 0.1, id=macro)
    exchange = Exchange("demo", price_macro=macro, price_in_adm=True)
    [seat] = json.loads(ENCODER.encode(Auction(macro, [slot]), [bid], exchange))["seatbid"]
    assert [seat["bid"][0][name].count(macro) for name in ("adm", "nurl", "burl", "lurl")] == [1, 1, 1, 1]


@pytest.mark.parametrize("creative", [BANNER, VIDEO, NATIVE], ids=["banner", "video", "native"])
def test_long_ids_do_not_swell_the_answer(creative: Creative) -> None:
    """An id of 10 KB is given back where it must be, but not in every URL."""
    long = "🎯" * 2500
    check_all(long, long)
    only = encoded(creative, long, "1")
    assert len(only["adm"]) + len(only["nurl"]) < 40_000
