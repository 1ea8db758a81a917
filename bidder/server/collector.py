"""The garbage collector, by the clock and in small pieces.

The rule kept here: no look is at more than some thousands of objects, 2 to 4 ms. A bid makes no cycles, so reference
counts free what it made, and what has to do with connections lets go of itself when they end; so nearly all that
outlives a look is kept for bids to come, and goes by reference counts too. Looking at all of it once a minute took
17 ms after 3,000 bids (47,000 objects) and 86 after 30,000, where this takes 3 at most. So the young are looked at
often, what outlives that is looked at once more, and then no more: it is frozen.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

YOUNG_S = 0.05
WORTH_A_LOOK = 700
"""New objects; with fewer the young are left to the next time."""
ENOUGH = 4_000
"""Objects that have outlived a look of the young: with so many all of them are looked at, and frozen."""
ALL_EVERY = 1_200  # a minute


class Collector:
    """Takes the collector's place between `start` and `stop`. `collect` looks at generations up to its argument, and
    `freeze` takes what there is out of all looks to come; `young` says how many objects are new since the last look."""

    def __init__(
        self,
        collect: Callable[[int], object] = gc.collect,
        freeze: Callable[[], object] = gc.freeze,
        young: Callable[[], int] = lambda: gc.get_count()[0],
        *,
        interval_s: float = YOUNG_S,
    ) -> None:
        self._collect = collect
        self._freeze = freeze
        self._young = young
        self._interval_s = interval_s
        self._ticks = 0
        self._older = 0  # objects that have outlived a look, at most: some are gone by now
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, on the running loop. What lives by now lives as long as the process: it is not walked again."""
        gc.collect()
        gc.freeze()
        gc.disable()
        self._arm()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        gc.enable()

    def tick(self) -> None:
        """An interval has passed."""
        self._ticks += 1
        young = self._young()
        if self._older + young >= ENOUGH:
            self._collect(2)
            self._freeze()
            self._older = 0
        elif self._ticks % ALL_EVERY == 0:
            self._collect(2)
            self._older += young
        elif young >= WORTH_A_LOOK:
            self._collect(0)
            self._older += young

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._tick)

    def _tick(self) -> None:
        self.tick()
        self._arm()
