"""The catalog document as objects, and the index over them: by country, format and size, the most valuable first.

The rule: the document is taken as checked (`bidder check` does that); words become OpenRTB's numbers once, here.
Campaigns with a frequency cap are left out, as there are no user profiles to keep it by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson

Json = dict[str, Any]
Key = tuple[str, int, int]  # format, and a banner's width and height

MTYPES = {"banner": 1, "video": 2, "audio": 3, "native": 4}
DEVICES = {"mobile": 1, "pc": 2, "ctv": 3, "phone": 4, "tablet": 5, "connected": 6, "set_top_box": 7, "ooh": 8}
CONNECTIONS = {"ethernet": 1, "wifi": 2, "cellular": 3, "2g": 4, "3g": 5, "4g": 6, "5g": 7}
POSITIONS = {"above_the_fold": 1, "locked": 2, "below_the_fold": 3, "header": 4, "footer": 5, "sidebar": 6,
             "fullscreen": 7}  # fmt: skip
APIS = {"vpaid1": 1, "vpaid2": 2, "mraid1": 3, "ormma": 4, "mraid2": 5, "mraid3": 6, "omid1": 7, "simid1.0": 8,
        "simid1.1": 9}  # fmt: skip
PROTOCOLS = {"vast1": 1, "vast2": 2, "vast3": 3, "vast4": 7, "vast4.1": 11, "vast4.2": 13, "daast1": 9}
BANNER_TYPES = {"xhtml_text": 1, "xhtml_banner": 2, "javascript": 3, "iframe": 4}
DELIVERIES = {"streaming": 1, "progressive": 2, "download": 3}
LINEARITIES = {"linear": 1, "overlay": 2}
TEXTS = {"sponsored": 1, "desc": 2, "rating": 3, "likes": 4, "downloads": 5, "price": 6, "saleprice": 7, "phone": 8,
         "address": 9, "desc2": 10, "displayurl": 11, "ctatext": 12}  # fmt: skip
IMAGES = {"icon": 1, "main": 3}
DAYS = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}


class File(NamedTuple):
    """A media file. `w` and `h` are 0 for audio."""

    url: str
    mime: str
    kbps: int
    delivery: int
    w: int
    h: int


class Image(NamedTuple):
    type: int
    url: str
    w: int
    h: int
    mime: str


@dataclass(slots=True)
class Creative:
    id: str
    format: str
    landing_url: str
    trackers: list[str]
    language: str
    secure: bool
    apis: frozenset[int]
    attributes: frozenset[int]
    w: int = 0
    h: int = 0
    html: str = ""
    mime: str = ""
    type: int = 0
    duration_s: int = 0
    protocols: tuple[int, ...] = ()
    files: tuple[File, ...] = ()
    linearity: int = 1
    skippable: bool = False
    skip_after_s: int = 0
    title: str = ""
    texts: dict[int, str] = field(default_factory=dict)
    images: tuple[Image, ...] = ()

    @property
    def key(self) -> Key:
        return (self.format, self.w, self.h) if self.format == "banner" else (self.format, 0, 0)


class Choice(NamedTuple):
    """Targeting in one dimension; nothing included takes everyone."""

    include: frozenset[Any]
    exclude: frozenset[Any]


@dataclass(slots=True)
class Campaign:
    id: str
    advertiser: str
    domains: list[str]
    seat: str
    goal: str
    amount: float
    max_cpm: float
    currency: str
    prior: float
    categories: list[str]
    taxonomy: int
    labels: dict[int, list[str]]  # categories by taxonomy
    for_children: bool
    bundle: str
    starts_s: float
    ends_s: float
    deals: frozenset[str]
    countries: Choice
    one: dict[str, Choice]  # by the fact's name: a request has one value
    several: dict[str, Choice]  # a request has several
    os_least: dict[str, tuple[int, ...]]
    circles: list[tuple[float, float, float]]  # latitude, longitude, km
    required: frozenset[str]
    blocked: frozenset[str]
    positions: frozenset[int]
    hours: frozenset[int]  # of the week; none: any
    creatives: list[Creative]

    def value(self, score: float) -> float:
        """What 1,000 impressions are worth if one brings the goal's event with this probability: CPM, own currency."""
        return min(self.max_cpm, score * self.amount * (1 if self.goal == "cpm" else 1000))


Ad = tuple[Campaign, Creative]


class Catalog:
    """All campaigns, and which of them to look at for a country and a format."""

    def __init__(self, document: bytes, dollars: Mapping[str, float]) -> None:
        entries = orjson.loads(document)["campaigns"]
        self.campaigns = [_campaign(entry) for entry in entries if not entry.get("daily_frequency_cap")]
        self.campaigns.sort(key=lambda c: c.value(c.prior) * dollars.get(c.currency, 0.0), reverse=True)
        self.sizes: set[tuple[int, int]] = set()
        self._by_deal: dict[tuple[str, Key], list[Ad]] = defaultdict(list)
        self._by_country: dict[str, dict[Key, list[Ad]]] = {"": defaultdict(list)}
        for campaign in self.campaigns:
            for country in campaign.countries.include:
                self._by_country.setdefault(country, defaultdict(list))
        for campaign in self.campaigns:
            self._enter(campaign)

    def _enter(self, campaign: Campaign) -> None:
        countries = campaign.countries.include or self._by_country.keys() - campaign.countries.exclude
        for creative in campaign.creatives:
            if creative.format == "banner":
                self.sizes.add((creative.w, creative.h))
            for deal in campaign.deals:
                self._by_deal[deal, creative.key].append((campaign, creative))
            if not campaign.deals:
                for country in countries:
                    self._by_country[country][creative.key].append((campaign, creative))

    def open(self, country: str, key: Key) -> Iterable[Ad]:
        return self._by_country.get(country, self._by_country[""]).get(key, ())

    def on_deal(self, deal: str, key: Key) -> Iterable[Ad]:
        return self._by_deal.get((deal, key), ())


# -- reading ---------------------------------------------------------------------------------------------------------


def _campaign(entry: Json) -> Campaign:
    targeting = entry.get("targeting", {})
    geo, device, inventory = (targeting.get(name, {}) for name in ("geo", "device", "inventory"))
    attributes, flight = targeting.get("attributes", {}), entry.get("flight", {})
    taxonomy = entry.get("category_taxonomy", 1)
    one = {
        "exchange": _choice(inventory.get("exchanges")),
        "channel": _choice(inventory.get("channels")),
        "region": _choice(geo.get("regions")),
        "metro": _choice(geo.get("metros"), str.lower),
        "city": _choice(geo.get("cities"), str.lower),
        "zip": _choice(geo.get("zips"), str.lower),
        "device": _choice(device.get("types"), DEVICES),
        "os": _choice(device.get("os"), str.lower),
        "connection": _choice(device.get("connections"), CONNECTIONS),
        "carrier": _choice(device.get("carriers"), str.lower),
        "language": _choice(device.get("languages"), str.lower),
        "app": _choice(inventory.get("apps")),
        "bundle": _choice(inventory.get("bundles")),
        "publisher": _choice(inventory.get("publishers")),
    }
    several = {
        "sites": _choice(inventory.get("sites"), str.lower),
        "categories": _choice(inventory.get("categories")),
        "segments": _choice(targeting.get("audience", {}).get("segments")),
        "venues": _choice(inventory.get("venues"), str.lower),
    }
    return Campaign(
        id=entry["id"],
        advertiser=entry["advertiser"]["id"],
        domains=entry["advertiser"]["domains"],
        seat=entry["seat"],
        goal=entry["goal"]["kind"],
        amount=float(entry["goal"]["amount"]),
        max_cpm=float(entry["max_cpm"]),
        currency=entry.get("currency", "USD"),
        prior=entry["prior"],
        categories=entry.get("categories", []),
        taxonomy=taxonomy,
        labels={taxonomy: entry["categories"]} | {more["taxonomy"]: more["ids"] for more in entry["more_categories"]}
        if entry.get("more_categories")
        else {taxonomy: entry.get("categories", [])},
        for_children=entry.get("suitable_for_children", False),
        bundle=entry.get("bundle", ""),
        starts_s=_unix_s(flight.get("start"), 0.0),
        ends_s=_unix_s(flight.get("end"), float("inf")),
        deals=frozenset(targeting.get("deals", ())),
        countries=_choice(geo.get("countries")),
        one={name: choice for name, choice in one.items() if any(choice)},
        several={name: choice for name, choice in several.items() if any(choice)},
        os_least={name.lower(): version(text) for name, text in device.get("os_min_versions", {}).items()},
        circles=[(circle["lat"], circle["lon"], circle["km"]) for circle in geo.get("circles", ())],
        required=frozenset(attributes.get("required", ())),
        blocked=frozenset(attributes.get("blocked", ())),
        positions=frozenset(_codes(inventory.get("positions", ()), POSITIONS)),
        hours=frozenset(hour for part in targeting.get("dayparts", ()) for hour in _hours(part)),
        creatives=[_creative(creative) for creative in entry["creatives"]],
    )


def _creative(entry: Json) -> Creative:
    banner, native = entry["format"] == "banner", entry["format"] == "native"
    texts = {TEXTS.get(name) or int(name): text for name, text in entry.get("texts", {}).items()}
    if entry.get("cta"):
        texts[TEXTS["ctatext"]] = entry["cta"]
    files = tuple(_file(file) for file in entry.get("media", ()))
    images = tuple(
        Image(_code(i["type"], IMAGES), i["url"], i["w"], i["h"], i.get("mime", "image/jpeg"))
        for i in entry.get("images", ())
    )
    return Creative(
        id=entry["id"],
        format=entry["format"],
        landing_url=entry["landing_url"],
        trackers=entry.get("impression_trackers", []),
        language=entry.get("language", "").lower(),
        secure=entry.get("secure", b"http://" not in orjson.dumps(entry)),
        apis=frozenset(_codes(entry.get("apis", ()), APIS)),
        attributes=frozenset(entry.get("attributes", ())),
        w=entry.get("w", 0),
        h=entry.get("h", 0),
        html=entry.get("html", ""),
        mime=entry.get("mime", "text/html") if banner else "",
        type=_code(entry.get("type", 2), BANNER_TYPES) if banner else 0,
        duration_s=entry.get("duration_s", 0),
        protocols=tuple(_codes(entry.get("protocols", ()), PROTOCOLS)),
        files=files,
        linearity=_code(entry.get("linearity", 1), LINEARITIES),
        skippable=entry.get("skippable", False),
        skip_after_s=entry.get("skip_after_s", 0),
        title=entry["title"] if native else "",
        texts=texts,
        images=images,
    )


def _file(entry: Json) -> File:
    delivery = _code(entry.get("delivery", 2), DELIVERIES)
    return File(entry["url"], entry["mime"], entry["bitrate_kbps"], delivery, entry.get("w", 0), entry.get("h", 0))


def _choice(value: Any, read: Any = None) -> Choice:
    """A list, or {"include": […], "exclude": […]}. `read`: a table of codes, or a function of text."""
    value = value or {}
    parts = {"include": value} if isinstance(value, list) else value
    return Choice(*(frozenset(_read(parts.get(name, ()), read)) for name in ("include", "exclude")))


def _read(values: Iterable[Any], read: Any) -> Iterator[Any]:
    if read is None:
        yield from values
    elif isinstance(read, dict):
        yield from _codes(values, read)
    else:
        yield from map(read, values)


def _codes(values: Iterable[Any], table: Mapping[str, int]) -> Iterator[int]:
    return (_code(value, table) for value in values)


def _code(value: Any, table: Mapping[str, int]) -> int:
    return value if isinstance(value, int) else table[value] if value in table else int(value)


def _unix_s(text: str | None, default: float) -> float:
    return datetime.fromisoformat(text).timestamp() if text else default


def _hours(part: Json) -> Iterator[int]:
    for day in _codes(part.get("days", range(7)), DAYS):
        yield from range(24 * day + part.get("from", 0), 24 * day + part.get("to", 24))


def version(text: str) -> tuple[int, ...]:
    """ "16.4" → (16, 4); () where it does not start with a number."""
    numbers: list[int] = []
    for step in text.split("."):
        if not step.isdigit():
            break
        numbers.append(int(step))
    return tuple(numbers)
