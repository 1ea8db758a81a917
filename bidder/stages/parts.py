"""Parts of a request that recur byte for byte → what they mean, remembered by their bytes.

The rule kept here: only what a publisher sets up is remembered, never what says something about a person. What a part
means is shared by all requests that have it, so nobody changes it. How many bytes of them are remembered is bounded: so
is what they mean, which takes some ten times as much.

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

    __slots__ = ("_left", "_longest", "_room", "decode", "understand")

    def __init__(self, kind: Any, understand: Callable[[P], V], room: int) -> None:
        """`kind`: as what they are decoded; `room`: bytes to remember, or up to twice as many, but of no part more than
        the 64th of it."""
        super().__init__(self._read, room)
        self.decode: Callable[[bytes], P | None] = Decoder(kind | None).decode
        self.understand = understand
        self._room = self._left = room
        self._longest = room // 64

    def __missing__(self, key: bytes) -> V | None:
        value = self._old.pop(key, None)
        if value is None:
            value = self._read(key)
        return value if len(key) > self._longest else self.keep(key, value)

    def keep(self, key: bytes, value: V | None) -> V | None:
        if len(key) > self._left:
            self._left = self._room
            self._old = dict(self)
            self.clear()
        self._left -= len(key)
        self[key] = value
        return value

    def _read(self, raw: bytes) -> V | None:
        found = self.decode(raw)
        return None if found is None else self.understand(found)
