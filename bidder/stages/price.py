"""`Scores` → `Bid`s: what an impression is worth, what it may cost at least, and in which currency.

The rule kept here: integers of micro-units; values round down, floors round up, so no bid is above what the campaign
would pay or below what the exchange would take. A score that is no probability earns no bid.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from bidder.domain import Auction, Bid, Campaign, Candidate, Exchange, GoalKind, NoBidReason, Rates
from bidder.stages.floors import floor_of

FLOOR_IS_PRICE = 3
"""`deal.at`: the deal's floor is the agreed price (§3.2.12)."""


class Priced(NamedTuple):
    """The bids, best first within a slot's one; or why there are none."""

    bids: list[Bid]
    reason: NoBidReason | None


def value_micros(campaign: Campaign, score: float) -> int:
    """What 1,000 impressions are worth to the campaign, in micro-units of its currency, at most its maximum.

    `score` is the probability that an impression brings the goal's event. A CPM goal pays for 1,000 of the events
    (viewed impressions), the others for each.
    """
    if not 0.0 <= score <= 1.0:  # NaN included
        return 0
    per_mille = 1 if campaign.goal.kind is GoalKind.CPM else 1000
    return min(campaign.max_cpm_micros, int(score * campaign.goal.amount_micros * per_mille))


def bid_currency(auction: Auction, exchange: Exchange, rates: Rates) -> str | None:
    """The currency to answer in: the exchange's usual one if allowed, else the first allowed that has a rate.

    A request that names none allows US dollars (`cur`, §3.2.1)."""
    allowed = auction.currencies or ("USD",)
    if exchange.currency in allowed and rates.knows(exchange.currency):
        return exchange.currency
    return next((currency for currency in allowed if rates.knows(currency)), None)


def price(
    candidates: Sequence[Candidate], scores: Sequence[float], auction: Auction, exchange: Exchange, rates: Rates
) -> Priced:
    """The best bid of each slot. `scores`: one a candidate."""
    currency = bid_currency(auction, exchange, rates)
    if currency is None:
        return Priced([], NoBidReason.CURRENCY)
    best: dict[str, Bid] = {}
    for candidate, score in zip(candidates, scores, strict=True):
        micros = price_micros(candidate, score, currency, rates)
        if micros is None:
            continue
        bid = best.get(candidate.slot.id)
        if bid is None or micros > bid.price_micros:
            best[candidate.slot.id] = Bid(candidate, micros, currency, score)
    return Priced(list(best.values()), None if best else NoBidReason.BELOW_FLOOR)


def price_micros(candidate: Candidate, score: float, currency: str, rates: Rates) -> int | None:
    """The price in micro-units of `currency`, or None where the value is below the floor or nothing."""
    campaign = candidate.campaign
    if not rates.knows(campaign.currency):
        return None
    value = value_micros(campaign, score)
    if campaign.currency != currency:
        value = convert(value, campaign.currency, currency, rates, up=False)
    floor = floor_of(candidate.slot, candidate.creative.spec, candidate.deal)
    if value <= 0 or floor is None or not rates.knows(floor[1]):
        return None
    lowest = convert(*floor, currency, rates, up=True)
    if value < lowest:
        return None
    deal = candidate.deal
    if deal is not None and deal.auction_type == FLOOR_IS_PRICE and lowest > 0:
        return lowest
    return value


def convert(micros: int, source: str, target: str, rates: Rates, *, up: bool) -> int:
    """`micros` of `source` in `target`, rounded up or down."""
    if source == target:
        return micros
    exact = rates.exact(micros, source, target)
    return ceil(exact) if up else int(exact)
