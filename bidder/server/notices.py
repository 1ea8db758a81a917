"""What comes back of a bid: win, billing and loss notices, and the trackers of an ad.

The rule kept here: a notice is taken whatever its parameters hold, and what cannot be money never counts as money:
notices of test bids, the values "AUDIT" of an exchange's quality check (§4.4), a price that nobody filled in, or that
the exchange did not write. What a person sees and does is counted apart where privacy forbids to measure it; what the
impression cost is a matter between exchange and buyer, and is summed all the same.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import NamedTuple

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from bidder.domain import Campaign, Creative, Exchange, Format
from bidder.metrics import NOTICES, Metrics
from bidder.pipeline import CurrentCatalog
from bidder.stages.macros import counts, given, price_micros
from bidder.stages.markup.notices import TEST, UNMEASURED
from bidder.stages.winning_price import PriceKeys, read_price

METHODS = ("GET", "HEAD", "POST")  # browsers and exchanges use them all
PRICED = ("win", "billing")
TELLING = (*PRICED, "impression")  # those that may tell what was paid
SEEN = ("impression", "click", "event", "error")  # those that tell what a person saw and did

# A transparent 1 x 1 GIF: what an impression tracker answers.
PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
_FRESH = {"cache-control": "no-store"}
_GONE = {"error": "no such creative is in the catalog"}
_MEDIA_TYPES = {Format.BANNER: "text/html", Format.VIDEO: "application/xml", Format.AUDIO: "application/xml"}


class Notice(NamedTuple):
    """`apart`: why it must not count, one of metrics' APART; "": it counts. `price_micros`: a CPM, 0 = none is told."""

    apart: str
    price_micros: int


def read_notice(
    kind: str, parameters: Mapping[str, str], exchange: Exchange | None = None, keys: PriceKeys | None = None
) -> Notice:
    """What a notice says. `exchange` None: it names none that is known, so its price is in units nobody knows."""
    if parameters.get("test") == "1":
        return Notice("test", 0)
    if not counts(parameters.values()):
        return Notice("audit", 0)
    text = parameters.get("price", "")
    price: int | None = 0
    if text and kind in TELLING:
        if given(text) is None:
            if kind in PRICED:
                return Notice("macro", 0)
        elif exchange is not None and (price := read_price(text, exchange, keys)) is None:
            return Notice("price", 0)
    return Notice("unmeasured" if kind in SEEN and parameters.get("m") == "0" else "", price or 0)


class NoticeDesk:
    """Takes notices: counts them, and answers with what they ask for. `keys`: of exchanges that encrypt prices;
    `currencies`: those that may be labels."""

    def __init__(
        self,
        catalog: CurrentCatalog,
        exchanges: Mapping[str, Exchange],
        metrics: Metrics,
        keys: Mapping[str, PriceKeys],
        currencies: Container[str],
    ) -> None:
        self._catalog = catalog
        self._exchanges = exchanges
        self._metrics = metrics
        self._keys = keys
        self._currencies = currencies

    def take(self, kind: str, parameters: Mapping[str, str]) -> Response:
        """A banner's click (`go=1`) goes on to the creative's landing page, taken from the catalog, never from the
        request: this is no open redirect. A win with `markup=1` gets the markup, where the exchange fetches it."""
        name = parameters.get("exchange", "")
        exchange = self._exchanges.get(name)
        notice = read_notice(kind, parameters, exchange, self._keys.get(name))
        self._count(kind, notice, exchange, parameters)
        if kind == "impression":
            return Response(PIXEL, media_type="image/gif", headers=_FRESH)
        if kind == "click" and parameters.get("go"):
            _, creative = self._find(parameters)
            if creative is None:
                return JSONResponse(_GONE, status_code=404)
            return RedirectResponse(creative.landing_url, status_code=302)
        if kind == "win" and parameters.get("markup") == "1" and exchange is not None and exchange.markup == "nurl":
            return self._markup(parameters, exchange, notice)
        return Response(status_code=204)

    def _count(self, kind: str, notice: Notice, exchange: Exchange | None, parameters: Mapping[str, str]) -> None:
        if notice.apart:
            self._metrics.notice_apart(kind, notice.apart)
        else:
            self._metrics.notice(kind)
        if notice.price_micros and exchange is not None:
            said = parameters.get("cur", "")
            currency = said if said in self._currencies else ""
            amount = notice.price_micros * _impressions(parameters) // 1_000_000
            self._metrics.notice_price(kind, exchange.name, currency, amount)

    def _markup(self, parameters: Mapping[str, str], exchange: Exchange, notice: Notice) -> Response:
        """For tests and quality checks, too; what comes back of such a rendering is marked as a test."""
        campaign, creative = self._find(parameters)
        marks = (TEST if notice.apart in ("test", "audit") else "") + (UNMEASURED if parameters.get("m") == "0" else "")
        ids = (parameters.get("auction", ""), parameters.get("bid", ""), parameters.get("imp", ""))
        try:
            if campaign is None or creative is None:
                raise ValueError
            markup = self._catalog.current.index.encoder.served(
                campaign,
                creative,
                exchange,
                ids,
                _number(parameters.get("protocol", "")),
                skippable=parameters.get("skip") == "1",
                skip_after_s=_number(parameters.get("skipafter", "")),
                marks=marks,
            )
        except ValueError:
            self._metrics.markup("missing")
            return JSONResponse(_GONE, status_code=404)
        self._metrics.markup("served")
        headers = {**_FRESH, "x-content-type-options": "nosniff"}
        return Response(markup, media_type=_MEDIA_TYPES[creative.spec.format], headers=headers)

    def _find(self, parameters: Mapping[str, str]) -> tuple[Campaign | None, Creative | None]:
        campaign = self._catalog.current.index.index.campaign(parameters.get("campaign", ""))
        wanted = parameters.get("creative", "")
        return campaign, next((each for each in campaign.creatives if each.id == wanted), None) if campaign else None


def _number(text: str) -> int:
    """A number of up to four digits; 0 where there is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0


def add_notices(app: FastAPI, desk: NoticeDesk) -> None:
    """`/notice/{kind}`, by GET, HEAD or POST; parameters stand in the query always."""

    async def notice(kind: str, request: Request) -> Response:
        """Counts the notice; a click goes on to the landing page, a win may be answered with the ad's markup."""
        if kind not in NOTICES:
            return JSONResponse({"error": f"no notice {kind[:32]!r}; known: {', '.join(NOTICES)}"}, status_code=404)
        return desk.take(kind, request.query_params)

    for method in METHODS:
        app.add_api_route(
            "/notice/{kind}",
            notice,
            methods=[method],
            include_in_schema=method == "GET",
            response_class=Response,
            summary="Win, billing, loss, impression and click notices",
        )


def _impressions(parameters: Mapping[str, str]) -> int:
    """In millionths: how many impressions a play on a screen counts as (§7.9.4); 1 where nothing readable is said."""
    return price_micros(parameters.get("multiplier", "")) or 1_000_000
