"""The search for the highest rate that holds: doubling until one does not, then halving what is between.

The rule: it knows nothing of how a rate is tried, and tries no rate twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """`holds`: the highest rate seen to hold, 0 if none did. `breaks`: the lowest seen to break, None if none did."""

    holds: float
    breaks: float | None


def highest(
    holds: Callable[[float], bool], start: float, *, most: float, precision: float, least: float = 1.0
) -> Found:
    """The bracket around the highest rate, narrowed until it is no wider than `precision` (0.1: a tenth) of its top."""
    good, bad, rate = 0.0, None, min(start, most)
    while True:
        if holds(rate):
            good = rate
        else:
            bad = rate
        if bad is None:
            if good >= most:
                return Found(good, None)
            rate = min(good * 2, most)
        elif not good:
            if bad <= least:
                return Found(0.0, bad)
            rate = max(bad / 2, least)
        else:
            if bad - good <= precision * bad:
                return Found(good, bad)
            rate = (good + bad) / 2
