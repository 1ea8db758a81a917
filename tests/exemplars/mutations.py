"""Valid requests, and what may happen to them: restrictions that somebody breaks, damage to the tree and to the bytes.

The rule: everything follows from the seed and the mutation's number.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from loadtest.traffic import requests
from tests.exemplars.cases import BASES, campaign
from tests.exemplars.restrictions import EASILY_FORBIDDEN, restrictions_of

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT.parent / "shared" / "openrtb"
SEED = int(os.environ.get("MUTATION_SEED", "1"))

HOSTILE_TEXTS = (
    "",
    " ",
    "0",
    "-1",
    "null",
    '"><script>alert(1)</script>',
    "' onload='x",
    "]]><Error>x</Error>",
    "a\r\nb\tc",
    "\x00\x01\x02",
    "${AUCTION_PRICE}",
    "${AUCTION_ID:B64}",
    "%00%0d%0a",
    "&price=99",
    "../../etc",
    "‮ right to left",
    "\U0001d54a\U0001f0a1",
    "\ud800",
    "x" * 10_240,
    "1e5",
    "NaN",
)
EXTREMES = (0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**40, 1e308, -1e308, 5e-324, 1e-7, 0.1 + 0.2, 1e16)
OTHERS: tuple[Any, ...] = (None, True, False, 0, 1.5, "", "x", [], {}, [[]], [None], {"id": None})


class Mutator:
    """Valid requests, and what may happen to them."""

    def __init__(self) -> None:
        demo = json.loads((ROOT / "bidder" / "data" / "demo_catalog.json").read_bytes())
        self.campaigns: list[Json] = [campaign(name) for name in BASES["campaigns"]]
        self.campaigns += [campaign(each) for each in EASILY_FORBIDDEN]
        self.campaigns += demo["campaigns"]
        self._seeds = list(_seeds())
        self._restrictions = restrictions_of(self.campaigns)

    def body(self, number: int) -> bytes:
        rng = Random(SEED * 1_000_003 + number)
        request = copy.deepcopy(rng.choice(self._seeds))
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            self._restrict(rng, request)
        for _ in range(rng.choice((0, 1, 1, 2, 4))):
            rng.choice(TREE)(rng, request)
        body = json.dumps(request).encode()
        if rng.random() < 0.15:
            body = rng.choice(BYTES)(rng, body)
        return body

    def _restrict(self, rng: Random, request: Json) -> None:
        """A restriction that some campaign of the catalog would break."""
        place, values = rng.choice(self._restrictions)
        value = copy.deepcopy(rng.choice(values))
        imps = [imp for imp in request.get("imp", ()) if isinstance(imp, dict)]
        *parents, name = place.split(".")
        holder: Any = request
        if parents[:1] == ["imp"]:
            holder = rng.choice(imps) if imps else None
            parents = parents[1:]
        for parent in parents:
            holder = _opened(holder, parent) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            holder[name] = value


def _seeds() -> Iterator[Json]:
    """Requests of a simulated exchange, of the exemplars and, where they exist, of the reference data."""
    yield from (case.request for case in requests(SEED, 300, valid_only=True) if case.request)
    yield from BASES["requests"].values()
    for path in sorted([*REFERENCE.glob("synthetic/*request*.json"), *REFERENCE.glob("iab/complete/*request*.json")]):
        yield json.loads(path.read_bytes())


def _opened(holder: Json, name: str) -> Any:
    """The value there; a native request in a text is opened first, if it can be."""
    value = holder.get(name)
    if name == "request" and isinstance(value, str):
        with suppress(ValueError):
            value = holder[name] = json.loads(value)
    return value.get("native", value) if name == "request" and isinstance(value, dict) else value


# -- mutations of the tree: each changes `request` in place ------------------------------------------------------------


def _place(rng: Random, request: Json) -> tuple[Any, Any] | None:
    """A holder and a key or index in it, at any depth with the same probability for each step down."""
    holder: Any = request
    for _ in range(8):
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return None
        key = rng.choice(keys)
        if isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.8:
            holder = holder[key]
        else:
            return holder, key
    return None


def _at(change: Callable[[Random, Any, Any], None]) -> Callable[[Random, Json], None]:
    def apply(rng: Random, request: Json) -> None:
        if (place := _place(rng, request)) is not None:
            change(rng, *place)

    return apply


def _delete(rng: Random, holder: Any, key: Any) -> None:
    del holder[key]


def _duplicate(rng: Random, holder: Any, key: Any) -> None:
    if isinstance(holder, list):
        holder.extend([copy.deepcopy(holder[key]) for _ in range(rng.choice((1, 2, 100)))])
    else:
        holder[f"{key}2"] = copy.deepcopy(holder[key])


def _retype(rng: Random, holder: Any, key: Any) -> None:
    value = holder[key]
    holder[key] = copy.deepcopy(rng.choice((*OTHERS, str(value), [value], {"value": value})))


def _rename(rng: Random, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[rng.choice((key.upper(), key[:-1], f"{key} ", f"x{key}"))] = holder.pop(key)


def _extreme(rng: Random, holder: Any, key: Any) -> None:
    holder[key] = rng.choice(EXTREMES)


def _hostile(rng: Random, holder: Any, key: Any) -> None:
    holder[key] = rng.choice(HOSTILE_TEXTS)


def _nest(rng: Random, holder: Any, key: Any) -> None:
    value = holder[key]
    for _ in range(rng.choice((1, 2, 100))):
        value = rng.choice(([value], {"ext": value}))
    holder[key] = value


def _move(rng: Random, request: Json) -> None:
    """The value of one place also at another."""
    source, target = _place(rng, request), _place(rng, request)
    if source is not None and target is not None:
        target[0][target[1]] = copy.deepcopy(source[0][source[1]])


TREE: tuple[Callable[[Random, Json], None], ...] = (
    *(_at(change) for change in (_delete, _duplicate, _retype, _rename, _extreme, _hostile, _nest)),
    _move,
)


# -- mutations of the bytes --------------------------------------------------------------------------------------------


def _truncate(rng: Random, body: bytes) -> bytes:
    return body[: rng.randrange(len(body))]


def _flip(rng: Random, body: bytes) -> bytes:
    damaged = bytearray(body)
    for _ in range(rng.choice((1, 1, 8))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _splice(rng: Random, body: bytes) -> bytes:
    """A piece of it once more, somewhere."""
    start, at = rng.randrange(len(body)), rng.randrange(len(body))
    return body[:at] + body[start : start + rng.randrange(40)] + body[at:]


def _cut(rng: Random, body: bytes) -> bytes:
    start = rng.randrange(len(body))
    return body[:start] + body[start + rng.randrange(1, 20) :]


BYTES: tuple[Callable[[Random, bytes], bytes], ...] = (_truncate, _flip, _splice, _cut)
