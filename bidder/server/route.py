"""The bid lane as a bare ASGI application: the ordinary route, on any ASGI server.

The rule kept here: bids pass no framework, everything else goes on to FastAPI untouched. It answers as `protocol` does,
byte for byte but for the date; that one costs less, this one is what to compare it with. No CORS header is ever sent:
pages in browsers have no business here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

from bidder.pipeline import NO_CONTENT, Answer
from bidder.server.body import BodyError, DisconnectedError, Receive, read_body
from bidder.server.headers import ALLOW, CLOSING, ERROR, Asked, Header, length, read_headers
from bidder.server.lane import Lane, Stop

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class BidRoute:
    """Takes bid requests, hands all else to `otherwise`. Construct inside the running loop."""

    def __init__(self, lane: Lane, otherwise: App) -> None:
        self._lane = lane
        self._otherwise = otherwise
        self._clock = asyncio.get_running_loop().time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = self._lane.name_of(scope["path"]) if scope["type"] == "http" else None
        if name is None:
            await self._otherwise(scope, receive, send)
            return
        lane, method, started = self._lane, scope["method"], perf_counter()
        headers: tuple[Header, ...]
        try:
            stop = lane.stop(name, method)
            asked = read_headers(scope["headers"], lane.max_body_bytes)
            answer = NO_CONTENT if method == "OPTIONS" else await self._answer(receive, stop, asked)
            status, outcome = answer.status, answer.outcome
            body, head = stop.reply.to(asked, answer)
        except DisconnectedError:
            lane.metrics.request(name, "disconnected")
            return
        except BodyError as error:
            status, outcome, body = error.status, error.outcome, str(error).encode()
            # What is left of too large a body is not read: the connection cannot serve another request.
            head = CLOSING if status == 413 else ERROR
        headers = head.pairs if status == 204 else (*head.pairs, length(body))
        if method != "POST" and status in (204, 405):
            outcome, headers = "method", (*headers, ALLOW)
        lane.metrics.answered(name, outcome, perf_counter() - started)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, receive: Receive, stop: Stop, asked: Asked) -> Answer:
        arrived_s = self._clock()
        body = await read_body(receive, self._lane.max_body_bytes)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def answered(answer: Answer) -> None:
            self._lane.metrics.in_flight -= 1
            if not future.done():
                future.set_result(answer)

        return self._lane.start(body, asked, stop, arrived_s, answered) or await future
