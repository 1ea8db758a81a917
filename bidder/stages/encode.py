"""The last stage: bids → the bytes of a bid response (sections 4.2.1 to 4.2.3).

The rule kept here: what is constant of a campaign's creative is prepared once, on first use, and a bid adds only what
the auction decides: ids, price, size, deal, expiry, markup and notices. Optional fields without a value are left out.
A bid that the exchange's profile does not allow is left out and said so, never bent into shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson
from msgspec import Struct

from bidder.domain import (
    BANNER,
    MICROS,
    Auction,
    BannerOffer,
    Bid,
    Campaign,
    Creative,
    CreativeSpec,
    Exchange,
    NoBidReason,
)
from bidder.stages.fit import flexible
from bidder.stages.markup.escaping import in_json, quoted, request_value, value
from bidder.stages.markup.notices import TEST, UNMEASURED, trail
from bidder.stages.prepared import MARKUP, MISSING, PRICE_MACRO, SEAT, TOO_LONG, Prepared, json_fields
from bidder.stages.tables import Kept

KEPT_PREPARED = 2048
"""Creatives prepared, and as many again of an older generation."""

PRICE, SEATBIDS, ANSWER_SIZE = "price", "seatbids", "answer_size"
REFUSALS = (TOO_LONG, MISSING, SEAT, PRICE_MACRO, MARKUP, PRICE, SEATBIDS, ANSWER_SIZE)
"""Why a bid is left out of an answer. An id or URL longer than the exchange takes; a field that it requires and the
catalog does not have; no seat, or none that it can read; no way to tell us the price; markup that it would fetch from
us and cannot; no price of its precision between floor and value; more seats than it reads; an answer above its size."""

_NBR = {reason: b',"nbr":%d}' % reason.nbr for reason in NoBidReason}
_DIGEST = blake2b(digest_size=10)
_EXACT = 1 << 52
"""Below it, a float has all digits of a price."""

_UNCHANGED: dict[str, Any] = {}
_Kept = tuple[Bid, str, str]  # the bid; the seat, as the exchange names it, and the bid as JSON


class Encoded(Struct, gc=False):
    """The response; the bids that are in it; for each bid that is not, one of REFUSALS. Where no bid is left, `body`
    is empty: the auction is answered by `Encoder.no_bid`."""

    body: bytes
    bids: list[Bid]
    refused: list[str]


class Encoder:
    """Bids → bytes. Built once a catalog: what it prepares is kept, one entry a campaign's creative and exchange, for
    those that bid most. `notice_url` is the public base of our notice endpoints; "" = no notices, no own trackers.
    ValueError: `notice_url` is no HTTP URL."""

    __slots__ = ("_notice_url", "_prepared")

    def __init__(self, notice_url: str = "") -> None:
        if notice_url and not notice_url.startswith(("https://", "http://")):
            raise ValueError(f"notice_url must start with https:// or http://, got {notice_url!r}")
        self._notice_url = notice_url
        self._prepared: Kept[tuple[str, int, int], Prepared] = Kept(_never, KEPT_PREPARED)

    def encode(self, auction: Auction, bids: Sequence[Bid], exchange: Exchange) -> bytes:
        """The body of `answer`."""
        return self.answer(auction, bids, exchange).body

    def answer(self, auction: Auction, bids: Sequence[Bid], exchange: Exchange) -> Encoded:
        """The response with those of `bids` that the exchange takes, grouped by seat as it names them.

        ValueError: no bids; a price that is not above zero; bids in different currencies (a response has one)."""
        if not bids:
            raise ValueError("encode needs at least one bid; an auction without one is answered by no_bid")
        response = response_id(auction.id)
        auction_value = request_value(auction.id)
        marks = "" if auction.may_measure and not auction.test else _marks(auction)
        currency = bids[0].currency
        ready, exchange_name = self._prepared, exchange.name
        refused: list[str] = []
        kept: list[_Kept] = []
        for index, bid in enumerate(bids):
            if bid.currency != currency:
                raise ValueError(f"bids of one response need one currency, got {currency} and {bid.currency}")
            campaign, creative = bid.candidate.campaign, bid.candidate.creative
            prepared = ready.get((exchange_name, id(campaign), id(creative)))
            if prepared is None or prepared.exchange is not exchange:
                prepared = self._prepare(campaign, creative, exchange)
            encoded = prepared.refusal or _bid(auction, auction_value, marks, bid, f"{response}-{index}", prepared)
            if encoded[0] == "{":
                kept.append((bid, prepared.seat, encoded))
            else:
                refused.append(encoded)
        if exchange.max_seatbids:
            kept = _best_seats(kept, exchange.max_seatbids, refused)
        body = _response(auction.id, auction_value, response, currency, kept, exchange)
        if exchange.max_answer_bytes and len(body) > exchange.max_answer_bytes:
            kept = _without_lowest(kept, len(body) - exchange.max_answer_bytes, refused)
            body = _response(auction.id, auction_value, response, currency, kept, exchange)
        if len(kept) < len(bids) > 1 and bids[0].candidate.campaign.roadblock:  # all or none
            return Encoded(b"", [], [*refused, *[refused[0]] * len(kept)])
        return Encoded(body, [bid for bid, _, _ in kept] if refused else list(bids), refused)

    def served(
        self,
        campaign: Campaign,
        creative: Creative,
        exchange: Exchange,
        ids: tuple[str, str, str],
        protocol: int = 0,
        *,
        skippable: bool = False,
        skip_after_s: int = 0,
        marks: str = "",
    ) -> str:
        """The markup that the win notice of a bid answers with where the profile says `markup: "nurl"` and the query
        `markup=1`. `ids` are its auction, bid and imp, as they came; `protocol`, `skippable` and `skip_after_s` are
        those of its query (`skip=1`, `skipafter`), `marks` those of its trail: TEST, UNMEASURED. ValueError: this
        creative has no markup to fetch."""
        auction_value, bid_value, slot_value = map(request_value, ids)
        trailing = trail(auction_value, bid_value, slot_value) + marks
        prepared = self._prepare(campaign, creative, exchange)
        return prepared.served(trailing, bid_value, protocol, skippable, skip_after_s)

    def no_bid(self, auction_id: str, reason: NoBidReason, exchange: Exchange) -> bytes | None:
        """The exchange's form of a no-bid (section 7.1). None: answer 204, also where no auction id could be read,
        since a response without one is not valid."""
        if not exchange.no_bid_body or not auction_id:
            return None
        return b'{"id":' + orjson.dumps(auction_id) + _NBR[reason]

    def _prepare(self, campaign: Campaign, creative: Creative, exchange: Exchange) -> Prepared:
        """Looked up by identity: hashing campaign and creative by value costs 1.7 µs more, a third of a banner bid."""
        key = exchange.name, id(campaign), id(creative)
        prepared = self._prepared.find(key)
        if prepared is None or prepared.exchange is not exchange:
            prepared = self._prepared.keep(key, Prepared(campaign, creative, exchange, self._notice_url))
        return prepared

    def let_go(self, count: int) -> bool:
        """Forget up to `count` of what is prepared; whether there was any."""
        return self._prepared.let_go(count)


def _never(key: tuple[str, int, int]) -> Prepared:
    raise KeyError(key)


def response_id(auction_id: str) -> str:
    """The `bidid` of the answer to this auction, the same each time: 20 hexadecimal characters. Bids without an id of
    their own are named after it: `{response_id}-{index}`."""
    digest = _DIGEST.copy()  # less to do than for a new one
    digest.update(auction_id.encode())
    return digest.hexdigest()


def price(micros: int) -> str:
    """A CPM as a JSON number, exact to the micro-unit and never with an exponent. ValueError: not above zero."""
    if micros <= 0:
        raise ValueError(f"a bid's price must be above 0 micro-units, got {micros}")
    if micros < _EXACT:
        return f"{micros / MICROS:.6f}"
    return f"{micros // MICROS}.{micros % MICROS:06d}"


def rounded(bid: Bid, decimals: int) -> int:
    """The price in micro-units at `decimals` of a CPM (0 to 6): down, but not below the floor; else up, but not above
    the value; 0 where neither can be."""
    step: int = 10 ** (6 - decimals)
    down = bid.price_micros - bid.price_micros % step
    if down > 0 and (down == bid.price_micros or down >= bid.floor_micros):
        return down
    return down + step if down + step <= bid.value_micros else 0


def _marks(auction: Auction) -> str:
    """What the trails of all bids of this auction end with."""
    return (TEST if auction.test else "") + ("" if auction.may_measure else UNMEASURED)


def _bid(auction: Auction, auction_value: str, marks: str, bid: Bid, usual_id: str, prepared: Prepared) -> str:
    """The bid as OpenRTB has it, or why the exchange would not take it. `auction_value`: the auction's id as the
    trails of all its bids have it, see `notices.trail`; `marks`: what they end with; `usual_id`: of a bid without an id
    of its own."""
    candidate, channel = bid.candidate, auction.channel
    slot, deal = candidate.slot, candidate.deal
    if prepared.exact:
        amount = price(bid.price_micros)
    else:
        micros = rounded(bid, prepared.exchange.price_decimals)
        if not micros:
            return PRICE
        amount = _in_units(micros, prepared.exchange)
    slot_id = slot.id
    slot_value = request_value(slot_id)
    bid_value = bid_id = usual_id
    if bid.id:
        bid_value, bid_id = value(bid.id), in_json(bid.id)
    ids = f"auction={auction_value}&bid={bid_value}&imp={slot_value}{marks}"  # as `notices.trail`
    changed, added, banner = _UNCHANGED, "", slot.banner
    if prepared.categories_differ or bid.slot_in_pod or (banner is not None and banner.ratios):
        changed, added = _apart(_unlike(auction, bid, prepared), prepared.constant)
    notices = prepared.notices
    if prepared.fetched or channel == "dooh":
        notices = prepared.notices_for(slot, on_screen=channel == "dooh")
    with_deal = "" if deal is None else f',"dealid":{quoted(deal.id)}'
    if slot.expiry_s or slot.interstitial or slot.rewarded:
        expiry = prepared.expiry_in(channel, slot)
    else:
        expiry = prepared.expiry.get(channel, "")
    imp_id = slot_id if slot_id == slot_value else in_json(slot_id)  # what needs no percent-encoding is plain
    encoded = (
        f'{{"id":"{bid_id}","impid":"{imp_id}","price":{amount}'
        f"{prepared.content(slot, ids, bid_value, changed)}{ids.join(notices)}{with_deal}{added}{expiry}}}"
    )
    if prepared.limits:
        fields = orjson.loads(encoded)
        for field, limit in prepared.limits:
            if len(fields.get(field, "").encode()) > limit:
                return TOO_LONG
    return encoded


def _apart(other: dict[str, Any], constant: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Those of the fields that the creative's other bids have, too; and the rest, as JSON."""
    changed = {field: content for field, content in other.items() if field in constant}
    return changed, json_fields({field: content for field, content in other.items() if field not in changed})


def _unlike(auction: Auction, bid: Bid, prepared: Prepared) -> dict[str, Any]:
    """What this bid says otherwise than the creative's others, or besides: nothing, in most cases."""
    candidate = bid.candidate
    campaign, banner = candidate.campaign, candidate.slot.banner
    fields: dict[str, Any] = {}
    if banner is not None and banner.ratios and candidate.creative.spec.format is BANNER:
        _add_ratio(fields, candidate.creative.spec, banner)
    if campaign.more_categories:
        _add_categories(fields, campaign, auction.category_taxonomy, says_taxonomy=prepared.says_taxonomy)
    if bid.slot_in_pod and prepared.exchange.hears_places:
        fields["slotinpod"] = bid.slot_in_pod
    if fields:
        for field in prepared.exchange.omitted:
            fields.pop(field, None)
    return fields


def _add_ratio(fields: dict[str, Any], spec: CreativeSpec, offer: BannerOffer) -> None:
    """A flexible size is answered with its ratio (section 4.2.3)."""
    ratio = None if (spec.width, spec.height) in offer.sizes else flexible((spec.width, spec.height), offer)
    if ratio is not None:
        fields["wratio"], fields["hratio"] = ratio


def _add_categories(fields: dict[str, Any], campaign: Campaign, asked: int, *, says_taxonomy: bool) -> None:
    """The ad's categories in the taxonomy that the request speaks, where the campaign has them in it; in Content
    Taxonomy 1.0 where a bid cannot say which it is."""
    taxonomy = asked if says_taxonomy else 1
    for known, categories in campaign.more_categories:
        if known == taxonomy and categories:
            fields["cat"] = list(categories)
            if says_taxonomy:
                fields["cattax"] = known


def _in_units(micros: int, exchange: Exchange) -> str:
    if exchange.price_unit == "micros":
        return str(micros)
    if exchange.price_decimals == 0:
        return str(micros // MICROS)
    return price(micros)[: exchange.price_decimals - 6 or None]


def _response(
    auction_id: str, auction_value: str, response: str, currency: str, kept: list[_Kept], exchange: Exchange
) -> bytes:
    if not kept:
        return b""
    id = auction_id if auction_id == auction_value else in_json(auction_id)
    ext = f',"ext":{orjson.dumps(dict(exchange.response_ext)).decode()}' if exchange.response_ext else ""
    begin = f'{{"id":"{id}","bidid":"{response}","cur":"{currency}","seatbid":['
    if len(kept) == 1:
        _, seat, encoded = kept[0]
        return f'{begin}{{{seat}"bid":[{encoded}]}}]{ext}}}'.encode()
    return f"{begin}{_by_seat(kept)}]{ext}}}".encode()


def _by_seat(kept: list[_Kept]) -> str:
    seats: dict[str, list[str]] = {}
    for _, seat, encoded in kept:
        seats.setdefault(seat, []).append(encoded)
    # Won together or not at all (section 4.2.2); one campaign has one seat.
    group = ',"group":1' if kept[0][0].candidate.campaign.roadblock else ""
    return ",".join([f'{{{seat}"bid":[{",".join(bids)}]{group}}}' for seat, bids in seats.items()])


def _best_seats(kept: list[_Kept], limit: int, refused: list[str]) -> list[_Kept]:
    """The bids of the `limit` seats that bid the most; a refusal for each of the others."""
    highest: dict[str, int] = {}
    for bid, seat, _ in kept:
        highest[seat] = max(bid.price_micros, highest.get(seat, 0))
    best = frozenset(sorted(highest, key=lambda seat: -highest[seat])[:limit])
    left = [each for each in kept if each[1] in best]
    refused += [SEATBIDS] * (len(kept) - len(left))
    return left


def _without_lowest(kept: list[_Kept], excess: int, refused: list[str]) -> list[_Kept]:
    """What is left when the lowest-priced bids are dropped until `excess` bytes are gone; a refusal for each."""
    dropped: set[int] = set()
    for place in sorted(range(len(kept)), key=lambda place: kept[place][0].price_micros):
        if excess <= 0:
            break
        excess -= len(kept[place][2].encode())
        dropped.add(place)
    refused += [ANSWER_SIZE] * len(dropped)
    return [each for place, each in enumerate(kept) if place not in dropped]
