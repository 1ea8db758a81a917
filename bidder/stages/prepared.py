"""What every bid with one creative, of one campaign, on one exchange has in common, made once.

The rule kept here: an exchange's profile is held against a creative when the entry is made, not at every bid; where the
two do not fit, `refusal` says why and no bid is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from bidder.domain import (
    AUDIO,
    BANNER,
    NATIVE,
    NOTHING,
    VIDEO,
    Campaign,
    Creative,
    Exchange,
    MediaOffer,
    NativeOffer,
    Slot,
)
from bidder.stages.fit import SKIPPABLE_ATTRIBUTE, skips
from bidder.stages.markup.escaping import quoted
from bidder.stages.markup.html import Banner
from bidder.stages.markup.native import Native
from bidder.stages.markup.notices import TRAIL, Notices
from bidder.stages.markup.vast import DAAST, VERSIONS, Files, Vast, Versions, versions

TOO_LONG, MISSING, SEAT, PRICE_MACRO, MARKUP = "too_long", "missing", "seat", "price_macro", "markup"

FETCH = "&markup=1"
"""In the query of a win notice that is to answer with the markup."""

INTERSTITIAL_EXPIRY_S = 1800
"""How long a win may wait for its impression where the ad does, too (section 7.2)."""

# How long it may elsewhere, by channel; in a channel that is not here (DOOH) only the exchange knows.
EXPIRY_S: Mapping[str, int] = {"site": 60, "app": 300}
NATIVE_EXPIRY_S: Mapping[str, int] = {"site": 60, "app": 600}

_ANY_MEDIA = MediaOffer()
_NO_ASSETS = NativeOffer(assets=())
# What is known at the bid only, or never left out.
_OF_THE_BID = frozenset({"adm", "nurl", "burl", "lurl", "id"})
_OF_THE_ANSWER = frozenset({"cur", "bidid", "seat"})


class Prepared:
    """The constant part of a bid: `constant` fields; the fields of the notices that the exchange calls, before, between
    and after the ids; markup.

    `refusal` is "" or one of TOO_LONG, MISSING, SEAT, PRICE_MACRO, MARKUP: no bid can be made that would be taken.
    `limits` are the lengths in bytes to hold against the fields that differ between bids; `seat` is
    as JSON has it in a seatbid."""

    __slots__ = (
        *("_banner", "_expiry_s", "_fields", "_files", "_in_bid", "_native", "_notices", "_says_expiry"),
        *("_unskippable", "_vast", "_versions"),
        *("campaign", "categories_differ", "constant", "creative", "exact", "exchange", "expiry", "fetched", "limits"),
        *("notices", "refusal", "says_taxonomy", "seat"),
    )

    def __init__(self, campaign: Campaign, creative: Creative, exchange: Exchange, notice_url: str) -> None:
        # Held, so that none of them is freed and its id given to another while the entry lives.
        self.campaign, self.creative, self.exchange = campaign, creative, exchange
        seat = exchange.seats.get(campaign.seat, campaign.seat)
        self.seat = f'"seat":{quoted(seat)},' if seat else ""
        self.constant = _constant(campaign, creative, exchange)
        self._fields = json_fields(self.constant)
        self._unskippable: dict[str, Any] | None = None
        self.exact = exchange.price_decimals == 6 and exchange.price_unit == "cpm"
        self.fetched = exchange.markup == "nurl"
        self._in_bid = exchange.markup == "adm"
        self.categories_differ = bool(campaign.more_categories)
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
        self.notices = self._called()
        sent = exchange.markup != "registered"
        format = creative.spec.format
        self._expiry_s = NATIVE_EXPIRY_S if format is NATIVE else EXPIRY_S
        self._says_expiry = "exp" not in exchange.omitted
        self.expiry = {channel: self._expiry(seconds) for channel, seconds in self._expiry_s.items()}
        before, after = (f'{self._fields},"adm":"', '"') if self._in_bid else ("", "")
        self._banner = Banner(creative, self._notices, before, after) if sent and format is BANNER else None
        self._native = None
        if sent and format is NATIVE:
            self._native = Native(creative, self._notices, before, after, wrapped=exchange.native_wrapped)
        self._versions = versions(format, creative.spec.protocols) if format in (VIDEO, AUDIO) else None
        self._files: Files | None = None
        self._vast: dict[tuple[int, bool], Vast] = {}  # by protocol and skippable: 14 at most
        self.refusal = self._refusal(seat)

    def notices_for(self, slot: Slot, *, on_screen: bool) -> tuple[str, ...]:
        """`notices` where the win notice is answered with the markup, or the billing notice says for how many who stand
        before a screen."""
        fetch = ""
        if self.exchange.markup == "nurl":
            fetch = FETCH
            if self._versions is not None:
                offer, protocol, skippable = self._played(slot, self._versions)
                later = f"&skipafter={offer.skip_after_s}" if offer.skip_after_s > self.creative.skip_after_s else ""
                fetch += f"&protocol={protocol}&skip={int(skippable)}{later}"
        return self._called(fetch, self._notices.multiplier if self._notices and on_screen else "")

    def expiry_in(self, channel: str, slot: Slot) -> str:
        """The field that says how many seconds between auction and impression are tolerated: never more than the
        slot's own. `expiry` has it by channel for slots that say nothing and wait for nothing."""
        waits = slot.interstitial or slot.rewarded
        usual = INTERSTITIAL_EXPIRY_S if waits else self._expiry_s.get(channel, 0)
        asked = slot.expiry_s
        return self._expiry(asked if asked and (asked < usual or not usual) else usual)

    def _expiry(self, seconds: int) -> str:
        return f',"exp":{seconds}' if seconds and self._says_expiry else ""

    def _called(self, fetch: str = "", multiplier: str = "") -> tuple[str, ...]:
        notices, fields = self._notices, self.exchange.notices
        if notices is None:
            return ("",)
        each = (("nurl", notices.win + fetch), ("burl", notices.billing + multiplier), ("lurl", notices.loss))
        return tuple("".join([f',"{field}":"{url}"' for field, url in each if field in fields]).split(TRAIL))

    def content(self, slot: Slot, ids: str, bid_id: str, changed: dict[str, Any]) -> str:
        """The constant fields, those that are `changed` as they are there; `adm`; `protocol` where the markup is VAST
        or DAAST. `ids`: see `notices.trail`; `bid_id` is percent-encoded."""
        constant, content = self.constant, self._fields
        if self._banner is not None:
            if self._in_bid:
                content = self._banner.render(ids)
        elif self._native is not None:
            content = self._native.render(slot.native or _NO_ASSETS, ids)
        elif self._versions is not None:
            offer, protocol, skippable = self._played(slot, self._versions)
            constant = self._shown(skippable)
            if self._in_bid:
                vast = self._vast.get((protocol, skippable)) or self._version(protocol, skippable)
                content = vast.render(offer, ids, bid_id)
            else:
                content = json_fields(constant) + self._says_protocol(protocol)
        if changed:
            return json_fields(constant | changed) + content[len(json_fields(constant)) :]
        return content

    def _played(self, slot: Slot, able: Versions) -> tuple[MediaOffer, int, bool]:
        """By what it is played, the VAST or DAAST version, and whether it can be skipped there."""
        spec = self.creative.spec
        offer = (slot.video if spec.format is VIDEO else slot.audio) or _ANY_MEDIA
        skippable = spec.skippable and skips(self.creative, offer)
        return offer, able.newest(offer.protocols), skippable

    def _shown(self, skippable: bool) -> dict[str, Any]:
        """The constant fields: of an ad that can be skipped elsewhere those without a skip button."""
        if skippable or not self.creative.spec.skippable:
            return self.constant
        if self._unskippable is None:
            self._unskippable = constant = self.constant.copy()
            attributes = [code for code in constant.pop("attr", ()) if code != SKIPPABLE_ATTRIBUTE]
            if attributes or "attr" in self.exchange.required:
                constant["attr"] = attributes
        return self._unskippable

    def _says_protocol(self, protocol: int) -> str:
        return "" if "protocol" in self.exchange.omitted else f',"protocol":{protocol}'

    def served(self, ids: str, bid_id: str, protocol: int, skippable: bool, skip_after_s: int) -> str:
        """The markup that a win notice answers with; native is never fetched. ValueError: no such VAST is made."""
        if self._banner is not None:
            banner = Banner(self.creative, self._notices) if self._in_bid else self._banner
            return _read(banner.render(ids))
        spec = self.creative.spec
        if spec.format not in (VIDEO, AUDIO) or self.exchange.markup != "nurl":
            raise ValueError(f"creative {self.creative.id!r} has no markup to fetch")
        if protocol not in VERSIONS:
            raise ValueError(f"protocol {protocol} is no VAST or DAAST that is made here")
        offer = MediaOffer(skip_after_s=skip_after_s)
        return _read(self._version(protocol, skippable and spec.skippable).render(offer, ids, bid_id))

    def _version(self, protocol: int, skippable: bool) -> Vast:
        vast = self._vast.get((protocol, skippable))
        if vast is None:
            files = None
            if protocol != DAAST:
                files = self._files = self._files or Files(self.creative, protocol)
            before = after = ""
            if self._in_bid:
                before = f'{json_fields(self._shown(skippable))},"adm":"'
                after = f'"{self._says_protocol(protocol)}'
            categories = self.campaign.categories
            vast = Vast(self.creative, protocol, skippable, self._notices, categories, files, before, after)
            self._vast[protocol, skippable] = vast
        return vast

    def _refusal(self, seat: str) -> str:
        exchange = self.exchange
        if exchange.markup == "nurl" and (self._notices is None or self.creative.spec.format is NATIVE):
            return MARKUP  # nowhere to fetch it from; native, which needs the assets that the slot asks for
        if (not seat and "seat" in exchange.required) or (exchange.numeric_seats and not _is_number(seat)):
            return SEAT
        if exchange.required and exchange.required - _OF_THE_ANSWER - self._said():
            return MISSING
        if any(_longest(self.constant.get(field)) > limit for field, limit in exchange.max_bytes.items()):
            return TOO_LONG
        if exchange.price_macro_required and not self._tells_the_price():
            return PRICE_MACRO
        return ""

    def _said(self) -> set[str]:
        """The fields of every bid."""
        called = self.exchange.notices if self._notices else NOTHING
        return {"id", "impid", "price"}.union(self.constant, called, ("adm",) if self._in_bid else ())

    def _tells_the_price(self) -> bool:
        """Whether the price macro stands in burl or in the markup."""
        exchange, creative = self.exchange, self.creative
        if self._notices and ("burl" in exchange.notices or exchange.price_in_adm):
            return True
        return exchange.price_macro in "\n".join((creative.html, *creative.impression_trackers))


def json_fields(fields: Mapping[str, Any]) -> str:
    """As they follow others in a JSON object."""
    return f",{orjson.dumps(fields).decode()[1:-1]}" if fields else ""


def _read(markup: str) -> str:
    text: str = orjson.loads(f'"{markup}"')
    return text


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
