"""The FastAPI application: one route, one call of the endpoint a request.

The rule: whatever the endpoint does, the exchange gets an answer within its time; without scores that is a no-bid.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aioboto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError

from loadtest.baseline.campaigns import MTYPES, Catalog
from loadtest.baseline.eligibility import Candidate, Search, facts_of, floor_of, protocol_of
from loadtest.baseline.features import FeaturesMismatchError, rows, scores
from loadtest.baseline.markup import Notices, markup
from loadtest.baseline.request import BidRequest
from loadtest.baseline.response import Bid, BidResponse, SeatBid

NO_BID = 204
FIXED_PRICE = 3  # deal.at
MAX_CONNECTIONS = 256
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """The bidder's own, as far as they are needed here."""

    endpoint_name: str
    endpoint_url: str | None
    region: str
    notice_url: str
    default_tmax_ms: int
    network_margin_ms: int
    candidates_per_imp: int


@dataclass(frozen=True, slots=True)
class Features:
    """What the model takes."""

    names: Sequence[str]
    version: str


def make_app(settings: Settings, catalog: Catalog, dollars: Mapping[str, float], features: Features) -> FastAPI:
    """`dollars`: what a unit of each currency is worth."""
    bidder = Bidder(settings, catalog, dollars, features)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        config = Config(
            max_pool_connections=MAX_CONNECTIONS, retries={"max_attempts": 0}, connect_timeout=1, read_timeout=1
        )
        session = aioboto3.Session(region_name=settings.region)
        async with session.client("sagemaker-runtime", endpoint_url=settings.endpoint_url, config=config) as client:
            bidder.client = client
            yield

    app = FastAPI(title="baseline", lifespan=lifespan)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        return Response(status_code=400)

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/openrtb2/bid")
    async def bid(request: BidRequest) -> Response:
        answer = await bidder.bid(request)
        if answer is None:
            return Response(status_code=NO_BID)
        return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")

    return app


class Bidder:
    def __init__(self, settings: Settings, catalog: Catalog, dollars: Mapping[str, float], features: Features) -> None:
        self._settings, self._catalog, self._dollars, self._features = settings, catalog, dollars, features
        self.client: Any = None  # made when the loop runs

    async def bid(self, request: BidRequest) -> BidResponse | None:
        settings, now_s = self._settings, time.time()
        currency = next((name for name in request.cur or ["USD"] if name in self._dollars), None)
        if currency is None:
            return None
        facts = facts_of(request, "generic", now_s)
        search = Search(self._catalog, request, facts, now_s, settings.candidates_per_imp)
        candidates = [candidate for imp in request.imp for candidate in search.candidates(imp)]
        if not candidates:
            return None
        hour = facts.hour if facts.hour >= 0 else (int(now_s) // 3600 + 72) % 168
        values = rows(self._features.names, candidates, request, facts, hour)
        time_left_ms = (request.tmax or settings.default_tmax_ms) - settings.network_margin_ms
        try:
            async with asyncio.timeout(time_left_ms / 1000):
                found = await scores(self.client, settings.endpoint_name, self._features.version, values)
        except TimeoutError:
            return None
        except (BotoCoreError, ClientError, FeaturesMismatchError, ValueError) as error:
            logger.warning("no scores: %s", error)
            return None
        return self._answer(request, candidates, found, currency)

    def _answer(
        self, request: BidRequest, candidates: list[Candidate], found: list[float], currency: str
    ) -> BidResponse | None:
        """The best bid of each impression."""
        best: dict[str, tuple[float, Candidate]] = {}
        for candidate, score in zip(candidates, found, strict=True):
            price = self._price(candidate, score, currency)
            if price > best.get(candidate.imp.id, (0.0, None))[0]:
                best[candidate.imp.id] = price, candidate
        seats: dict[str, list[Bid]] = defaultdict(list)
        for price, candidate in best.values():
            seats[candidate.campaign.seat].append(self._bid(request, candidate, price))
        seatbid = [SeatBid(seat=seat, bid=bids) for seat, bids in seats.items()]
        return BidResponse(id=request.id, cur=currency, seatbid=seatbid) if seatbid else None

    def _price(self, candidate: Candidate, score: float, currency: str) -> float:
        """CPM in `currency`; 0: no bid."""
        campaign, deal = candidate.campaign, candidate.deal
        floor, floor_currency = floor_of(candidate.imp, candidate.creative, deal)
        if not {campaign.currency, floor_currency} <= self._dollars.keys():
            return 0.0
        unit = self._dollars[currency]
        value = campaign.value(score) * self._dollars[campaign.currency] / unit
        least = floor * self._dollars[floor_currency] / unit
        if value < least:
            return 0.0
        return round(least if deal and deal.at == FIXED_PRICE and least else value, 6)

    def _bid(self, request: BidRequest, candidate: Candidate, price: float) -> Bid:
        imp, campaign, creative, deal = candidate
        bid_id = uuid4().hex
        notices = Notices(self._settings.notice_url, request, bid_id, candidate)
        media = {"video": imp.video, "audio": imp.audio}.get(creative.format)
        return Bid(
            id=bid_id,
            impid=imp.id,
            price=price,
            adm=markup(candidate, notices),
            adomain=campaign.domains,
            crid=creative.id,
            cid=campaign.id,
            cat=campaign.labels.get(request.cattax) or campaign.categories,
            cattax=request.cattax if request.cattax in campaign.labels else campaign.taxonomy,
            mtype=MTYPES[creative.format],
            nurl=notices.url("win", priced=True) or None,
            burl=notices.url("billing", priced=True) or None,
            dealid=deal.id if deal else None,
            w=creative.w or None,
            h=creative.h or None,
            dur=creative.duration_s or None,
            protocol=protocol_of(creative, media) if media else None,
            bundle=campaign.bundle or None,
            language=creative.language or None,
            attr=sorted(creative.attributes) or None,
        )
