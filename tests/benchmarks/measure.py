"""The cost of a piece of work beside a yardstick: processor time, in turn, the least of many repeats.

The rule: noise only adds. The least of many is nearest to what the work costs, and what slows the machine for longer
slows yardstick and work alike.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from time import process_time

from tests.benchmarks.subjects import REQUESTS, loads, yardstick

Work = Callable[[], None]

REPEATS = 9


@dataclass(frozen=True, slots=True)
class Cost:
    us: float  # a request, on this machine, now
    ratio: float  # to the yardstick
    loads: float  # to reading the JSON of the requests without checking it


class Measure:
    def __init__(self) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)  # as the server does

    def cost(self, work: Work) -> Cost:
        """Of `work`, which does its thing once for each of `REQUESTS` requests."""
        least = least_yard = least_loads = float("inf")
        work()
        for _ in range(REPEATS):
            least_yard = min(least_yard, _seconds(yardstick))
            least_loads = min(least_loads, _seconds(loads))
            least = min(least, _seconds(work))
        return Cost(least / REQUESTS * 1e6, least / least_yard, least / least_loads)


def _seconds(work: Work) -> float:
    started = process_time()
    work()
    return process_time() - started
