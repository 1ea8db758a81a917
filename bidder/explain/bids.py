"""What candidates were worth, what they had to reach, and why each bid or did not.

The rule kept here: who bid is read from the answer itself, not worked out a second time.
"""

from __future__ import annotations

from typing import Any

import orjson

from bidder.domain import MICROS, Bid, Candidate, Rates
from bidder.pipeline import Answer, Open
from bidder.stages.features import FEATURES, candidate_values, context_values, slot_values
from bidder.stages.floors import floor_of
from bidder.stages.price import bid_currency, price_micros, value_micros


def explain_candidates(opened: Open, answer: Answer) -> list[dict[str, Any]]:
    """One entry a candidate, in the order of the model's rows."""
    auction, exchange, rates, profile = opened.auction, opened.exchange, opened.rates, opened.profile
    scores = opened.scores
    context = context_values(auction, exchange, profile, opened.now_s) if opened.candidates else ()
    bids = _bids_in(answer)
    own = [candidate.campaign.currency for candidate in opened.candidates]
    currency = bid_currency(auction, exchange, rates, own)
    entries = []
    for number, candidate in enumerate(opened.candidates):
        values = (*context, *slot_values(candidate.slot, rates), *candidate_values(candidate, profile))
        entry: dict[str, Any] = {
            "slot": candidate.slot.id,
            "campaign": candidate.campaign.id,
            "creative": candidate.creative.id,
            "format": candidate.creative.spec.format.name.lower(),
            "deal": candidate.deal.id if candidate.deal else None,
            "features": dict(zip(FEATURES, values, strict=True)),
        }
        if scores is not None:
            entry |= _priced(candidate, scores.values[number], currency, rates)
            entry["bid"] = any(_is_of(candidate, bid) for bid in bids)
            if entry["bid"]:
                entry["why"] = "bids"
            elif "price_cpm" in entry and currency is not None:
                entry["why"] = _not_sent(candidate, round(entry["price_cpm"] * MICROS), currency, opened)
        entries.append(entry)
    return entries


def _not_sent(candidate: Candidate, price_micros: int, currency: str, opened: Open) -> str:
    """Why a bid at or above its floor is not in the answer: refused by the exchange's profile, or not the best."""
    bid = Bid(candidate, price_micros, currency, 0.0, value_micros=price_micros)
    refused = opened.compiled.encoder.answer(opened.auction, [bid], opened.exchange).refused
    return f"not for this exchange: {refused[0]}" if refused else "another bid was preferred"


def _bids_in(answer: Answer) -> list[dict[str, Any]]:
    if answer.status != 200:
        return []
    return [bid for seat in orjson.loads(answer.body).get("seatbid", ()) for bid in seat["bid"]]


def _is_of(candidate: Candidate, bid: dict[str, Any]) -> bool:
    """Some exchanges do not get the campaign's id."""
    campaign = candidate.campaign.id
    ids = (bid["impid"], bid.get("crid"), bid.get("cid", campaign))
    return ids == (candidate.slot.id, candidate.creative.id, campaign)


def _priced(candidate: Candidate, score: float, currency: str | None, rates: Rates) -> dict[str, Any]:
    """Score, value and floor as CPM in the answer's currency, the price, and what speaks against a bid if anything."""
    campaign = candidate.campaign
    priced: dict[str, Any] = {"score": score, "prior": campaign.prior, "currency": currency}
    if currency is None or not rates.converts(campaign.currency, currency):
        return priced | {"why": f"no rate for {campaign.currency}, the campaign's currency"}
    value = rates.convert_down(value_micros(campaign, score), campaign.currency, currency)
    priced["value_cpm"] = value / MICROS
    floor = floor_of(candidate.slot, candidate.creative.spec, candidate.deal)
    if floor is None:
        return priced | {"why": "no floor for the creative's duration"}
    floor_micros, floor_currency = floor
    if floor_micros and not rates.converts(floor_currency, currency):
        return priced | {"why": f"no rate for {floor_currency}, the floor's currency"}
    priced["floor_cpm"] = rates.convert_up(floor_micros, floor_currency, currency) / MICROS if floor_micros else 0.0
    price = price_micros(candidate, score, currency, rates)
    if price is None:
        return priced | {"why": "worth nothing" if value <= 0 else "below the floor"}
    return priced | {"price_cpm": price / MICROS, "why": ""}
