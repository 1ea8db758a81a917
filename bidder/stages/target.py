"""`Auction` → `Candidate`s: the campaigns that may bid, best first, each with a creative that fits.

The rule kept here: bitmaps narrow, exact checks decide. What depends on the request alone is computed once a request
and shard, what depends on the slot once a slot; only the few campaigns left are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from bidder.domain import (
    Auction,
    Campaign,
    Candidate,
    Creative,
    Deal,
    Exchange,
    Format,
    Profile,
    Rates,
    Slot,
)
from bidder.stages.bitmaps import bits_of
from bidder.stages.fit import has_playable_file
from bidder.stages.floors import floor_of, reachable
from bidder.stages.shard import Facts, Shard, facts_of

HEAD_CAMPAIGNS = 4096
"""Campaigns of the first shard: masks of 512 bytes, and enough for nearly every request."""

TAIL_CAMPAIGNS = 32768
"""Campaigns of each further shard."""

MAX_LOOKED_AT = 512
"""Campaigns looked at one by one for a slot, so that a hostile request cannot ask for all of them."""


class CampaignIndex:
    """All campaigns, compiled. Immutable: a new catalog makes a new index."""

    __slots__ = ("campaigns", "shards")

    def __init__(self, campaigns: Sequence[Campaign]) -> None:
        self.campaigns = tuple(campaigns)
        bounds = [0, *range(HEAD_CAMPAIGNS, len(self.campaigns), TAIL_CAMPAIGNS), len(self.campaigns)]
        self.shards = tuple(Shard(self.campaigns[start:end]) for start, end in pairwise(bounds) if end > start)


def compile_index(campaigns: Sequence[Campaign]) -> CampaignIndex:
    """`campaigns`, which stand best first, as bitmaps."""
    return CampaignIndex(campaigns)


def target(
    auction: Auction,
    exchange: Exchange,
    profile: Profile | None,
    index: CampaignIndex,
    rates: Rates,
    now_s: float,
    per_slot: int,
) -> list[Candidate]:
    """Up to `per_slot` candidates for each slot, slots in the request's order. `now_s`: Unix seconds at arrival."""
    facts = facts_of(auction, exchange, profile, now_s)
    common: dict[int, int] = {}
    candidates: list[Candidate] = []
    for slot in auction.slots:
        wanted = per_slot
        for number, shard in enumerate(index.shards):
            if number not in common:
                common[number] = shard.eligible(facts)
            if common[number]:
                search = _Search(auction, slot, profile, rates, now_s)
                found = search.run(shard, common[number] & shard.offered(slot, facts), facts, wanted)
                candidates += found
                wanted -= len(found)
            if wanted <= 0:
                break
    return candidates


class _Search:
    """The walk over the campaigns that the bitmaps left for one slot."""

    __slots__ = ("auction", "now_s", "profile", "rates", "slot")

    def __init__(self, auction: Auction, slot: Slot, profile: Profile | None, rates: Rates, now_s: float) -> None:
        self.auction = auction
        self.slot = slot
        self.profile = profile
        self.rates = rates
        self.now_s = now_s

    def run(self, shard: Shard, mask: int, facts: Facts, wanted: int) -> list[Candidate]:
        if not mask:
            return []
        fitting = shard.fitting(self.slot, self.auction.allowed_languages)
        if not fitting:
            return []
        mask &= shard.having(fitting)
        found: list[Candidate] = []
        for looked_at, bit in enumerate(bits_of(mask)):
            if looked_at >= MAX_LOOKED_AT:
                break
            candidate = self._candidate(shard.campaigns[bit], shard.creatives[bit], fitting, facts)
            if candidate is not None:
                found.append(candidate)
                if len(found) >= wanted:
                    break
        return found

    def _candidate(
        self,
        campaign: Campaign,
        creatives: Sequence[tuple[int, Creative]],
        fitting: frozenset[int],
        facts: Facts,
    ) -> Candidate | None:
        if not self._may_bid(campaign):
            return None
        deal = None
        if campaign.targeting.deals:
            deal = self._deal_for(campaign, facts)
            if deal is None:
                return None
        for spec_number, creative in creatives:
            if spec_number in fitting and self._plays(creative):
                floor = floor_of(self.slot, creative.spec, deal)
                if floor is not None and reachable(campaign, floor, self.rates):
                    spec = creative.spec
                    return Candidate(self.slot, campaign, creative, deal, spec.width, spec.height)
        return None

    def _may_bid(self, campaign: Campaign) -> bool:
        """Flight, frequency cap, and every one of the ad's categories allowed: what bitmaps do not say exactly."""
        if (campaign.start_s and self.now_s < campaign.start_s) or (campaign.end_s and self.now_s >= campaign.end_s):
            return False
        if campaign.daily_frequency_cap:
            # Without a profile nobody can say how often this user has seen the campaign: a cap fails closed.
            if self.profile is None:
                return False
            if self.profile.campaign_impressions.get(campaign.id, 0) >= campaign.daily_frequency_cap:
                return False
        allowed = self.auction.allowed_categories
        return not allowed or all(
            category in allowed or category.split("-")[0] in allowed for category in campaign.categories
        )

    def _deal_for(self, campaign: Campaign, facts: Facts) -> Deal | None:
        """The first deal of the slot that the campaign has and that takes its seat and domains (§3.2.12)."""
        for deal in self.slot.deals:
            if deal.id not in campaign.targeting.deals:
                continue
            if deal.seats and facts.seat_names.get(campaign.seat, campaign.seat) not in deal.seats:
                continue
            if deal.domains and not all(domain in deal.domains for domain in campaign.domains):
                continue
            return deal
        return None

    def _plays(self, creative: Creative) -> bool:
        if creative.spec.format is Format.VIDEO:
            return self.slot.video is not None and has_playable_file(creative, self.slot.video)
        if creative.spec.format is Format.AUDIO:
            return self.slot.audio is not None and has_playable_file(creative, self.slot.audio)
        return True
