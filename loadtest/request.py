"""One bid request of a conforming exchange: who sells what, where, to whom, on which terms.

The rule: what is written conforms to OpenRTB 2.6, or, two times in five, to 2.5 with its own places for things.
"""

from __future__ import annotations

from random import Random

from loadtest.audience import device, identify
from loadtest.placements import Json, blocked
from loadtest.publishers import APPS, SCREENS, SITES, TV_APPS, Property
from loadtest.slots import Setting, impressions
from loadtest.world import PEOPLE, PHONE, TABLET, TV, Person, person, random_uuid

# What the demo catalog has, and what it has not: restrictions that never bite test nothing.
_SEATS = ("seat-retail", "seat-finance", "seat-apps", "seat-media", "seat-auto", "seat-europe", "seat-77", "seat-78")
_GENRES = ("drama", "comedy", "documentary", "sports", "news", "kids")
_PAGE_IMPS = ((1, 2, 3, 4, 5, 6, 8), (72, 10, 8, 6, 2, 1, 1))  # counts and their weights
_OTHER_IMPS = ((1, 2), (14, 1))
_LANGUAGES = ("en", "es", "de", "fr", "pt", "ja", "hi")


def bid_request(rng: Random, imps: int | None = None) -> Json:
    """One BidRequest (§3.2.1), of a person or, one in 30, for a public screen; with `imps`, of so many impressions."""
    old = rng.random() < 0.4
    if rng.random() < 0.033:
        setting = Setting("dooh", SCREENS.pick(rng), None, old=False, wordy=0)
    else:
        someone = person(PEOPLE.pick(rng))
        channel, where = _inventory(rng, someone)
        setting = Setting(channel, where, someone, old, rng.choices((0, 1, 2), (810, 185, 5))[0])
    slots = rng.choices(*(_PAGE_IMPS if setting.channel == "site" else _OTHER_IMPS))[0]
    request: Json = {"id": random_uuid(rng), "imp": impressions(rng, imps or slots, setting)}
    request[setting.channel] = _place(rng, setting)
    if setting.person is not None:
        request["device"] = device(rng, setting.person)
        request["user"] = {}
        identify(rng, request, setting)
    _terms(rng, request, setting)
    request["source"] = _source(rng, setting)
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


def _inventory(rng: Random, someone: Person) -> tuple[str, Property]:
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
    request |= blocked(setting.channel, setting.where, setting.wordy)
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


def _source(rng: Random, setting: Setting) -> Json:
    """Source (§3.2.2), usually with its supply chain."""
    source: Json = {"tid": random_uuid(rng), "fd": int(rng.random() < 0.3)}
    if rng.random() < 0.8:
        nodes = [
            {"asi": f"exchange-{hop}.example", "sid": f"{setting.where.publisher_id}-{hop}", "hp": 1}
            | {"rid": random_uuid(rng)}  # each hop's own
            for hop in range(rng.choice((1, 1, 2, 3)))
        ]
        chain = {"complete": 1, "ver": "1.0", "nodes": nodes}
        source |= {"ext": {"schain": chain}} if setting.old else {"schain": chain}
    return source
