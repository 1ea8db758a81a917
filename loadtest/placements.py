"""What a publisher has settled once, and sends with every request: what a placement offers, and who is not wanted.

The rule: a placement of one property, on one kind of device, offers the same each time, byte for byte, as in live
traffic; what differs from request to request is drawn elsewhere. What is written conforms to OpenRTB 2.6, or to 2.5
where the caller says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

import orjson

from loadtest.publishers import Property
from loadtest.world import DESKTOP, PHONE, TV

Json = dict[str, Any]

PLACEMENTS = 8
"""Of a property."""

KEPT = 1 << 15

_PHONE_SIZES = ((320, 50), (300, 250), (320, 100), (300, 50), (320, 480), (336, 280))
_DESKTOP_SIZES = ((300, 250), (728, 90), (970, 250), (160, 600), (300, 600), (970, 90), (336, 280))
_SCREEN_SIZES = ((1920, 1080), (1080, 1920))
_BLOCKED_CATEGORIES = (
    "IAB25", "IAB26", "IAB7-39", "IAB8-5", "IAB8-18", "IAB9-9", "IAB11-4", "IAB14-1", "IAB14-3", "IAB23",
    "IAB24", "IAB25-3", "IAB26-1", "IAB13-2", "IAB17-18", "IAB19-3", "IAB3-7", "IAB5-2", "IAB7-28", "IAB7-30",
    "IAB12-1", "IAB15-5", "IAB8", "IAB9", "IAB13", "IAB17", "IAB18", "IAB20",
)  # fmt: skip
# What the demo catalog has, and what it has not: restrictions that never bite test nothing.
_ADVERTISERS = (
    "northwind-coffee.example", "granite-bank.example", "veloce-motors.example", "skyferry.example",
    "orbit-vpn.example", "cascade-stream.example", "pulse-energy.example", "bramble-books.example",
    "maison-lumiere.example",
)  # fmt: skip
_ADVERTISED_APPS = ("com.example.blockfall", "com.example.dragonvale", "com.example.stride", "com.example.crossword")
_BLOCKS = (1, 4, 16)  # times as many blocked advertisers, by how much an exchange says


@dataclass(frozen=True, slots=True)
class Placement:
    channel: str  # "site", "app" or "dooh"
    where: Property
    number: int  # 1 to `PLACEMENTS`
    device_type: int  # 0 = a public screen
    old: bool  # written the way of 2.5

    def rng(self) -> Random:
        """Always the same."""
        return Random(f"{self.channel} {self.where.id} {self.number} {self.device_type} {self.old}")


def offered(place: Placement) -> Json:
    """What an Imp (§3.2.4) says of the placement: one format, sometimes two."""
    found: Json = orjson.loads(_offered(place))
    return found


def blocked(channel: str, where: Property, wordy: int) -> Json:
    """What a BidRequest (§3.2.1) says of whom the publisher refuses. `wordy`: see `Setting`."""
    found: Json = orjson.loads(_blocked(channel, where, wordy))
    return found


@lru_cache(KEPT)
def _offered(place: Placement) -> bytes:
    rng, imp = place.rng(), Json()
    interstitial = place.device_type == PHONE and place.channel == "app" and rng.random() < 0.2
    _offer(rng, imp, place, interstitial)
    if interstitial:
        imp["instl"] = 1
        if "video" in imp and rng.random() < 0.5:
            imp |= {"ext": {"prebid": {"is_rewarded_inventory": 1}}} if place.old else {"rwdd": 1}
    return orjson.dumps(imp)


@lru_cache(KEPT)
def _blocked(channel: str, where: Property, wordy: int) -> bytes:
    rng, terms = Random(f"{where.id} {wordy}"), Json()
    if rng.random() < 0.75:
        terms["bcat"] = sorted(rng.sample(_BLOCKED_CATEGORIES, rng.choice((2, 3, 5, 8, 14, 20))))
    if rng.random() < 0.4:
        numbers = rng.sample(range(1, 400), rng.choice((1, 3, 8, 20)) * _BLOCKS[wordy])
        terms["badv"] = [f"competitor-{number:03d}.example" for number in numbers] + rng.sample(_ADVERTISERS, 2)
    if channel == "app" and rng.random() < 0.2:
        terms["bapp"] = [f"com.example.blocked{rng.randrange(100)}", *rng.sample(_ADVERTISED_APPS, rng.randrange(3))]
    return orjson.dumps(terms)


def _offer(rng: Random, imp: Json, place: Placement, interstitial: bool) -> None:
    """The formats. A television takes video alone; a screen banner or video; else mostly banners."""
    draw = rng.random()
    if place.device_type == TV:
        imp["video"] = _video(rng, place, interstitial)
    elif place.channel == "dooh":
        imp["banner" if draw < 0.5 else "video"] = (_banner if draw < 0.5 else _video)(rng, place, interstitial)
    elif place.where.topic in ("radio", "music") and draw < 0.5:
        imp["audio"] = _audio(rng)
    elif draw < 0.62:
        imp["banner"] = _banner(rng, place, interstitial)
    elif draw < 0.76:
        imp["video"] = _video(rng, place, interstitial)
    elif draw < 0.92:
        imp["native"] = _native(rng, place)
    elif draw < 0.97:
        imp["banner"] = _banner(rng, place, interstitial)
        imp["video"] = _video(rng, place, interstitial)
    else:
        imp["banner"] = _banner(rng, place, interstitial)
        imp["native"] = _native(rng, place)


def _banner(rng: Random, place: Placement, interstitial: bool) -> Json:
    """Banner (§3.2.6): a format list; or w and h alone; or, in 2.5, a range."""
    if place.channel == "dooh":
        sizes = [rng.choice(_SCREEN_SIZES)]
    elif place.device_type == DESKTOP:
        sizes = rng.sample(_DESKTOP_SIZES, rng.choice((1, 1, 2, 3)))
    elif interstitial:
        sizes = [(320, 480), (300, 250)]
    else:
        sizes = rng.sample(_PHONE_SIZES, rng.choice((1, 1, 1, 2, 2, 3)))
    width, height = sizes[0]
    offer: Json = {"pos": rng.choice((0, 1, 1, 3, 3, 4)), "topframe": rng.randrange(2)}
    style = rng.random()
    if place.old and style < 0.1:
        offer |= {"wmin": width - 20, "wmax": width + 20, "hmin": max(1, height - 20), "hmax": height + 20}
    elif place.old and style < 0.6:
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
        offer["api"] = [3, 5, 6, 7] if place.channel == "app" else [7]
    if rng.random() < 0.35:
        offer["mimes"] = ["text/html", "application/javascript", "image/jpeg", "image/png", "image/gif"]
    return offer


def _video(rng: Random, place: Placement, interstitial: bool) -> Json:
    """Video (§3.2.7), in-stream or, on pages and in feeds, out-stream."""
    tv = place.device_type == TV or place.channel == "dooh"
    width, height = (1920, 1080) if tv else rng.choice(((640, 360), (640, 480), (1280, 720), (320, 480)))
    offer: Json = {"mimes": ["video/mp4"] if tv else rng.choice((["video/mp4"], ["video/mp4", "video/webm"]))}
    if tv and not place.old and rng.random() < 0.25:
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
    offer |= {"placement": placement} if place.old else {"plcmt": 1 if placement == 1 else 4}
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
    if not place.old and rng.random() < 0.03:
        offer["mincpmpersec"] = 0.02
    return offer


def _audio(rng: Random) -> Json:
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


def _native(rng: Random, place: Placement) -> Json:
    """Native (§3.2.9) with a request of Native 1.2 as a string, now and then in the envelope of 1.0."""
    wrapped = place.old and rng.random() < 0.25
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
