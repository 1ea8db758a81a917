"""From candidates to bids: what is scored, what comes out, and why nothing does."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from bidder.domain.auction import Deal, Slot
from bidder.domain.campaign import Campaign, Creative


class NoBidReason(StrEnum):
    """Why there is no bid. `nbr` maps each to the code of the no-bid reason list."""

    TECHNICAL_ERROR = "technical_error"
    INVALID_REQUEST = "invalid_request"
    NO_CAMPAIGN = "no_campaign"
    BELOW_FLOOR = "below_floor"
    CURRENCY = "currency"
    INSUFFICIENT_TIME = "insufficient_time"
    OVERLOAD = "overload"
    PROFILE = "exchange_profile"  # what was priced cannot be sent to this exchange
    ADS_TXT_UNAVAILABLE = "ads_txt_unavailable"
    ADS_TXT_VIOLATION = "ads_txt_violation"
    INCOMPLETE_SUPPLY_CHAIN = "incomplete_supply_chain"
    BLOCKED_SUPPLY_CHAIN_NODE = "blocked_supply_chain_node"

    @property
    def nbr(self) -> int:
        return _NBR[self]


# No-bid reason codes: 0 unknown, 1 technical error, 2 invalid request, 8 unmatched user, 11 ads.txt authorization
# unavailable, 12 ads.txt authorization violation, 15 insufficient auction time, 16 incomplete SupplyChain, 17 blocked
# SupplyChain node, 500 and above are the bidder's own.
_NBR = {
    NoBidReason.TECHNICAL_ERROR: 1,
    NoBidReason.INVALID_REQUEST: 2,
    NoBidReason.NO_CAMPAIGN: 500,
    NoBidReason.BELOW_FLOOR: 501,
    NoBidReason.CURRENCY: 502,
    NoBidReason.INSUFFICIENT_TIME: 15,
    NoBidReason.OVERLOAD: 503,
    NoBidReason.PROFILE: 504,
    NoBidReason.ADS_TXT_UNAVAILABLE: 11,
    NoBidReason.ADS_TXT_VIOLATION: 12,
    NoBidReason.INCOMPLETE_SUPPLY_CHAIN: 16,
    NoBidReason.BLOCKED_SUPPLY_CHAIN_NODE: 17,
}


class Candidate(Struct, gc=False):
    """A campaign that may bid on a slot, with the creative that fits and the deal it would use. `row`: the part of a
    row of features that every bid with this creative has in common, where it is kept (see `features.packed`).

    A struct that the collector passes by, since nothing that it holds leads back to it: made in half the time of a
    dataclass, ten times a request."""

    slot: Slot
    campaign: Campaign
    creative: Creative
    deal: Deal | None
    row: bytes = b""

    @property
    def is_guaranteed(self) -> bool:
        return self.deal is not None and self.deal.guaranteed


class Rows(Struct, frozen=True, gc=False):
    """The model's input for one auction: `count` rows, one a candidate, in the candidates' order.

    `body` holds them joined: CSV lines, each ending in a newline, or row-major little-endian float32."""

    count: int
    body: bytes


class Scores(Struct, gc=False):
    """The model's output: for each row the probability (0..1) of the campaign's goal event."""

    values: Sequence[float]
    source: str  # the tier that answered: "sagemaker", "local", "prior"
    variant: str = ""  # the production variant that answered


class Bid(Struct, gc=False):
    """One bid: `price_micros` is a CPM in `currency`, never below the floor that counts."""

    candidate: Candidate
    price_micros: int
    currency: str
    score: float
    id: str = ""
    slot_in_pod: int = 0  # slotinpod: 0 any, 1 first, -1 last, 2 first or last (AdCOM, slot position in pod)
    # In `currency`, for an exchange that takes fewer decimals than six: a price rounds down, but not below the floor,
    # and up only as far as the value. 0 = not said: no floor; the price is the value.
    floor_micros: int = 0
    value_micros: int = 0


class NoBid(Struct, gc=False):
    reason: NoBidReason
    auction_id: str = ""
    detail: str = ""
