"""`Scores` → `Bid`s: what an impression is worth, what it may cost at least, and in which currency.

The rule kept here: integers of micro-units; values round down, floors round up, so no bid is above what the campaign
would pay or below what the exchange would take. A score that is no probability earns no bid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bidder.domain import CPM, Auction, Bid, Campaign, Candidate, Exchange, NoBidReason, Rates, Slot
from bidder.stages.floors import floor_of, has_own_floor, priced_by_duration
from bidder.stages.select import one_each, one_each_is_wanted, select

FLOOR_IS_PRICE = 3
"""`deal.at`: the deal's floor is the agreed price (§3.2.12)."""


Terms = tuple[int, int, int]
"""Of one bid, in micro-units of its currency: the price, the floor, and the most that may be paid."""


class Priced(NamedTuple):
    """The bids, slots in the request's order and best first within a slot; or why there are none."""

    bids: list[Bid]
    reason: NoBidReason | None


def value_micros(campaign: Campaign, score: float) -> int:
    """What 1,000 impressions are worth to the campaign, in micro-units of its currency, at most its maximum.

    `score` is the probability that an impression brings the goal's event. A CPM goal pays for 1,000 of the events
    (viewed impressions), the others for each.
    """
    if not 0.0 <= score <= 1.0:  # NaN included
        return 0
    goal, most = campaign.goal, campaign.max_cpm_micros
    value = int(score * goal.amount_micros * (1 if goal.kind is CPM else 1000))
    return value if value < most else most  # `min` would take twice the time


def bid_currency(auction: Auction, exchange: Exchange, rates: Rates, own: Iterable[str] = ()) -> str | None:
    """The currency to answer in: the exchange's usual one if allowed, else the first allowed that has a rate; without
    any rate, the first of `own`, the campaigns' currencies, that is allowed.

    A request that names none allows US dollars (`cur`, §3.2.1)."""
    allowed = auction.currencies or ("USD",)
    if exchange.currency in allowed and rates.knows(exchange.currency):
        return exchange.currency
    known = next((currency for currency in allowed if rates.knows(currency)), None)
    return known or next((currency for currency in own if currency in allowed), None)


def price(
    candidates: Sequence[Candidate], scores: Sequence[float], auction: Auction, exchange: Exchange, rates: Rates
) -> Priced:
    """The bids to answer with. `scores`: one a candidate. `rates`: those of the moment, see `Rates.at`."""
    if not candidates:
        return Priced([], NoBidReason.BELOW_FLOOR)
    currency = bid_currency(auction, exchange, rates, (candidate.campaign.currency for candidate in candidates))
    if currency is None:
        return Priced([], NoBidReason.CURRENCY)
    terms = _terms(candidates, scores, currency, rates)
    if one_each_is_wanted(candidates, exchange):
        chosen = one_each(candidates, [each and each[0] for each in terms])
        bids = [_bid(candidates[place], scores[place], each, currency) for place in chosen if (each := terms[place])]
    else:
        all_of_them = [
            _bid(candidate, score, each, currency)
            for candidate, score, each in zip(candidates, scores, terms, strict=True)
            if each is not None
        ]
        bids = select(all_of_them, exchange, len(auction.slots))
    return Priced(bids, None if bids else NoBidReason.BELOW_FLOOR)


def _bid(candidate: Candidate, score: float, terms: Terms, currency: str) -> Bid:
    price, lowest, most = terms
    return Bid(candidate, price, currency, score, "", 0, lowest, most)


def _terms(candidates: Sequence[Candidate], scores: Sequence[float], currency: str, rates: Rates) -> list[Terms | None]:
    """`terms_of` each. What candidates of one slot, and of one currency, share is looked up once: half of the time."""
    found: list[Terms | None] = []
    ratios: dict[str, tuple[int, int] | None] = {currency: (1, 1)}
    slot: Slot | None = None
    lowest: int | None = None
    for candidate, score in zip(candidates, scores, strict=True):
        if candidate.slot is not slot:
            slot = candidate.slot
            lowest = None if priced_by_duration(slot) else _in(currency, slot.floor_micros, slot.floor_currency, rates)
        if lowest is None or candidate.deal is not None:
            found.append(terms_of(candidate, score, currency, rates))
            continue
        campaign = candidate.campaign
        own = campaign.currency
        if own not in ratios:
            ratios[own] = rates.ratio(own, currency) if rates.converts(own, currency) else None
        ratio = ratios[own]
        if ratio is None:
            found.append(None)
            continue
        value = value_micros(campaign, score) * ratio[0] // ratio[1]
        found.append((value, lowest, value) if 0 < value >= lowest else None)
    return found


def _in(currency: str, micros: int, own: str, rates: Rates) -> int | None:
    """A floor in `currency`; None: there is no rate."""
    if not micros or own == currency:
        return micros
    return rates.convert_up(micros, own, currency) if rates.converts(own, currency) else None


def terms_of(candidate: Candidate, score: float, currency: str, rates: Rates) -> Terms | None:
    """What is bid in `currency`, or None where the value is nothing or below the floor.

    A guaranteed deal is bid on whatever its value, at the price that was agreed, if the campaign's maximum allows."""
    campaign, spec, deal = candidate.campaign, candidate.creative.spec, candidate.deal
    floor = floor_of(candidate.slot, spec, deal)
    if floor is None:
        return None
    lowest, floor_currency = floor
    value = value_micros(campaign, score)
    if campaign.currency != currency:
        if not rates.converts(campaign.currency, currency):
            return None
        value = rates.convert_down(value, campaign.currency, currency)
    if lowest and floor_currency != currency:
        if not rates.converts(floor_currency, currency):
            return None
        lowest = rates.convert_up(lowest, floor_currency, currency)
    if (
        deal is not None
        and lowest
        and (deal.guaranteed or deal.auction_type == FLOOR_IS_PRICE)
        and has_own_floor(deal, spec)
    ):
        most = value
        if deal.guaranteed:
            most = rates.convert_down(campaign.max_cpm_micros, campaign.currency, currency)
        return (lowest, lowest, most) if lowest <= most else None
    return (value, lowest, value) if 0 < value >= lowest else None


def price_micros(candidate: Candidate, score: float, currency: str, rates: Rates) -> int | None:
    """The price in micro-units of `currency`, or None where there is no bid."""
    terms = terms_of(candidate, score, currency, rates)
    return None if terms is None else terms[0]
