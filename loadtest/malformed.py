"""Requests that are broken, and what must become of each.

The rule: what is no bid request is refused with 400; a restriction that cannot be read ends without a bid. Where both
are right (a number that is no number), both are expected. A body never holds a line feed, so that bodies can stand
one a line.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from loadtest.placements import Json

REFUSED = frozenset({"refused"})
NOT_BID_ON = frozenset({"refused", "no-bid"})
NESTING = 5_000
_OBJECTS = [{"id": number} for number in range(17)]


@dataclass(frozen=True, slots=True)
class Broken:
    body: bytes
    defect: str
    expected: frozenset[str]
    request: Json | None  # the parsed body, where it is a JSON object


def break_request(rng: Random, request: Json) -> Broken:
    """One of the defects, applied to a valid request."""
    defect = rng.choice(tuple(BYTES) + tuple(FIELDS))
    if defect in BYTES:
        damage, expected = BYTES[defect]
        return Broken(damage(orjson.dumps(request), rng), defect, expected, None)
    change, expected = FIELDS[defect]
    body = copy.deepcopy(request)
    change(body)
    return Broken(orjson.dumps(body), defect, expected, body)


def _truncated(body: bytes, rng: Random) -> bytes:
    return body[: rng.randrange(1, len(body))]


def _bad_utf8(body: bytes, rng: Random) -> bytes:
    return body.replace(b'"id":"', b'"id":"\xff\xfe', 1)


def _lone_surrogate(body: bytes, rng: Random) -> bytes:
    return body.replace(b'"id":"', b'"id":"\\ud800', 1)


def _not_an_object(body: bytes, rng: Random) -> bytes:
    return rng.choice((b"[]", b'"bid"', b"42", b"null", b"[" + body + b"]"))


def _empty(body: bytes, rng: Random) -> bytes:
    return b""


def _nested(body: bytes, rng: Random) -> bytes:
    return body[:-1] + b',"deep":' + b"[" * NESTING + b"]" * NESTING + b"}"


def _floor(text: bytes) -> Callable[[bytes, Random], bytes]:
    def replace(body: bytes, rng: Random) -> bytes:
        request = orjson.loads(body)
        request["imp"][0]["bidfloor"] = 987654321
        return orjson.dumps(request).replace(b"987654321", text, 1)

    return replace


def _without(key: str) -> Callable[[Json], None]:
    return lambda body: body.pop(key)


def _with(key: str, value: Any) -> Callable[[Json], None]:
    return lambda body: body.__setitem__(key, value)


def _with_imp(key: str, value: Any) -> Callable[[Json], None]:
    return lambda body: body["imp"][0].__setitem__(key, value)


def _unreadable_battr(body: Json) -> None:
    imp = body["imp"][0]
    next(imp[kind] for kind in ("banner", "video", "audio", "native") if kind in imp)["battr"] = {"1": "yes"}


BYTES: dict[str, tuple[Callable[[bytes, Random], bytes], frozenset[str]]] = {
    "truncated JSON": (_truncated, REFUSED),
    "bad UTF-8": (_bad_utf8, REFUSED),
    "lone surrogate": (_lone_surrogate, REFUSED),
    "not an object": (_not_an_object, REFUSED),
    "empty body": (_empty, REFUSED),
    "deep nesting": (_nested, REFUSED),
    "bidfloor NaN": (_floor(b"NaN"), NOT_BID_ON),
    "bidfloor 1e400": (_floor(b"1e400"), NOT_BID_ON),
}
FIELDS: dict[str, tuple[Callable[[Json], Any], frozenset[str]]] = {
    "no id": (_without("id"), REFUSED),
    "no imp": (_without("imp"), REFUSED),
    "imp is a string": (_with("imp", "1"), REFUSED),
    "bcat of objects": (_with("bcat", _OBJECTS), NOT_BID_ON),
    "badv is an object": (_with("badv", {"0": "competitor.example"}), NOT_BID_ON),
    "wseat of objects": (_with("wseat", _OBJECTS), NOT_BID_ON),
    "cur of objects": (_with("cur", [{"code": "USD"}]), NOT_BID_ON),
    "regs is a string": (_with("regs", "yes"), NOT_BID_ON),
    "bidfloor is a word": (_with_imp("bidfloor", "cheap"), NOT_BID_ON),
    "bidfloor is negative": (_with_imp("bidfloor", -1.5), NOT_BID_ON),
    "battr is an object": (_unreadable_battr, NOT_BID_ON),
}
