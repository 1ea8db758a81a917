"""The exchange's judgement of an answer: what came back, and everything an exchange would reject it for.

The rule: independent of the bidder's code on purpose. What is asked for comes from the request that was meant, what
is right from OpenRTB 2.6. Prices are CPM; they are compared in US dollars by the same table of rates that the bidder
has.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from loadtest.markup import Json, Violation, check_html, check_media, check_native, check_text, read_media
from loadtest.pods import check_pods
from loadtest.traffic import BidRequestCase
from openrtb_schemas import RESPONSE

FORMATS = {1: "banner", 2: "video", 3: "audio", 4: "native"}  # bid.mtype (§4.2.3)
MAX_CREATIVE_ID_BYTES = 64  # the strictest exchange's limit
PRICE_TOLERANCE = 2e-6  # prices are micro-units; a conversion may round one of them


@dataclass(frozen=True, slots=True)
class Rates:
    """What a unit of each currency is worth in US dollars."""

    dollars: Mapping[str, float]

    @classmethod
    def load(cls, path: Path) -> Rates:
        """From a JSON file {"base": …, "rates": {currency: units that one unit of base buys}}."""
        table = json.loads(path.read_bytes())
        units = {**table["rates"], table["base"]: 1.0}
        return cls({currency: units["USD"] / rate for currency, rate in units.items()})


@dataclass(frozen=True, slots=True)
class SeenBid:
    format: str
    price_usd: float
    deal: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: str  # "bid", "no-bid", "refused" or "error"
    bids: tuple[SeenBid, ...] = ()
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class Judge:
    rates: Rates

    def verdict(self, case: BidRequestCase, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
        """`headers` have lower-case names. 200 without a bid is a no-bid (implementation guide §7.1)."""
        if status == 400:
            return _expect(case, Verdict("refused"))
        if status == 204:
            return _expect(case, Verdict("no-bid", violations=tuple(_empty(body))))
        if status != 200:
            return Verdict("error", violations=(Violation("status", f"{status}, expected 200, 204 or 400"),))
        wrong = tuple(_headers(headers))
        if body.strip() == b"{}":
            return _expect(case, Verdict("no-bid", violations=wrong))
        try:
            RESPONSE.validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(str(step) for step in first["loc"]) or "body"
            return Verdict("error", violations=(*wrong, Violation("schema", f"{place}: {first['msg']}")))
        response = json.loads(body)
        if not response.get("seatbid"):
            return _expect(case, Verdict("no-bid", violations=wrong))
        if case.request is None or "bid" not in case.expected:
            return _expect(case, Verdict("bid", violations=wrong))
        found = [*wrong, *self._response(case.request, response)]
        return _expect(case, Verdict("bid", tuple(self._seen(case.request, response)), tuple(found)))

    def _response(self, request: Json, response: Json) -> Iterator[Violation]:
        if response["id"] != request["id"]:
            yield Violation("id", f"the answer is for {response['id']!r}, the request is {request['id']!r}")
        currency, allowed = response.get("cur", "USD"), request.get("cur") or ["USD"]
        if currency not in allowed:
            yield Violation("currency", f"bids are in {currency}, allowed are {', '.join(allowed)}")
        imps = {imp["id"]: imp for imp in request["imp"]}
        ids: set[str] = set()
        for seat_bid in response["seatbid"]:
            yield from _seat(request, seat_bid.get("seat", ""))
            for bid in seat_bid["bid"]:
                if bid["id"] in ids:
                    yield Violation("bid id", f"{bid['id']!r} is used twice")
                ids.add(bid["id"])
                if bid["impid"] not in imps:
                    yield Violation("impid", f"there is no impression {bid['impid']!r}")
                else:
                    yield from self._bid(request, imps[bid["impid"]], bid, seat_bid.get("seat", ""), currency)
        yield from check_pods(imps, [bid for seat_bid in response["seatbid"] for bid in seat_bid["bid"]])

    def _bid(self, request: Json, imp: Json, bid: Json, seat: str, currency: str) -> Iterator[Violation]:
        yield from _identity(bid)
        yield from _blocked(request, bid)
        yield from _deal(imp, bid, seat)
        markup, kind = bid.get("adm", ""), format_of(imp, bid)
        duration_s = bid.get("dur")
        if kind is None:
            yield Violation("mtype", f"mtype is {bid.get('mtype')}, offered are {', '.join(_offered(imp))}")
        else:
            offer = imp[kind]
            if common := set(bid.get("attr", ())) & set(offer.get("battr", ())):
                yield Violation("attribute", f"creative attributes {sorted(common)} are blocked")
            if not markup:
                yield Violation("adm", "there is none")
            elif kind == "banner":
                yield from check_html(markup)
                yield from _size(offer, bid)
            elif kind == "native":
                yield from check_native(offer, markup)
            else:
                media = read_media(markup, ("VAST",) if kind == "video" else ("VAST", "DAAST"))
                if isinstance(media, Violation):
                    yield media
                else:
                    duration_s = media.duration_s if duration_s is None else duration_s
                    yield from check_media(offer, media, duration_s)
                yield from _protocol(offer, bid)
        yield from check_text(markup, imp.get("secure") == 1)
        yield from self._price(imp, bid, kind, duration_s, currency)

    def _price(
        self, imp: Json, bid: Json, kind: str | None, duration_s: int | None, currency: str
    ) -> Iterator[Violation]:
        """At least the floor that counts: the deal's, else the medium's own, else the impression's (§7.11)."""
        price = bid["price"]
        if not math.isfinite(price) or price <= 0:
            yield Violation("price", f"price is {price}")
            return
        floor, floor_currency = _floor(imp, bid, kind, duration_s)
        if not floor:
            return
        if currency == floor_currency:
            least = floor
        elif {currency, floor_currency} <= self.rates.dollars.keys():
            least = floor * self.rates.dollars[floor_currency] / self.rates.dollars[currency]
        else:
            yield Violation(
                "floor", f"{price} {currency} against {floor} {floor_currency}: there is no rate between them"
            )
            return
        if price < least - PRICE_TOLERANCE:
            yield Violation(
                "floor", f"price {price} {currency} is below the floor of {floor} {floor_currency} ({least:.6f})"
            )

    def _seen(self, request: Json, response: Json) -> Iterator[SeenBid]:
        worth = self.rates.dollars.get(response.get("cur", "USD"), math.nan)
        imps = {imp["id"]: imp for imp in request["imp"]}
        for seat_bid in response["seatbid"]:
            for bid in seat_bid["bid"]:
                kind = format_of(imps.get(bid["impid"], {}), bid) or "unknown"
                yield SeenBid(kind, bid["price"] * worth, "dealid" in bid)


def format_of(imp: Json, bid: Json) -> str | None:
    """Which of the offered formats a bid is for; None: none, or it cannot be told."""
    offered = _offered(imp)
    if "mtype" in bid:
        kind = FORMATS.get(bid["mtype"])
        return kind if kind in offered else None
    return offered[0] if len(offered) == 1 else None


def _expect(case: BidRequestCase, verdict: Verdict) -> Verdict:
    if verdict.outcome in case.expected:
        return verdict
    what = f"{case.kind} request" + (f" ({case.defect})" if case.defect else "")
    wrong = Violation("outcome", f"{what} got {verdict.outcome}, expected {' or '.join(sorted(case.expected))}")
    return Verdict(verdict.outcome, verdict.bids, (*verdict.violations, wrong))


def _empty(body: bytes) -> Iterator[Violation]:
    if body:
        yield Violation("body", f"204 with a body of {len(body)} bytes")


def _headers(headers: Mapping[str, str]) -> Iterator[Violation]:
    kind = headers.get("content-type", "")
    if kind.split(";")[0].strip().lower() != "application/json":
        yield Violation("header", f"Content-Type is {kind!r}, expected application/json (§2.3)")
    if "content-length" not in headers:
        yield Violation("header", "200 without Content-Length, which exchanges require")


def _offered(imp: Json) -> list[str]:
    return [kind for kind in FORMATS.values() if kind in imp]


def _identity(bid: Json) -> Iterator[Violation]:
    creative = bid.get("crid", "")
    if not creative or len(creative.encode()) > MAX_CREATIVE_ID_BYTES:
        yield Violation("crid", f"crid is {creative!r}, expected 1 to {MAX_CREATIVE_ID_BYTES} bytes")
    if not bid.get("adomain"):
        yield Violation("adomain", "the advertiser's domain is missing")
    for key in ("nurl", "burl", "lurl", "iurl"):
        if key in bid and not bid[key].startswith(("https://", "http://")):
            yield Violation("url", f"{key} is {bid[key][:60]!r}")


def _blocked(request: Json, bid: Json) -> Iterator[Violation]:
    """A blocked category blocks all below it, if the taxonomies are the same; a blocked domain all below it."""
    if request.get("cattax", 1) == bid.get("cattax", 1):
        for category in bid.get("cat", ()):
            parts = {category, category.split("-")[0]}
            if parts & set(request.get("bcat") or ()):
                yield Violation("category", f"{category} is blocked")
            if request.get("acat") and not parts & set(request["acat"]):
                yield Violation("category", f"{category} is not among those allowed")
    for domain in bid.get("adomain", ()):
        for blocked in request.get("badv") or ():
            if f".{domain.lower()}".endswith(f".{blocked.lower()}"):
                yield Violation("advertiser", f"{domain} is blocked")
    if bid.get("bundle") in (request.get("bapp") or ()):
        yield Violation("bundle", f"{bid['bundle']} is blocked")
    if request.get("wlang") and bid.get("language", request["wlang"][0]) not in request["wlang"]:
        yield Violation("language", f"{bid['language']} is not among {', '.join(request['wlang'])}")


def _seat(request: Json, seat: str) -> Iterator[Violation]:
    if request.get("wseat") and seat not in request["wseat"]:
        yield Violation("seat", f"{seat!r} is not among the seats allowed")
    if seat in (request.get("bseat") or ()):
        yield Violation("seat", f"{seat!r} is blocked")


def _deal(imp: Json, bid: Json, seat: str) -> Iterator[Violation]:
    """§3.2.11, §3.2.12."""
    market = imp.get("pmp") or {}
    if "dealid" not in bid:
        if market.get("private_auction") == 1:
            yield Violation("private", "a bid without a deal in a private auction")
        return
    deal = next((deal for deal in market.get("deals", ()) if deal["id"] == bid["dealid"]), None)
    if deal is None:
        yield Violation("deal", f"there is no deal {bid['dealid']!r}")
        return
    if deal.get("wseat") and seat not in deal["wseat"]:
        yield Violation("deal", f"{deal['id']} is not for seat {seat!r}")
    if deal.get("wadomain") and not set(bid.get("adomain", ())) <= set(deal["wadomain"]):
        yield Violation("deal", f"{deal['id']} is not for {', '.join(bid.get('adomain', ()))}")


def _size(offer: Json, bid: Json) -> Iterator[Violation]:
    """One of the formats, or w and h, or within 2.5's range (§3.2.6)."""
    width, height = bid.get("w", 0), bid.get("h", 0)
    if any((width, height) == (size.get("w"), size.get("h")) for size in (*offer.get("format", ()), offer)):
        return
    if any(key in offer for key in ("wmin", "wmax", "hmin", "hmax")):
        wide = offer.get("wmin", 1) <= width <= offer.get("wmax", math.inf)
        if wide and offer.get("hmin", 1) <= height <= offer.get("hmax", math.inf):
            return
    yield Violation("size", f"{width}x{height} was not asked for")


def _protocol(offer: Json, bid: Json) -> Iterator[Violation]:
    if offer.get("protocols") and bid.get("protocol", offer["protocols"][0]) not in offer["protocols"]:
        yield Violation("protocol", f"protocol {bid['protocol']}, the slot takes {offer['protocols']}")


def _floor(imp: Json, bid: Json, kind: str | None, duration_s: int | None) -> tuple[float, str]:
    """The floor that counts and its currency. A deal's currency does not inherit from the impression's."""
    if "dealid" in bid:
        deals: list[dict[str, Any]] = (imp.get("pmp") or {}).get("deals", [])
        deal = next((deal for deal in deals if deal["id"] == bid["dealid"]), {})
        return _medium_floor(deal, duration_s) or deal.get("bidfloor", 0.0), deal.get("bidfloorcur", "USD")
    medium = imp[kind] if kind in ("video", "audio") else {}
    return _medium_floor(medium, duration_s) or imp.get("bidfloor", 0.0), imp.get("bidfloorcur", "USD")


def _medium_floor(offer: Json, duration_s: int | None) -> float:
    """By `mincpmpersec` or `durfloors`; 0 where neither stands or the duration is not known."""
    if duration_s is None:
        return 0.0
    for step in offer.get("durfloors", ()):
        if step.get("mindur", 0) <= duration_s <= (step.get("maxdur") or duration_s):
            return float(step.get("bidfloor", 0.0))
    return float(offer.get("mincpmpersec", 0.0)) * duration_s
