"""The bid lane: what becomes of a bid request, however it comes in, through `protocol` or `route`.

The rule kept here: who is over the bound, or more than the loop can do, is answered before anything of the request is
parsed. What came in one turn of
the loop starts together, when the turn is over. What is wrong with a request is said in plain text, with 400, 404, 405,
413 or 415; never 5xx.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bidder.domain import Exchange, NoBidReason
from bidder.metrics import Metrics
from bidder.pipeline import Answer, Answered, Arrival, Pipeline
from bidder.rounds import Round, fresh_clock
from bidder.server.body import BodyError, inflate
from bidder.server.busy import Busy
from bidder.server.headers import Asked, Reply

PATH = "/openrtb2/bid"
DEFAULT_EXCHANGE = "generic"

LATE_SHARE = 0.5
"""Where a round has lasted for longer than this share of the exchange's usual tmax, a request in it is not looked at:
the process has more to do than it can, and others still have their time."""

_OVERLOADED = Answer(204, b"", "overload")


@dataclass(slots=True)
class Stop:
    """Where bids of one exchange come in."""

    name: str
    exchange: Exchange
    reply: Reply


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
        busy: Busy | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.metrics = metrics
        self._busy = busy or Busy(1.0)
        self.max_body_bytes = max_body_bytes
        self._pipeline = pipeline
        self._stops = {name: Stop(name, exchange, Reply(exchange)) for name, exchange in exchanges.items()}
        # By path as it usually stands on the wire, so that a bid is known by one look-up.
        self.by_path = {f"{PATH}/{name}".encode(): stop for name, stop in self._stops.items()}
        if DEFAULT_EXCHANGE in self._stops:
            self.by_path[PATH.encode()] = self._stops[DEFAULT_EXCHANGE]
        self.by_line = {b"POST %b HTTP/1.1" % path: stop for path, stop in self.by_path.items()}
        self._max_in_flight = max_in_flight
        self._clock = clock or fresh_clock()
        self._patience_s = (
            LATE_SHARE / 1000 * min([exchange.default_tmax_ms for exchange in exchanges.values()], default=0)
        )
        self._round: Round[Arrival] = Round(self._take, pipeline.send)
        self._since_s = 0.0  # when the round began

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
        """Starts a bid when this turn of the loop is over: `answered` is called once, and then has to take it off
        `metrics.in_flight`. An answer here means that it was not admitted. Raises `BodyError`: 400, 413."""
        metrics = self.metrics
        if asked.version and not asked.known_version:
            metrics.unknown_version(stop.name)
        if metrics.in_flight >= self._max_in_flight or (self._busy.shed and not self._busy.takes()):
            metrics.no_bid(NoBidReason.OVERLOAD)
            return _OVERLOADED
        if asked.gzipped:
            body = inflate(body, self.max_body_bytes)
        metrics.in_flight += 1
        if not self._round.added:
            self._since_s = self._clock()
        self._round.add(Arrival(body, stop.exchange, arrived_s, answered))
        return None

    def _take(self, group: list[Arrival]) -> None:
        """Starts them, but for those that have waited for too long."""
        waited_s = self._clock() - self._since_s
        if waited_s > self._patience_s:
            group = self._patient(group, waited_s)
        self._pipeline.take(group)

    def _patient(self, group: list[Arrival], waited_s: float) -> list[Arrival]:
        """Those whose exchange gives them more time; the others are answered."""
        patient = []
        for arrival in group:
            if waited_s * 1000 > arrival.exchange.default_tmax_ms * LATE_SHARE:
                self.metrics.no_bid(NoBidReason.OVERLOAD)
                arrival.answered(_OVERLOADED)
            else:
                patient.append(arrival)
        return patient
