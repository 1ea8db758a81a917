"""Which of an auction's bids are answered with.

The rule kept here: what must be bid comes first, then what is worth most. One advertiser bids in one slot of a request
only, guaranteed deals apart, so that no page shows it twice; within a slot each creative and each deal stands once.
A road-block has all slots of the request to itself, or none. What a pod wants distinct is so in all of its slots
(section 7.6). Choosing goes from the highest price down; a pod is filled after the single slots, from the advertisers
that are left.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from msgspec import Struct

from bidder.domain import AUDIO, BANNER, NATIVE, VIDEO, Auction, Bid, Candidate, Exchange, Pod, Slot
from bidder.stages.pods import fill, marks_asked_for, place_of

OUTSIDE_PODS = (BANNER, NATIVE)


NOBODY = -1


class Lot(Struct, gc=False):
    """The candidates for one slot: [`start`, `end`) of all, where those of one slot stand together. `best`: the place
    of the first with the highest price, or NOBODY."""

    start: int
    floor_micros: int | None  # the slot's, in the bids' currency; None: it depends on the ad, or there is no rate
    end: int = 0
    best: int = NOBODY
    has_deals: bool = False


def rank(bid: Bid) -> tuple[bool, int, bool]:
    """What goes first: a guaranteed deal (§3.2.12), then the higher price, then, at the same price, a deal."""
    deal = bid.candidate.deal
    return (False, bid.price_micros, False) if deal is None else (deal.guaranteed, bid.price_micros, True)


def one_each_is_wanted(candidates: Sequence[Candidate], auction: Auction, exchange: Exchange) -> bool:
    """Whether each slot wants one bid and no more, and no slot or campaign has terms with others, as most have not.
    Road-blocks are among the candidates only where the auction offers all impressions."""
    if exchange.bids_per_imp > 1:
        return False
    for slot in auction.slots:
        if exchange.deals_beside_open and slot.deals:
            return False
        if (slot.video and slot.video.pod) or (slot.audio and slot.audio.pod):
            return False
    return not (auction.all_impressions and any(candidate.campaign.roadblock for candidate in candidates))


def one_each(candidates: Sequence[Candidate], prices: Sequence[int], lots: list[Lot]) -> list[Lot]:
    """What `select` chooses where one bid each is wanted: the lots that have one, in their order, `best` being whose it
    is. `prices`: in micro-units, 0 = no bid. No object is made of a bid that is not chosen."""
    if len(lots) == 1 and not lots[0].has_deals:
        return [] if lots[0].best == NOBODY else lots
    ranks, left = prices, 0
    lot_of: list[Lot] = []
    for lot in lots:
        lot_of += [lot] * (lot.end - lot.start)
        if lot.best != NOBODY:
            lot.best, left = NOBODY, left + 1
        if lot.has_deals and ranks is prices:
            ranks = _ranks(candidates, prices)
    advertisers: set[str] = set()
    domains: set[str] = set()
    for place in sorted(range(len(ranks)), key=ranks.__getitem__, reverse=True):
        lot = lot_of[place]
        if lot.best != NOBODY:
            continue
        if not prices[place]:
            break
        candidate = candidates[place]
        campaign, deal = candidate.campaign, candidate.deal
        is_taken = campaign.advertiser_id in advertisers or not domains.isdisjoint(campaign.domains)
        if is_taken and (deal is None or not deal.guaranteed):
            continue
        lot.best = place
        left -= 1
        if not left:
            break
        advertisers.add(campaign.advertiser_id)
        domains.update(campaign.domains)
    return [lot for lot in lots if lot.best != NOBODY]


def _ranks(candidates: Sequence[Candidate], prices: Sequence[int]) -> list[int]:
    """`rank` as integers, 0 = no bid."""
    guaranteed = 2 * max(prices) + 1
    ranks = []
    for candidate, price in zip(candidates, prices, strict=True):
        deal, of_price = candidate.deal, 2 * price
        ranks.append(of_price if deal is None or not price else of_price + 1 + deal.guaranteed * guaranteed)
    return ranks


def select(bids: Sequence[Bid], exchange: Exchange, slots: int = 0) -> list[Bid]:
    """The bids to answer with, slots in the order in which `bids` name them, best first within a slot. A road-block
    takes all `slots` of the auction where that brings more than any other choice."""
    each_for_itself = [bid for bid in bids if not bid.candidate.campaign.roadblock]
    chosen = _each_for_itself(each_for_itself, exchange)
    if len(each_for_itself) == len(bids):
        return chosen
    return max([chosen, *_roadblocks(bids, slots)], key=_takings)


def _roadblocks(bids: Sequence[Bid], slots: int) -> Iterator[list[Bid]]:
    """The best bids of each road-block that has one for every slot. A pod is not taken: where it is dynamic, one ad
    does not fill it; else no advertiser is in it twice."""
    order = dict.fromkeys(bid.candidate.slot.id for bid in bids)
    best: dict[str, dict[str, Bid]] = {}
    for bid in sorted(bids, key=rank):
        if bid.candidate.campaign.roadblock and not bid.candidate.slot.is_pod:
            best.setdefault(bid.candidate.campaign.id, {})[bid.candidate.slot.id] = bid
    for by_slot in best.values():
        pods = [pod.id for bid in by_slot.values() if (pod := _pod(bid)) is not None]
        if len(by_slot) == slots and len(pods) == len(set(pods)):
            yield [by_slot[slot_id] for slot_id in order]


def _takings(bids: list[Bid]) -> tuple[int, int]:
    """How many that must be bid are among them, and what all bring: of each slot the best, of a pod all."""
    best: dict[str, int] = {}
    for bid in bids:
        slot, price = bid.candidate.slot, bid.price_micros
        best[slot.id] = best.get(slot.id, 0) + price if slot.is_pod else max(best.get(slot.id, 0), price)
    return sum(bid.candidate.is_guaranteed for bid in bids), sum(best.values())


def _each_for_itself(bids: Sequence[Bid], exchange: Exchange) -> list[Bid]:
    """Campaigns that bid in each slot by themselves.

    A slot gets `exchange.bids_per_imp` bids; where `exchange.deals_beside_open`, those are bids without a deal, and one
    for each deal stands beside them (M+N, §7.3)."""
    offered: dict[str, list[Bid]] = {}
    for bid in bids:
        offered.setdefault(bid.candidate.slot.id, []).append(bid)
    chosen: dict[str, list[Bid]] = {slot_id: [] for slot_id in offered}
    claims: dict[Hashable, str] = {}
    single = [bid for bid in bids if not bid.candidate.slot.is_pod]
    for bid in sorted(single, key=rank, reverse=True):
        beside = chosen[bid.candidate.slot.id]
        if _has_room(bid, beside, exchange) and _is_free(
            bid, claims
        ):  # the cheaper question first: most slots are full
            beside.append(bid)
            _claim(bid, claims)
    for slot_id, all_of_slot in offered.items():
        slot = all_of_slot[0].candidate.slot
        if slot.is_pod:
            chosen[slot_id] = _fill(slot, [bid for bid in all_of_slot if _is_free(bid, claims)])
            for bid in chosen[slot_id]:
                _claim(bid, claims)
    return [bid for each in chosen.values() for bid in each]


def _advertiser(bid: Bid) -> list[Hashable]:
    campaign = bid.candidate.campaign
    return [("advertiser", campaign.advertiser_id), *(("domain", domain) for domain in campaign.domains)]


def _pod(bid: Bid) -> Pod | None:
    """The pod of several impressions that the bid is for."""
    slot = bid.candidate.slot
    offer = slot.video if bid.candidate.creative.spec.format is VIDEO else slot.audio
    return offer.pod if offer is not None and offer.pod is not None and offer.pod.id else None


def _of_pod(bid: Bid) -> list[Hashable]:
    """What the slots of one pod may not share."""
    pod = _pod(bid)
    return [] if pod is None else [(pod.id, mark) for mark in marks_asked_for(bid, pod.distinct)]


def _is_free(bid: Bid, claims: dict[Hashable, str]) -> bool:
    """Whether the advertiser bids in no other slot, and no other slot of the pod has what it may hold once."""
    slot_id = bid.candidate.slot.id
    marks = _of_pod(bid) if bid.candidate.is_guaranteed else _advertiser(bid) + _of_pod(bid)
    return all(claims.get(mark, slot_id) == slot_id for mark in marks)


def _claim(bid: Bid, claims: dict[Hashable, str]) -> None:
    for mark in _advertiser(bid) + _of_pod(bid):
        claims.setdefault(mark, bid.candidate.slot.id)


def _has_room(bid: Bid, beside: list[Bid], exchange: Exchange) -> bool:
    if not beside:
        return True
    candidate = bid.candidate
    if any(other.candidate.creative.id == candidate.creative.id for other in beside):
        return False
    if not exchange.deals_beside_open:
        return len(beside) < exchange.bids_per_imp and not _has_deal(bid, beside)
    if candidate.deal is not None:
        return not _has_deal(bid, beside)
    return sum(other.candidate.deal is None for other in beside) < exchange.bids_per_imp


def _has_deal(bid: Bid, beside: list[Bid]) -> bool:
    deal = bid.candidate.deal
    return deal is not None and any(
        other.candidate.deal is not None and other.candidate.deal.id == deal.id for other in beside
    )


def _fill(slot: Slot, bids: list[Bid]) -> list[Bid]:
    """The pod that the slot offers, or the best of its other formats where that alone is worth more."""
    filled: list[Bid] = []
    for kind, offer in ((VIDEO, slot.video), (AUDIO, slot.audio)):
        playable = [bid for bid in bids if bid.candidate.creative.spec.format is kind]
        if offer is None or not playable:
            continue
        found = fill(playable, offer.pod) if offer.pod and offer.is_pod else [max(playable, key=rank)]
        filled = max(filled, found, key=_worth)
    others = [bid for bid in bids if bid.candidate.creative.spec.format in OUTSIDE_PODS and not place_of(bid)]
    return max(filled, [max(others, key=rank)], key=_worth) if others else filled


def _worth(bids: list[Bid]) -> tuple[int, int]:
    """How many must be bid, and what all are worth."""
    return sum(bid.candidate.is_guaranteed for bid in bids), sum(bid.price_micros for bid in bids)
