"""Where is bid: what differs between exchanges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bidder.domain.terms import NOTHING


@dataclass(slots=True, frozen=True)
class Exchange:
    """What differs between exchanges, as data. The defaults are what OpenRTB has where an exchange says nothing."""

    name: str
    # time
    default_tmax_ms: int = 100
    network_margin_ms: int = 10
    # the answer on the wire
    no_bid_body: bool = False  # True: 200 with {"id": …, "nbr": …}; False: 204
    max_answer_bytes: int = 0  # before compression; 0 = not limited
    compression: Literal["none", "accepted", "wanted", "required"] = "accepted"  # of our answers
    content_type: str = "application/json"
    response_headers: Mapping[str, str] = field(default_factory=dict)  # beyond those of HTTP and OpenRTB
    version: str = "2.6"  # of our answers
    # money
    currency: str = "USD"  # preferred where the request leaves a choice
    price_unit: Literal["cpm", "micros"] = "cpm"  # CPM in units of the currency, or in millionths of it
    price_decimals: int = 6  # of a CPM
    # how the price stands in notices: a CPM; micro-units of it; as Google encrypts it (see stages/winning_price.py)
    notice_price: Literal["plain", "micros", "google"] = "plain"
    auction_type: int = 2  # where a request does not say: 1 first, 2 second price
    # bids
    bids_per_imp: int = 1  # at most, without a deal; the bids of a pod are not counted
    deals_beside_open: bool = False  # M+N: bids with deals may stand beside those without (section 7.3)
    max_seatbids: int = 0  # 0 = not limited
    strict_banner_size: bool = False  # a banner of a size that was not asked for is refused
    # fields
    seats: Mapping[str, str] = field(default_factory=dict)  # our seat → this exchange's seat id; absent: ours is sent
    numeric_seats: bool = False  # a seat id is a number, in text
    required: frozenset[str] = NOTHING  # fields of bid, seatbid or response that OpenRTB does not require
    omitted: frozenset[str] = NOTHING  # fields of the bid that it does not take
    max_bytes: Mapping[str, int] = field(default_factory=dict)  # field of the bid → UTF-8 bytes; lists: each entry
    bid_ext: Mapping[str, Any] = field(default_factory=dict)  # put out as it stands with every bid
    response_ext: Mapping[str, Any] = field(default_factory=dict)
    # markup and notices
    # adm: in the bid; nurl: the win notice answers with it; registered: it lies at the exchange, `crid` names it
    markup: Literal["adm", "nurl", "registered"] = "adm"
    native_wrapped: bool = False  # native always in {"native": …}
    notices: frozenset[str] = frozenset({"nurl", "burl", "lurl"})  # those that it calls
    price_macro: str = "${AUCTION_PRICE}"
    macros: Mapping[str, str] = field(default_factory=dict)  # macro's name → its spelling here; "" = not known here
    price_in_adm: bool = False  # the impression tracker in the markup carries the price too
    price_macro_required: bool = False  # in adm or burl; a bid without it is refused

    @property
    def hears_places(self) -> bool:
        """Whether a bid can say which place in a pod it is for (`slotinpod`, which 2.5 has not)."""
        return self.version != "2.5" and "slotinpod" not in self.omitted
