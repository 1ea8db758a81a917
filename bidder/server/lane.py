"""The bid lane: what becomes of a bid request, however it comes in, through `protocol` or `route`.

The rule kept here: who is over the bound is answered before anything of the request is parsed. What is wrong with a
request is said in plain text, with 400, 404, 405, 413 or 415; never 5xx.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bidder.domain import Exchange, NoBidReason
from bidder.metrics import Metrics
from bidder.pipeline import Answer, Answered, Pipeline, fresh_clock
from bidder.server.body import BodyError, inflate
from bidder.server.headers import Asked, Reply

PATH = "/openrtb2/bid"
DEFAULT_EXCHANGE = "generic"

LATE_SHARE = 0.5
"""Where the loop's turn has lasted for longer than this share of the exchange's usual tmax, a request that it has read
is not looked at: the process has more to do than it can, and others still have their time."""

_OVERLOADED = Answer(204, b"", "overload")


@dataclass(slots=True)
class Stop:
    """Where bids of one exchange come in."""

    name: str
    exchange: Exchange
    reply: Reply
    patience_s: float


class Lane:
    """Admits bid requests and starts them on their way."""

    def __init__(
        self,
        pipeline: Pipeline,
        exchanges: Mapping[str, Exchange],
        metrics: Metrics,
        *,
        max_body_bytes: int,
        max_in_flight: int,
        lag: Callable[[], float] | None = None,
    ) -> None:
        self.metrics = metrics
        self.max_body_bytes = max_body_bytes
        self._pipeline = pipeline
        self._stops = {
            name: Stop(name, exchange, Reply(exchange), exchange.default_tmax_ms / 1000 * LATE_SHARE)
            for name, exchange in exchanges.items()
        }
        # By path as it usually stands on the wire, so that a bid is known by one look-up.
        self.by_path = {f"{PATH}/{name}".encode(): stop for name, stop in self._stops.items()}
        if DEFAULT_EXCHANGE in self._stops:
            self.by_path[PATH.encode()] = self._stops[DEFAULT_EXCHANGE]
        self.by_line = {b"POST %b HTTP/1.1" % path: stop for path, stop in self.by_path.items()}
        self._max_in_flight = max_in_flight
        self._lag = lag or _turn_lasted()

    @staticmethod
    def name_of(path: str) -> str | None:
        """The exchange that a path names; None: it is not the path of a bid."""
        if not path.startswith(PATH) or (len(path) > len(PATH) and path[len(PATH)] != "/"):
            return None
        return path[len(PATH) + 1 :] or DEFAULT_EXCHANGE

    def stop(self, name: str, method: str) -> Stop:
        """Where bids of this exchange come in. Raises `BodyError`: 404, 405."""
        found = self._stops.get(name)
        if found is None:
            raise BodyError(404, "unknown_exchange", f"no exchange {name[:64]!r} is configured")
        if method not in ("POST", "OPTIONS"):
            raise BodyError(405, "method", "bid requests are sent by POST")
        return found

    def start(self, body: bytes, asked: Asked, stop: Stop, arrived_s: float, answered: Answered) -> Answer | None:
        """Starts a bid: `answered` is called once, perhaps before this returns, and then has to call `ended`. An answer
        here means that it was not admitted. Raises `BodyError`: 400, 413."""
        metrics = self.metrics
        if asked.version and not asked.known_version:
            metrics.unknown_version(stop.name)
        if metrics.in_flight >= self._max_in_flight or self._lag() > stop.patience_s:
            metrics.no_bid(NoBidReason.OVERLOAD)
            return _OVERLOADED
        if asked.gzipped:
            body = inflate(body, self.max_body_bytes)
        metrics.in_flight += 1
        self._pipeline.start(body, stop.exchange, arrived_s, answered)
        return None

    def ended(self) -> None:
        """A bid that was started has its answer."""
        self.metrics.in_flight -= 1


def _turn_lasted() -> Callable[[], float]:
    """How long the running loop has been in this turn, in seconds: uvloop's own clock stands still meanwhile. 0 on
    loops whose clock does not."""
    fresh, own = fresh_clock(), asyncio.get_running_loop().time
    return lambda: fresh() - own()
