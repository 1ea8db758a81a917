"""The garbage collector, by the clock and in small pieces.

The rule kept here: a bid makes no cycles, so reference counts free what it made and the collector has nothing to find
in it. Left to itself it walked what lives at the time, some 40 ms every few seconds (p99 at 500 and 1,000 bids/s: 23
and 21 ms; by the clock 7 and 12). Cycles do come from connections, tasks and exceptions. So the young are looked at so
often that there are few of them; what has outlived them is looked at rarely.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

YOUNG_S = 0.25
WORTH_A_LOOK = 700
"""New objects; with fewer the young are left to the next time."""
MIDDLE_EVERY = 240  # a minute
ALL_EVERY = 14_400  # an hour


class Collector:
    """Takes the collector's place between `start` and `stop`. `collect` looks at generations up to its argument,
    `young` says how many objects are new since it last did."""

    def __init__(
        self,
        collect: Callable[[int], object] = gc.collect,
        young: Callable[[], int] = lambda: gc.get_count()[0],
        *,
        interval_s: float = YOUNG_S,
    ) -> None:
        self._collect = collect
        self._young = young
        self._interval_s = interval_s
        self._ticks = 0
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
        if self._ticks % ALL_EVERY == 0:
            self._collect(2)
        elif self._ticks % MIDDLE_EVERY == 0:
            self._collect(1)
        elif self._young() >= WORTH_A_LOOK:
            self._collect(0)

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._tick)

    def _tick(self) -> None:
        self.tick()
        self._arm()
