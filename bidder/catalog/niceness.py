"""Others go first: how the work on a new catalog leaves the core to bids."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

NICENESS = 10
"""As of the process that compiles (`child`): enough to get on with it where bids leave a tenth of the core."""


def be_nice() -> None:
    """The calling thread lets the others of its process go first, and so does a process that it starts, from its first
    moment on. Where threads have no niceness of their own, as beside Linux, nothing happens."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
