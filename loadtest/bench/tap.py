"""What a bidder adds to the model's time, by what passes on loopback: the load generator's waiting is not in it.

    ── request ─▶ │ bidder │ ── call ───▶ endpoint     outer: from a request's last byte to its answer's first
    ◀── answer ── │        │ ◀── scores ──             inner: from a call's last byte to its answer's last

The rule: a connection carries one request at a time, so what a server says answers what was last said to it. Which call
carried a bid's rows does not show on the wire: of the calls within the bid's time it was one, and what was added lies
between the outer time less the longest of them, and less the shortest. In the inner time is what the endpoint waits for
its core, as a model would.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from loadtest.bench.capture import CaptureError, Segment

BID = b"HTTP/1.1 200"


class Exchange(NamedTuple):
    """A request to a server and its answer. Nanoseconds of Unix time."""

    asked_ns: int  # the request's last byte
    began_ns: int  # the answer's first
    ended_ns: int  # and last
    answer: bytes  # how it begins


@dataclass(frozen=True, slots=True)
class Tapped:
    """Of answers with a bid, and of the calls meanwhile."""

    bids: int
    calls: int
    outer_p50_ms: float
    outer_p99_ms: float
    inner_p50_ms: float
    inner_p99_ms: float
    least_p50_ms: float  # what was added, bid by bid: at least, and at most
    least_p99_ms: float
    most_p50_ms: float
    most_p99_ms: float
    alone: int  # bids without a call in their time: the model was not asked, or did not answer in time

    @property
    def added_p50_ms(self) -> float:
        return self.outer_p50_ms - self.inner_p50_ms

    @property
    def added_p99_ms(self) -> float:
        return self.outer_p99_ms - self.inner_p99_ms


def exchanges(passed: Iterable[Segment], port: int) -> list[Exchange]:
    """With the server at `port`. What had begun before the capture did is left out."""
    asked: dict[int, int] = {}  # by the client's port
    answered: dict[int, Exchange] = {}  # by the client's port, until it asks again
    found = []
    for at_ns, source, target, begins in passed:
        if target == port:
            if source in answered:
                found.append(answered.pop(source))
            asked[source] = at_ns
        elif source == port and target in answered:
            answered[target] = answered[target]._replace(ended_ns=at_ns)
        elif source == port and target in asked:
            answered[target] = Exchange(asked.pop(target), at_ns, at_ns, begins)
    return found + list(answered.values())


def added_ns(bids: Iterable[Exchange], calls: Iterable[Exchange]) -> Iterator[tuple[int, int] | None]:
    """What each bid took beyond the call that carried its rows: at least, at most. None: there is no call in its
    time."""
    by_start = sorted(calls)
    for bid in bids:
        outer_ns = bid.began_ns - bid.asked_ns
        shortest_ns, longest_ns = outer_ns, 0
        for number in range(bisect_left(by_start, (bid.asked_ns,)), len(by_start)):
            asked_ns, _, ended_ns, _ = by_start[number]
            if asked_ns > bid.began_ns:
                break
            if ended_ns <= bid.began_ns:
                shortest_ns = min(shortest_ns, ended_ns - asked_ns)
                longest_ns = max(longest_ns, ended_ns - asked_ns)
        yield (outer_ns - longest_ns, outer_ns - shortest_ns) if longest_ns else None


def tapped(passed: Sequence[Segment], port: int, endpoint_port: int, warm_up_s: float = 0.0) -> Tapped:
    """Of the bidder at `port` and its endpoint, but for the first `warm_up_s`. Raises CaptureError if no bid passed, or
    no call for any."""
    from_ns = passed[0].at_ns + warm_up_s * 1e9 if passed else 0
    counted = [each for each in passed if each.at_ns >= from_ns]
    bids = [each for each in exchanges(counted, port) if each.answer.startswith(BID)]
    calls = exchanges(counted, endpoint_port)
    bounds = [each for each in added_ns(bids, calls) if each is not None]
    if not bounds:
        raise CaptureError(f"{len(bids)} bids and {len(calls)} calls passed, and no call in the time of a bid")
    outer_p50_ms, outer_p99_ms = _percentiles_ms(bid.began_ns - bid.asked_ns for bid in bids)
    inner_p50_ms, inner_p99_ms = _percentiles_ms(call.ended_ns - call.asked_ns for call in calls)
    least_p50_ms, least_p99_ms = _percentiles_ms(least for least, _ in bounds)
    most_p50_ms, most_p99_ms = _percentiles_ms(most for _, most in bounds)
    return Tapped(
        bids=len(bids),
        calls=len(calls),
        outer_p50_ms=outer_p50_ms,
        outer_p99_ms=outer_p99_ms,
        inner_p50_ms=inner_p50_ms,
        inner_p99_ms=inner_p99_ms,
        least_p50_ms=least_p50_ms,
        least_p99_ms=least_p99_ms,
        most_p50_ms=most_p50_ms,
        most_p99_ms=most_p99_ms,
        alone=len(bids) - len(bounds),
    )


def _percentiles_ms(values_ns: Iterable[int]) -> tuple[float, float]:
    """What half of them, and 99 in 100, stayed within."""
    ordered = sorted(values_ns)
    p50, p99 = (ordered[ceil(share * len(ordered)) - 1] / 1e6 for share in (0.50, 0.99))
    return p50, p99
