"""The bid response as pydantic models (OpenRTB 2.6, §4.2)."""

from __future__ import annotations

from pydantic import BaseModel


class Bid(BaseModel):
    id: str
    impid: str
    price: float
    adm: str
    adomain: list[str]
    crid: str
    cid: str
    cat: list[str]
    cattax: int
    mtype: int
    nurl: str | None = None
    burl: str | None = None
    dealid: str | None = None
    w: int | None = None
    h: int | None = None
    dur: int | None = None
    protocol: int | None = None
    bundle: str | None = None
    language: str | None = None
    attr: list[int] | None = None


class SeatBid(BaseModel):
    seat: str
    bid: list[Bid]


class BidResponse(BaseModel):
    id: str
    cur: str
    seatbid: list[SeatBid]
