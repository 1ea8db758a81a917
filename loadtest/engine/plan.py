"""What a run is to do.

The rule: everything that decides a run's outcome, but for the server, is in its plan; the same plan sends the same
requests at the same moments, but for their ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loadtest.sending.arrivals import Profile
from loadtest.traffic import BidRequestCase


@dataclass(frozen=True, slots=True)
class Plan:
    """Either open (`rate`: requests a second that are due, whatever the answers) or closed (`in_flight`: so many are
    kept under way, which saturates the server).

    `connections` are for each worker; each carries `pipelining` requests at once. In a closed run there are as many
    as `in_flight` needs.
    """

    url: str  # http://HOST:PORT/PATH
    cases: Sequence[BidRequestCase]  # sent in turn, again and again
    rate: float = 0.0
    in_flight: int = 0
    profile: Profile = Profile.CONSTANT
    duration_s: float = 10.0
    warm_up_s: float = 2.0  # sent, but not counted
    workers: int = 1
    connections: int = 64
    pipelining: int = 1
    tmax_ms: int | None = None  # None: each request's own
    linger_s: float = 1.0  # how long after its tmax an answer is waited for before its connection is closed
    check_share: float = 0.05  # of the answers, judged after the run by all the rules; ids are checked always
    seed: int = 1
    interval_s: float = 0.0  # the width of results over time; 0: a second, but at most 300 stretches
    watch: Mapping[str, int] = field(default_factory=dict)  # processes whose CPU and memory are noted: name, pid
    metrics_url: str | None = None  # base URL of a /metrics page, read at the start and end of what is counted

    def __post_init__(self) -> None:
        if (self.rate > 0) == (self.in_flight > 0):
            raise ValueError("a plan has either a rate or a number of requests in flight")
        if not self.cases:
            raise ValueError("a plan needs requests to send")
        if self.duration_s <= 0 or self.workers < 1 or self.connections < 1 or self.pipelining < 1:
            raise ValueError("duration, workers, connections and pipelining must be above 0")
        if self.in_flight and self.in_flight < self.workers:
            raise ValueError("each worker needs a request in flight")
        if not self.interval_s:
            object.__setattr__(self, "interval_s", max(1.0, self.duration_s / 300))
