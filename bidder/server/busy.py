"""More to do than one core can: how much of it is answered at once, so that the rest is in time.

The rule kept here: where the loop works without a pause, requests wait in front of the process, at exchanges whose
connections are all taken and where nobody here can see them, until all of them are late. So a share of bids is answered
with a no-bid before anything of it is parsed, and that share is moved until the loop has a little time left: then
nothing waits. A moment of work, as when a catalog is swapped, is no overload; nor is a neighbour on the core, as long
as the loop still comes to wait for something to do.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter, thread_time
from typing import NamedTuple

WINDOW_S = 0.1
"""The period of Linux's CPU quotas: within it a container that has half a core computes all the time, or not at all."""
PATIENCE = 3
"""Windows without a pause, one after the other, after which it counts as overload: 0.3 s."""
PAUSES = 20
"""In a window, from where on the loop has time left, however much of it was spent in waiting for the core: at nine
tenths of what a core can do there are some eighty, beyond it hardly any."""
GAIN, RISE = 0.5, 4.0
"""How much of what the loop is busier, or less busy, than it should be is added to the share a window: little, so that
it does not swing where the load is several times what can be done; much where there has been no pause for so long, as a
loop that works all the time does not say how much more there is to do."""
IDLE = -0.02
"""What a loop with time left is taken to be less busy than it should be, at the least."""
STILL = 0.01
"""A smaller share is none."""


class Usage(NamedTuple):
    """Of a thread, all since its start: the clock, how long it computed or waited for a core to do so, and how often it
    waited for something else."""

    now_s: float
    wanted_s: float
    pauses: int


class Busy:
    """`most`: the share of its time, above 0 and up to 1, that the loop's thread may want a core; 1: nothing is shed.
    Call `start` on the running loop."""

    def __init__(self, most: float, usage: Callable[[], Usage] | None = None) -> None:
        self.share = 0.0  # of the last window, in which the thread wanted a core
        self.shed = 0.0  # of bids, answered at once
        self._most = most
        self._usage = usage or thread_usage
        self._last = Usage(0.0, 0.0, 0)
        self._windows = 0  # one after the other that were too busy
        self._owed = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._last = self._usage()
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
        last, self._last = self._last, self._usage()
        now_s, wanted_s, pauses = self._last
        self.share = (wanted_s - last.wanted_s) / max(now_s - last.now_s, 1e-9)
        excess = self.share - self._most
        if pauses - last.pauses > PAUSES:
            excess = min(excess, IDLE)
        self._windows = self._windows + 1 if excess > 0 else 0
        if self._most < 1.0 and (self.shed or self._windows >= PATIENCE):
            moved = self.shed + (RISE if self._windows >= PATIENCE else GAIN) * excess
            self.shed = min(moved, 1.0) if moved > STILL else 0.0

    def _wake(self) -> None:
        self.look()
        self._timer = asyncio.get_running_loop().call_later(WINDOW_S, self._wake)


def thread_usage() -> Usage:
    """Of the thread that asks. Where the system does not tell pauses, or waits for a core, there are none."""
    waited_s = 0.0
    with suppress(OSError, ValueError, IndexError):
        descriptor = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        try:
            waited_s = int(os.read(descriptor, 100).split()[1]) / 1e9  # computed ns, waited ns, turns on a core
        finally:
            os.close(descriptor)
    return Usage(perf_counter(), thread_time() + waited_s, _pauses())


def _pauses() -> int:
    who = getattr(resource, "RUSAGE_THREAD", None)
    return 0 if who is None else resource.getrusage(who).ru_nvcsw
