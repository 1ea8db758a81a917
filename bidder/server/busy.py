"""More to do than one core can: how much of it is answered at once, so that the rest is in time.

The rule kept here: where the loop computes without a pause, requests wait in front of the process, at exchanges whose
connections are all taken and where nobody here can see them, until all of them are late. So a share of bids is answered
with a no-bid before anything of it is parsed, and that share is moved until the loop has a little time left: then
nothing waits. A moment of work, as when a catalog is swapped, is no overload.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter, thread_time

WINDOW_S = 0.1
"""The period of Linux's CPU quotas: within it a container that has half a core computes all the time, or not at all."""
PATIENCE = 3
"""Windows without a pause, one after the other, after which it counts as overload: 0.3 s."""
GAIN, RISE = 0.5, 4.0
"""How much of what the loop is busier, or less busy, than it should be is added to the share a window: little, so that
it does not swing where the load is several times what can be done; much where there has been no pause for so long, as a
loop that computes all the time does not say how much more there is to do."""
STILL = 0.01
"""A smaller share is none."""


class Busy:
    """`most`: the share of its time, above 0 and up to 1, that the loop's thread may compute; 1: nothing is shed.
    Call `start` on the running loop."""

    def __init__(
        self,
        most: float,
        *,
        clock: Callable[[], float] = perf_counter,
        cpu_clock: Callable[[], float] = thread_time,
    ) -> None:
        self.share = 0.0  # of the last window, computed
        self.shed = 0.0  # of bids, answered at once
        self._most = most
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._windows = 0  # one after the other that were too busy
        self._owed = 0.0
        self._since_s = self._cpu_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._since_s, self._cpu_s = self._clock(), self._cpu_clock()
        self._timer = asyncio.get_running_loop().call_later(WINDOW_S, self._wake)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def takes(self) -> bool:
        """Whether the next bid is taken. Those that are shed are spread evenly."""
        self._owed += self.shed
        if self._owed < 1.0:
            return True
        self._owed -= 1.0
        return False

    def look(self) -> None:
        """A window is over."""
        now_s, cpu_s = self._clock(), self._cpu_clock()
        self.share = share = (cpu_s - self._cpu_s) / max(now_s - self._since_s, 1e-9)
        self._since_s, self._cpu_s = now_s, cpu_s
        self._windows = self._windows + 1 if share > self._most else 0
        if self._most < 1.0 and (self.shed or self._windows >= PATIENCE):
            gain = RISE if self._windows >= PATIENCE else GAIN
            moved = self.shed + gain * (share - self._most)
            self.shed = min(moved, 1.0) if moved > STILL else 0.0

    def _wake(self) -> None:
        self.look()
        self._timer = asyncio.get_running_loop().call_later(WINDOW_S, self._wake)
