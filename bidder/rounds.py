"""What comes in one turn of the event loop, taken together when the turn is over.

The rule kept here: a stage does its work for several auctions before the next stage does its own. Each finds its code,
its tables and the processor's guesses where it left them, which an auction taken from end to end in its turn does not
(decision 12). Nothing waits for company: a round that begins is over when all sockets that were readable have been
read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

GROUP = 16
"""Taken together at most: what is first in a group waits for the last, and more bring nothing more."""

T = TypeVar("T")


class Round(Generic[T]):
    """Gives `take` what was added in one turn of the loop, in order, in groups of up to GROUP. `take` never raises.
    Construct inside the running loop."""

    __slots__ = ("_added", "_soon", "_take")

    def __init__(self, take: Callable[[list[T]], None]) -> None:
        self._take = take
        self._added: list[T] = []
        self._soon = asyncio.get_running_loop().call_soon

    def __bool__(self) -> bool:
        """Whether a round has begun that is not over."""
        return bool(self._added)

    def add(self, item: T) -> None:
        if not self._added:
            self._soon(self._end)
        self._added.append(item)

    def _end(self) -> None:
        added, self._added = self._added, []
        for first in range(0, len(added), GROUP):
            self._take(added[first : first + GROUP])
