"""From candidates to bids: what is scored, what comes out, and why nothing does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

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

    @property
    def nbr(self) -> int:
        return _NBR[self]


# No-bid reason codes: 0 unknown, 1 technical error, 2 invalid request, 8 unmatched user, 15 insufficient auction time,
# 500 and above are the bidder's own.
_NBR = {
    NoBidReason.TECHNICAL_ERROR: 1,
    NoBidReason.INVALID_REQUEST: 2,
    NoBidReason.NO_CAMPAIGN: 500,
    NoBidReason.BELOW_FLOOR: 501,
    NoBidReason.CURRENCY: 502,
    NoBidReason.INSUFFICIENT_TIME: 15,
    NoBidReason.OVERLOAD: 503,
}


@dataclass(slots=True)
class Candidate:
    """A campaign that may bid on a slot, with the creative that fits and the deal it would use."""

    slot: Slot
    campaign: Campaign
    creative: Creative
    deal: Deal | None
    width: int = 0
    height: int = 0


@dataclass(slots=True)
class Rows:
    """The model's input for one auction: `count` rows, one a candidate, in the candidates' order.

    `body` holds them joined: CSV lines, each ending in a newline, or row-major little-endian float32."""

    count: int
    body: bytes


@dataclass(slots=True)
class Scores:
    """The model's output: for each row the probability (0..1) of the campaign's goal event."""

    values: Sequence[float]
    source: str  # the tier that answered: "sagemaker", "local", "prior"
    variant: str = ""  # the production variant that answered


@dataclass(slots=True)
class Bid:
    """One bid: `price_micros` is a CPM in `currency`, never below the floor that counts."""

    candidate: Candidate
    price_micros: int
    currency: str
    score: float
    id: str = ""


@dataclass(slots=True)
class NoBid:
    reason: NoBidReason
    auction_id: str = ""
    detail: str = ""
