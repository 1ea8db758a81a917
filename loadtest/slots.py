"""The impressions of generated requests: banner, video, audio, native, and the deals offered with them.

The rule: what is written conforms to OpenRTB 2.6, or to 2.5 where the caller says so; the deviations of live traffic
come later, in `loadtest.deviations`. Prices are CPM.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import Any

from loadtest.publishers import Property
from loadtest.world import DESKTOP, PHONE, TV, Person, random_uuid

Json = dict[str, Any]

KNOWN_DEALS = {"sports": "deal-sports-01", "news": "deal-news-02", "tv": "deal-ctv-03"}

_PHONE_SIZES = ((320, 50), (300, 250), (320, 100), (300, 50), (320, 480), (336, 280))
_DESKTOP_SIZES = ((300, 250), (728, 90), (970, 250), (160, 600), (300, 600), (970, 90), (336, 280))
_SCREEN_SIZES = ((1920, 1080), (1080, 1920))


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


def impression(rng: Random, number: int, setting: Setting) -> Json:
    """One Imp (§3.2.4), offering one format, sometimes two."""
    imp: Json = {"id": str(number), "tagid": f"{setting.where.id}-slot-{rng.randrange(1, 9)}"}
    interstitial = setting.device_type == PHONE and setting.channel == "app" and rng.random() < 0.2
    _offer(rng, imp, setting, interstitial)
    if interstitial:
        imp["instl"] = 1
        if "video" in imp and rng.random() < 0.5:
            imp |= {"ext": {"prebid": {"is_rewarded_inventory": 1}}} if setting.old else {"rwdd": 1}
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


def _offer(rng: Random, imp: Json, setting: Setting, interstitial: bool) -> None:
    """The formats. A television takes video alone; a screen banner or video; else mostly banners."""
    draw = rng.random()
    if setting.device_type == TV:
        imp["video"] = video(rng, setting, interstitial)
    elif setting.channel == "dooh":
        imp["banner" if draw < 0.5 else "video"] = (banner if draw < 0.5 else video)(rng, setting, interstitial)
    elif setting.where.topic in ("radio", "music") and draw < 0.5:
        imp["audio"] = audio(rng)
    elif draw < 0.62:
        imp["banner"] = banner(rng, setting, interstitial)
    elif draw < 0.76:
        imp["video"] = video(rng, setting, interstitial)
    elif draw < 0.92:
        imp["native"] = native(rng, setting)
    elif draw < 0.97:
        imp["banner"] = banner(rng, setting, interstitial)
        imp["video"] = video(rng, setting, interstitial)
    else:
        imp["banner"] = banner(rng, setting, interstitial)
        imp["native"] = native(rng, setting)


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


def banner(rng: Random, setting: Setting, interstitial: bool) -> Json:
    """Banner (§3.2.6): a format list; or w and h alone; or, in 2.5, a range."""
    if setting.channel == "dooh":
        sizes = [rng.choice(_SCREEN_SIZES)]
    elif setting.device_type == DESKTOP:
        sizes = rng.sample(_DESKTOP_SIZES, rng.choice((1, 1, 2, 3)))
    elif interstitial:
        sizes = [(320, 480), (300, 250)]
    else:
        sizes = rng.sample(_PHONE_SIZES, rng.choice((1, 1, 1, 2, 2, 3)))
    width, height = sizes[0]
    offer: Json = {"pos": rng.choice((0, 1, 1, 3, 3, 4)), "topframe": rng.randrange(2)}
    style = rng.random()
    if setting.old and style < 0.1:
        offer |= {"wmin": width - 20, "wmax": width + 20, "hmin": max(1, height - 20), "hmax": height + 20}
    elif setting.old and style < 0.6:
        offer |= {"w": width, "h": height}
    else:
        offer["format"] = [{"w": w, "h": h} for w, h in sizes]
        if style < 0.8:
            offer |= {"w": width, "h": height}
    if interstitial:
        offer["pos"] = 7
    if rng.random() < 0.5:
        offer["battr"] = sorted(rng.sample(range(1, 18), rng.randrange(1, 6)))
    if rng.random() < 0.35:
        offer["btype"] = [rng.choice((1, 1, 1, 4))]
    if rng.random() < 0.5:
        offer["api"] = [3, 5, 6, 7] if setting.channel == "app" else [7]
    if rng.random() < 0.35:
        offer["mimes"] = ["text/html", "application/javascript", "image/jpeg", "image/png", "image/gif"]
    return offer


def video(rng: Random, setting: Setting, interstitial: bool) -> Json:
    """Video (§3.2.7), in-stream or, on pages and in feeds, out-stream."""
    tv = setting.device_type == TV or setting.channel == "dooh"
    width, height = (1920, 1080) if tv else rng.choice(((640, 360), (640, 480), (1280, 720), (320, 480)))
    offer: Json = {"mimes": ["video/mp4"] if tv else rng.choice((["video/mp4"], ["video/mp4", "video/webm"]))}
    if tv and not setting.old and rng.random() < 0.25:
        offer["rqddurs"] = rng.choice(([15], [15, 30], [15, 20, 30, 60]))
    else:
        offer |= {"minduration": rng.choice((3, 5, 5)), "maxduration": rng.choice((15, 30, 30, 60, 120))}
    offer |= {
        "protocols": rng.choice(([2, 3, 5, 6], [2, 3, 5, 6, 7, 8], [3, 6, 7])),
        "w": width,
        "h": height,
        "startdelay": rng.choice((0, 0, 0, -1, -2, 15)),
        "linearity": 1,
        "playbackmethod": [rng.choice((1, 2, 5, 6))],
        "pos": 7 if interstitial or tv else rng.choice((1, 3)),
        "api": [7] if tv else [1, 2, 7],
    }
    placement = 1 if tv or rng.random() < 0.5 else 3
    offer |= {"placement": placement} if setting.old else {"plcmt": 1 if placement == 1 else 4}
    if not tv and rng.random() < 0.5:
        offer |= {"skip": 1, "skipmin": 15, "skipafter": 5}
    elif rng.random() < 0.4:
        offer["skip"] = 0
    if rng.random() < 0.4:
        offer |= {"minbitrate": 300, "maxbitrate": rng.choice((1500, 4000, 8000))}
    if rng.random() < 0.4:
        offer["delivery"] = rng.choice(([1, 2], [2]))
    if rng.random() < 0.3:
        offer["battr"] = sorted(rng.sample(range(1, 18), rng.randrange(1, 5)))
    if not setting.old and rng.random() < 0.03:
        offer["mincpmpersec"] = 0.02
    return offer


def audio(rng: Random) -> Json:
    """Audio (§3.2.8)."""
    offer: Json = {
        "mimes": rng.choice((["audio/mp4", "audio/mpeg"], ["audio/mpeg"])),
        "minduration": 5,
        "maxduration": rng.choice((30, 60)),
        "protocols": [2, 3, 6, 7, 9, 10],
        "startdelay": rng.choice((0, -1)),
        "feed": rng.choice((1, 2, 3)),
        "stitched": rng.randrange(2),
        "nvol": rng.randrange(1, 4),
    }
    if rng.random() < 0.4:
        offer |= {"minbitrate": 32, "maxbitrate": 320}
    return offer


def native(rng: Random, setting: Setting) -> Json:
    """Native (§3.2.9) with a request of Native 1.2 as a string, now and then in the envelope of 1.0."""
    wrapped = setting.old and rng.random() < 0.25
    version = "1.0" if wrapped else rng.choice(("1.1", "1.2", "1.2"))
    assets: list[Json] = [
        {"id": 1, "required": 1, "title": {"len": rng.choice((90, 90, 140, 50))}},
        {"id": 2, "required": 1, "img": {"type": 3, "wmin": rng.choice((600, 300)), "hmin": rng.choice((314, 250))}},
        {"id": 3, "required": rng.randrange(2), "data": {"type": 2, "len": rng.choice((90, 140))}},
        {"id": 4, "required": 0, "img": {"type": 1, "wmin": 50, "hmin": 50, "mimes": ["image/png", "image/jpeg"]}},
        {"id": 5, "required": rng.randrange(2), "data": {"type": 1, "len": 25}},
        {"id": 6, "required": 0, "data": {"type": 12, "len": 15}},
    ]
    markup: Json = {"ver": version, "plcmtcnt": 1, "assets": assets[: rng.choice((3, 5, 6))]}
    if not wrapped:
        markup |= {"context": rng.choice((1, 1, 2, 3)), "plcmttype": rng.choice((1, 2, 4)), "privacy": 1}
    if version == "1.2":
        markup["eventtrackers"] = [{"event": 1, "methods": [1, 2]}]
    text = json.dumps({"native": markup} if wrapped else markup, separators=(",", ":"))
    offer: Json = {"request": text, "ver": version}
    if rng.random() < 0.4:
        offer |= {"api": [7], "battr": [1, 3, 8, 9, 10, 14]}
    return offer
