"""The bid lane: `POST /openrtb2/bid` and `/openrtb2/bid/{exchange}` as a bare ASGI application.

The rule kept here: bids pass no framework (a FastAPI handler costs 130 µs more a request), everything else goes on to
FastAPI untouched. What is wrong with a request is said in plain text, with 400, 404, 405, 413 or 415; never 5xx.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from time import perf_counter
from typing import Any

from bidder.domain import Exchange, NoBidReason
from bidder.metrics import Metrics
from bidder.pipeline import NO_CONTENT, Answer, Pipeline
from bidder.server.body import BodyError, DisconnectedError, Receive, inflate, read_body, too_large

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

PATH = "/openrtb2/bid"
DEFAULT_EXCHANGE = "generic"

_JSON = (b"content-type", b"application/json")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_CLOSE = (b"connection", b"close")


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
        self._exchanges = exchanges
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
        extra: tuple[tuple[bytes, bytes], ...] = ()
        try:
            answer = await self._answer(scope, receive, name)
        except DisconnectedError:
            self._metrics.request(name, "disconnected")
            return
        except BodyError as error:
            answer = Answer(error.status, str(error).encode(), error.outcome)
            # What is left of the body is not read: the connection cannot serve another request.
            extra = (_CLOSE,) if error.status == 413 else ()
        if answer.status == 405:
            extra = ((b"allow", b"POST"),)
        self._metrics.request(name, answer.outcome)
        self._metrics.observe_bid(perf_counter() - started)
        await _send(send, answer, extra)

    @staticmethod
    def _is_bid(path: str) -> bool:
        return path.startswith(PATH) and (len(path) == len(PATH) or path[len(PATH)] == "/")

    async def _answer(self, scope: Scope, receive: Receive, name: str) -> Answer:
        arrived_s = self._clock()
        exchange = self._exchanges.get(name)
        if exchange is None:
            raise BodyError(404, "unknown_exchange", f"no exchange {name[:64]!r} is configured")
        if scope["method"] != "POST":
            raise BodyError(405, "method", "bid requests are sent by POST")
        encoded = self._check_headers(scope["headers"])
        metrics = self._metrics
        if metrics.in_flight >= self._max_in_flight:
            metrics.no_bid(NoBidReason.OVERLOAD)
            await read_body(receive, self._max_body_bytes)
            return Answer(204, b"", "overload")
        metrics.in_flight += 1
        try:
            body = await read_body(receive, self._max_body_bytes)
            if encoded:
                body = inflate(body, self._max_body_bytes)
            return await self._pipeline.bid(body, exchange, arrived_s)
        finally:
            metrics.in_flight -= 1

    def _check_headers(self, headers: Headers) -> bool:
        """Whether the body is gzipped. Raises `BodyError` on what cannot be read."""
        encoded = False
        for name, value in headers:
            if name == b"content-length":
                if int(value) > self._max_body_bytes:
                    raise too_large(self._max_body_bytes)
            elif name == b"content-type":
                media = value.split(b";", 1)[0].strip().lower()
                # Browsers that call across origins send JSON as text/plain.
                if not (media.endswith((b"/json", b"+json")) or media in (b"", b"text/plain")):
                    shown = media.decode("latin-1")
                    raise BodyError(
                        415, "unsupported_media", f"Content-Type {shown!r}: bid requests are application/json"
                    )
            elif name == b"content-encoding":
                coding = value.strip().lower()
                if coding not in (b"", b"identity", b"gzip", b"x-gzip"):
                    shown = coding.decode("latin-1")
                    raise BodyError(415, "unsupported_media", f"Content-Encoding {shown!r}: only gzip is known")
                encoded = coding.endswith(b"gzip")
        return encoded


async def _send(send: Send, answer: Answer, extra: tuple[tuple[bytes, bytes], ...]) -> None:
    if answer is NO_CONTENT or answer.status == 204:
        await send({"type": "http.response.start", "status": 204, "headers": extra})
    else:
        kind = _JSON if answer.status == 200 else _TEXT
        length = (b"content-length", b"%d" % len(answer.body))
        await send({"type": "http.response.start", "status": answer.status, "headers": (kind, length, *extra)})
    await send({"type": "http.response.body", "body": answer.body})
