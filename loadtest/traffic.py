"""Bid requests as live exchanges send them, from a seed.

The rule: the same seed and count give the same bytes, everywhere; a longer run begins with the shorter one. About 93
in 100 requests conform to OpenRTB 2.6 or 2.5, 5 deviate in spelling as live traffic does and must be read, 2 are
broken and must be refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

import orjson

from loadtest import deviations, malformed
from loadtest.slots import Json, Setting, impression
from loadtest.world import (
    APPS,
    CONSENT_GIVEN,
    CONSENT_REFUSED,
    PEOPLE,
    PHONE,
    SCREENS,
    SITES,
    TABLET,
    TV,
    TV_APPS,
    Person,
    person,
    random_uuid,
)

MALFORMED_SHARE = 0.02
DEVIATING_SHARE = 0.05

_BLOCKED_CATEGORIES = (
    "IAB25", "IAB26", "IAB7-39", "IAB8-5", "IAB8-18", "IAB9-9", "IAB11-4", "IAB14-1", "IAB14-3", "IAB23",
    "IAB24", "IAB25-3", "IAB26-1", "IAB13-2", "IAB17-18", "IAB19-3", "IAB3-7", "IAB5-2", "IAB7-28", "IAB7-30",
    "IAB12-1", "IAB15-5", "IAB8", "IAB9", "IAB13", "IAB17", "IAB18", "IAB20",
)  # fmt: skip
# What the demo catalog has, and what it has not: restrictions that never bite test nothing.
_SEATS = ("seat-retail", "seat-finance", "seat-apps", "seat-media", "seat-auto", "seat-europe", "seat-77", "seat-78")
_ADVERTISERS = (
    "northwind-coffee.example", "granite-bank.example", "veloce-motors.example", "skyferry.example",
    "orbit-vpn.example", "cascade-stream.example", "pulse-energy.example", "bramble-books.example",
    "maison-lumiere.example",
)  # fmt: skip
_ADVERTISED_APPS = ("com.example.blockfall", "com.example.dragonvale", "com.example.stride", "com.example.crossword")
_GENRES = ("drama", "comedy", "documentary", "sports", "news", "kids")
_EID_SOURCES = tuple(
    f"{name}.example" for name in ("id", "graph", "pairid", "uid", "sharedid", "crwd", "publisher-link", "lane")
)
_LANGUAGES = ("en", "es", "de", "fr", "pt", "ja", "hi")


class Kind(StrEnum):
    VALID = "valid"
    DEVIATING = "deviating"  # as live traffic spells it; means a valid request
    MALFORMED = "malformed"  # to be refused, or answered without a bid: see `expected`


@dataclass(frozen=True, slots=True)
class BidRequestCase:
    """One request: what is sent, and what may come back."""

    id: str
    body: bytes
    kind: Kind
    request: dict[str, Any] | None  # what the exchange means, for judging bids; None: nothing readable
    expected: frozenset[str]  # of "bid", "no-bid", "refused" (400)
    defect: str = ""  # what is wrong with a deviating or malformed one


_ANSWERED = frozenset({"bid", "no-bid"})


def requests(seed: int, count: int, *, valid_only: bool = False) -> Iterator[BidRequestCase]:
    """`count` cases; with `valid_only`, none is malformed."""
    rng = Random(seed)
    made = 0
    while made < count:
        case = _case(rng, bid_request(rng))
        if valid_only and case.kind is Kind.MALFORMED:
            continue
        made += 1
        yield case


def _case(rng: Random, request: Json) -> BidRequestCase:
    draw = rng.random()
    if draw < MALFORMED_SHARE:
        broken = malformed.break_request(rng, request)
        return BidRequestCase(
            request["id"], broken.body, Kind.MALFORMED, broken.request, broken.expected, broken.defect
        )
    if draw < MALFORMED_SHARE + DEVIATING_SHARE:
        body, names = deviations.deviate(rng, request)
        return BidRequestCase(request["id"], body, Kind.DEVIATING, request, _ANSWERED, names)
    return BidRequestCase(request["id"], orjson.dumps(request), Kind.VALID, request, _ANSWERED)


def bid_request(rng: Random) -> Json:
    """One BidRequest (§3.2.1), of a person or, one in 30, for a public screen."""
    old = rng.random() < 0.4
    if rng.random() < 0.033:
        setting = Setting("dooh", SCREENS.pick(rng), None, old=False, wordy=False)
    else:
        someone = person(PEOPLE.pick(rng))
        channel, where = _inventory(rng, someone)
        setting = Setting(channel, where, someone, old, wordy=rng.random() < 0.19)
    imps = rng.choice((1, 1, 1, 1, 1, 1, 1, 2, 3, 4)) if setting.channel == "site" else rng.choice((1,) * 14 + (2,))
    request: Json = {"id": random_uuid(rng), "imp": [impression(rng, i + 1, setting) for i in range(imps)]}
    request[setting.channel] = _place(rng, setting)
    if setting.person is not None:
        request["device"] = _device(rng, setting.person)
        request["user"] = {}
        _identify(rng, request, setting)
    _terms(rng, request, setting)
    request["source"] = _source(rng, setting, request["id"])
    if setting.wordy:
        floors = {
            f"{where}|{size}": 0.4 for where in ("top", "middle", "end", "side") for size in ("300x250", "728x90", "*")
        }
        request["ext"] = {
            "exchange": {"pod": 7, "floors": {"currency": "USD", "schema": ["place", "size"], "values": floors}}
        }
    elif rng.random() < 0.5:
        request["ext"] = {
            "exchange": {"pod": rng.randrange(1, 40), "region": rng.choice(("us-east", "eu-west", "ap-north"))}
        }
    return request


def _inventory(rng: Random, someone: Person) -> tuple[str, Any]:
    if someone.device.type == TV:
        return "app", TV_APPS.pick(rng)
    if someone.device.type in (PHONE, TABLET) and rng.random() < 0.62:
        return "app", APPS.pick(rng)
    return "site", SITES.pick(rng)


def _terms(rng: Random, request: Json, setting: Setting) -> None:
    """What the auction allows: time, price rule, currencies, seats, what is blocked."""
    if rng.random() < 0.95:
        request["tmax"] = rng.choice((100, 120, 120, 150, 200, 250, 300))
    request["at"] = rng.choice((1, 1, 1, 1, 2))
    if rng.random() < 0.75:
        europe = setting.person is not None and setting.person.country.currency == "EUR"
        request["cur"] = rng.choice((["USD"], ["EUR"], ["EUR", "USD"])) if europe and rng.random() < 0.6 else ["USD"]
    if rng.random() < 0.75:
        request["bcat"] = sorted(rng.sample(_BLOCKED_CATEGORIES, rng.choice((2, 3, 5, 8, 14, 20))))
    if rng.random() < 0.4:
        blocked = rng.sample(range(1, 400), rng.choice((1, 3, 8, 20)) * (4 if setting.wordy else 1))
        request["badv"] = [f"competitor-{number:03d}.example" for number in blocked] + rng.sample(_ADVERTISERS, 2)
    if setting.channel == "app" and rng.random() < 0.2:
        request["bapp"] = [f"com.example.blocked{rng.randrange(100)}", *rng.sample(_ADVERTISED_APPS, rng.randrange(3))]
    draw = rng.random()
    if draw < 0.02:
        request["wseat"] = rng.sample(_SEATS, 2)
    elif draw < 0.05:
        request["bseat"] = rng.sample(_SEATS, 2)
    if rng.random() < 0.05:
        request["wlang"] = sorted({"en", rng.choice(_LANGUAGES)})
    if rng.random() < 0.003:
        request["test"] = 1
    if not setting.old and rng.random() < 0.3:
        request["cattax"] = 1


def _place(rng: Random, setting: Setting) -> Json:
    """Site, App or DOOH (§3.2.13, §3.2.14, §3.2.32)."""
    where = setting.where
    owner: Json = {"id": where.publisher_id, "name": f"{where.name} Media", "domain": "publisher.example"}
    place: Json = {"id": where.id, "name": where.name, "publisher": owner}
    if setting.channel == "dooh":
        return place | {"venuetype": [where.topic], "venuetypetax": 0, "domain": where.address}
    place["cat"] = list(where.categories)
    if rng.random() < 0.5:
        place["privacypolicy"] = 1
    if rng.random() < 0.5:
        place["keywords"] = (
            f"{where.topic},{where.topic} news,live,{rng.choice(('spring', 'summer', 'autumn', 'winter'))},free"
        )
    language = setting.person.country.language if setting.person else "en"
    if setting.channel == "site":
        page = f"https://{where.address}/{where.topic}/{rng.randrange(10_000, 99_999)}/about-{rng.choice(_GENRES)}.html"
        if setting.wordy:
            page += (
                f"?utm_source=newsletter&utm_medium=email&utm_campaign={where.topic}-weekly&session={random_uuid(rng)}"
            )
        place |= {"domain": where.address, "page": page, "mobile": int(setting.device_type in (PHONE, TABLET))}
        if rng.random() < 0.5:
            place["ref"] = f"https://search.example/?q={where.topic}"
        if rng.random() < 0.4:
            place |= {"sectioncat": [where.categories[0]], "pagecat": [where.categories[1]]}
    else:
        apple = setting.person is not None and setting.person.device.make == "Apple"
        bundle = where.store if apple or setting.device_type == TV else where.address
        place |= {"bundle": bundle, "ver": f"{rng.randrange(1, 9)}.{rng.randrange(30)}.{rng.randrange(9)}", "paid": 0}
        place["storeurl"] = f"https://apps.example/details?id={bundle}"
    if setting.device_type == TV or rng.random() < 0.2:
        place["content"] = _content(rng, setting, language)
    return place


def _content(rng: Random, setting: Setting, language: str) -> Json:
    content: Json = {
        "id": f"content-{rng.randrange(100_000):05d}",
        "title": f"{setting.where.name}, part {rng.randrange(1, 30)}",
        "genre": rng.choice(_GENRES),
        "cat": list(setting.where.categories),
        "language": language,
        "context": 1 if setting.device_type == TV else 5,
    }
    if setting.device_type == TV:
        content |= {
            "series": f"Series {rng.randrange(50)}",
            "season": f"{rng.randrange(1, 9)}",
            "episode": rng.randrange(1, 20),
            "contentrating": rng.choice(("TV-PG", "TV-14", "TV-MA")),
            "len": rng.choice((1320, 2640, 5400)),
            "livestream": int(setting.where.topic == "arena"),
        }
        if not setting.old:
            content |= {"network": {"name": "Example Network"}, "channel": {"name": setting.where.name}}
    return content


def _device(rng: Random, someone: Person) -> Json:
    """Device (§3.2.18) with its place (§3.2.19)."""
    made, place, country = someone.device, someone.place, someone.country
    agent = made.agent.format(v=someone.version, u=someone.version.replace(".", "_"))
    device: Json = {
        "ua": agent,
        "ip": f"203.0.113.{someone.address}",
        "devicetype": made.type,
        "make": made.make,
        "model": made.model,
        "os": made.os,
        "osv": someone.version,
        "w": made.width,
        "h": made.height,
        "js": 1,
        "language": country.language,
        "dnt": 0,
        "lmt": int(someone.limits_tracking),
    }
    if made.type in (PHONE, TABLET):
        wifi = rng.random() < 0.6
        carrier, code = country.carriers[int(someone.address) % len(country.carriers)]
        device |= (
            {"connectiontype": 2}
            if wifi
            else {"connectiontype": rng.choice((6, 6, 7)), "carrier": carrier, "mccmnc": code}
        )
        device |= {"hwv": made.model, "pxratio": made.ratio, "ppi": made.ppi}
    else:
        device["connectiontype"] = rng.choice((1, 2))
    if made.type != 2:
        device["ifa"] = someone.advertising_id
    if made.browser and rng.random() < 0.45:
        device["sua"] = {
            "browsers": [
                {"brand": made.browser, "version": ["126", "0", "6478", "61"]},
                {"brand": "Not/A)Brand", "version": ["8"]},
            ],
            "platform": {"brand": made.os, "version": [someone.version]},
            "mobile": int(made.type == PHONE),
            "source": 2,
        }
    exact = rng.random() < 0.4
    geo: Json = {
        "country": country.code,
        "region": place.region,
        "city": place.city,
        "zip": place.zip,
        "type": 1 if exact else 2,
    }
    geo["lat"] = round(place.latitude + (rng.random() - 0.5) * 0.1, 4) if exact else place.latitude
    geo["lon"] = round(place.longitude + (rng.random() - 0.5) * 0.1, 4) if exact else place.longitude
    if rng.random() < 0.8:
        geo["utcoffset"] = place.utc_offset_min
    if place.metro:
        geo["metro"] = place.metro
    device["geo"] = geo
    return device


def _identify(rng: Random, request: Json, setting: Setting) -> None:
    """User (§3.2.20) and Regs (§3.2.3): who it is, as far as known, and what the law and the user say about it."""
    assert setting.person is not None
    someone, user = setting.person, request["user"]
    regs: Json = {}
    consents = True
    if someone.country.gdpr:
        consents = rng.random() < 0.8
        given = CONSENT_GIVEN if consents else CONSENT_REFUSED
        said: Json = {} if not consents and rng.random() < 0.3 else {"consent": given}
        user |= {"ext": said} if setting.old and said else said
        regs |= {"ext": {"gdpr": 1}} if setting.old else {"gdpr": 1}
    elif someone.country.code == "USA" and rng.random() < 0.7:
        choice = "1YYN" if rng.random() < 0.12 else "1YNN"
        regs |= {"ext": {"us_privacy": choice}} if setting.old else {"us_privacy": choice}
        if not setting.old and rng.random() < 0.25:
            regs |= {"gpp": f"DBABTA~{choice}", "gpp_sid": [6]}
    if setting.where.for_children or rng.random() < 0.01:
        regs["coppa"] = 1
        request["device"].pop("ifa", None)
    elif (
        consents or rng.random() < 0.5
    ):  # half of the exchanges send identifiers all the same: the bidder must not use them
        _know(rng, request, setting)
    if regs or rng.random() < 0.3:
        request["regs"] = {"coppa": 0, **regs}


def _know(rng: Random, request: Json, setting: Setting) -> None:
    assert setting.person is not None
    someone, user = setting.person, request["user"]
    if rng.random() < 0.72:
        user["buyeruid"] = someone.buyer_id
    user["id"] = f"x-{someone.buyer_id[-6:]}-{someone.address}"
    if rng.random() < 0.3:
        user |= {"yob": someone.year_of_birth, "gender": someone.gender}
    if someone.segments and rng.random() < 0.85:
        known = [{"id": name, "name": name.replace("-", " ").title()} for name in someone.segments]
        other = [{"id": str(rng.randrange(10_000, 99_999))} for _ in range(rng.choice((0, 0, 3, 12)))]
        user["data"] = [{"id": "dmp-1", "name": "data.example", "segment": known + other}]
    if setting.wordy:
        topics = [
            {"id": f"t-{rng.randrange(1000, 9999)}", "name": f"Interest group {n}", "value": "1"} for n in range(24)
        ]
        user["data"] = [*user.get("data", ()), {"id": "dmp-2", "name": "interests.example", "segment": topics}]
    if rng.random() < 0.55:
        sources = rng.sample(_EID_SOURCES, rng.choice((1, 1, 2, 3, 4)) + 4 * setting.wordy)
        name = someone.third_party_id * (3 if setting.wordy else 1)
        eids = [{"source": source, "uids": [{"id": f"{source[0]}.{name}", "atype": 1}]} for source in sources]
        if setting.old:
            user["ext"] = user.get("ext", {}) | {"eids": eids}
        else:
            user["eids"] = eids


def _source(rng: Random, setting: Setting, request_id: str) -> Json:
    """Source (§3.2.2), usually with its supply chain."""
    source: Json = {"tid": random_uuid(rng), "fd": int(rng.random() < 0.3)}
    if rng.random() < 0.8:
        nodes = [
            {"asi": f"exchange-{hop}.example", "sid": f"{setting.where.publisher_id}-{hop}", "rid": request_id, "hp": 1}
            for hop in range(rng.choice((1, 1, 2, 3)))
        ]
        chain = {"complete": 1, "ver": "1.0", "nodes": nodes}
        source |= {"ext": {"schain": chain}} if setting.old else {"schain": chain}
    return source
