"""What became of requests: counts and latencies, for a stretch of time or a whole run.

The rule: every request that was due is in exactly one outcome. Latencies run from the intended moment of sending, in
microseconds, and are of everything that was sent: what was never answered counts with the time until it was given up.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from loadtest.sending.histogram import Histogram


class Outcome(StrEnum):
    BID = "bid"
    NO_BID = "no_bid"
    REFUSED = "refused"  # 400 to a request that is broken on purpose
    TIMED_OUT = "timed_out"  # answered after tmax, or not at all
    BAD_STATUS = "bad_status"  # neither 200 nor 204, nor a 400 that was due
    WRONG_ID = "wrong_id"  # the answer is another request's
    UNREADABLE = "unreadable"  # 200 without a bid response in it
    CONNECTION_ERROR = "connection_error"  # reset, closed, refused, or not HTTP
    DROPPED_NO_CONNECTION = "dropped_no_connection"  # none was free until tmax
    DROPPED_BEHIND = "dropped_behind"  # the generator itself came too late


GOOD = frozenset({Outcome.BID, Outcome.NO_BID, Outcome.REFUSED})
UNSENT = frozenset({Outcome.DROPPED_NO_CONNECTION, Outcome.DROPPED_BEHIND})
LATE_SEND_US = 1_000


@dataclass(slots=True)
class Tally:
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)  # of bad_status
    latency_us: Histogram = field(default_factory=Histogram)
    bid_latency_us: Histogram = field(default_factory=Histogram)  # of answers with a bid, which the model was asked for
    send_lag_us: Histogram = field(default_factory=Histogram)  # the generator's own lateness
    late_sends: int = 0  # later than `LATE_SEND_US` by the generator's fault; sent all the same
    answered_bytes: int = 0

    @property
    def due(self) -> int:
        """All requests that should have been sent."""
        return sum(self.outcomes.values())

    @property
    def sent(self) -> int:
        return self.due - sum(self.outcomes[outcome] for outcome in UNSENT)

    @property
    def good(self) -> int:
        """Answered rightly and in time."""
        return sum(self.outcomes[outcome] for outcome in GOOD)

    @property
    def errors(self) -> int:
        return self.due - self.good

    @property
    def error_share(self) -> float:
        return self.errors / self.due if self.due else 0.0

    @property
    def bid_share(self) -> float:
        return self.outcomes[Outcome.BID] / self.due if self.due else 0.0

    def merge(self, other: Tally) -> None:
        self.outcomes.update(other.outcomes)
        self.statuses.update(other.statuses)
        self.latency_us.merge(other.latency_us)
        self.bid_latency_us.merge(other.bid_latency_us)
        self.send_lag_us.merge(other.send_lag_us)
        self.late_sends += other.late_sends
        self.answered_bytes += other.answered_bytes

    def latency_ms(self, percent: float) -> float:
        return self.latency_us.percentile(percent) / 1000


def merged(tallies: list[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.merge(tally)
    return total
