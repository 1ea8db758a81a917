"""Zipf's law: a few make most of the traffic, and the tail is long.

The rule: seeded draws only, with weights from divisions, which all processors round alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


class Zipf(Generic[T]):
    """Picks the item of rank r with a weight of 1 / (r + `flatness`), the best rank being 1."""

    def __init__(self, items: Sequence[T], flatness: float = 0.0) -> None:
        self.items = items
        self.cumulative = list(accumulate(1.0 / (rank + flatness) for rank in range(1, len(items) + 1)))

    def pick(self, rng: Random) -> T:
        return rng.choices(self.items, cum_weights=self.cumulative)[0]

    def share(self, ranks: int) -> float:
        """The part of all picks that the best `ranks` ranks take, 0 to 1."""
        return self.cumulative[ranks - 1] / self.cumulative[-1]
