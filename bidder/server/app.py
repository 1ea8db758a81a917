"""Everything but bids: health, readiness, metrics, notices, documentation.

The rule kept here: nothing here is on the bid path, so clarity comes before speed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from bidder.metrics import CONTENT_TYPE
from bidder.server.docs import describe_bids
from bidder.server.notices import NoticeDesk, add_notices

ReadyCheck = Callable[[], Mapping[str, str]]
"""What is not ready: a part and the reason, in words. Empty: all is."""

Scrape = Callable[[], Awaitable[Iterable[bytes]]]
"""The metrics, as text, each piece made when it is taken."""


def make_app(scrape: Scrape, not_ready: ReadyCheck, notices: NoticeDesk) -> FastAPI:
    """The application behind the bid lane."""
    app = FastAPI(
        title="RTB bidder",
        version="0.1.0",
        description="Answers OpenRTB 2.x bid requests with a bid priced by a model, or with a no-bid.",
    )

    @app.get("/healthz", summary="Is the process alive?")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="May traffic be sent here? 503 with the reasons if not")
    async def readyz() -> JSONResponse:
        reasons = not_ready()
        return JSONResponse({"ready": not reasons, "reasons": dict(reasons)}, status_code=503 if reasons else 200)

    @app.get("/metrics", summary="Metrics in Prometheus' text format", response_class=Response)
    async def read_metrics() -> Response:
        text = bytearray()
        for piece in await scrape():
            text += piece
            await asyncio.sleep(0)  # bids come first
        return Response(bytes(text), media_type=CONTENT_TYPE)

    add_notices(app, notices)
    describe_bids(app)
    return app
