"""What the bidder talks about: auctions, slots, campaigns, creatives, candidates, bids, no-bids.

The rule kept here: plain slotted data with units in the names, no I/O and no clock. Money is an integer of
micro-units (1/1,000,000) of a currency; every price and floor is a CPM, the price of 1,000 impressions.
"""

from bidder.domain.auction import (
    Auction,
    BannerOffer,
    Deal,
    DurationFloors,
    MediaOffer,
    NativeAsset,
    NativeOffer,
    Pod,
    Profile,
    Slot,
)
from bidder.domain.bid import Bid, Candidate, NoBid, NoBidReason, Rows, Scores
from bidder.domain.campaign import (
    CPA,
    CPC,
    CPM,
    PLACES_IN_POD,
    SLOT_ATTRIBUTES,
    Campaign,
    Circle,
    Companion,
    Creative,
    CreativeSpec,
    Goal,
    GoalKind,
    MediaFile,
    NativeImage,
    NativeText,
    Targeting,
)
from bidder.domain.exchange import Exchange
from bidder.domain.rates import NO_RATES, Rates
from bidder.domain.terms import AUDIO, BANNER, MICROS, NATIVE, NO_CODES, NOTHING, VIDEO, Format

__all__ = [
    "AUDIO",
    "BANNER",
    "CPA",
    "CPC",
    "CPM",
    "MICROS",
    "NATIVE",
    "NOTHING",
    "NO_CODES",
    "NO_RATES",
    "PLACES_IN_POD",
    "SLOT_ATTRIBUTES",
    "VIDEO",
    "Auction",
    "BannerOffer",
    "Bid",
    "Campaign",
    "Candidate",
    "Circle",
    "Companion",
    "Creative",
    "CreativeSpec",
    "Deal",
    "DurationFloors",
    "Exchange",
    "Format",
    "Goal",
    "GoalKind",
    "MediaFile",
    "MediaOffer",
    "NativeAsset",
    "NativeImage",
    "NativeOffer",
    "NativeText",
    "NoBid",
    "NoBidReason",
    "Pod",
    "Profile",
    "Rates",
    "Rows",
    "Scores",
    "Slot",
    "Targeting",
]
