"""What live traffic gets wrong and a bidder must read all the same.

The rule: a deviation changes the spelling of a request, never its meaning; the case keeps the request that was meant.
The kinds are those seen in the field: 1.0 for an int, true for 1, a number as a string, an int as an id, a scalar for
an array, null for absent, an `ext` that is no object, an object for `native.request`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from random import Random
from typing import Any

import orjson

from loadtest.placements import Json

Fields = list[tuple[Json, tuple[str, ...]]]


def deviate(rng: Random, request: Json) -> tuple[bytes, str]:
    """The body of `request` with one to three deviations, and their names. One that does not apply leaves no trace."""
    body = copy.deepcopy(request)
    drawn = rng.sample(tuple(DEVIATIONS), rng.randrange(1, 4))
    names = [name for name, apply in DEVIATIONS.items() if name in drawn and apply(body)]
    if not names:
        _floats(body)
        names = ["floats"]
    return orjson.dumps(body), ", ".join(names)


def _floats(body: Json) -> bool:
    """1.0 for 1, in arrays too."""
    for parent in (body, body.get("device", {}), *body["imp"], *_offers(body)):
        for key, value in parent.items():
            if type(value) is int:
                parent[key] = float(value)
            elif isinstance(value, list) and value and all(type(item) is int for item in value):
                parent[key] = [float(item) for item in value]
    return True


def _booleans(body: Json) -> bool:
    fields: Fields = [(imp, ("secure", "instl", "clickbrowser")) for imp in body["imp"]]
    fields += [(body.get("device", {}), ("js", "dnt", "lmt")), (body.get("regs", {}), ("coppa", "gdpr"))]
    return _respell(fields, bool)


def _numeric_strings(body: Json) -> bool:
    fields: Fields = [(imp, ("secure", "exp")) for imp in body["imp"]]
    fields += [(body.get("device", {}).get("geo", {}), ("lat", "lon", "utcoffset")), (body.get("user", {}), ("yob",))]
    return _respell(fields, str)


def _integer_ids(body: Json) -> bool:
    place = body.get("site") or body.get("app") or body.get("dooh") or {}
    parents = [parent for parent in (place.get("publisher", {}), *body["imp"]) if parent.get("id", "").isdigit()]
    return _respell([(parent, ("id",)) for parent in parents], int)


def _scalars(body: Json) -> bool:
    """An array of one as that one."""
    fields: Fields = [(offer, ("mimes", "api", "playbackmethod")) for offer in _offers(body)]
    fields += [(body.get(channel, {}), ("cat", "sectioncat", "pagecat")) for channel in ("site", "app")]
    found = [(parent, key) for parent, keys in fields for key in keys if len(parent.get(key, ())) == 1]
    for parent, key in found:
        parent[key] = parent[key][0]
    return bool(found)


def _nulls(body: Json) -> bool:
    """Null for absent: only where the field is absent, so that the meaning stays."""
    for parent, keys in (
        (body, ("bapp", "wseat", "wlang", "acat")),
        (body.get("device", {}), ("carrier", "ipv6", "didsha1")),
        (body.get("user", {}), ("yob", "keywords", "geo")),
        *((imp, ("pmp", "metric", "displaymanager")) for imp in body["imp"]),
    ):
        for key in keys:
            parent.setdefault(key, None)
    return True


def _empty_arrays(body: Json) -> bool:
    for parent, keys in ((body, ("bapp", "badv")), *((imp, ("iframebuster", "metric")) for imp in body["imp"])):
        for key in keys:
            parent.setdefault(key, [])
    return True


def _strange_ext(body: Json) -> bool:
    """Only where no `ext` stands, as one may carry 2.5's restrictions."""
    body.setdefault("ext", "")
    body.get("device", {}).setdefault("ext", [])
    return True


def _native_objects(body: Json) -> bool:
    offers = [imp["native"] for imp in body["imp"] if "native" in imp]
    for offer in offers:
        offer["request"] = json.loads(offer["request"])
    return bool(offers)


def _respell(fields: Fields, spell: Callable[[Any], Any]) -> bool:
    """Applies to numbers and texts that no earlier deviation has touched: not to 1.0, True or null."""
    found = [(parent, key) for parent, keys in fields for key in keys if isinstance(parent.get(key), int | float | str)]
    found = [(parent, key) for parent, key in found if type(parent[key]) is not bool]
    found = [(parent, key) for parent, key in found if type(parent[key]) is not float or not parent[key].is_integer()]
    for parent, key in found:
        parent[key] = spell(parent[key])
    return bool(found)


def _offers(body: Json) -> list[Json]:
    return [imp[kind] for imp in body["imp"] for kind in ("banner", "video", "audio", "native") if kind in imp]


DEVIATIONS: dict[str, Callable[[Json], bool]] = {
    "floats": _floats,
    "booleans": _booleans,
    "numeric strings": _numeric_strings,
    "integer ids": _integer_ids,
    "scalars for arrays": _scalars,
    "nulls": _nulls,
    "empty arrays": _empty_arrays,
    "strange ext": _strange_ext,
    "native objects": _native_objects,
}
