"""The device, the user and the regulations of a generated request.

The rule: people keep their traits from request to request. What a law or a choice forbids is signalled, and every other
request has identifiers all the same: a bidder must not rely on their absence.
"""

from __future__ import annotations

from random import Random

from loadtest.placements import Json
from loadtest.slots import Setting
from loadtest.world import PHONE, TABLET, Person

_EID_SOURCES = tuple(
    f"{name}.example" for name in ("id", "graph", "pairid", "uid", "sharedid", "crwd", "publisher-link", "lane")
)
_TOPICS = (0, 24, 240)  # by how much an exchange says


def device(rng: Random, someone: Person) -> Json:
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


def identify(rng: Random, request: Json, setting: Setting) -> None:
    """User (§3.2.20) and Regs (§3.2.3): who it is, as far as known, and what the law and the user say about it."""
    assert setting.person is not None
    someone, user = setting.person, request["user"]
    regs: Json = {}
    consents = True
    if someone.country.gdpr:
        consents = someone.consents
        said: Json = {} if not consents and rng.random() < 0.3 else {"consent": someone.consent}
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
            {"id": f"t-{rng.randrange(1000, 9999)}", "name": f"Interest group {n}", "value": "1"}
            for n in range(_TOPICS[setting.wordy])
        ]
        user["data"] = [*user.get("data", ()), {"id": "dmp-2", "name": "interests.example", "segment": topics}]
    if rng.random() < 0.55:
        sources = rng.sample(_EID_SOURCES, rng.choice((1, 1, 2, 3, 4)) + (4 if setting.wordy else 0))
        name = someone.third_party_id * (3 if setting.wordy else 1)
        eids = [{"source": source, "uids": [{"id": f"{source[0]}.{name}", "atype": 1}]} for source in sources]
        if setting.old:
            user["ext"] = user.get("ext", {}) | {"eids": eids}
        else:
            user["eids"] = eids
