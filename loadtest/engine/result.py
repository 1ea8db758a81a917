"""What a run came to.

The rule: figures, and with them whether they can be trusted: `limits` says where it was the generator, not the server,
that was measured.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from loadtest.engine.judged import Judged
from loadtest.engine.plan import Plan
from loadtest.engine.usage import Usage
from loadtest.scrape import Metrics
from loadtest.sending.tally import Outcome, Tally, merged

BUSY_CORES = 0.85
LAG_P99_US = 1_000


@dataclass(frozen=True, slots=True)
class WorkerUsage:
    cores: float  # CPU seconds a second while it was counted
    peak_bytes: int
    send_lag_p99_us: float  # NaN in a closed run


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands. `outcomes` are of all so far, with the warm-up's; `latest` is the last whole interval."""

    elapsed_s: float
    total_s: float
    outcomes: Counter[Outcome]
    latest: Tally
    usage: dict[str, Usage]


@dataclass(frozen=True)
class Result:
    plan: Plan
    started_at: str  # ISO 8601, UTC
    machine: str
    intervals: list[Tally]  # by the moment that requests were due, each `plan.interval_s` long
    warm_up: Tally
    workers: list[WorkerUsage]
    usage: dict[str, Usage]  # by the names of `plan.watch`, as far as they could be read
    judged: Judged
    strays: int  # answers that nobody had asked for
    metrics: Metrics | None = None  # what the server's /metrics grew by
    closing_metrics: Metrics | None = None  # and how they stood at the end
    problems: list[str] = field(default_factory=list)  # what could not be measured, and why

    @cached_property
    def tally(self) -> Tally:
        """All that was counted; the warm-up is not."""
        return merged(self.intervals)

    @property
    def answers_per_s(self) -> float:
        """Right answers in time."""
        return self.tally.good / self.plan.duration_s

    @property
    def due_per_s(self) -> float:
        return self.tally.due / self.plan.duration_s

    @property
    def wrong_ids(self) -> int:
        """Answers that were another request's, the warm-up's included."""
        return self.tally.outcomes[Outcome.WRONG_ID] + self.warm_up.outcomes[Outcome.WRONG_ID]

    def cpu_us_per_request(self, name: str) -> float | None:
        """CPU time of a watched process for each request that was sent. None: not known."""
        usage = self.usage.get(name)
        return usage.cpu_s / self.tally.sent * 1e6 if usage is not None and self.tally.sent else None

    @property
    def limits(self) -> list[str]:
        """Why the figures are the generator's and not the server's; empty if they are the server's."""
        found = []
        for number, worker in enumerate(self.workers, 1):
            if worker.cores > BUSY_CORES:
                found.append(f"worker {number} was busy for {worker.cores:.0%} of a core: use more --workers")
            if worker.send_lag_p99_us > LAG_P99_US:
                found.append(
                    f"worker {number} sent late: its p99 lag was {worker.send_lag_p99_us / 1000:.1f} ms "
                    "(too few cores for it and the server, or too few --workers)"
                )
        if behind := self.tally.outcomes[Outcome.DROPPED_BEHIND]:
            found.append(f"{behind:,} requests were not sent, as the generator was behind")
        return found
