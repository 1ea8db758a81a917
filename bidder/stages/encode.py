"""The last stage: bids → the bytes of a bid response (sections 4.2.1 to 4.2.3).

The rule kept here: what is constant of a campaign's creative is prepared once, on first use, and a bid adds only what
the auction decides: ids, price, size, deal, expiry, markup and notices. Optional fields without a value are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import orjson

from bidder.domain import (
    MICROS,
    Auction,
    Bid,
    Campaign,
    Creative,
    Exchange,
    Format,
    MediaOffer,
    NativeOffer,
    NoBidReason,
    Slot,
)
from bidder.stages.markup.escaping import request_value, value
from bidder.stages.markup.html import Banner
from bidder.stages.markup.native import Native
from bidder.stages.markup.notices import MULTIPLIER, TRAIL, Notices, trail
from bidder.stages.markup.vast import Vast, choose_protocol

# How long a win may wait for its impression (section 7.2); elsewhere (DOOH) only the exchange knows.
_INTERSTITIAL_EXPIRY_S = 1800
_EXPIRY_S = {("site", False): 60, ("site", True): 60, ("app", False): 300, ("app", True): 600}  # (channel, native)
_ANY_MEDIA = MediaOffer()
_NO_ASSETS = NativeOffer(assets=())
_NBR = {reason: b',"nbr":%d}' % reason.nbr for reason in NoBidReason}


class Encoder:
    """Bids → bytes. Built once a catalog: what it prepares is kept for as long as it lives, one entry a campaign's
    creative and exchange. `notice_url` is the public base of our notice endpoints; "" = no notices, no own trackers.
    ValueError: `notice_url` is no HTTP URL."""

    __slots__ = ("_notice_url", "_prepared")

    def __init__(self, notice_url: str = "") -> None:
        if notice_url and not notice_url.startswith(("https://", "http://")):
            raise ValueError(f"notice_url must start with https:// or http://, got {notice_url!r}")
        self._notice_url = notice_url
        self._prepared: dict[tuple[str, int, int], _Prepared] = {}

    def encode(self, auction: Auction, bids: Sequence[Bid], exchange: Exchange) -> bytes:
        """The response with `bids`, grouped by seat as the exchange names it.

        ValueError: no bids; a price that is not above zero; bids in different currencies (a response has one)."""
        if not bids:
            raise ValueError("encode needs at least one bid; an auction without one is answered by no_bid")
        response = response_id(auction.id)
        auction_value = request_value(auction.id)
        currency = bids[0].currency
        seats: dict[str, list[dict[str, Any]]] = {}
        for index, bid in enumerate(bids):
            if bid.currency != currency:
                raise ValueError(f"bids of one response need one currency, got {currency} and {bid.currency}")
            seat = bid.candidate.campaign.seat
            encoded = self._bid(auction, auction_value, bid, bid.id or f"{response}-{index}", exchange)
            seats.setdefault(exchange.seats.get(seat, seat), []).append(encoded)
        seatbid = [{"seat": seat, "bid": each} if seat else {"bid": each} for seat, each in seats.items()]
        return orjson.dumps({"id": auction.id, "bidid": response, "cur": currency, "seatbid": seatbid})

    def no_bid(self, auction_id: str, reason: NoBidReason, exchange: Exchange) -> bytes | None:
        """The exchange's form of a no-bid (section 7.1). None: answer 204, also where no auction id could be read,
        since a response without one is not valid."""
        if not exchange.no_bid_body or not auction_id:
            return None
        return b'{"id":' + orjson.dumps(auction_id) + _NBR[reason]

    def _bid(self, auction: Auction, auction_value: str, bid: Bid, bid_id: str, exchange: Exchange) -> dict[str, Any]:
        candidate = bid.candidate
        slot = candidate.slot
        prepared = self._prepare(candidate.campaign, candidate.creative, exchange)
        encoded = {"id": bid_id, "impid": slot.id, "price": price(bid.price_micros), **prepared.constant}
        bid_value = value(bid_id)
        ids = trail(auction_value, bid_value, request_value(slot.id))
        prepared.add_markup(encoded, slot, ids, bid_value)
        if prepared.notices is not None:
            encoded["nurl"] = prepared.notices.win.replace(TRAIL, ids)
            encoded["burl"] = prepared.notices.billing.replace(TRAIL, ids)
            encoded["lurl"] = prepared.notices.loss.replace(TRAIL, ids)
            if auction.channel == "dooh":
                encoded["burl"] += MULTIPLIER
        if candidate.deal is not None:
            encoded["dealid"] = candidate.deal.id
        if candidate.width and candidate.height:
            encoded["w"], encoded["h"] = candidate.width, candidate.height
        if expiry_s := _expiry_s(auction.channel, slot, candidate.creative.spec.format):
            encoded["exp"] = expiry_s
        return encoded

    def _prepare(self, campaign: Campaign, creative: Creative, exchange: Exchange) -> _Prepared:
        """Looked up by identity: hashing campaign and creative by value costs 1.7 µs more, a third of a banner bid."""
        key = exchange.name, id(campaign), id(creative)
        prepared = self._prepared.get(key)
        if prepared is None or prepared.exchange is not exchange:
            prepared = self._prepared[key] = _Prepared(campaign, creative, exchange, self._notice_url)
        return prepared


class _Prepared:
    """What every bid with this creative, of this campaign, on this exchange has in common."""

    __slots__ = ("banner", "campaign", "constant", "creative", "exchange", "native", "notices", "vast")

    def __init__(self, campaign: Campaign, creative: Creative, exchange: Exchange, notice_url: str) -> None:
        # Held, so that none of them is freed and its id given to another while the entry lives.
        self.campaign, self.creative, self.exchange = campaign, creative, exchange
        notices = None
        if notice_url:
            notices = Notices(notice_url, campaign.id, creative.id, exchange.name, exchange.price_macro)
        self.notices = notices
        self.constant = _constant(campaign, creative, exchange)
        self.banner = Banner(creative, notices) if creative.spec.format is Format.BANNER else None
        self.native = Native(creative, notices) if creative.spec.format is Format.NATIVE else None
        self.vast: dict[tuple[int, bool], Vast] = {}  # by protocol and skippable: 14 at most

    def add_markup(self, encoded: dict[str, Any], slot: Slot, ids: str, bid_id: str) -> None:
        """Adds `adm`, and `protocol` where the markup is VAST or DAAST."""
        if self.banner is not None:
            encoded["adm"] = self.banner.render(ids)
        elif self.native is not None:
            encoded["adm"] = self.native.render(slot.native or _NO_ASSETS, ids)
        else:
            spec = self.creative.spec
            offer = (slot.video if spec.format is Format.VIDEO else slot.audio) or _ANY_MEDIA
            protocol = choose_protocol(spec.format, offer.protocols, spec.protocols)
            skippable = spec.skippable and offer.skippable is not False
            encoded["adm"] = self._version(protocol, skippable).render(offer, ids, bid_id)
            encoded["protocol"] = protocol

    def _version(self, protocol: int, skippable: bool) -> Vast:
        vast = self.vast.get((protocol, skippable))
        if vast is None:
            vast = Vast(self.creative, protocol, skippable, self.notices, self.campaign.categories)
            self.vast[protocol, skippable] = vast
        return vast


def response_id(auction_id: str) -> str:
    """The `bidid` of the answer to this auction, the same each time: 20 hexadecimal characters. Bids without an id of
    their own are named after it: `{response_id}-{index}`."""
    return blake2b(auction_id.encode(), digest_size=10).hexdigest()


def price(micros: int) -> orjson.Fragment:
    """A CPM as a JSON number, exact to the micro-unit and never with an exponent: built from digits, since a float
    would print 0.000001 as 1e-6. ValueError: not above zero."""
    if micros <= 0:
        raise ValueError(f"a bid's price must be above 0 micro-units, got {micros}")
    return orjson.Fragment(b"%d.%06d" % divmod(micros, MICROS))


def _constant(campaign: Campaign, creative: Creative, exchange: Exchange) -> dict[str, Any]:
    spec = creative.spec
    one_api = exchange.version == "2.5"  # which has `api` only; 2.6 deprecates it for `apis` (section 4.2.3)
    playable = spec.format in (Format.VIDEO, Format.AUDIO)
    sized = spec.format in (Format.BANNER, Format.VIDEO)
    fields = {
        "adid": creative.id,
        "crid": creative.id,
        "cid": campaign.id,
        "adomain": list(campaign.domains),
        "bundle": campaign.bundle,
        "cat": list(campaign.categories),
        "cattax": campaign.category_taxonomy if campaign.categories else 0,
        "attr": sorted(spec.attributes),
        "iurl": creative.preview_url,
        "language": spec.language,
        "dur": spec.duration_s if playable else 0,
        "mtype": int(spec.format),
        "w": spec.width if sized else 0,
        "h": spec.height if sized else 0,
        "api": min(spec.apis, default=0) if one_api else 0,
        "apis": [] if one_api else sorted(spec.apis),
    }
    return {name: content for name, content in fields.items() if content}


def _expiry_s(channel: str, slot: Slot, format: Format) -> int:
    """Seconds between auction and impression that are tolerated; 0 = not said. Never longer than the slot's own."""
    if slot.interstitial or slot.rewarded:
        usual = _INTERSTITIAL_EXPIRY_S
    else:
        usual = _EXPIRY_S.get((channel, format is Format.NATIVE), 0)
    return min(slot.expiry_s, usual) if slot.expiry_s and usual else slot.expiry_s or usual
