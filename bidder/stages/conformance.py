"""Whether an outgoing answer is one that the exchange takes: against OpenRTB, the auction it answers, and the profile.

The rule kept here: it reads the bytes that leave, not what they were made from, so that a mistake of the encoder cannot
hide from it. In production `SelfCheck` looks at every nth answer and counts; it raises nothing and changes nothing.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from pydantic_core import ValidationError

from bidder.domain import MICROS, Auction, CreativeSpec, Exchange, Format, Slot
from bidder.stages.floors import floor_of
from openrtb_schemas import RESPONSE

KINDS = (
    *("json", "schema", "size", "auction", "currency", "missing", "omitted", "too_long", "seat", "seatbids", "imp"),
    *("bids_per_imp", "bid_id", "price", "floor", "deal", "private", "markup", "notice", "price_macro", "banner_size"),
    *("ext", "failed"),
)
"""What each violation begins with. "failed": the check itself went wrong."""

_NOTICES = ("nurl", "burl", "lurl")
_OF_THE_ANSWER = frozenset({"cur", "bidid"})


class SelfCheck:
    """Holds every `every`th answer against its exchange's profile and counts what it finds; 0 = none is looked at.

    `checked` answers were looked at; `violations` are counted by kind, one of KINDS."""

    __slots__ = ("_every", "_until", "checked", "last", "violations")

    def __init__(self, every: int = 1000) -> None:
        self._every = every
        self._until = every
        self.checked = 0
        self.violations: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.last = ""  # the latest violation in words, for whoever looks into it

    def look(self, answer: bytes, auction: Auction, exchange: Exchange) -> None:
        """To be called with each bid response that leaves. Never raises."""
        if not self._every:
            return
        self._until -= 1
        if self._until:
            return
        self._until = self._every
        self.checked += 1
        try:
            found = violations(answer, auction, exchange)
        except Exception as error:  # whatever it is: the answer has been made, and stands
            found = [f"failed: {type(error).__name__}"]
        for each in found:
            self.violations[each.partition(":")[0]] += 1
        if found:
            self.last = f"{exchange.name}: {found[0]}"


def violations(answer: bytes, auction: Auction, exchange: Exchange) -> list[str]:
    """What is wrong with `answer`, a bid response to `auction`, as `kind: what`; kinds are KINDS. Empty: nothing.

    Floors and deals are compared where their currency is the answer's; restrictions on content are target's."""
    try:
        content = json.loads(answer, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return [f"json: {error}"]
    try:
        RESPONSE.validate_json(answer)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return [f"schema: {'.'.join(map(str, first['loc']))}: {first['msg']}"]
    return list(_answer(answer, content, auction, exchange))


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _answer(answer: bytes, content: Mapping[str, Any], auction: Auction, exchange: Exchange) -> Iterator[str]:
    if exchange.max_answer_bytes and len(answer) > exchange.max_answer_bytes:
        yield f"size: {len(answer)} bytes, {exchange.max_answer_bytes} are taken"
    if content["id"] != auction.id:
        yield f"auction: the answer is to {content['id']!r}"
    if content.get("cur", "USD") not in (auction.currencies or ("USD",)):
        yield f"currency: {content.get('cur', 'USD')} was not asked for"
    yield from (f"missing: {field}" for field in sorted(exchange.required & _OF_THE_ANSWER - content.keys()))
    yield from _has_ext(content, exchange.response_ext)
    seatbids = content.get("seatbid", [])
    if exchange.max_seatbids and len(seatbids) > exchange.max_seatbids:
        yield f"seatbids: {len(seatbids)} seats, {exchange.max_seatbids} are taken"
    slots = {slot.id: slot for slot in auction.slots}
    bids = [bid for seatbid in seatbids for bid in seatbid["bid"]]
    for seatbid in seatbids:
        yield from _seat(seatbid.get("seat", ""), auction, exchange)
    if len({bid["id"] for bid in bids}) < len(bids):
        yield "bid_id: two bids have one id"
    yield from _counts(bids, slots, exchange)
    for bid in bids:
        slot = slots.get(bid["impid"])
        if slot is None:
            yield f"imp: {bid['impid']!r} was not offered"
        else:
            yield from _bid(bid, slot, content.get("cur", "USD"), exchange)


def _seat(seat: str, auction: Auction, exchange: Exchange) -> Iterator[str]:
    if not seat and "seat" in exchange.required:
        yield "seat: missing"
    if exchange.numeric_seats and not (seat.isascii() and seat.isdecimal()):
        yield f"seat: {seat!r} is no number"
    if (auction.allowed_seats and seat not in auction.allowed_seats) or seat in auction.blocked_seats:
        yield f"seat: {seat!r} may not bid"


def _counts(bids: list[dict[str, Any]], slots: Mapping[str, Slot], exchange: Exchange) -> Iterator[str]:
    """Bids for one impression, each deal once; a pod takes as many as fill it, so its bids are not counted."""
    for slot_id in {bid["impid"] for bid in bids} & slots.keys():
        if slots[slot_id].is_pod:
            continue
        deals = [bid["dealid"] for bid in bids if bid["impid"] == slot_id and "dealid" in bid]
        total = sum(bid["impid"] == slot_id for bid in bids)
        counted = total - len(deals) if exchange.deals_beside_open else total
        if counted > exchange.bids_per_imp:
            yield f"bids_per_imp: {counted} for {slot_id!r}, {exchange.bids_per_imp} are taken"
        if len(set(deals)) < len(deals):
            yield f"bids_per_imp: a deal twice for {slot_id!r}"


def _bid(bid: Mapping[str, Any], slot: Slot, currency: str, exchange: Exchange) -> Iterator[str]:
    yield from (f"missing: {field}" for field in sorted(exchange.required - _OF_THE_ANSWER - {"seat"} - bid.keys()))
    yield from (f"omitted: {field} is not taken" for field in sorted(exchange.omitted & bid.keys()))
    for field, limit in exchange.max_bytes.items():
        content = bid.get(field, "")
        entries = content if isinstance(content, list) else [content]
        yield from (f"too_long: {field}" for entry in entries if len(entry.encode()) > limit)
    yield from _has_ext(bid, exchange.bid_ext)
    yield from _price(bid, slot, currency, exchange)
    yield from _markup(bid, slot, exchange)
    yield from (
        f"notice: {field} is not called" for field in _NOTICES if field in bid and field not in exchange.notices
    )
    macro = exchange.price_macro
    if exchange.price_macro_required and macro not in bid.get("adm", "") and macro not in bid.get("burl", ""):
        yield f"price_macro: {macro} is neither in adm nor in burl"


def _has_ext(content: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    ext = json.loads(json.dumps(content.get("ext", {}), default=float))
    yield from (f"ext: {name} is missing or another" for name in wanted if ext.get(name) != wanted[name])


def _price(bid: Mapping[str, Any], slot: Slot, currency: str, exchange: Exchange) -> Iterator[str]:
    price = Decimal(bid["price"])
    micros = price if exchange.price_unit == "micros" else price * MICROS
    if price <= 0 or micros % 10 ** (6 - exchange.price_decimals):
        yield f"price: {price} is not above 0 with {exchange.price_decimals} decimals"
    deal = next((deal for deal in slot.deals if deal.id == bid.get("dealid")), None)
    if "dealid" in bid and deal is None:
        yield f"deal: {bid['dealid']!r} was not offered"
        return
    if "dealid" not in bid and slot.private:
        yield "private: a bid without a deal"
    format = _format(bid, slot)
    if format is None:
        return
    floor = floor_of(slot, CreativeSpec(format, duration_s=bid.get("dur", 0)), deal)
    if floor is not None and floor[1] == currency and micros < floor[0]:
        yield f"floor: {micros} micro-units, at least {floor[0]} are asked"


def _format(bid: Mapping[str, Any], slot: Slot) -> Format | None:
    """What the bid says, else what the slot offers; None where it offers several."""
    if "mtype" in bid:
        return Format(bid["mtype"])
    offers = {
        Format.BANNER: slot.banner,
        Format.VIDEO: slot.video,
        Format.AUDIO: slot.audio,
        Format.NATIVE: slot.native,
    }
    offered = [format for format, offer in offers.items() if offer is not None]
    return offered[0] if len(offered) == 1 else None


def _markup(bid: Mapping[str, Any], slot: Slot, exchange: Exchange) -> Iterator[str]:
    if exchange.markup != "adm":
        if "adm" in bid:
            yield "markup: adm stands, but the exchange has the markup from elsewhere"
        if exchange.markup == "nurl" and not bid.get("nurl"):
            yield "markup: there is no nurl to fetch it from"
        if exchange.markup == "registered" and not bid.get("crid") and not bid.get("adid"):
            yield "markup: nothing names the creative"
        return
    adm = bid.get("adm", "")
    if not adm:
        yield "markup: adm is empty"
        return
    if any(mark in text for text in (adm, *(bid.get(field, "") for field in _NOTICES)) for mark in "\x00\x01\x02\x03"):
        yield "markup: a place was not filled in"
    format = _format(bid, slot)
    if format is Format.NATIVE:
        yield from _native(adm, slot, exchange)
    elif format in (Format.VIDEO, Format.AUDIO):
        if "<!DOCTYPE" in adm:
            yield "markup: a DOCTYPE, which players refuse"
            return
        try:
            root = ET.fromstring(adm)  # noqa: S314 - our own document, and entities need a DOCTYPE
        except ET.ParseError as error:
            yield f"markup: no XML: {error}"
            return
        if root.tag.rpartition("}")[2] not in ("VAST", "DAAST"):
            yield f"markup: {root.tag} is neither VAST nor DAAST"
    elif exchange.strict_banner_size and slot.banner is not None:
        size = bid.get("w"), bid.get("h")
        if slot.banner.sizes and size not in slot.banner.sizes:
            yield f"banner_size: {size[0]} x {size[1]} was not asked for"


def _native(adm: str, slot: Slot, exchange: Exchange) -> Iterator[str]:
    try:
        native = json.loads(adm)
    except ValueError as error:
        yield f"markup: native is no JSON: {error}"
        return
    wrapped = exchange.native_wrapped or (slot.native is not None and slot.native.wrapped)
    inner = native.get("native") if wrapped and isinstance(native, dict) else native
    if not isinstance(inner, dict) or "link" not in inner or ("native" in inner and not wrapped):
        yield f'markup: native is {"not " if wrapped else ""}wrapped in {{"native": …}}, or without a link'
