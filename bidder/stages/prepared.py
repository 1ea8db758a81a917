"""What every bid with one creative, of one campaign, on one exchange has in common, made once.

The rule kept here: an exchange's profile is held against a creative when the entry is made, not at every bid; where the
two do not fit, `refusal` says why and no bid is made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bidder.domain import AUDIO, BANNER, NATIVE, VIDEO, Campaign, Creative, Exchange, MediaOffer, NativeOffer, Slot
from bidder.stages.fit import SKIPPABLE_ATTRIBUTE, skips
from bidder.stages.markup.html import Banner
from bidder.stages.markup.native import Native
from bidder.stages.markup.notices import TRAIL, Notices
from bidder.stages.markup.vast import VERSIONS, Vast, choose_protocol

TOO_LONG, MISSING, SEAT, PRICE_MACRO, MARKUP = "too_long", "missing", "seat", "price_macro", "markup"

FETCH = "&markup=1"
"""In the query of a win notice that is to answer with the markup."""

_ANY_MEDIA = MediaOffer()
_NO_ASSETS = NativeOffer(assets=())
# What is known at the bid only, or never left out.
_OF_THE_BID = frozenset({"adm", "nurl", "burl", "lurl", "id"})
_OF_THE_ANSWER = frozenset({"cur", "bidid", "seat"})


class Prepared:
    """The constant part of a bid: `constant` fields, `notices` with their URL before and after the ids, markup.

    `refusal` is "" or one of TOO_LONG, MISSING, SEAT, PRICE_MACRO, MARKUP: no bid can be made that would be taken.
    `limits` are the lengths in bytes to hold against the fields that differ between bids."""

    __slots__ = (
        *("_banner", "_native", "_notices", "_vast", "campaign", "constant", "creative", "exchange", "exact", "limits"),
        *("multiplier", "notices", "refusal", "says_taxonomy", "seat"),
    )

    def __init__(self, campaign: Campaign, creative: Creative, exchange: Exchange, notice_url: str) -> None:
        # Held, so that none of them is freed and its id given to another while the entry lives.
        self.campaign, self.creative, self.exchange = campaign, creative, exchange
        self.seat = exchange.seats.get(campaign.seat, campaign.seat)
        self.constant = _constant(campaign, creative, exchange)
        self.exact = exchange.price_decimals == 6 and exchange.price_unit == "cpm"
        self.says_taxonomy = says_taxonomy(exchange)
        self.limits = tuple(item for item in exchange.max_bytes.items() if item[0] in _OF_THE_BID)
        self._notices = None
        if notice_url:
            self._notices = Notices(
                notice_url,
                campaign.id,
                creative.id,
                exchange.name,
                exchange.price_macro,
                exchange.macros,
                price_in_markup=exchange.price_in_adm,
            )
        self.multiplier = self._notices.multiplier if self._notices and "burl" in exchange.notices else ""
        self.notices = tuple(_cut(self._notices, exchange)) if self._notices else ()
        sent = exchange.markup != "registered"
        format = creative.spec.format
        self._banner = Banner(creative, self._notices) if sent and format is BANNER else None
        wrapped = exchange.native_wrapped
        self._native = Native(creative, self._notices, wrapped=wrapped) if sent and format is NATIVE else None
        self._vast: dict[tuple[int, bool], Vast] = {}  # by protocol and skippable: 14 at most
        self.refusal = self._refusal()

    def add_markup(self, encoded: dict[str, Any], slot: Slot, ids: str, bid_id: str) -> str:
        """Adds `adm`, and `protocol` where the markup is VAST or DAAST. `ids`: see `notices.trail`; `bid_id` is
        percent-encoded. Where markup is fetched from `nurl`, returns what that needs to say; else ""."""
        where = self.exchange.markup
        spec = self.creative.spec
        if spec.format in (VIDEO, AUDIO):
            offer = (slot.video if spec.format is VIDEO else slot.audio) or _ANY_MEDIA
            protocol = choose_protocol(spec.format, offer.protocols, spec.protocols)
            skippable = skips(self.creative, offer)
            if spec.skippable and not skippable:
                self._unskippable(encoded)
            if where == "adm":
                encoded["adm"] = self._version(protocol, skippable).render(offer, ids, bid_id)
            encoded["protocol"] = protocol
            later = f"&skipafter={offer.skip_after_s}" if offer.skip_after_s > self.creative.skip_after_s else ""
            return f"{FETCH}&protocol={protocol}&skip={int(skippable)}{later}" if where == "nurl" else ""
        if where == "adm" and self._banner is not None:
            encoded["adm"] = self._banner.render(ids)
        elif where == "adm" and self._native is not None:
            encoded["adm"] = self._native.render(slot.native or _NO_ASSETS, ids)
        return FETCH if where == "nurl" else ""

    def _unskippable(self, encoded: dict[str, Any]) -> None:
        """As it is sent, the ad has no skip button."""
        attributes = [code for code in encoded.pop("attr", ()) if code != SKIPPABLE_ATTRIBUTE]
        if attributes or "attr" in self.exchange.required:
            encoded["attr"] = attributes

    def served(self, ids: str, bid_id: str, protocol: int, skippable: bool, skip_after_s: int) -> str:
        """The markup that a win notice answers with; native is never fetched. ValueError: no such VAST is made."""
        if self._banner is not None:
            return self._banner.render(ids)
        spec = self.creative.spec
        if spec.format not in (VIDEO, AUDIO) or self.exchange.markup != "nurl":
            raise ValueError(f"creative {self.creative.id!r} has no markup to fetch")
        if protocol not in VERSIONS:
            raise ValueError(f"protocol {protocol} is no VAST or DAAST that is made here")
        offer = MediaOffer(skip_after_s=skip_after_s)
        return self._version(protocol, skippable and spec.skippable).render(offer, ids, bid_id)

    def _version(self, protocol: int, skippable: bool) -> Vast:
        vast = self._vast.get((protocol, skippable))
        if vast is None:
            vast = Vast(self.creative, protocol, skippable, self._notices, self.campaign.categories)
            self._vast[protocol, skippable] = vast
        return vast

    def _refusal(self) -> str:
        exchange = self.exchange
        if exchange.markup == "nurl" and (self._notices is None or self.creative.spec.format is NATIVE):
            return MARKUP  # nowhere to fetch it from; native, which needs the assets that the slot asks for
        if (not self.seat and "seat" in exchange.required) or (exchange.numeric_seats and not _is_number(self.seat)):
            return SEAT
        called = {field for field, _, _ in self.notices}
        there = (
            self.constant.keys() | called | {"id", "impid", "price"} | ({"adm"} if exchange.markup == "adm" else set())
        )
        if exchange.required - _OF_THE_ANSWER - there:
            return MISSING
        if any(_longest(self.constant.get(field)) > limit for field, limit in exchange.max_bytes.items()):
            return TOO_LONG
        if exchange.price_macro_required and not self._tells_the_price():
            return PRICE_MACRO
        return ""

    def _tells_the_price(self) -> bool:
        """Whether the price macro stands in burl or in the markup."""
        exchange, creative = self.exchange, self.creative
        if self._notices and ("burl" in exchange.notices or exchange.price_in_adm):
            return True
        return exchange.price_macro in "\n".join((creative.html, *creative.impression_trackers))


def _cut(notices: Notices, exchange: Exchange) -> Iterator[tuple[str, str, str]]:
    """(field, URL before the ids, URL after them) of the notices that the exchange calls."""
    for field, template in (("nurl", notices.win), ("burl", notices.billing), ("lurl", notices.loss)):
        if field in exchange.notices:
            before, _, after = template.partition(TRAIL)
            yield field, before, after


def _constant(campaign: Campaign, creative: Creative, exchange: Exchange) -> dict[str, Any]:
    spec = creative.spec
    one_api = exchange.version == "2.5"  # which has `api` only; 2.6 deprecates it for `apis` (section 4.2.3)
    labelled = campaign.categories and (campaign.category_taxonomy == 1 or says_taxonomy(exchange))
    playable = spec.format in (VIDEO, AUDIO)
    sized = spec.format in (BANNER, VIDEO)
    fields = {
        "adid": creative.id,
        "crid": creative.id,
        "cid": campaign.id,
        "adomain": list(campaign.domains),
        "bundle": campaign.bundle,
        "cat": list(campaign.categories) if labelled else [],
        "cattax": campaign.category_taxonomy if labelled and says_taxonomy(exchange) else 0,
        "attr": sorted(spec.attributes | {SKIPPABLE_ATTRIBUTE} if spec.skippable else spec.attributes),
        "iurl": creative.preview_url,
        "langb" if "-" in spec.language else "language": spec.language,
        "dur": spec.duration_s if playable else 0,
        "mtype": int(spec.format),
        "w": spec.width if sized else 0,
        "h": spec.height if sized else 0,
        "api": min(spec.apis, default=0) if one_api else 0,
        "apis": [] if one_api else sorted(spec.apis),
        "ext": dict(exchange.bid_ext),
    }
    wanted = exchange.required & {"attr"}  # "has no attributes" is said by an empty list
    return {
        name: content
        for name, content in fields.items()
        if (content or name in wanted) and name not in exchange.omitted
    }


def says_taxonomy(exchange: Exchange) -> bool:
    """Whether a bid can name the taxonomy of its categories. 2.5 has none but the Content Taxonomy 1.0 (List 5.1)."""
    return exchange.version != "2.5" and "cattax" not in exchange.omitted


def _longest(content: object) -> int:
    """In UTF-8 bytes: of a text, or of the longest entry of a list."""
    if isinstance(content, list):
        return max(map(_longest, content), default=0)
    return len(content.encode("utf-8", "replace")) if isinstance(content, str) else 0


def _is_number(seat: str) -> bool:
    return seat.isascii() and seat.isdecimal()
