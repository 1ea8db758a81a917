"""`Auction` → `Candidate`s: the campaigns that may bid, best first, each with a creative that fits.

The rule kept here: bitmaps narrow, exact checks decide. What depends on the request alone is computed once a request
and shard, what depends on the slot once a slot; only the few campaigns left are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from bidder.domain import Auction, Candidate, Exchange, Profile, Rates, Slot
from bidder.stages.facts import SlotFacts, facts_of, slot_facts
from bidder.stages.floors import priced_by_duration
from bidder.stages.index import Ad, CampaignIndex
from bidder.stages.maxima import Lowest, Steps
from bidder.stages.search import MAX_LOOKED_AT, Eligible, Search, Walk, has_seen_enough

POD_CANDIDATES = 32
"""Candidates for a slot that takes several ads: enough advertisers and durations to fill it from."""


def target(
    auction: Auction,
    exchange: Exchange,
    profile: Profile | None,
    index: CampaignIndex,
    rates: Rates,
    now_s: float,
    per_slot: int,
) -> list[Candidate]:
    """Up to `per_slot` candidates for each slot (for a pod `POD_CANDIDATES`, if that is more), slots in the request's
    order. `now_s`: Unix seconds at arrival."""
    facts = facts_of(auction, exchange, profile, now_s)
    walk = Walk(index, facts, profile, rates, now_s, Eligible(index, facts))
    candidates: list[Candidate] = []
    for slot in auction.slots:
        candidates += _over(walk, slot, per_slot)
    if auction.all_impressions and len(auction.slots) > 1:
        return _without_broken_roadblocks(candidates, len(auction.slots))
    return candidates


def _without_broken_roadblocks(candidates: list[Candidate], slots: int) -> list[Candidate]:
    """A road-block without a candidate in one of the slots cannot bid in the others."""
    reached: dict[str, set[str]] = {}
    for candidate in candidates:
        if candidate.campaign.roadblock:
            reached.setdefault(candidate.campaign.id, set()).add(candidate.slot.id)
    broken = {campaign_id for campaign_id, there in reached.items() if len(there) < slots}
    return [candidate for candidate in candidates if candidate.campaign.id not in broken] if broken else candidates


def candidates_wanted(slot: Slot, per_slot: int) -> int:
    """Candidates looked for."""
    return max(per_slot, POD_CANDIDATES) if slot.is_pod else per_slot


def takes_one_ad(slot: Slot) -> bool:
    """Whether all that the slot takes is one ad of one format."""
    if (slot.banner, slot.video, slot.audio, slot.native).count(None) < 3:
        return False
    media = slot.video or slot.audio
    return media is None or not media.is_pod


def _over(walk: Walk, slot: Slot, per_slot: int) -> list[Candidate]:
    """The slot's candidates: guaranteed deals first, then other deals, then the open auction. Where campaigns have
    some of its deals, these may take half of the places, so that both have some to be priced (§7.3)."""
    index = walk.index
    has_deals = bool(slot.deals) and index.has_deals(slot.deals)
    if slot.private and not has_deals:
        return []
    asked = slot_facts(slot, walk.facts, index.specs)
    if not asked.specs:
        return []
    wanted, varied, has_floor = per_slot, slot.banner is not None and slot.native is not None, True
    if slot.video is not None or slot.audio is not None:
        wanted, varied = candidates_wanted(slot, per_slot), not takes_one_ad(slot)
        has_floor = not priced_by_duration(slot)
    floor = index.floors.of(slot, walk.rates) if has_floor else None
    if floor is not None and not has_deals and not varied:
        return _plain(walk, asked, floor, [], wanted, MAX_LOOKED_AT)
    search = Search(walk, asked, floor, varied)
    if has_deals:
        search.over_deals(wanted)
    if slot.private:
        return search.found[:wanted]
    if floor is not None and not varied:
        return _plain(walk, asked, floor, search.found, wanted, search.left)
    search.over_others(wanted)
    return search.found[:wanted]


def _plain(
    walk: Walk, asked: SlotFacts, floor: tuple[Steps, Lowest], found: list[Candidate], wanted: int, left: int
) -> list[Candidate]:
    """Adds candidates without a deal until there are `wanted`. What `Search` does, where the slot takes one kind
    of ad, one from a campaign, and has one floor, as most do. `left`: campaigns that may be looked at."""
    wanted = min(wanted - len(found), left)
    if wanted <= 0:
        return found
    spare = left - wanted  # that may be looked at in vain; then each such takes the place of a candidate
    slot, profile, now_s = asked.slot, walk.profile, walk.now_s
    kept, made = walk.index.entries.kept, walk.index.entries.made
    eligible, fitting = walk.eligible, walk.index.specs.numbers[asked.specs]
    steps, lowest = floor
    for shard in walk.index.open_shards:
        mask = shard.having[asked.specs] & shard.paying[steps]
        mask = mask and mask & shard.terms[asked.terms]
        mask = mask and mask & eligible.of(shard)
        start = shard.start
        while mask:  # as `bits_of` has it: a generator's turn a campaign is 3 % of targeting
            bit = mask.bit_length() - 1
            mask ^= 1 << bit
            campaign, currency, begins_s, ends_s, spec_number, creative, row, ads = kept[start + bit] or made(
                start + bit
            )
            if (
                campaign.max_cpm_micros < lowest[currency]
                or now_s < begins_s
                or now_s >= ends_s
                or (profile is not None and has_seen_enough(campaign, profile))
            ):
                if spare:
                    spare -= 1
                    continue
            else:
                if spec_number not in fitting:
                    _, creative, row = _first_fitting(ads, fitting)
                found.append(Candidate(slot, campaign, creative, None, row))
            wanted -= 1
            if not wanted:
                return found
    return found


def _first_fitting(ads: Sequence[Ad], fitting: Container[int]) -> Ad:
    """`having` said that there is one; LookupError, which ends the auction, where that was wrong."""
    for ad in ads:
        if ad[0] in fitting:
            return ad
    raise LookupError("a campaign has no ad of the specs that its bitmap says it has")
