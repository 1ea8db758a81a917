"""Wakes the event loop at a moment, exactly.

The rule: an absolute time on `time.monotonic()`'s scale, kept to some microseconds while the loop sleeps. Loops round
their timers to milliseconds (libuv's clock, epoll's time-out), which would be in every latency. On Linux this is a
timerfd; elsewhere it is the loop's own timer, and the send lag in the results shows what that does.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable

_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
_ABSOLUTE = 1


class _Setting(ctypes.Structure):
    """struct itimerspec"""

    _fields_ = [(name, ctypes.c_long) for name in ("interval_s", "interval_ns", "at_s", "at_ns")]


class Alarm:
    """Calls `wake` at the moment last set. `close` before the loop ends."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        self._loop, self._wake = loop, wake
        self._timer: asyncio.TimerHandle | None = None
        self._file = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._file = self._libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self._file >= 0:
            self._setting = _Setting()
            self._reference = ctypes.byref(self._setting)
            loop.add_reader(self._file, self._fired)

    def set(self, at_s: float) -> None:
        """One moment at a time: it takes the place of an earlier one. One that has passed wakes at once."""
        if self._file >= 0:
            setting = self._setting
            setting.at_s = whole = int(at_s)
            setting.at_ns = int((at_s - whole) * 1e9) or 1
            self._libc.timerfd_settime(self._file, _ABSOLUTE, self._reference, None)
        else:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(max(0.0, at_s - self._loop.time()), self._wake)

    def close(self) -> None:
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1
        elif self._timer is not None:
            self._timer.cancel()

    def _fired(self) -> None:
        try:
            os.read(self._file, 8)
        except BlockingIOError:  # set anew meanwhile
            return
        self._wake()
