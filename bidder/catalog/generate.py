"""A catalog of any size, made up from a seed: for load tests, benchmarks and demonstrations at scale.

The rule kept here: the same count and seed give the same bytes on every machine. So only a seeded `random.Random`
decides, money is made from whole cents, and weights from divisions, which all processors round alike (powers and
logarithms they do not). Values are drawn as in life, the n-th most common one with weight 1/n, and a few kinds of
creative serve many campaigns.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, Generic, TypeVar

import orjson

from bidder.stages.categories import unsuitable_for_children

MAX_CAMPAIGNS = 1_000_000

V = TypeVar("V")
Json = dict[str, Any]


class Zipf(Generic[V]):
    """Draws from `values`, the n-th with weight 1/n."""

    def __init__(self, values: Sequence[V]) -> None:
        self._values = values
        self._weights = list(accumulate(1 / rank for rank in range(1, len(values) + 1)))

    def one(self, rng: Random) -> V:
        return rng.choices(self._values, cum_weights=self._weights)[0]

    def some(self, rng: Random, at_most: int) -> list[V]:
        """1 to `at_most` distinct values, in the order of their drawing."""
        return list(dict.fromkeys(rng.choices(self._values, cum_weights=self._weights, k=rng.randint(1, at_most))))


def write_catalog(path: str | Path, *, campaigns: int, seed: int) -> int:
    """Write a catalog, gzipped if the name ends in .gz, and put it in place in one step. Returns its size in bytes.

    ValueError: `campaigns` is not within 1 to 1,000,000.
    """
    target = Path(path)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with gzip.open(unfinished, "wb", 6) if target.suffix == ".gz" else unfinished.open("wb") as file:
            for line in generate(campaigns, seed):
                file.write(line)
        size = unfinished.stat().st_size
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return size


def generate(campaigns: int, seed: int) -> Iterator[bytes]:
    """The document line by line, one campaign a line."""
    if not 1 <= campaigns <= MAX_CAMPAIGNS:
        raise ValueError(f"campaigns: {campaigns} is not within 1 to {MAX_CAMPAIGNS}")
    return _lines(campaigns, seed)


def _lines(campaigns: int, seed: int) -> Iterator[bytes]:
    rng = Random(seed)
    yield b'{"version":"generated-%d-%d","campaigns":[\n' % (campaigns, seed)
    for number in range(campaigns):
        yield orjson.dumps(_campaign(rng, number)) + (b",\n" if number + 1 < campaigns else b"\n")
    yield b"]}\n"


# -- who and for how much ---------------------------------------------------------------------------------------------

_BRANDS = Zipf(
    [
        f"{first}-{second}"
        for second in ("coffee", "motor", "travel", "games", "bank")
        for first in ("north", "blue", "union", "lumen", "harbor", "cedar", "pixel", "summit")
    ]
)
_CATEGORIES = Zipf(
    [f"IAB{number}" for number in (19, 1, 17, 9, 20, 8, 2, 13, 18, 22, 12, 3, 10, 5, 15, 7, 6, 16, 21, 4)]
)
_CURRENCIES = Zipf(("USD", "EUR", "GBP", "CAD"))  # worth about the same, so that one range of prices serves all


def _campaign(rng: Random, number: int) -> Json:
    id_ = f"g{number:06d}"
    brand = _BRANDS.one(rng)
    campaign: Json = {
        "id": id_,
        "advertiser": {"id": brand, "domains": [f"{brand}.example"]},
        "seat": f"seat-{1 + number % 8}",
        **_price(rng),
        "currency": _CURRENCIES.one(rng),
        "categories": _CATEGORIES.some(rng, 2),
        "targeting": _targeting(rng),
        "creatives": _creatives(rng, id_, brand),
    }
    if number % 4 == 0 and unsuitable_for_children([(1, campaign["categories"])]) is None:
        campaign["suitable_for_children"] = True
    if rng.random() < 0.6:
        campaign["flight"] = {"start": f"2025-{rng.randint(1, 9):02d}-01T00:00:00Z"}
        if rng.random() < 0.7:
            campaign["flight"]["end"] = f"{rng.randint(2034, 2039)}-12-31T00:00:00Z"
    if rng.random() < 0.4:
        campaign["daily_frequency_cap"] = rng.choice((1, 2, 3, 3, 5, 10))
    return campaign


def _price(rng: Random) -> Json:
    """Goal, ceiling and prior such that an impression is worth about 0.10 to 20 a thousand."""
    share = rng.random()
    if share < 0.45:  # per 1,000 viewed: 0.60 to 12.00, 40 to 80 % viewed
        kind, cents, prior = "cpm", rng.randint(60, 400) * rng.choice((1, 1, 1, 2, 3)), rng.randint(40, 80) / 100
        ceiling = cents * 2
    elif share < 0.8:  # per click: 0.15 to 2.50, 0.05 to 0.6 % click
        kind, cents, prior = "cpc", rng.randint(15, 250), rng.randint(5, 60) / 10_000
        ceiling = rng.randint(200, 1500)
    else:  # per action: 4 to 80, 0.002 to 0.03 % act
        kind, cents, prior = "cpa", rng.randint(400, 8000), rng.randint(2, 30) / 100_000
        ceiling = rng.randint(300, 2000)
    return {
        "goal": {"kind": kind, "amount": cents / 100},
        "max_cpm": ceiling / 100,
        "prior": prior,
    }


# -- where ------------------------------------------------------------------------------------------------------------

_COUNTRIES = Zipf(
    ("USA", "GBR", "DEU", "FRA", "JPN", "BRA", "IND", "CAN", "AUS", "MEX", "ITA", "ESP", "NLD", "SWE", "POL", "KOR")
)
_REGIONS = Zipf(
    ("USA/CA", "USA/TX", "USA/NY", "USA/FL", "DEU/BY", "GBR/ENG", "FRA/IDF", "CAN/ON", "DEU/NW", "BRA/SP", "AUS/NSW")
)
_METROS = Zipf(("501", "803", "602", "807", "511", "618", "506", "623", "539", "819"))
_CITIES = Zipf(
    ("london", "paris", "berlin", "new york", "tokyo", "sao paulo", "los angeles", "mumbai", "toronto", "sydney")
)
_ZIPS = Zipf([str(10_000 + 37 * n) for n in range(500)])
_PLACES = Zipf(((40.71, -74.01), (51.51, -0.13), (48.86, 2.35), (52.52, 13.4), (35.68, 139.69), (-23.55, -46.63)))
_SITES = Zipf(
    [f"{name}.example" for name in ("news", "sports", "weather", "recipes", "finance", "tech", "travel", "autos")]
    + [f"site-{number}.example" for number in range(2_000)]
)
_BUNDLES = Zipf(
    [f"com.example.{name}" for name in ["puzzle", "chess", "runner", "weather", "news", "music", "photo", "radio"]]
    + [f"com.example.app{number}" for number in range(2_000)]
)
_APPS = Zipf([f"app-{number}" for number in range(500)])
_PUBLISHERS = Zipf([f"pub-{number}" for number in range(300)])
_SEGMENTS = Zipf(["auto-intenders", "travel", "parents", "gamers", "finance", *(f"seg-{n}" for n in range(1_000))])
_DEALS = Zipf(["deal-sports-01", "deal-news-02", "deal-ctv-03", *(f"deal-{number}" for number in range(200))])
_DEVICES = Zipf((["phone", "mobile"], ["pc"], ["phone", "tablet", "mobile"], ["ctv", "set_top_box", "connected"]))
_OS = Zipf(("android", "ios", "windows", "macos", "linux"))
_OS_MIN = Zipf(({"ios": "15.0"}, {"android": "10"}, {"ios": "16.4", "android": "12"}))
_CARRIERS = Zipf(["verizon", "t-mobile", "at&t", "vodafone", "o2", "orange", "docomo", "claro", "jio", "telstra"])
_LANGUAGES = Zipf(["en", "de", "fr", "es", "ja", "pt", "it", "nl"])
_VENUES = Zipf(["retail", "transit", "retail.gas_stations", "transit.airports", "outdoor.billboards"])
_POSITIONS = Zipf((["above_the_fold"], ["above_the_fold", "header"], ["fullscreen"], ["below_the_fold", "footer"]))
_REQUIRED = Zipf(("secure", "viewable", "known_user", "interstitial", "rewarded", "skippable", "deal"))
_BLOCKED = Zipf(("child_directed", "interstitial", "rewarded", "skippable"))
_WORKDAYS = ["mon", "tue", "wed", "thu", "fri"]
_DAYPARTS = Zipf(
    (
        [{"days": _WORKDAYS, "from": 7, "to": 22}],
        [{"from": 18, "to": 24}],
        [{"days": ["sat", "sun"]}],
        [{"days": _WORKDAYS, "from": 6, "to": 10}, {"days": _WORKDAYS, "from": 16, "to": 20}],
    )
)

_Draw = Callable[[Random], Any]


def _circles(rng: Random) -> list[Json]:
    lat, lon = _PLACES.one(rng)
    return [{"lat": lat, "lon": lon, "km": rng.choice((5, 10, 25, 50))}]


# (share, group, field, part of the field or "", draw): what a campaign asks for beside its country.
_CONDITIONS: tuple[tuple[int, str, str, str, _Draw], ...] = (
    (14, "device", "types", "", lambda rng: _DEVICES.one(rng)),
    (12, "audience", "segments", "include", lambda rng: _SEGMENTS.some(rng, 3)),
    (10, "inventory", "categories", "include", lambda rng: _CATEGORIES.some(rng, 3)),
    (8, "inventory", "channels", "", lambda rng: [rng.choice(("site", "app", "app", "dooh"))]),
    (8, "inventory", "sites", "exclude", lambda rng: _SITES.some(rng, 8)),
    (7, "device", "os", "", lambda rng: _OS.some(rng, 2)),
    (6, "inventory", "sites", "include", lambda rng: _SITES.some(rng, 8)),
    (6, "inventory", "bundles", "exclude", lambda rng: _BUNDLES.some(rng, 8)),
    (6, "inventory", "categories", "exclude", lambda rng: _CATEGORIES.some(rng, 3)),
    (6, "attributes", "blocked", "", lambda rng: [_BLOCKED.one(rng)]),
    (5, "inventory", "bundles", "include", lambda rng: _BUNDLES.some(rng, 8)),
    (5, "device", "languages", "", lambda rng: _LANGUAGES.some(rng, 2)),
    (5, "attributes", "required", "", lambda rng: [_REQUIRED.one(rng)]),
    (5, "geo", "regions", "", lambda rng: _REGIONS.some(rng, 4)),
    (4, "audience", "segments", "exclude", lambda rng: _SEGMENTS.some(rng, 2)),
    (4, "inventory", "publishers", "include", lambda rng: _PUBLISHERS.some(rng, 5)),
    (4, "inventory", "publishers", "exclude", lambda rng: _PUBLISHERS.some(rng, 5)),
    (4, "inventory", "positions", "", lambda rng: _POSITIONS.one(rng)),
    (4, "geo", "cities", "", lambda rng: _CITIES.some(rng, 3)),
    (3, "geo", "metros", "", lambda rng: _METROS.some(rng, 4)),
    (3, "geo", "circles", "", _circles),
    (3, "device", "connections", "", lambda rng: ["wifi", "ethernet"] if rng.random() < 0.6 else ["4g", "5g"]),
    (3, "device", "os_min_versions", "", lambda rng: _OS_MIN.one(rng)),
    (2, "device", "carriers", "", lambda rng: _CARRIERS.some(rng, 2)),
    (2, "geo", "zips", "", lambda rng: _ZIPS.some(rng, 20)),
    (2, "inventory", "apps", "include", lambda rng: _APPS.some(rng, 5)),
    (2, "inventory", "apps", "exclude", lambda rng: _APPS.some(rng, 5)),
    (2, "inventory", "exchanges", "", lambda rng: ["generic"]),
    (1, "inventory", "venues", "", lambda rng: _VENUES.some(rng, 2)),
)
_SHARES = list(accumulate(share for share, *_ in _CONDITIONS))


def _targeting(rng: Random) -> Json:
    targeting: Json = {}
    share = rng.random()
    if share < 0.94:
        targeting["geo"] = {"countries": {"include": _COUNTRIES.some(rng, 1 if share < 0.8 else 6)}}
    elif share < 0.97:
        targeting["geo"] = {"countries": {"exclude": _COUNTRIES.some(rng, 3)}}
    for _, group, field, part, draw in rng.choices(_CONDITIONS, cum_weights=_SHARES, k=rng.choice((1, 1, 2, 2, 3))):
        fields = targeting.setdefault(group, {})
        if part:
            fields.setdefault(field, {})[part] = draw(rng)
        else:
            fields[field] = draw(rng)
    if rng.random() < 0.12:
        targeting["dayparts"] = _DAYPARTS.one(rng)
    if rng.random() < 0.05:
        targeting["deals"] = _DEALS.some(rng, 2)
    return targeting


# -- with what --------------------------------------------------------------------------------------------------------

_BANNERS = Zipf(
    (
        (300, 250),
        (320, 50),
        (728, 90),
        (300, 600),
        (160, 600),
        (970, 250),
        (320, 480),
        (320, 100),
        (336, 280),
        (468, 60),
    )
)
_VIDEO_S = Zipf((15, 30, 6, 20))
_TITLES = Zipf(("Try it today", "Fresh every single morning", "The offer that ends on Sunday, for good"))
_TEXTS = Zipf(
    ("Made for you.", "Delivered to your door, free of charge.", "Join the many who have already made the move.")
)
_MP4 = ((640, 360, 800), (1280, 720, 2200), (1920, 1080, 4500))


def _creatives(rng: Random, campaign_id: str, brand: str) -> list[Json]:
    draw = Zipf((_banner, _native, _video, _banner, _audio)).one(rng)
    return [
        {"id": f"{campaign_id}-{n}", "landing_url": f"https://{brand}.example/{campaign_id}"} | draw(rng, brand)
        for n in range(rng.choice((1, 1, 2, 2, 3, 4)))
    ]


def _banner(rng: Random, brand: str) -> Json:
    width, height = _BANNERS.one(rng)
    picture = f"https://cdn.{brand}.example/{width}x{height}.png"
    html = f'<a href="${{CLICK_URL}}"><img src="{picture}" width="{width}" height="{height}" alt=""></a>'
    banner: Json = {"format": "banner", "w": width, "h": height, "html": html}
    if rng.random() < 0.1:
        banner |= {"type": "javascript", "apis": ["mraid2"], "attributes": [13]}
    return banner


def _video(rng: Random, brand: str) -> Json:
    duration_s = _VIDEO_S.one(rng)
    files = _MP4 if rng.random() < 0.7 else _MP4[:2]
    video: Json = {
        "format": "video",
        "duration_s": duration_s,
        "protocols": ["vast2", "vast3", "vast4", "vast4.1", "vast4.2"],
        "media": [
            {"url": f"https://cdn.{brand}.example/{duration_s}-{h}.mp4", "mime": "video/mp4", "w": w, "h": h}
            | {"bitrate_kbps": rate}
            for w, h, rate in files
        ],
    }
    if duration_s >= 15 and rng.random() < 0.4:
        video |= {"skippable": True, "skip_after_s": 5, "attributes": [16]}
    return video


def _audio(rng: Random, brand: str) -> Json:
    duration_s = rng.choice((15, 30))
    url = f"https://cdn.{brand}.example/{duration_s}.mp3"
    return {
        "format": "audio",
        "duration_s": duration_s,
        "protocols": ["vast2", "vast3", "vast4", "vast4.1", "daast1"],
        "media": [{"url": url, "mime": "audio/mpeg", "bitrate_kbps": 128}],
    }


def _native(rng: Random, brand: str) -> Json:
    cdn = f"https://cdn.{brand}.example"
    return {
        "format": "native",
        "title": _TITLES.one(rng),
        "texts": {"sponsored": brand.replace("-", " ").title(), "desc": _TEXTS.one(rng)},
        "cta": "Learn more",
        "images": [
            {"type": "main", "url": f"{cdn}/1200x627.jpg", "w": 1200, "h": 627},
            {"type": "icon", "url": f"{cdn}/80x80.png", "w": 80, "h": 80, "mime": "image/png"},
        ],
    }
