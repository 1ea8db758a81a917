"""The impressions of generated requests: what a placement offers, at which floor, with which deals.

The rule: what is written conforms to OpenRTB 2.6, or to 2.5 where the caller says so; the deviations of live traffic
come later, in `loadtest.deviations`. Prices are CPM.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from loadtest.placements import PLACEMENTS, Json, Placement, offered
from loadtest.publishers import Property
from loadtest.world import TV, Person, random_uuid

KNOWN_DEALS = {"sports": "deal-sports-01", "news": "deal-news-02", "tv": "deal-ctv-03"}


@dataclass(frozen=True, slots=True)
class Setting:
    """Where an impression shows."""

    channel: str  # "site", "app" or "dooh"
    where: Property
    person: Person | None  # None: a public screen
    old: bool  # written the way of 2.5
    wordy: int  # 1: by an exchange that sends all it has, twice the size; 2: with all its partners have, some 20 KB

    @property
    def device_type(self) -> int:
        return self.person.device.type if self.person else 0


def impressions(rng: Random, count: int, setting: Setting) -> list[Json]:
    """So many of them, each another placement's of the property while there are any."""
    first = rng.randrange(PLACEMENTS)
    return [_impression(rng, str(i + 1), (first + i) % PLACEMENTS + 1, setting) for i in range(count)]


def _impression(rng: Random, imp_id: str, number: int, setting: Setting) -> Json:
    """One Imp (§3.2.4), of the property's placement of that number."""
    placement = Placement(setting.channel, setting.where, number, setting.device_type, setting.old)
    imp: Json = {"id": imp_id, "tagid": f"{setting.where.id}-slot-{number}"} | offered(placement)
    imp["secure"] = 0 if setting.channel != "dooh" and rng.random() < 0.06 else 1
    if rng.random() > 0.08:
        imp |= _floor(rng, setting)
    if rng.random() < 0.35:
        imp["metric"] = [{"type": "viewability", "value": round(rng.uniform(0.2, 0.95), 2), "vendor": "EXCHANGE"}]
    if rng.random() < 0.16:
        imp["pmp"] = _deals(rng, setting)
    if setting.channel == "app":
        imp |= {"displaymanager": "ExampleSDK", "displaymanagerver": f"{rng.randrange(5, 9)}.{rng.randrange(20)}.0"}
        imp["clickbrowser"] = 1
    if rng.random() < 0.3:
        imp["exp"] = rng.choice((60, 300, 600, 1800))
    if setting.channel == "dooh":
        imp |= {} if setting.old else {"qty": {"multiplier": float(rng.randrange(2, 40)) + 0.5, "sourcetype": 1}}
    elif setting.channel == "site":
        extra = {"gpid": f"/21700000/{setting.where.address}/{imp['tagid']}", "tid": random_uuid(rng)}
        imp["ext"] = imp.get("ext", {}) | extra
    return imp


def _floor(rng: Random, setting: Setting) -> Json:
    """0.05 to 3, low ones more often, in USD or, where euros are paid, sometimes EUR."""
    floor: Json = {"bidfloor": round(0.05 + 2.95 * rng.random() * rng.random() * rng.random(), 2)}
    europe = setting.person is not None and setting.person.country.currency == "EUR"
    if rng.random() < (0.4 if europe else 0.02):
        floor["bidfloorcur"] = "EUR"
    elif rng.random() < 0.7:
        floor["bidfloorcur"] = "USD"
    return floor


def _deals(rng: Random, setting: Setting) -> Json:
    topic = "tv" if setting.device_type == TV else setting.where.topic
    known = KNOWN_DEALS.get(topic) if rng.random() < 0.85 else rng.choice(tuple(KNOWN_DEALS.values()))
    ids = [known] if known else []
    if not ids or rng.random() < 0.4:
        ids.append(f"deal-other-{rng.randrange(1, 60):02d}")
    deals = []
    for deal_id in ids:
        deal: Json = {"id": deal_id, "bidfloor": round(rng.uniform(0.3, 4.0), 2), "at": rng.choice((1, 1, 2, 3))}
        if rng.random() < 0.8:
            deal["bidfloorcur"] = "EUR" if rng.random() < 0.08 else "USD"
        if rng.random() < 0.05:
            deal["wadomain"] = ["partner.example"]
        if rng.random() < 0.05:
            deal["wseat"] = ["seat-media", "seat-77"]
        deals.append(deal)
    return {"private_auction": int(rng.random() < 0.25), "deals": deals}
