"""Floors as masks: who cannot pay is not looked at, and who can is never left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bidder.domain import NO_RATES, Auction, BannerOffer, Exchange, Rates, Slot
from bidder.stages.bitmaps import bits_of
from bidder.stages.floors import reachable
from bidder.stages.index import compile_index
from bidder.stages.maxima import step_of
from bidder.stages.search import MAX_LOOKED_AT
from bidder.stages.target import target

from ..conftest import Make

BOX = BannerOffer(sizes=((300, 250),))
MAXIMA = [0, 1, 7, 900_000, 1_000_000, 1_000_001, 1_250_000, 4_000_000, 300_000_000]


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_steps_never_fall_where_amounts_rise(one: int, other: int) -> None:
    assert (step_of(one) <= step_of(other)) or one > other


def test_a_mask_holds_all_who_can_pay_and_nobody_whose_maximum_is_far_below(make_campaign: Make) -> None:
    """In each currency, with rates and without, at every maximum and beside it; "far" is a quarter."""
    campaigns = [
        make_campaign(f"{currency}-{most}", currency=currency, max_cpm_micros=most)
        for currency in ("USD", "EUR", "XXX")
        for most in MAXIMA
    ]
    index = compile_index(campaigns, 8, 16)
    exchanged = Rates("2026-01-02", "USD", {"EUR": 0.8})
    for rates in (exchanged, NO_RATES, exchanged):
        for floor in sorted({near for most in MAXIMA for near in (max(0, most - 1), most, most + 1)}):
            for currency in ("USD", "EUR"):
                steps, lowest = index.floors.of(Slot("1", floor_micros=floor, floor_currency=currency), rates)
                by_currency = dict(zip(index.floors.currencies, lowest, strict=True))
                masks = [(shard.start, shard.paying[steps]) for shard in index.shards]
                paying = {start + bit for start, mask in masks for bit in bits_of(mask)}
                for place, campaign in enumerate(reversed(campaigns)):
                    pays = campaign.max_cpm_micros >= by_currency[campaign.currency]
                    assert pays is reachable(campaign, (floor, currency), rates)
                    if reachable(campaign, (floor, currency), rates):
                        assert place in paying
                    elif place in paying:
                        assert reachable(campaign, (floor * 3 // 4, currency), rates)


def test_those_below_the_floor_are_not_among_the_campaigns_looked_at(
    make_campaign: Callable[..., Any], exchange: Exchange, rates: Rates
) -> None:
    """However many of them stand before the one that pays."""
    low = [make_campaign(f"low-{number}", max_cpm_micros=1_000_000) for number in range(MAX_LOOKED_AT + 8)]
    index = compile_index([*low, make_campaign("high", max_cpm_micros=9_000_000)])
    auction = Auction("a", [Slot("1", banner=BOX, floor_micros=5_000_000)], channel="site", country="USA")
    found = target(auction, exchange, None, index, rates, 1_767_614_400.0, 8)
    assert [candidate.campaign.id for candidate in found] == ["high"]
