"""The bid response.

The rule: this is what the bidder writes, so it is checked and not repaired: exact types, no null, no unknown field.
"""

from typing import Annotated, Any, Required

from pydantic import Field

from openrtb_schemas.reading import Strict


class Bid(Strict, total=False):
    """OpenRTB 2.6 §4.2.3: an offer for one impression. ``price`` in CPM."""

    id: Required[str]
    impid: Required[str]
    price: Required[float]
    nurl: str
    burl: str
    lurl: str
    adm: str
    adid: str
    adomain: list[str]
    bundle: str
    iurl: str
    cid: str
    crid: str
    tactic: str
    cattax: int  # CategoryTaxonomy
    cat: list[str]
    attr: list[int]  # CreativeAttribute
    apis: list[int]  # ApiFramework
    api: int  # ApiFramework, deprecated
    protocol: int  # VideoProtocol
    qagmediarating: int  # MediaRating
    language: str
    langb: str
    dealid: str
    w: int
    h: int
    wratio: int
    hratio: int
    exp: int
    dur: int
    mtype: int  # MarkupType
    slotinpod: int  # SlotPosition
    ext: dict[str, Any]


class SeatBid(Strict, total=False):
    """OpenRTB 2.6 §4.2.2: the bids of one buyer seat."""

    bid: Required[Annotated[list[Bid], Field(min_length=1)]]
    seat: str
    group: int
    ext: dict[str, Any]


class BidResponse(Strict, total=False):
    """OpenRTB 2.6 §4.2.1: the answer to a bid request. One without ``seatbid`` is a no-bid."""

    id: Required[str]
    seatbid: list[SeatBid]
    bidid: str
    cur: str
    customdata: str
    nbr: int  # NoBidReason
    ext: dict[str, Any]
