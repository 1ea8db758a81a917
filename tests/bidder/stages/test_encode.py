"""The bid response: every field, grouping by seat, prices, notices, no-bids."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
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
    NoBidReason,
    Slot,
    Targeting,
)
from bidder.stages.encode import Encoder, price, response_id
from openrtb_schemas import RESPONSE

NOTICES = "https://bid.example"
EXCHANGE = Exchange("demo")
BANNER = Creative(
    "cr-banner",
    CreativeSpec(Format.BANNER, 300, 250, attributes=frozenset({3, 1}), apis=frozenset({7, 5}), language="en"),
    "https://shop.example/landing",
    html='<a href="${CLICK_URL}">Buy</a>',
    preview_url="https://cdn.example/preview.png",
)
VIDEO = Creative(
    "cr-video",
    CreativeSpec(Format.VIDEO, 640, 360, duration_s=30, protocols=frozenset({2, 3, 7})),
    "https://shop.example/landing",
    media=(MediaFile("https://cdn.example/ad.mp4", "video/mp4", 640, 360, 1200),),
)
AUDIO = Creative(
    "cr-audio",
    CreativeSpec(Format.AUDIO, duration_s=15),
    "https://shop.example/landing",
    media=(MediaFile("https://cdn.example/ad.mp3", "audio/mpeg", 0, 0, 128),),
)
NATIVE = Creative("cr-native", CreativeSpec(Format.NATIVE), "https://shop.example/landing", title="A title")
SLOT = Slot(
    "imp-1",
    banner=BannerOffer(((300, 250),)),
    video=MediaOffer(protocols=frozenset({2, 3})),
    audio=MediaOffer(),
    native=NativeOffer((NativeAsset(1, True, "title"),)),
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
    creatives=(BANNER, VIDEO, AUDIO, NATIVE),
    categories=("IAB3", "IAB3-1"),
    category_taxonomy=7,
    bundle="com.shop.app",
)


def auction(channel: str = "site", **changes: Any) -> Auction:
    return Auction(**{"id": "auction-1", "slots": [SLOT], "channel": channel} | changes)


def bid(creative: Creative = BANNER, slot: Slot = SLOT, campaign: Campaign = CAMPAIGN, **changes: Any) -> Bid:
    candidate = Candidate(slot, campaign, creative, changes.pop("deal", None))
    return Bid(**{"candidate": candidate, "price_micros": 1_234_567, "currency": "USD", "score": 0.1} | changes)


def response(*bids: Bid, to: Auction | None = None, exchange: Exchange = EXCHANGE, notices: str = "") -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(Encoder(notices).encode(to or auction(), bids, exchange))
    return answer


def only_bid(bid: Bid, **options: Any) -> dict[str, Any]:
    [seat] = response(bid, **options)["seatbid"]
    [only] = seat["bid"]
    assert isinstance(only, dict)
    return only


# -- fields ----------------------------------------------------------------------------------------------------------


def test_response_fields() -> None:
    """The response names the auction, itself and the currency of its bids."""
    answer = response(bid(currency="EUR"))
    assert {name: answer[name] for name in ("id", "bidid", "cur")} == {
        "id": "auction-1",
        "bidid": response_id("auction-1"),
        "cur": "EUR",
    }


def test_all_fields_of_a_banner_bid() -> None:
    """A bid says all that campaign, creative and deal say, and nothing else."""
    encoded = only_bid(bid(deal=Deal("deal-1")))
    encoded.pop("adm")
    assert encoded == {
        "id": f"{response_id('auction-1')}-0",
        "impid": "imp-1",
        "price": 1.234567,
        "adid": "cr-banner",
        "crid": "cr-banner",
        "cid": "camp-1",
        "adomain": ["shop.example"],
        "bundle": "com.shop.app",
        "cat": ["IAB3", "IAB3-1"],
        "cattax": 7,
        "attr": [1, 3],
        "apis": [5, 7],
        "iurl": "https://cdn.example/preview.png",
        "language": "en",
        "mtype": 1,
        "w": 300,
        "h": 250,
        "dealid": "deal-1",
        "exp": 60,
    }


def test_empty_fields_are_left_out() -> None:
    """A creative and a campaign that say the least make a bid of the least fields."""
    creative = Creative("c", CreativeSpec(Format.NATIVE), "https://shop.example")
    campaign = replace(CAMPAIGN, domains=(), categories=(), bundle="", creatives=(creative,))
    encoded = only_bid(bid(creative, campaign=campaign), to=auction(channel="dooh"))
    assert set(encoded) == {"id", "impid", "price", "adid", "crid", "cid", "mtype", "adm"}


@pytest.mark.parametrize(
    ("creative", "expected"),
    [
        (BANNER, {"mtype": 1, "w": 300, "h": 250}),
        (VIDEO, {"mtype": 2, "w": 640, "h": 360, "dur": 30, "protocol": 3}),
        (AUDIO, {"mtype": 3, "dur": 15, "protocol": 11}),
        (NATIVE, {"mtype": 4}),
    ],
    ids=["banner", "video", "audio", "native"],
)
def test_what_depends_on_the_format(creative: Creative, expected: dict[str, int]) -> None:
    """Markup type, size, duration and protocol are said where the format has them."""
    encoded = only_bid(bid(creative))
    assert {name: encoded[name] for name in ("mtype", "w", "h", "dur", "protocol") if name in encoded} == expected


def test_api_of_version_2_5() -> None:
    """OpenRTB 2.5 knows a single `api` and no `apis`."""
    encoded = only_bid(bid(), exchange=Exchange("old", version="2.5"))
    assert encoded["api"] == 5
    assert "apis" not in encoded


@pytest.mark.parametrize(
    ("channel", "creative", "slot", "expected"),
    [
        ("site", BANNER, SLOT, 60),
        ("app", BANNER, SLOT, 300),
        ("app", NATIVE, SLOT, 600),
        ("app", BANNER, changed(SLOT, interstitial=True), 1800),
        ("app", VIDEO, changed(SLOT, rewarded=True), 1800),
        ("app", BANNER, changed(SLOT, expiry_s=120), 120),
        ("site", BANNER, changed(SLOT, expiry_s=3600), 60),
        ("dooh", BANNER, changed(SLOT, expiry_s=3600), 3600),
        ("dooh", BANNER, SLOT, None),
    ],
)
def test_expiry(channel: str, creative: Creative, slot: Slot, expected: int | None) -> None:
    """Expiry is what is usual for the place, the slot's own where that is shorter or nothing is usual."""
    assert only_bid(bid(creative, slot), to=auction(channel)).get("exp") == expected


# -- several bids ----------------------------------------------------------------------------------------------------


def test_bids_are_grouped_by_seat() -> None:
    """Bids of one seat stand together, in the order in which seats first appear."""
    other = replace(CAMPAIGN, id="camp-2", seat="seat-2")
    answer = response(bid(), bid(campaign=other), bid(VIDEO))
    assert [(each["seat"], [b["cid"] for b in each["bid"]]) for each in answer["seatbid"]] == [
        ("seat-1", ["camp-1", "camp-1"]),
        ("seat-2", ["camp-2"]),
    ]


def test_seats_are_named_as_the_exchange_names_them() -> None:
    """Two of our seats that are one at the exchange are one in the response."""
    exchange = Exchange("demo", seats={"seat-1": "their-7", "seat-2": "their-7"})
    [seat] = response(bid(), bid(campaign=replace(CAMPAIGN, seat="seat-2")), exchange=exchange)["seatbid"]
    assert (seat["seat"], len(seat["bid"])) == ("their-7", 2)


def test_no_seat() -> None:
    """A campaign without a seat leaves `seat` out."""
    [seat] = response(bid(campaign=replace(CAMPAIGN, seat="")))["seatbid"]
    assert set(seat) == {"bid"}


def test_bid_ids() -> None:
    """A bid keeps its id; those without get different ones, the same each time, others in other auctions."""
    first, second, third = (b["id"] for b in response(bid(), bid(id="mine"), bid())["seatbid"][0]["bid"])
    assert second == "mine"
    assert first != third
    assert only_bid(bid())["id"] == first
    assert only_bid(bid(), to=auction(id="auction-2"))["id"] != first


def test_two_exchanges_share_nothing() -> None:
    """One encoder answers each exchange with its own price macro, also when a reload changes it."""
    encoder = Encoder(NOTICES)
    for macro in ("${AUCTION_PRICE}", "%%PRICE%%"):
        answer = json.loads(encoder.encode(auction(), [bid()], Exchange("demo", price_macro=macro)))
        assert f"&price={macro}&" in answer["seatbid"][0]["bid"][0]["nurl"]


def test_two_currencies_are_refused() -> None:
    """A response has one currency, so a bid in another is an error and not a wrong price."""
    with pytest.raises(ValueError, match="one currency, got USD and EUR"):
        Encoder().encode(auction(), [bid(), bid(currency="EUR")], EXCHANGE)


def test_no_bids_are_refused() -> None:
    """An empty list is not encoded as a bid response."""
    with pytest.raises(ValueError, match="at least one bid"):
        Encoder().encode(auction(), [], EXCHANGE)


# -- price -----------------------------------------------------------------------------------------------------------


def price_text(micros: int) -> str:
    answer = Encoder().encode(auction(), [bid(price_micros=micros)], EXCHANGE).decode()
    return answer.split('"price":')[1].split(",")[0]


@given(st.integers(min_value=1, max_value=10**18))
def test_price_is_exact(micros: int) -> None:
    """Any price is written as a plain decimal number that is exact to the micro-unit."""
    text = price_text(micros)
    assert Decimal(text) * 1_000_000 == micros
    assert set(text) <= set("0123456789.")


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        *[(1, "0.000001"), (10, "0.000010"), (999_999, "0.999999"), (1_234_567, "1.234567"), (25_000_000, "25.000000")],
        *[(2**52 - 1, "4503599627.370495"), (2**52, "4503599627.370496"), (2**60 + 1, "1152921504606.846977")],
    ],
)
def test_price_digits(micros: int, text: str) -> None:
    """Small prices have no exponent."""
    assert price_text(micros) == text


@pytest.mark.parametrize("micros", [0, -1])
def test_price_must_be_above_zero(micros: int) -> None:
    """A price that is not above zero is an error."""
    with pytest.raises(ValueError, match="above 0"):
        price(micros)


# -- notices ---------------------------------------------------------------------------------------------------------


def query(url: str) -> dict[str, str]:
    return {name: one for name, [one] in parse_qs(urlsplit(url).query, keep_blank_values=True).items()}


@pytest.mark.parametrize(
    ("field", "path", "macros"),
    [
        (
            "nurl",
            "/notice/win",
            {
                "price": "${AUCTION_PRICE}",
                "cur": "${AUCTION_CURRENCY}",
                "seat": "${AUCTION_SEAT_ID}",
                "mbr": "${AUCTION_MBR}",
                "min": "${AUCTION_MIN_TO_WIN}",
            },
        ),
        ("burl", "/notice/billing", {"price": "${AUCTION_PRICE}", "cur": "${AUCTION_CURRENCY}"}),
        (
            "lurl",
            "/notice/loss",
            {
                "loss": "${AUCTION_LOSS}",
                "price": "${AUCTION_PRICE}",
                "cur": "${AUCTION_CURRENCY}",
                "min": "${AUCTION_MIN_TO_WIN}",
            },
        ),
    ],
)
def test_notice_urls(field: str, path: str, macros: dict[str, str]) -> None:
    """A notice names the bid by values, and leaves to the exchange what it alone knows."""
    encoded = only_bid(bid(), notices=NOTICES + "/")
    url = encoded[field]
    assert url.startswith(f"{NOTICES}{path}?")
    assert (
        query(url)
        == {
            "auction": "auction-1",
            "bid": encoded["id"],
            "imp": "imp-1",
            "campaign": "camp-1",
            "creative": "cr-banner",
            "exchange": "demo",
        }
        | macros
    )


def test_dooh_billing_asks_for_the_multiplier() -> None:
    """One play on a public screen is many impressions, so its billing notice asks how many."""
    encoded = only_bid(bid(), to=auction("dooh"), notices=NOTICES)
    assert query(encoded["burl"])["multiplier"] == "${AUCTION_MULTIPLIER}"


def test_no_notice_url_no_notices() -> None:
    """Without a public URL there are no notices, and the click goes straight to the landing page."""
    encoded = only_bid(bid())
    assert not {"nurl", "burl", "lurl"} & set(encoded)
    assert encoded["adm"] == '<a href="https://shop.example/landing">Buy</a>'


def test_notice_url_must_be_http() -> None:
    """A notice URL without a scheme is refused at the start."""
    with pytest.raises(ValueError, match="must start with https://"):
        Encoder("bid.example")


# -- no-bid ----------------------------------------------------------------------------------------------------------


def test_no_bid_is_204_by_default() -> None:
    """An exchange that did not ask for a body gets none."""
    assert Encoder().no_bid("auction-1", NoBidReason.BELOW_FLOOR, EXCHANGE) is None


@pytest.mark.parametrize("reason", list(NoBidReason))
def test_no_bid_with_a_reason(reason: NoBidReason) -> None:
    """An exchange that wants a body gets the auction's id and the reason's code."""
    body = Encoder().no_bid('a"1\\', reason, Exchange("demo", no_bid_body=True))
    assert body is not None
    assert json.loads(body) == {"id": 'a"1\\', "nbr": reason.nbr}


def test_no_bid_without_an_id_has_no_body() -> None:
    """A body needs the auction's id; where none could be read there is no body."""
    assert Encoder().no_bid("", NoBidReason.INVALID_REQUEST, Exchange("demo", no_bid_body=True)) is None


# -- against the schema and the reference checker --------------------------------------------------------------------

FULL = [bid(creative, deal=Deal("deal-1")) for creative in (BANNER, VIDEO, AUDIO, NATIVE)]


def test_valid_by_the_schema() -> None:
    """A response with all four formats passes the strict response schema."""
    RESPONSE.validate_json(Encoder(NOTICES).encode(auction(), FULL, EXCHANGE))


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    path = Path(__file__).parents[4] / "shared" / "openrtb" / "check.py"
    if not path.exists():
        pytest.skip("the OpenRTB reference data is not beside the repository")
    spec = importlib.util.spec_from_file_location("openrtb_reference_check", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    write, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # the folder is not ours to write to
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = write
    return module


@pytest.mark.parametrize("version", ["2.5", "2.6"])
def test_valid_by_the_reference_checker(checker: ModuleType, version: str) -> None:
    """The reference tables find nothing wrong but the deprecated `api`, which 2.5 needs."""
    body = Encoder(NOTICES).encode(auction(), FULL, Exchange("demo", version=version))
    found = checker.violations(checker.loads(body.decode()), "BidResponse")
    assert [each for each in found if each[0] != "deprecated_used"] == []
    assert {each[1] for each in found} == ({"Bid.api"} if version == "2.5" else set())


def test_no_bid_is_valid_by_the_reference_checker(checker: ModuleType) -> None:
    """Every no-bid body is a valid response."""
    for reason in NoBidReason:
        body = Encoder().no_bid("auction-1", reason, Exchange("demo", no_bid_body=True))
        assert body is not None
        assert checker.violations(checker.loads(body.decode()), "BidResponse") == []
