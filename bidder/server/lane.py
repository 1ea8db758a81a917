"""The bid lane: `POST /openrtb2/bid` and `/openrtb2/bid/{exchange}` as a bare ASGI application.

The rule kept here: bids pass no framework (a FastAPI handler costs 130 µs more a request), everything else goes on to
FastAPI untouched. What is wrong with a request is said in plain text, with 400, 404, 405, 413 or 415; never 5xx. No
CORS header is ever sent: pages in browsers have no business here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from time import perf_counter
from typing import Any

from bidder.domain import Exchange, NoBidReason
from bidder.metrics import Metrics
from bidder.pipeline import NO_CONTENT, Answer, Pipeline
from bidder.server.body import BodyError, DisconnectedError, Receive, inflate, read_body
from bidder.server.headers import Asked, Header, Reply, read_headers, refused, version_of

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PATH = "/openrtb2/bid"
DEFAULT_EXCHANGE = "generic"

_OVERLOADED = Answer(204, b"", "overload")
_CLOSE = (b"connection", b"close")
_ALLOW = (b"allow", b"POST, OPTIONS")


class BidLane:
    """Takes bid requests, hands all else to `otherwise`."""

    def __init__(
        self,
        pipeline: Pipeline,
        exchanges: Mapping[str, Exchange],
        metrics: Metrics,
        otherwise: App,
        *,
        max_body_bytes: int,
        max_in_flight: int,
    ) -> None:
        self._pipeline = pipeline
        self._exchanges = {name: (exchange, Reply(exchange)) for name, exchange in exchanges.items()}
        self._metrics = metrics
        self._otherwise = otherwise
        self._max_body_bytes = max_body_bytes
        self._max_in_flight = max_in_flight
        self._clock = asyncio.get_running_loop().time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._is_bid(scope["path"]):
            await self._otherwise(scope, receive, send)
            return
        started = perf_counter()
        name = scope["path"][len(PATH) + 1 :] or DEFAULT_EXCHANGE
        headers: tuple[Header, ...]
        try:
            exchange, reply = self._exchange(name, scope["method"])
            asked = read_headers(scope["headers"], self._max_body_bytes)
            answer = NO_CONTENT if scope["method"] == "OPTIONS" else await self._answer(receive, exchange, asked)
            status, outcome = answer.status, answer.outcome
            body, headers = reply.to(asked, answer)
        except DisconnectedError:
            self._metrics.request(name, "disconnected")
            return
        except BodyError as error:
            status, outcome = error.status, error.outcome
            body, headers = refused(error)
            if status == 413:  # what is left of the body is not read: the connection cannot serve another request
                headers = (*headers, _CLOSE)
        if scope["method"] != "POST" and status in (204, 405):
            outcome, headers = "method", (*headers, _ALLOW)
        self._metrics.request(name, outcome)
        self._metrics.observe_bid(perf_counter() - started)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    @staticmethod
    def _is_bid(path: str) -> bool:
        return path.startswith(PATH) and (len(path) == len(PATH) or path[len(PATH)] == "/")

    def _exchange(self, name: str, method: str) -> tuple[Exchange, Reply]:
        found = self._exchanges.get(name)
        if found is None:
            raise BodyError(404, "unknown_exchange", f"no exchange {name[:64]!r} is configured")
        if method not in ("POST", "OPTIONS"):
            raise BodyError(405, "method", "bid requests are sent by POST")
        return found

    async def _answer(self, receive: Receive, exchange: Exchange, asked: Asked) -> Answer:
        arrived_s = self._clock()
        if asked.version and not version_of(asked.version):
            self._metrics.unknown_version(exchange.name)
        metrics = self._metrics
        if metrics.in_flight >= self._max_in_flight:
            metrics.no_bid(NoBidReason.OVERLOAD)
            await read_body(receive, self._max_body_bytes)
            return _OVERLOADED
        metrics.in_flight += 1
        try:
            body = await read_body(receive, self._max_body_bytes)
            if asked.gzipped:
                body = inflate(body, self._max_body_bytes)
            return await self._pipeline.bid(body, exchange, arrived_s)
        finally:
            metrics.in_flight -= 1
