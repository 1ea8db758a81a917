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

P = TypeVar("P")
V = TypeVar("V")


class Parts(Generic[P, V]):
    """Of one kind: `known.get(raw) or read(raw)` is what those bytes mean. A plain dict, whose look-up takes half of
    what a subclass's does.

    Two generations: when the young one is full it becomes the old one, and what is asked for again moves back."""

    __slots__ = ("_left", "_longest", "_old", "_room", "decode", "known", "understand")

    def __init__(self, kind: Any, understand: Callable[[P], V], room: int) -> None:
        """`kind`: as what they are decoded; `room`: bytes to remember, or up to twice as many, but of no part more than
        the 64th of it."""
        self.known: dict[bytes, V] = {}
        self.decode: Callable[[bytes], P | None] = Decoder(kind | None).decode
        self.understand = understand
        self._old: dict[bytes, V] = {}
        self._room = self._left = room
        self._longest = room // 64

    def read(self, raw: bytes) -> V | None:
        """What is not known. None, which is not remembered: it is null or empty, or cannot be meant. Raises
        `msgspec.DecodeError` for bytes that are not typed to the letter."""
        value = self._old.pop(raw, None)
        if not value and ((found := self.decode(raw)) is None or not (value := self.understand(found))):
            return None
        size = len(raw)
        if size <= self._longest:
            if size > self._left:
                self._left = self._room
                self._old = dict(self.known)
                self.known.clear()
            self._left -= size
            self.known[raw] = value
        return value
