"""Everything but bids: health, readiness, metrics, notices, documentation.

The rule kept here: nothing here is on the bid path, so clarity comes before speed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fastapi import FastAPI
from fastapi.responses import JSONResponse, RedirectResponse, Response

from bidder.domain import Campaign
from bidder.metrics import CONTENT_TYPE, NOTICES, Metrics
from bidder.server.docs import describe_bids

# A transparent 1 x 1 GIF: what an impression tracker answers.
PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")

ReadyCheck = Callable[[], Mapping[str, str]]
"""What is not ready: a part and the reason, in words. Empty: all is."""


def make_app(metrics: Metrics, not_ready: ReadyCheck, campaigns: Callable[[], Sequence[Campaign]]) -> FastAPI:
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
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    @app.get("/notice/{kind}", summary="Win, billing, loss, impression and click notices", response_class=Response)
    async def notice(kind: str, campaign: str = "", creative: str = "", go: str = "") -> Response:
        """Counts the notice. A banner's click (`go=1`) goes on to the creative's landing page, taken from the catalog,
        never from the request: this is no open redirect."""
        if kind not in NOTICES:
            return JSONResponse({"error": f"no notice {kind[:32]!r}; known: {', '.join(NOTICES)}"}, status_code=404)
        if kind == "click" and go:
            target = landing_url(campaigns(), campaign, creative)
            if target is None:
                return JSONResponse({"error": "no such creative is in the catalog"}, status_code=404)
            metrics.notice(kind)
            return RedirectResponse(target, status_code=302)
        metrics.notice(kind)
        if kind == "impression":
            return Response(PIXEL, media_type="image/gif", headers={"cache-control": "no-store"})
        return Response(status_code=204)

    describe_bids(app)
    return app


def landing_url(campaigns: Sequence[Campaign], campaign_id: str, creative_id: str) -> str | None:
    """Where a click on a creative leads; None: there is no such creative."""
    for campaign in campaigns:
        if campaign.id == campaign_id:
            return next((c.landing_url for c in campaign.creatives if c.id == creative_id), None)
    return None
