"""Requests that conform and that no campaign of ours can serve: one in ten of live traffic, at the least.

The rule: hopeless whatever the catalog, or so nearly that a bid on one is a mistake: seats and deals that are not ours,
categories that nobody advertises in, floors that nobody pays, sizes that nobody makes any more.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from loadtest.placements import Json

_OLD_SIZES = ((88, 31), (120, 90), (180, 150), (234, 60))


def hinder(rng: Random, request: Json) -> str:
    """Makes `request` hopeless in place, and returns by what."""
    obstacle = rng.choice(tuple(OBSTACLES))
    OBSTACLES[obstacle](rng, request)
    return obstacle


def _seats(rng: Random, request: Json) -> None:
    request.pop("bseat", None)
    request["wseat"] = [f"seat-elsewhere-{rng.randrange(40):02d}"]


def _deals(rng: Random, request: Json) -> None:
    for imp in request["imp"]:
        deal = {"id": f"deal-elsewhere-{rng.randrange(1000):03d}", "bidfloor": 2.0, "bidfloorcur": "USD", "at": 1}
        imp["pmp"] = {"private_auction": 1, "deals": [deal]}


def _categories(rng: Random, request: Json) -> None:
    """Uncategorised alone: of taxonomy 1, also where none is named."""
    request.pop("bcat", None)
    request["acat"] = ["IAB24"]


def _floor(rng: Random, request: Json) -> None:
    for imp in request["imp"]:
        imp.pop("pmp", None)
        imp.get("video", {}).pop("mincpmpersec", None)
        imp |= {"bidfloor": float(rng.randrange(300, 900)), "bidfloorcur": "USD"}


def _size(rng: Random, request: Json) -> None:
    width, height = rng.choice(_OLD_SIZES)
    for imp in request["imp"]:
        for name in ("video", "audio", "native", "instl", "rwdd"):
            imp.pop(name, None)
        imp["banner"] = {"format": [{"w": width, "h": height}], "pos": 1}


OBSTACLES: dict[str, Callable[[Random, Json], None]] = {
    "other seats": _seats,
    "other deals": _deals,
    "other categories": _categories,
    "floor": _floor,
    "size": _size,
}
