"""How many calls may be under way, and whether any may: a bound and a circuit breaker.

The rule kept here: pure arithmetic on the times it is given. It knows nothing of queues, connections or errors; whoever
asks says afterwards how it went: success, ignored (says nothing about the endpoint) or dropped (the endpoint
failed or was too slow).
"""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    SUCCESS = 0
    IGNORE = 1
    DROPPED = 2


class State(Enum):
    CLOSED = 0  # calls flow
    OPEN = 1  # none does
    HALF_OPEN = 2  # one at a time, to see


_SUCCESS, _IGNORE, _DROPPED = Outcome
_CLOSED, _OPEN, _HALF_OPEN = State


class Limiter:
    """At most `max_in_flight` calls; none once `failure_ratio` of the last `window` failed.

    The window starts full of successes. Open, the breaker lets one probe through after `open_s` seconds. `probes`
    successes in a row close it; a failed one opens it for twice as long, `max_open_s` at most.
    """

    __slots__ = (
        "_failure_limit",
        "_failures",
        "_mask",
        "_max_open_s",
        "_open_s",
        "_opened_for_s",
        "_probes",
        "_retry_at",
        "_successes",
        "in_flight",
        "max_in_flight",
        "opened",
        "state",
    )

    def __init__(
        self,
        max_in_flight: int = 32,
        *,
        window: int = 32,
        failure_ratio: float = 0.5,
        open_s: float = 0.5,
        max_open_s: float = 5.0,
        probes: int = 3,
    ) -> None:
        self.max_in_flight = max_in_flight
        self.in_flight = 0
        self.state = _CLOSED
        self.opened = 0  # how often
        self._mask = (1 << window) - 1
        self._failure_limit = max(1, int(window * failure_ratio))
        self._failures = 0  # the last `window` outcomes as bits, the latest lowest; 1 is a failure
        self._open_s = open_s
        self._max_open_s = max_open_s
        self._opened_for_s = open_s
        self._retry_at = 0.0
        self._probes = probes
        self._successes = 0

    @property
    def closed(self) -> bool:
        """Whether calls flow: the breaker is neither open nor probing."""
        return self.state is _CLOSED

    def refuses(self, now_s: float) -> bool:
        """True while no new call has a chance: better to turn elsewhere at once than to wait for a slot."""
        if self.state is _CLOSED:
            return False
        return now_s < self._retry_at or self.in_flight > 0

    def acquire(self, now_s: float) -> bool:
        """Take a slot. Each one taken must be released."""
        if self.state is _CLOSED:
            if self.in_flight >= self.max_in_flight:
                return False
        else:
            if self.refuses(now_s):
                return False
            self.state = _HALF_OPEN
        self.in_flight += 1
        return True

    def release(self, outcome: Outcome, now_s: float) -> None:
        """Give a slot back and say how it went."""
        self.in_flight -= 1
        if outcome is not _SUCCESS or self._failures or self.state is not _CLOSED:  # else it changes nothing
            self.record(outcome, now_s)

    def record(self, outcome: Outcome, now_s: float) -> None:
        """Count an outcome that held no slot, such as a failed connect."""
        if outcome is _IGNORE:
            return
        failed = outcome is _DROPPED
        if self.state is _CLOSED:
            self._failures = (self._failures << 1 | failed) & self._mask
            if failed and self._failures.bit_count() >= self._failure_limit:
                self._open(now_s, self._open_s)
        elif self.state is _HALF_OPEN:
            if failed:
                self._open(now_s, min(self._max_open_s, self._opened_for_s * 2))
            else:
                self._successes += 1
                if self._successes >= self._probes:
                    self.state = _CLOSED
                    self._failures = 0
        # Open: calls sent before it opened come back now; they say nothing new.

    def _open(self, now_s: float, for_s: float) -> None:
        self.state = _OPEN
        self.opened += 1
        self._opened_for_s = for_s
        self._retry_at = now_s + for_s
        self._successes = 0
