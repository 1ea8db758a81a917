"""What comes in one turn of the event loop, taken together when the turn is over.

The rule kept here: a stage does its work for several auctions before the next stage does its own. Each finds its code,
its tables and the processor's guesses where it left them, which an auction taken from end to end in its turn does not
(decision 12). Nothing waits for company: a round that begins is over when all sockets that were readable have been
read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

GROUP = 16
"""Taken together at most: what is first in a group waits for the last, and more bring nothing more."""

T = TypeVar("T")


class Round(Generic[T]):
    """Gives `take` what was added in one turn of the loop, in order, in groups of up to GROUP, and says `over` once
    after the last. `take` never raises. Construct inside the running loop."""

    __slots__ = ("_over", "_soon", "_take", "added")

    def __init__(self, take: Callable[[list[T]], None], over: Callable[[], object] | None = None) -> None:
        self._take = take
        self._over = over
        self.added: list[T] = []  # since the round began: empty while none has
        self._soon = asyncio.get_running_loop().call_soon

    def add(self, item: T) -> None:
        if not self.added:
            self._soon(self.end)
        self.added.append(item)

    def end(self) -> None:
        """Takes what was added, now."""
        added = self.added
        if not added:
            return
        self.added = []
        try:
            if len(added) <= GROUP:
                self._take(added)
            else:
                for first in range(0, len(added), GROUP):
                    self._take(added[first : first + GROUP])
        finally:
            if self._over is not None:
                self._over()


def fresh_clock() -> Callable[[], float]:
    """The running loop's clock, read anew at each call. uvloop's own stands still during a turn of the loop: right for
    when something arrived, wrong for whether there is time left. Where the system's two clocks differ, uvloop's."""
    own = asyncio.get_running_loop().time
    return monotonic if abs(monotonic() - own()) < 1.0 else own
