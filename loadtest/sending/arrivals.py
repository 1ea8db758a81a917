"""When requests arrive: times from the start, computed from the profile alone.

The rule: nothing here knows of answers, so no slow answer can slow an arrival down. A profile is a rate over time; the
n-th request arrives when the area under that rate reaches n. With `poisson` the steps between are exponential, as from
many independent sources, instead of even. Several workers share one profile: together their arrivals are the
profile's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from random import Random

BURST_CYCLE_S, BURST_S = 5.0, 1.0
BURST_HIGH, BURST_LOW = 3.0, 0.5  # times the mean, which is the rate asked for
RAMP_FROM = 0.1  # of the rate asked for


class Profile(StrEnum):
    CONSTANT = "constant"
    RAMP = "ramp"  # from a tenth of the rate up to the rate
    BURST = "burst"  # half the rate, and for one second in five three times the rate
    POISSON = "poisson"  # the rate on average, at random


@dataclass(frozen=True, slots=True)
class Segment:
    """A time in which the rate (requests a second) changes evenly from one value to another."""

    lasts_s: float
    from_rate: float
    to_rate: float

    @property
    def arrivals(self) -> float:
        return self.lasts_s * (self.from_rate + self.to_rate) / 2

    def reaches(self, area: float) -> float:
        """When, from the segment's start, `area` requests have arrived."""
        slope = (self.to_rate - self.from_rate) / self.lasts_s
        # The stable form of the quadratic's solution: it also holds for a slope of 0.
        return 2 * area / (self.from_rate + math.sqrt(max(0.0, self.from_rate**2 + 2 * slope * area)))


def segments(profile: Profile, rate: float, duration_s: float, warm_up_s: float = 0.0) -> list[Segment]:
    """The profile's rate over time; a warm-up is at the rate that the profile starts with."""
    made = _shape(profile, rate, duration_s)
    return [Segment(warm_up_s, made[0].from_rate, made[0].from_rate), *made] if warm_up_s > 0 else made


def arrivals(
    shape: list[Segment], *, poisson: bool = False, seed: int = 0, worker: int = 0, workers: int = 1
) -> Iterator[float]:
    """The arrival times of one of `workers`, in seconds from the start, ascending."""
    steps = _random_steps(seed, worker, workers) if poisson else (float(step) for step in count(worker, workers))
    step, start_s, before = next(steps), 0.0, 0.0
    for segment in shape:
        area = segment.arrivals
        while step < before + area - 1e-9:
            yield start_s + (segment.reaches(step - before) if step > before else 0.0)
            step = next(steps)
        start_s, before = start_s + segment.lasts_s, before + area


def _shape(profile: Profile, rate: float, duration_s: float) -> list[Segment]:
    if profile is Profile.RAMP:
        return [Segment(duration_s, rate * RAMP_FROM, rate)]
    if profile is not Profile.BURST:
        return [Segment(duration_s, rate, rate)]
    made, left_s = [], duration_s
    while left_s > 1e-9:
        for lasts_s, factor in ((BURST_CYCLE_S - BURST_S, BURST_LOW), (BURST_S, BURST_HIGH)):
            if (lasts_s := min(lasts_s, left_s)) > 1e-9:
                made.append(Segment(lasts_s, rate * factor, rate * factor))
                left_s -= lasts_s
    return made


def _random_steps(seed: int, worker: int, workers: int) -> Iterator[float]:
    """A Poisson process of rate 1 / `workers`; as many of them together have rate 1."""
    rng = Random(f"{seed}/{worker}/{workers}")
    step = 0.0
    while True:
        step += rng.expovariate(1.0 / workers)
        yield step
