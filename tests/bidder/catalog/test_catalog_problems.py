"""Every kind of mistake in a catalog, and the words in which it is reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bidder.catalog import CatalogError
from bidder.catalog.reader import read_catalog

Json = dict[str, Any]
Document = Callable[..., bytes]

AT = "campaigns[0]."
_MISSING = object()


def put(campaign: Json, path: str, value: object) -> None:
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = campaign
    for parent in parents:
        place = place.setdefault(parent, {}) if isinstance(place, dict) else place[parent]
    if value is _MISSING:
        del place[last]
    else:
        place[last] = value


# (path that is set, value, line of the report after "campaigns[0].")
PROBLEMS: list[tuple[str, object, str]] = [
    # shape
    ("seat", _MISSING, "seat: is missing"),
    ("max_cmp", 3, "max_cmp: no such field is known; did you mean 'max_cpm'?"),
    ("zzz", 3, "zzz: no such field is known; remove it"),
    ("goal", 3, "goal: 3 is not an object; write { … }"),
    ("creatives", {}, "creatives: {} is not a list; write [ … ]"),
    ("creatives", [], "creatives: is empty; at least one is needed"),
    ("creatives.0.w", "300", "creatives[0].w: '300' is not a whole number"),
    ("creatives.0.w", 1.5, "creatives[0].w: 1.5 is not a whole number"),
    ("creatives.0.secure", 1, "creatives[0].secure: 1 is neither true nor false"),
    ("seat", 7, "seat: 7 is not text in quotes"),
    ("creatives.0.format", "bannr", "creatives[0]: format 'bannr' is not known; it is one of 'banner', 'video', "),
    ("creatives.0.format", _MISSING, "creatives[0]: format is missing; it says which kind this is"),
    # who and for how much
    ("id", "a b", "id: 'a b' is not an id; 1 to 64 visible ASCII characters without spaces are"),
    ("id", "x" * 65, "id: 'xxx"),
    ("advertiser.domains", [], "advertiser.domains: is empty; at least one is needed"),
    (
        "advertiser.domains",
        ["https://coffee.example/"],
        "advertiser.domains[0]: 'https://coffee.example/' is not a host name such as 'shop.example'",
    ),
    ("goal.kind", "cpv", "goal.kind: 'cpv' is not known; one of 'cpm', 'cpc' or 'cpa' is meant"),
    ("goal.amount", -5, "goal.amount: -5 is not positive"),
    ("goal.amount", 0, "goal.amount: 0 is not positive"),
    ("goal.amount", True, "goal.amount: true is not an amount of money such as 2.50"),
    ("goal.amount", "a lot", "goal.amount: 'a lot' is not an amount of money such as 2.50"),
    ("goal.amount", "NaN", "goal.amount: 'NaN' is not a finite amount"),
    (
        "goal.amount",
        0.0000001,
        "goal.amount: 1e-07 is finer than a millionth of the currency; write at most 6 decimals",
    ),
    ("max_cpm", 0, "max_cpm: 0 is not positive"),
    ("max_cpm", 8_000_000, "max_cpm: 8000000 is above 1000000; amounts are in units of the currency"),
    ("currency", "usd", "currency: 'usd' is not an ISO 4217 currency, three capital letters such as 'USD'"),
    ("prior", 0, "prior: 0 is not positive"),
    ("prior", 1.5, "prior: 1.5 is above 1"),
    ("prior", float("nan"), "prior: nan is not a finite number"),
    ("daily_frequency_cap", -1, "daily_frequency_cap: -1 is negative"),
    (
        "flight",
        {"start": "2025-02-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"},
        "flight: end 2025-01-01T00:00:00Z is not after start 2025-02-01T00:00:00Z",
    ),
    (
        "flight.start",
        "2025-02-01T00:00:00",
        "flight.start: '2025-02-01T00:00:00' has no time zone; add one, as in 2026-01-31T00:00:00Z",
    ),
    ("flight.start", "soon", "flight.start: 'soon' is not a date-time such as 2026-01-31T00:00:00Z"),
    # targeting
    (
        "targeting.geo.countries",
        ["US"],
        "targeting.geo.countries.include[0]: 'US' is not an ISO 3166-1 alpha-3 country; write 'USA'",
    ),
    (
        "targeting.geo.countries.exclude",
        ["deu"],
        "targeting.geo.countries.exclude[0]: 'deu' is not an ISO 3166-1 alpha-3 country; write 'DEU'",
    ),
    (
        "targeting.geo.countries",
        ["UK"],
        "targeting.geo.countries.include[0]: 'UK' is not an ISO 3166-1 alpha-3 country; write three capital letters, ",
    ),
    ("targeting.geo.regions", ["CA"], "targeting.geo.regions[0]: 'CA' is not a country and a region such as 'USA/CA'"),
    (
        "targeting.geo.regions",
        ["US/CA"],
        "targeting.geo.regions[0]: 'US' is not an ISO 3166-1 alpha-3 country; write 'USA'",
    ),
    ("targeting.geo.circles", [{"lat": 95, "lon": 0, "km": 1}], "targeting.geo.circles[0].lat: 95 is above 90"),
    ("targeting.geo.circles", [{"lat": 5, "lon": -181, "km": 1}], "targeting.geo.circles[0].lon: -181 is below -180"),
    (
        "targeting.device.types",
        ["fone"],
        "targeting.device.types[0]: 'fone' is not a device type; one of mobile, pc, ctv, phone, ",
    ),
    ("targeting.device.types", [9], "targeting.device.types[0]: 9 is not a device type; one of mobile, pc, ctv, "),
    (
        "targeting.device.connections",
        ["lte"],
        "targeting.device.connections[0]: 'lte' is not a connection type; one of ",
    ),
    (
        "targeting.device.languages",
        ["eng"],
        "targeting.device.languages[0]: 'eng' is not a language of two letters such as 'en'",
    ),
    (
        "targeting.device.os_min_versions",
        {"ios": "15x"},
        "targeting.device.os_min_versions.ios: '15x' is not a version such as '14' or '14.2'",
    ),
    (
        "targeting.inventory.channels",
        ["web"],
        "targeting.inventory.channels[0]: 'web' is not known; one of 'site', 'app' or 'dooh' is meant",
    ),
    (
        "targeting.inventory.positions",
        ["top"],
        "targeting.inventory.positions[0]: 'top' is not an ad position; one of ",
    ),
    (
        "targeting.inventory.sites",
        "news.example",
        "targeting.inventory.sites: 'news.example' is not an object; write { … }",
    ),
    (
        "targeting.audience.segments.include",
        "travel",
        "targeting.audience.segments.include: 'travel' is not a list; write [ … ]",
    ),
    ("targeting.dayparts", [{"from": 8, "to": 25}], "targeting.dayparts[0].to: 25 is above 24"),
    ("targeting.dayparts", [{"from": -1, "to": 5}], "targeting.dayparts[0].from: -1 is negative"),
    (
        "targeting.dayparts",
        [{"from": 22, "to": 4}],
        "targeting.dayparts[0]: to 4 is not after from 22; for a span over midnight write two dayparts",
    ),
    ("targeting.dayparts", [{"days": ["mo"]}], "targeting.dayparts[0].days[0]: 'mo' is not a day; one of mon, tue, "),
    (
        "targeting.attributes.required",
        ["rewardd"],
        "targeting.attributes.required[0]: 'rewardd' is not a slot attribute; one of interstitial, rewarded, ",
    ),
    (
        "targeting.attributes.required",
        ["first_in_pod", "last_in_pod"],
        "targeting.attributes: first_in_pod and last_in_pod are both required, but no slot is said to be both",
    ),
    # creatives
    (
        "creatives.0.landing_url",
        "//coffee.example",
        "creatives[0].landing_url: '//coffee.example' is not an absolute http or https URL such as ",
    ),
    ("creatives.0.landing_url", "https://a b/", "creatives[0].landing_url: 'https://a b/' is not an absolute http "),
    ("creatives.0.h", -1, "creatives[0].h: -1 is not positive"),
    ("creatives.0.html", "", "creatives[0].html: is empty"),
    (
        "creatives.0.attributes",
        [99],
        "creatives[0].attributes[0]: 99 is not a creative attribute; AdCOM knows 1 to 23, ",
    ),
    ("creatives.0.apis", ["mraid"], "creatives[0].apis[0]: 'mraid' is not an API framework; one of vpaid1, "),
    ("creatives.1.media.1.bitrate_kbps", -5, "creatives[1].media[1].bitrate_kbps: -5 is not positive"),
    ("creatives.1.media", [], "creatives[1].media: is empty; at least one is needed"),
    ("creatives.1.media.0.mime", _MISSING, "creatives[1].media[0].mime: is missing"),
    (
        "creatives.1.media.0.mime",
        "audio/mpeg",
        "creatives[1].media[0].mime: 'audio/mpeg' is not a video's MIME type such as 'video/mp4'",
    ),
    (
        "creatives.2.media.0.mime",
        "video/mp4",
        "creatives[2].media[0].mime: 'video/mp4' is not an audio's MIME type such as 'audio/mpeg'",
    ),
    ("creatives.1.protocols", ["vast9"], "creatives[1].protocols[0]: 'vast9' is not a protocol; one of vast1, vast2, "),
    ("creatives.1.skip_after_s", 5, "creatives[1]: skip_after_s is 5, but skippable is not true"),
    (
        "creatives.3.texts",
        {"slogan": "x"},
        "creatives[3].texts: 'slogan' is not a native data type; one of sponsored, ",
    ),
    ("creatives.3.texts", {"desc": "x", "2": "y"}, "creatives[3].texts: '2' is given twice, by name and by number"),
    ("creatives.3.texts", {"ctatext": "x"}, "creatives[3]: cta and texts.ctatext are the same; give one of them"),
    (
        "creatives.3.images.0.type",
        "logo",
        "creatives[3].images[0].type: 'logo' is not a native image type; one of icon, main is meant",
    ),
]


@pytest.mark.parametrize(
    ("path", "value", "line"), PROBLEMS, ids=[f"{path}={value!r}"[:50] for path, value, _ in PROBLEMS]
)
def test_a_mistake_is_reported_with_its_place_its_value_and_what_would_be_right(
    campaign: Json, document: Document, path: str, value: object, line: str
) -> None:
    """One mistake makes a report of one line that names the place, the value, and what would be right."""
    put(campaign, path, value)
    with pytest.raises(CatalogError) as caught:
        read_catalog(document(campaign))
    report = str(caught.value).splitlines()
    assert len(report) == 1
    assert report[0].startswith(AT + line)


def test_skipping_after_the_end_is_reported(campaign: Json, document: Document) -> None:
    """A skip offset at or after the end of the spot is a mistake."""
    campaign["creatives"][1] |= {"skippable": True, "skip_after_s": 30}
    with pytest.raises(CatalogError, match=r"creatives\[1\]: skip_after_s 30 is not before the end at 30 s"):
        read_catalog(document(campaign))


@pytest.mark.parametrize(
    ("index", "change"),
    [
        (0, {"html": '<img src="http://cdn.coffee.example/a.png">'}),
        (0, {"impression_trackers": ["http://count.example/"]}),
        (3, {"images": [{"type": "icon", "url": "http://cdn.example/i.png", "w": 80, "h": 80}]}),
    ],
)
def test_a_creative_that_says_secure_loads_nothing_by_http(
    campaign: Json, document: Document, index: int, change: Json
) -> None:
    """`secure: true` beside an asset by plain HTTP is a contradiction, and reported."""
    campaign["creatives"][index] |= {"secure": True} | change
    with pytest.raises(CatalogError, match=r"secure is true, but 'http://.*' is not https"):
        read_catalog(document(campaign))


def test_an_id_of_two_campaigns_is_reported_with_both_places(
    numbered: Callable[[int], list[Json]], document: Document
) -> None:
    """Campaign ids are unique in a catalog."""
    campaigns = numbered(3)
    campaigns[2]["id"] = "k-0"
    with pytest.raises(CatalogError) as caught:
        read_catalog(document(*campaigns))
    assert str(caught.value) == (
        "campaigns[2].id: 'k-0' is already the id of campaigns[0]; each campaign needs its own"
    )


def test_an_id_of_two_creatives_is_reported_across_campaigns(
    numbered: Callable[[int], list[Json]], document: Document
) -> None:
    """Creative ids are unique in the whole catalog, as exchanges know creatives by nothing else."""
    campaigns = numbered(2)
    campaigns[1]["creatives"][2]["id"] = campaigns[0]["creatives"][0]["id"]
    with pytest.raises(CatalogError) as caught:
        read_catalog(document(*campaigns))
    assert str(caught.value) == (
        "campaigns[1].creatives[2].id: 'k-1-b-0' is already the id of a creative of campaigns[0];"
        " each creative needs its own"
    )


def test_several_mistakes_are_reported_at_once(numbered: Callable[[int], list[Json]], document: Document) -> None:
    """Mistakes of different campaigns, and several of one, stand in one report."""
    campaigns = numbered(2)
    campaigns[0]["prior"] = 2
    campaigns[1]["max_cpm"] = 0
    campaigns[1]["creatives"][0]["w"] = 0
    with pytest.raises(CatalogError) as caught:
        read_catalog(document(*campaigns))
    assert str(caught.value).splitlines() == [
        "campaigns[0].prior: 2 is above 1",
        "campaigns[1].max_cpm: 0 is not positive",
        "campaigns[1].creatives[0].w: 0 is not positive",
    ]


def test_the_report_shows_twenty_problems_and_counts_the_rest(
    numbered: Callable[[int], list[Json]], document: Document
) -> None:
    """A catalog that is wrong throughout makes a report of 21 lines."""
    campaigns = [made | {"prior": 0, "max_cpm": 0} for made in numbered(15)]
    with pytest.raises(CatalogError) as caught:
        read_catalog(document(*campaigns))
    report = str(caught.value).splitlines()
    assert len(report) == 21
    assert report[-1] == "… and 10 more"


def test_a_long_value_is_cut_in_the_report(campaign: Json, document: Document) -> None:
    """A value of thousands of characters does not make a line of thousands of characters."""
    campaign["seat"] = "x y" * 10_000
    with pytest.raises(CatalogError) as caught:
        read_catalog(document(campaign))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("data", "report"),
    [
        (b"", "line 1, column 1: no JSON, or cut off: expected {"),
        (b"[]", "line 1, column 1: no JSON, or cut off: expected {"),
        (b'{"version": "1", "campaigns": [', "line 1, column 32: no JSON, or cut off: Expecting value"),
        (b'{"version": "1",\n "campaigns": [{}}', "line 2, column 18: no JSON, or cut off: expected , or ]"),
        (b'{"version": "1", "campaigns": {}}', "line 1, column 31: no JSON, or cut off: expected ["),
        (
            b'{"version": "1", "campaigns": []} x',
            "line 1, column 35: no JSON, or cut off: expected the end of the document",
        ),
        (b'{"version": "1", campaigns: []}', 'line 1, column 18: no JSON, or cut off: expected a key in "quotes"'),
        (
            b'{"version": "1", "campaigns": [], "x": 1}',
            'x: no such field is known; the document has "version" and "camp',
        ),
        (b'{"version": "1", "version": "2", "campaigns": []}', "version: is given twice"),
        (b'{"version": 1, "campaigns": []}', "version: 1 is not text in quotes"),
        (b"{}", "campaigns: is missing\nversion: is missing"),
        (b'{"version": "\xff"}', "no UTF-8: invalid start byte near byte 13"),
        (b'{"campaigns": [' + b"9" * 5000 + b"]}", "line 1, column 16: no JSON, or cut off: Exceeds the limit"),
        (
            b'{"campaigns": ' + b"[" * 100_000,
            "line 1, column 16: no JSON, or cut off: nested too deeply",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_document_that_is_no_catalog_is_reported_by_line_and_column(data: bytes, report: str) -> None:
    """Whatever the bytes are, the outcome is a report."""
    with pytest.raises(CatalogError) as caught:
        read_catalog(data)
    assert str(caught.value).startswith(report)


def test_no_prefix_of_a_catalog_is_a_catalog(campaign: Json, document: Document) -> None:
    """A catalog cut off anywhere is refused."""
    data = document(campaign)
    for length in range(len(data)):
        with pytest.raises(CatalogError):
            read_catalog(data[:length])
    assert len(read_catalog(data)[1]) == 1


def test_a_mistake_far_down_a_large_document_is_reported_at_its_line(
    numbered: Callable[[int], list[Json]],
) -> None:
    """Lines are counted right when the document is longer than the part that is held as text."""
    lines = [json.dumps(made) for made in numbered(1500)]
    assert sum(map(len, lines)) > 1.5 * 1024 * 1024
    lines[1400] = lines[1400].replace('"seat":', '"seat"')
    data = ('{"version": "1", "campaigns": [\n' + ",\n".join(lines) + "\n]}").encode()
    with pytest.raises(CatalogError) as caught:
        read_catalog(data)
    assert str(caught.value).splitlines()[0].startswith("line 1402, column 88: no JSON")
