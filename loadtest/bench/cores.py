"""Which core does what, and how fast it is at the moment.

The rule: Linux only, as nothing else lets a process be kept on a core. Children inherit the core that they are started
on, with all their threads.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import orjson

YARDSTICK_S = 0.15
NEIGHBOURS = 3
"""Cores beside the measured one that are kept busy while the yardstick is taken, at most."""

_WORK = """
import json, os, sys
text = json.dumps([{"id": str(number), "w": number} for number in range(200)])
print(flush=True)
while os.getppid() == int(sys.argv[1]):
    json.loads(text)
"""


class CoresError(Exception):
    """A bench cannot be run on this machine; the text says why."""


@dataclass(frozen=True, slots=True)
class Cores:
    """`measured` has the system under test to itself, `others` everything else."""

    measured: int
    others: frozenset[int]

    @classmethod
    def choose(cls) -> Cores:
        """The last of this process's cores is the measured one. Raises CoresError."""
        if not hasattr(os, "sched_setaffinity"):
            raise CoresError("a bench needs Linux: processes cannot be kept on a core here")
        *others, measured = sorted(os.sched_getaffinity(0))
        if not others:
            raise CoresError("a bench needs two cores at least: one for what is measured, one for the rest")
        return cls(measured, frozenset(others))


@contextmanager
def on_cores(cores: frozenset[int]) -> Iterator[None]:
    """This thread, and what it starts meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_s(pid: int) -> float:
    """CPU time of a process since it began, to the nanosecond. Raises OSError.

    The number of its clock is what clock_getcpuclockid(3) makes of a process id on Linux."""
    return time.clock_gettime(~pid << 3 | 2)


@contextmanager
def at_work(cores: frozenset[int]) -> Iterator[list[int]]:
    """Keeps the last few of `cores` busy, each with a process; their ids. Cores share caches, and often more: one is
    slower while its neighbour works, as generator and endpoint do during a turn."""
    command = [sys.executable, "-S", "-c", _WORK, str(os.getpid())]
    started = []
    try:
        for core in sorted(cores)[-NEIGHBOURS:]:
            with on_cores(frozenset({core})):
                started.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()  # it has begun
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()


def yardstick_us(bodies: Sequence[bytes], cores: Cores) -> float:
    """CPU time of `orjson.loads` for a body, on average over all of them, on the measured core while the others work:
    the best of several rounds."""
    with at_work(cores.others), on_cores(frozenset({cores.measured})):
        rounds: list[float] = []
        until_s = time.monotonic() + YARDSTICK_S
        while not rounds or time.monotonic() < until_s:
            started_s = time.process_time()
            for body in bodies:
                orjson.loads(body)
            rounds.append((time.process_time() - started_s) / len(bodies) * 1e6)
    return min(rounds)
