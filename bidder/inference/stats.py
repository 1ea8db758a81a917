"""What the inference client counts: plain attributes, read at scrape time.

The rule kept here: counting costs an addition. Names and labels are the collector's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bidder.metrics import Gathered

ROWS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SECONDS_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5)
SETTLE_EVERY = 256  # calls


@dataclass(slots=True)
class InferenceStats:
    """Counters since start, of one endpoint: its batcher and its pool."""

    submitted: int = 0  # auctions
    calls: int = 0
    call_rows: int = 0
    answered: int = 0  # calls that brought scores
    rows_per_call: Gathered = field(default_factory=lambda: Gathered(ROWS_BUCKETS))
    call_seconds: Gathered = field(default_factory=lambda: Gathered(SECONDS_BUCKETS))
    errors: dict[str, int] = field(default_factory=dict)  # auctions without scores, by InferenceError.kind
    call_errors: dict[str, int] = field(default_factory=dict)  # calls without scores, by InferenceError.kind
    resends: int = 0
    abandoned: int = 0  # calls that all waiting auctions gave up
    late_drained: int = 0  # of these, answered late while their connection was kept
    opened: int = 0
    reused: int = 0
    closed: int = 0
    connect_failures: int = 0
    connects_deferred: int = 0  # connects put off by the cap on new connections

    def settle(self) -> None:
        """Count what the histograms have gathered: to be called every SETTLE_EVERY calls."""
        self.rows_per_call.settle()
        self.call_seconds.settle()

    def count_error(self, kind: str) -> None:
        self.errors[kind] = self.errors.get(kind, 0) + 1

    def count_call_error(self, kind: str) -> None:
        self.call_errors[kind] = self.call_errors.get(kind, 0) + 1
