"""The arithmetic of a bench: turns, pairs of turns, medians of pairs.

The rule: pure. A ratio is taken within a pair, whose turns are next to each other in time, and only then the median.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from loadtest.bench.tap import Tapped

SYSTEMS = ("bidder", "baseline")


@dataclass(frozen=True, slots=True)
class Turn:
    """One system's: saturated by a closed loop, then at half of that by an open one."""

    system: str
    yardstick_us: float  # orjson.loads of a body, just before
    answers: int  # right and in time, from the first of the saturated run to the last, warm-up included
    cpu_s: float  # of the system, from before the first to after the last
    bids: int  # answers with a bid, of `answers`
    per_s: float  # answers a second as they came, while saturated
    failures: Mapping[str, int]  # whatever else became of a request, and rules broken, in both runs: how often
    half_rate: float  # requests a second of the second run
    p50_ms: float  # there, of answers with a bid
    p99_ms: float
    model_p50_ms: float  # what the endpoint itself took for the calls of that run
    model_p99_ms: float
    tap: Tapped | None = None  # of that run, where it was asked for and nothing was missed

    @property
    def cpu_us(self) -> float:
        """CPU time an answer."""
        return self.cpu_s / self.answers * 1e6

    @property
    def per_core_s(self) -> float:
        """Answers a second of CPU time: what a core gives that does nothing else."""
        return self.answers / self.cpu_s

    @property
    def busy(self) -> float:
        """CPU seconds a second: below 1, something else was the limit."""
        return self.per_s / self.per_core_s

    @property
    def added_p50_ms(self) -> float:
        """To the endpoint's own time."""
        return self.p50_ms - self.model_p50_ms

    @property
    def added_p99_ms(self) -> float:
        return self.p99_ms - self.model_p99_ms

    @property
    def yardsticks(self) -> float:
        """CPU time an answer, in yardsticks."""
        return self.cpu_us / self.yardstick_us

    @property
    def bid_share(self) -> float:
        return self.bids / self.answers


@dataclass(frozen=True, slots=True)
class Pair:
    bidder: Turn
    baseline: Turn

    @property
    def ratio(self) -> float:
        """How many times the bidder's CPU time the baseline takes for an answer."""
        return self.baseline.cpu_us / self.bidder.cpu_us


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is measured: a catalog of so many campaigns, requests of so many impressions (None: as they come);
    `bids_only`: those alone that get a bid, as a larger catalog bids on more, and a bid costs more than none."""

    campaigns: int
    imps: int | None = None
    bids_only: bool = False

    @property
    def name(self) -> str:
        ones = "" if self.imps is None else f", {self.imps} imp{'s' if self.imps > 1 else ''}"
        return f"{self.campaigns:,} campaigns{ones}{', bids only' if self.bids_only else ''}"


@dataclass(frozen=True, slots=True)
class Contest:
    """The pairs of one scenario; at least one."""

    scenario: Scenario
    median_bytes: float  # of the requests
    pairs: tuple[Pair, ...]

    @property
    def ratios(self) -> list[float]:
        """Pair by pair."""
        return [pair.ratio for pair in self.pairs]

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def noise(self) -> float:
        """The slowest yardstick over the fastest, less 1: how much the machine itself changed."""
        measured = [turn.yardstick_us for pair in self.pairs for turn in (pair.bidder, pair.baseline)]
        return max(measured) / min(measured) - 1

    @property
    def failures(self) -> Counter[str]:
        """By system and kind."""
        found: Counter[str] = Counter()
        for pair in self.pairs:
            for turn in (pair.bidder, pair.baseline):
                found.update({f"{turn.system} {kind}": count for kind, count in turn.failures.items()})
        return found

    def median(self, system: str, figure: Callable[[Turn], float]) -> float:
        return median(figure(getattr(pair, system)) for pair in self.pairs)

    def tapped(self, system: str, figure: Callable[[Tapped], float]) -> float | None:
        """The median of the turns with a tap; None: there are none."""
        taps = [getattr(pair, system).tap for pair in self.pairs]
        return median(found) if (found := [figure(tap) for tap in taps if tap is not None]) else None

    def document(self) -> dict[str, Any]:
        """For JSON: what was measured, and what follows from it."""
        return {
            "scenario": asdict(self.scenario),
            "median_bytes": self.median_bytes,
            "pairs": [asdict(pair) | {"ratio": pair.ratio} for pair in self.pairs],
            "ratio": self.ratio,
            "noise": self.noise,
            "medians": {
                system: {name: self.median(system, figure) for name, figure in FIGURES.items()}
                | {f"tap_{name}": self.tapped(system, figure) for name, figure in TAPPED.items()}
                for system in SYSTEMS
            },
        }


FIGURES: dict[str, Callable[[Turn], float]] = {
    "cpu_us": lambda turn: turn.cpu_us,
    "yardsticks": lambda turn: turn.yardsticks,
    "per_core_s": lambda turn: turn.per_core_s,
    "per_s": lambda turn: turn.per_s,
    "busy": lambda turn: turn.busy,
    "bid_share": lambda turn: turn.bid_share,
    "half_rate": lambda turn: turn.half_rate,
    "p50_ms": lambda turn: turn.p50_ms,
    "p99_ms": lambda turn: turn.p99_ms,
    "model_p50_ms": lambda turn: turn.model_p50_ms,
    "model_p99_ms": lambda turn: turn.model_p99_ms,
    "added_p50_ms": lambda turn: turn.added_p50_ms,
    "added_p99_ms": lambda turn: turn.added_p99_ms,
}

TAPPED: dict[str, Callable[[Tapped], float]] = {
    "outer_p50_ms": lambda tap: tap.outer_p50_ms,
    "outer_p99_ms": lambda tap: tap.outer_p99_ms,
    "inner_p50_ms": lambda tap: tap.inner_p50_ms,
    "inner_p99_ms": lambda tap: tap.inner_p99_ms,
    "added_p50_ms": lambda tap: tap.added_p50_ms,
    "added_p99_ms": lambda tap: tap.added_p99_ms,
    "least_p50_ms": lambda tap: tap.least_p50_ms,
    "least_p99_ms": lambda tap: tap.least_p99_ms,
    "most_p50_ms": lambda tap: tap.most_p50_ms,
    "most_p99_ms": lambda tap: tap.most_p99_ms,
}
