"""Parts of a request that recur byte for byte → what they mean, remembered by their bytes.

The rule kept here: only what a publisher sets up is remembered, never what says something about a person. What a part
means is shared by all requests that have it, so nobody changes it. How many are remembered, and how long each may be,
is bounded.

A placement offers the same each time, and a publisher blocks the same. What is known already is skipped and looked up,
for a fifth of what reading it costs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from msgspec.json import Decoder

from bidder.stages.tables import Kept

P = TypeVar("P")
V = TypeVar("V")


class Parts(Kept[bytes, V | None], Generic[P, V]):
    """Of one kind: bytes → what they mean; None: they are null, or cannot be meant. Raises `msgspec.DecodeError` for
    bytes that are not typed to the letter."""

    __slots__ = ("_longest", "decode", "understand")

    def __init__(self, kind: Any, understand: Callable[[P], V], limit: int, longest: int) -> None:
        """`kind`: as what they are decoded; `longest`: bytes of those that are remembered."""
        super().__init__(self._read, limit)
        self.decode: Callable[[bytes], P | None] = Decoder(kind | None).decode
        self.understand = understand
        self._longest = longest

    def __missing__(self, key: bytes) -> V | None:
        value = self._old.pop(key, None)
        if value is None:
            value = self._read(key)
        return value if len(key) > self._longest else self.keep(key, value)

    def _read(self, raw: bytes) -> V | None:
        found = self.decode(raw)
        return None if found is None else self.understand(found)
