"""Work on a new catalog leaves the core to bids."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bidder.catalog.niceness import NICENESS, be_nice

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux alone")

ASK = "import os; print(os.getpriority(os.PRIO_PROCESS, 0))"


def own() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def of_a_child() -> int:
    return int(subprocess.run([sys.executable, "-c", ASK], stdout=subprocess.PIPE, check=True).stdout)


def test_a_thread_and_what_it_starts_are_nice_and_no_other_thread_is() -> None:
    before = own()
    with ThreadPoolExecutor(1, initializer=be_nice) as aside:
        assert aside.submit(own).result() == max(before, NICENESS)
        assert aside.submit(of_a_child).result() == max(before, NICENESS)
    assert own() == before


def test_who_is_nicer_stays_so() -> None:
    def nicer() -> int:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        be_nice()
        return own()

    with ThreadPoolExecutor(1) as aside:
        niceness = aside.submit(nicer).result()
    assert niceness in (19, NICENESS)  # who may do anything, as root, is set to what was asked for
