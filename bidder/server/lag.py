"""How late the event loop is: the first sign that the process has more to do than it can.

The rule kept here: one timer and one subtraction every 100 ms, no task. What passes between the moment a wake-up was
due and the moment it came, every bid waits as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter


class LoopLag:
    """Gives `observe` the lag in seconds, every `interval_s`, between `start` and `stop`."""

    def __init__(self, observe: Callable[[float], None], *, interval_s: float = 0.1) -> None:
        self._observe = observe
        self._interval_s = interval_s
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin; call it on the running loop."""
        # Not the loop's clock: uvloop's stands still during a turn of the loop, and that is what is measured.
        self._due_s = perf_counter() + self._interval_s
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._wake)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        self._observe(max(0.0, perf_counter() - self._due_s))  # a timer may fire a little early
        self.start()
