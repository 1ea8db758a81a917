"""Which core does what, and how fast it is at the moment.

The rule: Linux only, as nothing else lets a process be kept on a core. Children inherit the core that they are started
on, with all their threads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import orjson

YARDSTICK_S = 0.15


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


def yardstick_us(bodies: Sequence[bytes], core: int) -> float:
    """CPU time of `orjson.loads` for a body, on average over all of them, on that core: the best of several rounds."""
    with on_cores(frozenset({core})):
        rounds: list[float] = []
        until_s = time.monotonic() + YARDSTICK_S
        while not rounds or time.monotonic() < until_s:
            started_s = time.process_time()
            for body in bodies:
                orjson.loads(body)
            rounds.append((time.process_time() - started_s) / len(bodies) * 1e6)
    return min(rounds)
