"""A correct catalog becomes campaigns of the domain: exactly, completely, best first."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.catalog.reader import read_catalog
from bidder.domain import (
    Circle,
    CreativeSpec,
    Format,
    Goal,
    GoalKind,
    MediaFile,
    NativeImage,
    NativeText,
    Rates,
    Targeting,
)
from bidder.report import Problems

Json = dict[str, Any]
Document = Callable[..., bytes]


def test_a_campaign_says_who_bids_for_what_and_when(campaign: Json, document: Document) -> None:
    """The plain fields arrive as they are written, times as Unix seconds."""
    campaign |= {
        "currency": "EUR",
        "categories": ["IAB8", "IAB8-6"],
        "category_taxonomy": 7,
        "bundle": "com.example.coffee",
        "flight": {"start": "2025-01-01T01:00:00+01:00", "end": "2025-01-02T00:00:00Z"},
        "daily_frequency_cap": 3,
    }
    campaign["advertiser"]["domains"] = ["Coffee.Example", "beans.example"]
    version, [read] = read_catalog(document(campaign, version="2025-11"))
    assert version == "2025-11"
    assert (read.id, read.advertiser_id, read.seat) == ("k-1", "coffee", "seat-1")
    assert read.domains == ("coffee.example", "beans.example")
    assert read.goal == Goal(GoalKind.CPM, 2_500_000)
    assert (read.max_cpm_micros, read.currency, read.prior) == (8_000_000, "EUR", 0.5)
    assert (read.categories, read.category_taxonomy, read.bundle) == (("IAB8", "IAB8-6"), 7, "com.example.coffee")
    assert (read.start_s, read.end_s) == (1_735_689_600, 1_735_776_000)
    assert read.daily_frequency_cap == 3
    assert read.feature_hash == zlib.crc32(b"k-1") & 0xFFFFFF


def test_what_is_left_out_means_no_limit(campaign: Json, document: Document) -> None:
    """Without targeting, flight and cap, a campaign bids anywhere, at any time."""
    _, [read] = read_catalog(document(campaign))
    assert read.targeting == Targeting()
    assert (read.start_s, read.end_s, read.daily_frequency_cap, read.currency) == (0, 0, 0, "USD")


def test_every_dimension_of_targeting_is_read(campaign: Json, document: Document) -> None:
    """Names become the specification's numbers, text becomes lower case, ids and regions stay as they are."""
    campaign["targeting"] = {
        "geo": {
            "countries": {"include": ["USA"], "exclude": ["CAN"]},
            "regions": ["USA/CA"],
            "metros": ["807"],
            "cities": ["San Jose"],
            "zips": ["SW1A"],
            "circles": [{"lat": 37.3, "lon": -121.9, "km": 20}],
        },
        "device": {
            "types": ["phone", "ctv", 5],
            "os": ["iOS"],
            "os_min_versions": {"iOS": "15.2", "android": "10"},
            "connections": ["wifi", "5g"],
            "carriers": ["Verizon"],
            "languages": ["EN"],
        },
        "inventory": {
            "exchanges": ["Generic"],
            "channels": ["app"],
            "sites": {"include": ["News.example", "Site-ID"], "exclude": ["x.example"]},
            "apps": {"include": ["App1"], "exclude": ["App2"]},
            "bundles": {"include": ["com.Example.A"], "exclude": ["b"]},
            "publishers": {"include": ["Pub1"], "exclude": ["Pub2"]},
            "categories": {"include": ["IAB1"], "exclude": ["IAB25"]},
            "positions": ["above_the_fold", 7],
        },
        "audience": {"segments": {"include": ["Travel"], "exclude": ["bots"]}},
        "dayparts": [{"days": ["mon", "sun"], "from": 22, "to": 24}],
        "deals": ["Deal-1"],
        "attributes": {"required": ["secure"], "blocked": ["rewarded"]},
    }
    _, [read] = read_catalog(document(campaign))
    assert read.targeting == Targeting(
        exchanges=frozenset({"generic"}),
        channels=frozenset({"app"}),
        countries=frozenset({"USA"}),
        excluded_countries=frozenset({"CAN"}),
        regions=frozenset({"USA/CA"}),
        metros=frozenset({"807"}),
        cities=frozenset({"san jose"}),
        zips=frozenset({"sw1a"}),
        circles=(Circle(37.3, -121.9, 20),),
        device_types=frozenset({3, 4, 5}),
        operating_systems=frozenset({"ios"}),
        os_min_versions=(("android", "10"), ("ios", "15.2")),
        connection_types=frozenset({2, 7}),
        carriers=frozenset({"verizon"}),
        languages=frozenset({"en"}),
        positions=frozenset({1, 7}),
        sites=frozenset({"news.example", "Site-ID"}),
        excluded_sites=frozenset({"x.example"}),
        apps=frozenset({"App1"}),
        excluded_apps=frozenset({"App2"}),
        bundles=frozenset({"com.Example.A"}),
        excluded_bundles=frozenset({"b"}),
        publishers=frozenset({"Pub1"}),
        excluded_publishers=frozenset({"Pub2"}),
        categories=frozenset({"IAB1"}),
        excluded_categories=frozenset({"IAB25"}),
        segments=frozenset({"Travel"}),
        excluded_segments=frozenset({"bots"}),
        hours=frozenset({22, 23, 166, 167}),
        deals=frozenset({"Deal-1"}),
        required_attributes=frozenset({"secure"}),
        blocked_attributes=frozenset({"rewarded"}),
    )


def test_a_plain_list_is_short_for_include(campaign: Json, document: Document) -> None:
    """["travel"] and {"include": ["travel"]} are the same."""
    campaign["targeting"] = {"audience": {"segments": ["travel"]}, "geo": {"countries": ["USA"]}}
    _, [read] = read_catalog(document(campaign))
    assert read.targeting == Targeting(segments=frozenset({"travel"}), countries=frozenset({"USA"}))


def test_a_banner_is_read(campaign: Json, document: Document) -> None:
    """A banner has its size, its markup and what it needs."""
    campaign["creatives"][0] |= {
        "apis": ["mraid2", "omid1"],
        "attributes": [13],
        "type": "javascript",
        "language": "en",
        "preview_url": "https://cdn.coffee.example/p.png",
        "impression_trackers": ["https://count.coffee.example/i"],
    }
    read = read_catalog(document(campaign))[1][0].creatives[0]
    assert read.spec == CreativeSpec(
        Format.BANNER,
        300,
        250,
        mimes=frozenset({"text/html"}),
        apis=frozenset({5, 7}),
        attributes=frozenset({13}),
        banner_type=3,
        language="en",
    )
    assert read.html == '<a href="${CLICK_URL}">Coffee</a>'
    assert read.landing_url == "https://coffee.example/"
    assert read.preview_url == "https://cdn.coffee.example/p.png"
    assert read.impression_trackers == ("https://count.coffee.example/i",)
    assert read.feature_hash == zlib.crc32(b"k-1-b") & 0xFFFFFF


def test_a_video_is_read(campaign: Json, document: Document) -> None:
    """A video's size is that of its first file, where none is given."""
    campaign["creatives"][1] |= {"skippable": True, "skip_after_s": 5, "linearity": "overlay"}
    read = read_catalog(document(campaign))[1][0].creatives[1]
    assert read.spec == CreativeSpec(
        Format.VIDEO,
        640,
        360,
        protocols=frozenset({3, 7}),
        duration_s=30,
        linearity=2,
        skippable=True,
        files=(("video/mp4", 2, 800), ("video/mp4", 2, 2000)),
    )
    assert read.media[1] == MediaFile("https://cdn.coffee.example/b.mp4", "video/mp4", 1280, 720, 2000)
    assert read.skip_after_s == 5


def test_an_audio_is_read(campaign: Json, document: Document) -> None:
    """An audio spot has no size."""
    campaign["creatives"][2]["media"][0]["delivery"] = "streaming"
    read = read_catalog(document(campaign))[1][0].creatives[2]
    assert read.spec == CreativeSpec(
        Format.AUDIO,
        protocols=frozenset({9}),
        duration_s=15,
        files=(("audio/mpeg", 1, 128),),
    )
    assert read.media == (MediaFile("https://cdn.coffee.example/a.mp3", "audio/mpeg", 0, 0, 128, 1),)


def test_a_native_ad_is_read(campaign: Json, document: Document) -> None:
    """Texts are by data type number, the call to action among them, and the spec knows their lengths."""
    read = read_catalog(document(campaign))[1][0].creatives[3]
    assert read.spec == CreativeSpec(
        Format.NATIVE,
        title_length=12,
        texts=((1, 9), (2, 17), (12, 5)),
        images=((3, 1200, 627, "image/jpeg"),),
    )
    assert read.title == "Fresh coffee"
    assert read.texts == (NativeText(1, "Coffee Co"), NativeText(2, "Roasted on Monday"), NativeText(12, "Order"))
    assert read.images == (NativeImage(3, "https://cdn.coffee.example/m.jpg", 1200, 627),)
    assert read.call_to_action == "Order"


@pytest.mark.parametrize(
    ("change", "secure"),
    [
        ({}, True),
        ({"landing_url": "http://coffee.example/"}, False),
        ({"landing_url": "http://coffee.example/", "secure": True}, True),
        ({"secure": False}, False),
        ({"html": '<img src="http://cdn.example/a.png">'}, False),
        ({"preview_url": "http://cdn.example/a.png"}, False),
    ],
)
def test_secure_follows_from_the_urls_unless_said(
    campaign: Json, document: Document, change: Json, secure: bool
) -> None:
    """All URLs by HTTPS make a secure creative; the author may overrule this where no asset contradicts."""
    campaign["creatives"][0] |= change
    assert read_catalog(document(campaign))[1][0].creatives[0].spec.secure is secure


@pytest.mark.parametrize(
    ("written", "micros"),
    [
        ("0.1", 100_000),
        ("8.1", 8_100_000),
        ("1.005", 1_005_000),
        ('"2.675"', 2_675_000),
        ("0.000001", 1),
        ("1e-6", 1),
        ("3", 3_000_000),
        ('"1000000"', 10**12),
        ("999999.999999", 999_999_999_999),
    ],
)
def test_money_is_exact(campaign: Json, document: Document, written: str, micros: int) -> None:
    """Decimal numbers and decimal text become micro-units without a rounding error."""
    data = document(campaign | {"max_cpm": 0}).replace(b'"max_cpm": 0', b'"max_cpm": ' + written.encode())
    assert read_catalog(data)[1][0].max_cpm_micros == micros


@given(st.integers(1, 10**12))
def test_every_amount_of_micros_survives_being_written_as_a_decimal(micros: int) -> None:
    """Any amount up to the limit, written with six decimals, as number or as text, is read as the same micros."""
    from bidder.catalog.document import Goal as GoalPart

    decimal = f"{micros // 10**6}.{micros % 10**6:06d}"
    for written in (decimal, f'"{decimal}"'):
        assert GoalPart.model_validate_json(f'{{"kind": "cpc", "amount": {written}}}').amount == micros
    assert Fraction(decimal) * 10**6 == micros


def test_campaigns_come_best_first_and_equal_ones_by_id(
    numbered: Callable[[int], list[Json]], document: Document
) -> None:
    """The order is that of the expected value; it does not depend on the order in the document."""
    campaigns = numbered(5)
    campaigns[3]["prior"] = 0.9
    campaigns[1] |= {"goal": {"kind": "cpc", "amount": 3}, "prior": 0.001}  # 3.00 a thousand
    _, read = read_catalog(document(*campaigns))
    _, turned = read_catalog(document(*reversed(campaigns)))
    assert [campaign.id for campaign in read] == ["k-1", "k-3", "k-0", "k-2", "k-4"]
    assert read == turned


def test_values_in_different_currencies_are_compared_in_one(
    numbered: Callable[[int], list[Json]], document: Document
) -> None:
    """With rates, 100 yen come after 2 dollars, and a currency without a rate comes last."""
    campaigns = numbered(3)
    campaigns[0] |= {"currency": "JPY", "goal": {"kind": "cpm", "amount": 100}, "max_cpm": 1000}
    campaigns[1] |= {"currency": "XAU"}
    campaigns[2] |= {"currency": "USD", "goal": {"kind": "cpm", "amount": 2}}
    rates = Rates("2025-01-02", "USD", {"JPY": 150.0})
    assert [campaign.id for campaign in read_catalog(document(*campaigns), rates)[1]] == ["k-2", "k-0", "k-1"]
    assert [campaign.id for campaign in read_catalog(document(*campaigns))[1]] == ["k-0", "k-1", "k-2"]


def test_a_catalog_without_campaigns_is_a_catalog(document: Document) -> None:
    """An operator may pause everything."""
    assert read_catalog(document()) == ("v1", [])


def test_text_beyond_ascii_and_a_byte_order_mark_are_read(campaign: Json, document: Document) -> None:
    """A document written by hand in any language, with a mark in front, is read."""
    campaign["creatives"][3]["title"] = "新しい料金プラン"
    data = b"\xef\xbb\xbf" + document(campaign).decode("unicode_escape").encode()
    data = data.replace(b'<a href="${CLICK_URL}">', b"<a>")
    assert read_catalog(data)[1][0].creatives[3].title == "新しい料金プラン"


def test_problems_below_the_limit_are_all_shown() -> None:
    """Twenty problems are twenty lines, without a count of none."""
    problems = Problems()
    for number in range(20):
        problems.add(f"x[{number}]", "is wrong")
    assert str(problems).splitlines()[-1] == "x[19]: is wrong"
