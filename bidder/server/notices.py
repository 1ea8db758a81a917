"""What comes back of a bid: win, billing and loss notices, and the trackers of an ad.

The rule kept here: a notice is taken whatever its parameters hold, and what cannot be money never counts as money:
notices of test bids, the values "AUDIT" of an exchange's quality check (§4.4), a price that nobody filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from bidder.domain import Campaign
from bidder.metrics import NOTICES, Metrics
from bidder.stages.macros import counts, given

Campaigns = Callable[[], Sequence[Campaign]]

METHODS = ("GET", "HEAD", "POST")  # browsers and exchanges use them all
PRICED = ("win", "billing")

# A transparent 1 x 1 GIF: what an impression tracker answers.
PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")


def apart(kind: str, parameters: Mapping[str, str]) -> str:
    """Why a notice must not count: "test", "audit" or "macro" (a price that was not filled in); "": it counts."""
    if parameters.get("test") == "1":
        return "test"
    if not counts(parameters.values()):
        return "audit"
    if kind in PRICED and (parameters.get("price") and given(parameters["price"]) is None):
        return "macro"
    return ""


def add_notices(app: FastAPI, metrics: Metrics, campaigns: Campaigns) -> None:
    """`/notice/{kind}`, by GET, HEAD or POST; parameters stand in the query always."""

    async def notice(kind: str, request: Request) -> Response:
        """Counts the notice. A banner's click (`go=1`) goes on to the creative's landing page, taken from the catalog,
        never from the request: this is no open redirect."""
        if kind not in NOTICES:
            return JSONResponse({"error": f"no notice {kind[:32]!r}; known: {', '.join(NOTICES)}"}, status_code=404)
        parameters = request.query_params
        answer = Response(status_code=204)
        if kind == "click" and parameters.get("go"):
            target = landing_url(campaigns(), parameters.get("campaign", ""), parameters.get("creative", ""))
            if target is None:
                return JSONResponse({"error": "no such creative is in the catalog"}, status_code=404)
            answer = RedirectResponse(target, status_code=302)
        elif kind == "impression":
            answer = Response(PIXEL, media_type="image/gif", headers={"cache-control": "no-store"})
        if why := apart(kind, parameters):
            metrics.notice_apart(kind, why)
        else:
            metrics.notice(kind)
        return answer

    for method in METHODS:
        app.add_api_route(
            "/notice/{kind}",
            notice,
            methods=[method],
            include_in_schema=method == "GET",
            response_class=Response,
            summary="Win, billing, loss, impression and click notices",
        )


def landing_url(campaigns: Sequence[Campaign], campaign_id: str, creative_id: str) -> str | None:
    """Where a click on a creative leads; None: there is no such creative."""
    for campaign in campaigns:
        if campaign.id == campaign_id:
            return next((c.landing_url for c in campaign.creatives if c.id == creative_id), None)
    return None
