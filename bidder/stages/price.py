"""`Scores` → `Bid`s: what an impression is worth, what it may cost at least, and in which currency.

The rule kept here: integers of micro-units; values round down, floors round up, so no bid is above what the campaign
would pay or below what the exchange would take. A score that is no probability earns no bid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import floor as whole

from msgspec import Struct

from bidder.domain import Auction, Bid, Campaign, Candidate, Exchange, NoBidReason, Rates, Slot
from bidder.stages.floors import floor_of, has_own_floor, priced_by_duration
from bidder.stages.select import NOBODY, Lot, one_each, one_each_is_wanted, select

FLOOR_IS_PRICE = 3
"""`deal.at`: the deal's floor is the agreed price (§3.2.12)."""

_BELOW = 1.0 - 1e-9
"""What an amount is multiplied with to be below it as a float, too, however large it is."""

Terms = tuple[int, int, int]
"""Of one bid, in micro-units of its currency: the price, the floor, and the most that may be paid."""


class Priced(Struct, gc=False):
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
    amount, events, most, _ = campaign.pays
    value = whole(score * amount * events)
    return value if value < most else most  # `min` would take twice the time


def bid_currency(auction: Auction, exchange: Exchange, rates: Rates, own: Iterable[str] = ()) -> str | None:
    """The currency to answer in: the exchange's usual one if allowed, else the first allowed that has a rate; without
    any rate, the first of `own`, the campaigns' currencies, that is allowed.

    A request that names none allows US dollars (`cur`, §3.2.1)."""
    allowed, usual = auction.currencies or ("USD",), exchange.currency
    if usual in allowed and rates.knows(usual):
        return usual
    for currency in allowed:
        if rates.knows(currency):
            return currency
    for currency in own:
        if currency in allowed:
            return currency
    return None


def price(
    candidates: Sequence[Candidate], scores: Sequence[float], auction: Auction, exchange: Exchange, rates: Rates
) -> Priced:
    """The bids to answer with. `scores`: one a candidate. `rates`: those of the moment, see `Rates.at`."""
    if not candidates:
        return Priced([], NoBidReason.BELOW_FLOOR)
    currency = bid_currency(auction, exchange, rates)
    if currency is None:
        currency = bid_currency(auction, exchange, rates, [candidate.campaign.currency for candidate in candidates])
    if currency is None:
        return Priced([], NoBidReason.CURRENCY)
    if len(scores) != len(candidates):
        raise ValueError(f"{len(scores)} scores for {len(candidates)} candidates")
    slot = candidates[0].slot
    wants_one_each = one_each_is_wanted(candidates, auction, exchange)
    if wants_one_each and not slot.deals and candidates[-1].slot is slot:
        floor = _floor(slot, currency, rates)
        if floor is not None:
            best = _best(candidates, scores, floor, currency, rates)
            return Priced([best], None) if best else Priced([], NoBidReason.BELOW_FLOOR)
    lots, prices = _prices(candidates, scores, currency, rates)
    bids = []
    if wants_one_each:
        for lot in one_each(candidates, prices, lots):
            place = lot.best
            bids.append(_bid(candidates[place], scores[place], prices[place], lot.floor_micros, currency, rates))
    else:
        for lot in lots:
            for place in range(lot.start, lot.end):
                if prices[place]:
                    bid = _bid(candidates[place], scores[place], prices[place], lot.floor_micros, currency, rates)
                    bids.append(bid)
        bids = select(bids, exchange, len(auction.slots))
    return Priced(bids, None if bids else NoBidReason.BELOW_FLOOR)


def _best(
    candidates: Sequence[Candidate], scores: Sequence[float], floor_micros: int, currency: str, rates: Rates
) -> Bid | None:
    """What `_prices` and `one_each` choose where all are for one slot, without a deal: the first with the highest
    price. What cannot be above the best so far, as most cannot, is not worked out: pricing takes a fifth less."""
    best = floor_micros - 1 if floor_micros else 0
    bar = best * _BELOW  # as a float, which another is compared with in half of the time
    chosen = NOBODY
    ratios = rates.ratios(currency)
    for place, candidate in enumerate(candidates):
        amount, events, most, own = candidate.campaign.pays
        score = scores[place]
        worth = score * amount * events
        ratio = None if own == currency else ratios.get(own) or rates.ratio_if_any(own, currency)
        if (worth if ratio is None else worth * ratio[2]) <= bar or not 0.0 <= score <= 1.0:  # not NaN
            continue
        value = whole(worth)
        if value > most:
            value = most
        if ratio is not None:
            value = value * ratio[0] // ratio[1]
        if value > best:
            best, bar, chosen = value, value * _BELOW, place
    if chosen == NOBODY:
        return None
    return Bid(candidates[chosen], best, currency, scores[chosen], "", 0, floor_micros, best)


def _prices(
    candidates: Sequence[Candidate], scores: Sequence[float], currency: str, rates: Rates
) -> tuple[list[Lot], list[int]]:
    """The candidates by slot; and what is bid for each, in micro-units of `currency`, 0 = no bid. `terms_of` and
    `value_micros` in one loop, for candidates without a deal, whose floor is the slot's: half of the time."""
    lots: list[Lot] = []
    prices: list[int] = []
    ratios = rates.ratios(currency)
    slot: Slot | None = None
    place = 0
    for candidate in candidates:
        if candidate.slot is not slot:
            slot = candidate.slot
            floor = _floor(slot, currency, rates)
            lowest, varied = floor or 0, floor is None or bool(slot.deals)
            if lots:
                lots[-1].end = place
            lot = Lot(place, floor)
            lots.append(lot)
            best = 0
        score = scores[place]
        if varied and (floor is None or candidate.deal is not None):
            terms = terms_of(candidate, score, currency, rates)
            value = 0 if terms is None else terms[0]
            if candidate.deal is not None:
                lot.has_deals = True
        elif 0.0 <= score <= 1.0:  # not NaN
            amount, events, most, own = candidate.campaign.pays
            value = whole(score * amount * events)  # as it is not negative: `int` takes three times as long
            if value > most:
                value = most
            if own != currency:
                out, into, _ = ratios.get(own) or rates.ratio_if_any(own, currency)
                value = value * out // into
            if value < lowest:
                value = 0
        else:
            value = 0
        if value > best:
            best, lot.best = value, place
        prices.append(value)
        place += 1
    lots[-1].end = place
    return lots, prices


def _floor(slot: Slot, currency: str, rates: Rates) -> int | None:
    """Of all bids for the slot without a deal, in `currency`; None: it depends on the ad, or there is no rate."""
    if (slot.video or slot.audio) and priced_by_duration(slot):
        return None
    micros, own = slot.floor_micros, slot.floor_currency
    if not micros or own == currency:
        return micros
    return rates.convert_up(micros, own, currency) if rates.converts(own, currency) else None


def _bid(candidate: Candidate, score: float, price: int, floor_micros: int | None, currency: str, rates: Rates) -> Bid:
    """`floor_micros`: the slot's, see `Lot`."""
    if candidate.deal is None and floor_micros is not None:
        return Bid(candidate, price, currency, score, "", 0, floor_micros, price)
    terms = terms_of(candidate, score, currency, rates)
    lowest, most = terms[1:] if terms else (0, price)
    return Bid(candidate, price, currency, score, "", 0, lowest, most)


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
