"""Bid requests as live exchanges send them, from a seed.

The rule: the same seed and count give the same bytes, everywhere; a longer run begins with the shorter one. About 93
in 100 requests conform to OpenRTB 2.6 or 2.5, 5 deviate in spelling as live traffic does and must be read, 2 are
broken and must be refused. Ten in 100, whatever their spelling, are such that no campaign can serve them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

import orjson

from loadtest import deviations, hopeless, malformed
from loadtest.request import bid_request

MALFORMED_SHARE = 0.02
DEVIATING_SHARE = 0.05
HOPELESS_SHARE = 0.10


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
    obstacle: str = ""  # why nobody here can bid on it


_ANSWERED = frozenset({"bid", "no-bid"})
_NOT_BID_ON = frozenset({"no-bid"})


def requests(seed: int, count: int, *, valid_only: bool = False, imps: int | None = None) -> Iterator[BidRequestCase]:
    """`count` cases; with `valid_only`, none is malformed; with `imps`, each of that many impressions."""
    rng = Random(seed)
    made = 0
    while made < count:
        case = _case(rng, bid_request(rng, imps))
        if valid_only and case.kind is Kind.MALFORMED:
            continue
        made += 1
        yield case


def _case(rng: Random, request: dict[str, Any]) -> BidRequestCase:
    obstacle = hopeless.hinder(rng, request) if rng.random() < HOPELESS_SHARE else ""
    expected = _NOT_BID_ON if obstacle else _ANSWERED
    draw = rng.random()
    if draw < MALFORMED_SHARE:
        broken = malformed.break_request(rng, request)
        return BidRequestCase(
            request["id"], broken.body, Kind.MALFORMED, broken.request, broken.expected, broken.defect
        )
    if draw < MALFORMED_SHARE + DEVIATING_SHARE:
        body, names = deviations.deviate(rng, request)
        return BidRequestCase(request["id"], body, Kind.DEVIATING, request, expected, names, obstacle)
    return BidRequestCase(request["id"], orjson.dumps(request), Kind.VALID, request, expected, obstacle=obstacle)
