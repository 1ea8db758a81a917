"""User profiles: how one is written, and what every store of them can be asked.

The rule kept here: a profile is a hint. A look-up never raises and never outlives its deadline; what is not known in
time counts as not known, and the bid goes on with contextual features alone. Keys arrive hashed and are opaque.

A profile is written as compact JSON, every field optional:

    {"s": ["sports", "cars"], "n": 3, "t": 1767225600, "c": {"spring-sale": 2}}

`s` segments; `n` impressions today; `t` the last impression, Unix seconds; `c` today's impressions by campaign id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeGuard

import orjson

from bidder.domain import Profile

MAX_VALUE_BYTES = 16_384  # a longer value is not read
MAX_KEYS_PER_LOOKUP = 8  # further keys are not tried


@dataclass(slots=True)
class LookupCounts:
    """What became of the look-ups. Each ends as one hit, miss, timeout, error or refusal, unless its caller left."""

    lookups: int = 0
    hits: int = 0
    misses: int = 0  # the store answered and has none of the keys
    timeouts: int = 0  # not answered by the deadline
    errors: int = 0  # lost with the batch that carried them
    refused: int = 0  # not asked: the store is away, or as many batches as allowed are out
    malformed: int = 0  # values, not look-ups: not a profile, or too long
    batches: int = 0  # questions sent to the store
    keys: int = 0  # keys asked for


class ProfileStore(Protocol):
    """Where profiles come from. All methods belong to the event loop's thread."""

    counts: LookupCounts

    @property
    def ready(self) -> bool:
        """Whether look-ups can be answered now. Bidding does not need it."""
        ...

    def lookup(self, keys: Iterable[str], deadline_s: float) -> Profile | asyncio.Future[Profile | None] | None:
        """The profile of the first of `keys` (best first) that has one; None for a miss, a time-out or any error. The
        keys are made as they are asked for; () has none.

        `deadline_s` is on `loop.time()`. Profiles are shared between auctions: callers read them only."""
        ...

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


def decode_profile(value: bytes | str) -> Profile:
    """The profile written as `value`. ValueError: it is too long, no JSON, or a field is not what it should be."""
    if len(value) > MAX_VALUE_BYTES:
        raise ValueError(f"a profile of {len(value)} bytes: at most {MAX_VALUE_BYTES} are read")
    fields = orjson.loads(value)
    if type(fields) is not dict:
        raise ValueError('a profile is a JSON object, as {"s": ["sports"], "n": 3}')
    return profile_from(fields)


def profile_from(fields: dict[str, object]) -> Profile:
    """The profile in decoded JSON. Fields not known are left alone: a newer bidder may have written them."""
    segments = fields.get("s", [])
    if type(segments) is not list or not all(type(segment) is str for segment in segments):
        raise ValueError("'s' is not an array of strings, the user's segments")
    campaigns = fields.get("c", {})
    if type(campaigns) is not dict or not all(_is_count(count) for count in campaigns.values()):
        raise ValueError("'c' is not an object of campaign ids and whole numbers, today's impressions")
    impressions_today = fields.get("n", 0)
    if not _is_count(impressions_today):
        raise ValueError("'n' is not a whole number from 0, the impressions today")
    last_impression_s = fields.get("t", 0)
    if not _is_count(last_impression_s):
        raise ValueError("'t' is not a whole number from 0, the last impression in Unix seconds")
    return Profile(frozenset(segments), impressions_today, last_impression_s, campaigns)


def encode_profile(profile: Profile) -> bytes:
    """`profile` as it is written; empty fields are left out."""
    fields = {
        "s": sorted(profile.segments),
        "n": profile.impressions_today,
        "t": profile.last_impression_s,
        "c": dict(profile.campaign_impressions),
    }
    return orjson.dumps({name: value for name, value in fields.items() if value})


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and value >= 0
