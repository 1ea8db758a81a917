"""Which bids fill an ad pod best (section 7.6).

The rule kept here: no two bids of a pod conflict, together they are never longer nor more than the pod takes, and no
other choice is worth more. The search is exact for the sizes at hand and bounded for all: past `MAX_STEPS` the best
choice so far counts, and the first is the greedy one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import accumulate

from bidder.domain import PLACES_IN_POD, Bid, Pod

MAX_STEPS = 4_000
"""Bids tried for one pod: about 3 ms."""

MAX_BIDS = 16
"""Bids given for one pod that does not say how many ads it holds, or says more."""

# Pod deduplication settings (AdCOM).
SAME_CATEGORY, SAME_MEDIA = 2, 4


def fill(bids: Sequence[Bid], pod: Pod) -> list[Bid]:
    """As many guaranteed deals as go in, then the bids worth most together. An advertiser, its domains and a creative
    are never repeated, whatever the pod's `poddedupe` says. Bids that want a place in the pod ask for it from here on
    (`slotinpod`, §7.6), one bid a place."""
    bids = [bid for bid in bids if (place := place_of(bid)) == 0 or place in pod.open_places]
    durations = [bid.candidate.creative.spec.duration_s for bid in bids]
    above_all = sum(bid.price_micros for bid in bids) + 1
    prices = [bid.price_micros + (above_all if bid.candidate.is_guaranteed else 0) for bid in bids]
    room = min(pod.most_ads or MAX_BIDS, MAX_BIDS)
    chosen = best_set(prices, durations, conflicts(bids, pod.distinct), pod.seconds or sum(durations), room)
    for position in chosen:
        bids[position].slot_in_pod = place_of(bids[position])
    return [bids[position] for position in chosen]


def place_of(bid: Bid) -> int:
    """The place in a pod that the campaign wants, as `slotinpod` has it; 0 = any."""
    required = bid.candidate.campaign.targeting.required_attributes
    if not required:
        return 0
    return next((place for name, place in PLACES_IN_POD.items() if name in required), 0)


def conflicts(bids: Sequence[Bid], distinct: frozenset[int]) -> list[int]:
    """For each bid, a bit for each bid that it may not stand beside, itself included."""
    sharing: dict[Hashable, int] = {}
    marks = [marks_of(bid, distinct) for bid in bids]
    for position, each in enumerate(marks):
        for mark in each:
            sharing[mark] = sharing.get(mark, 0) | 1 << position
    masks = []
    for each in marks:
        mask = 0
        for mark in each:
            mask |= sharing[mark]
        masks.append(mask)
    return masks


def marks_of(bid: Bid, distinct: frozenset[int]) -> list[Hashable]:
    """What no other bid of the pod may share with this one."""
    campaign, creative = bid.candidate.campaign, bid.candidate.creative
    marks: list[Hashable] = [("advertiser", campaign.advertiser_id), ("creative", creative.id)]
    marks += [("domain", domain) for domain in campaign.domains]
    return marks + marks_asked_for(bid, distinct)


def marks_asked_for(bid: Bid, distinct: frozenset[int]) -> list[Hashable]:
    """The part of it that the pod or the bid asks for: category, media file, place in the pod."""
    campaign, creative = bid.candidate.campaign, bid.candidate.creative
    marks: list[Hashable] = []
    if place := place_of(bid):
        marks.append(("place", place))
    if SAME_CATEGORY in distinct:
        marks += [("category", category) for category in campaign.categories]
    if SAME_MEDIA in distinct:
        marks += [("media", file.url) for file in creative.media]
    return marks


def best_set(
    prices: Sequence[int], durations: Sequence[int], conflicting: Sequence[int], seconds: int, most: int
) -> list[int]:
    """Positions of the set with the highest sum of prices, in their order. Branch and bound, densest first."""
    usable = [position for position, price in enumerate(prices) if price > 0 and 0 < durations[position] <= seconds]
    usable.sort(key=lambda position: -prices[position] / durations[position])
    # best[start][n]: the n highest prices from `start` on, an upper bound that looks at the number of ads alone.
    best = [
        [0, *accumulate(sorted((prices[position] for position in usable[start:]), reverse=True)[:most])]
        for start in range(len(usable))
    ]
    record, record_set, steps = 0, 0, 0

    def extend(start: int, left_s: int, room: int, blocked: int, value: int, chosen: int) -> None:
        nonlocal record, record_set, steps
        if value > record:
            record, record_set = value, chosen
        if not room:
            return
        for rank in range(start, len(usable)):
            position = usable[rank]
            price, duration_s = prices[position], durations[position]
            # Both bounds only fall from rank to rank: what cannot beat the record here cannot later.
            if value + min(best[rank][min(room, len(best[rank]) - 1)], price * left_s // duration_s) <= record:
                return
            if duration_s > left_s or blocked >> position & 1:
                continue
            steps += 1
            if steps > MAX_STEPS:
                return
            extend(
                rank + 1,
                left_s - duration_s,
                room - 1,
                blocked | conflicting[position],
                value + price,
                chosen | 1 << position,
            )

    extend(0, seconds, most, 0, 0, 0)
    return [position for position in range(len(prices)) if record_set >> position & 1]
