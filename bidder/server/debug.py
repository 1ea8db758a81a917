"""`POST /debug/explain` and `/debug/explain/{exchange}`: a bid request in, its funnel out.

The rule kept here: there is no such path unless a token is set; without the token nothing is read; one request is
explained at a time, so that looking closely never takes the bids' time twice.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from bidder.domain import Exchange
from bidder.server.body import BodyError, DisconnectedError, inflate, read_body
from bidder.server.headers import read_headers
from bidder.server.lane import DEFAULT_EXCHANGE

PATH = "/debug/explain"

Explain = Callable[[bytes, Exchange], Awaitable[Mapping[str, Any]]]
"""Body of a bid request and exchange → what became of it, as JSON."""


def add_explain(
    app: FastAPI, explain: Explain, exchanges: Mapping[str, Exchange], *, token: str, max_body_bytes: int
) -> None:
    """Adds the paths. `token`: what a caller sends as `Authorization: Bearer …`."""
    expected = f"Bearer {token}".encode()
    busy = False

    async def answer(request: Request, exchange: str = DEFAULT_EXCHANGE) -> Response:
        nonlocal busy
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, expected):
            return _error(401, "the token of BIDDER_EXPLAIN_TOKEN is needed", {"www-authenticate": "Bearer"})
        if exchange not in exchanges:
            return _error(404, f"no exchange {exchange[:64]!r} is configured")
        try:
            asked = read_headers(request.headers.raw, max_body_bytes)
            body = await read_body(request.receive, max_body_bytes)
            body = inflate(body, max_body_bytes) if asked.gzipped else body
        except BodyError as error:
            return _error(error.status, str(error), {"connection": "close"} if error.status == 413 else {})
        except DisconnectedError:
            return _error(400, "the body is not complete")
        if busy:
            return _error(429, "another request is being explained", {"retry-after": "1"})
        busy = True
        try:
            return Response(orjson.dumps(await explain(body, exchanges[exchange])), media_type="application/json")
        finally:
            busy = False

    for path in (PATH, PATH + "/{exchange}"):
        app.add_api_route(path, answer, methods=["POST"], include_in_schema=False)


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status, headers=headers)
