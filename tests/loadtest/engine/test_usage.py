"""What processes use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.engine.usage import Sample, Usage, machine, sample

PARENT = """
import os, sys, time
if not os.fork():
    while time.process_time() < 0.2:
        pass
    print("worked", flush=True)
sys.stdin.read()
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")


def test_cpu_time_of_a_process_grows_and_is_its_own():
    """As much as the process itself says that it used, to the kernel's ticks."""
    before = sample(os.getpid())
    while os.times().user + os.times().system < before.cpu_s + 0.1:
        pass
    after = sample(os.getpid())
    assert after.cpu_s >= before.cpu_s + 0.08
    assert after.memory_bytes > 1_000_000


@pytest.mark.skipif(not list(Path("/proc/self/task").glob("*/children")), reason="this kernel does not tell children")
def test_children_are_included():
    """A process that has a child that has worked."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        found = sample(process.pid)
        process.stdin.close()
    assert found.cpu_s >= 0.15


def test_a_process_that_is_gone_has_no_sample():
    """None, and no error."""
    assert sample(2**22 + 1) is None


def test_usage_is_from_the_first_sample_to_the_last():
    """One CPU second in four."""
    usage = Usage((Sample(1.0, 7.0, 5), Sample(3.0, 7.5, 9), Sample(5.0, 8.0, 6)))
    assert (usage.cpu_s, usage.cores, usage.peak_bytes) == (1.0, 0.25, 9)


def test_the_machine_is_named():
    """With its cores and its Python."""
    assert f"{os.cpu_count()} cores" in machine()
