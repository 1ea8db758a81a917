"""`Auction` → `Candidate`s: the campaigns that may bid, best first, each with a creative that fits.

The rule kept here: bitmaps narrow, exact checks decide. What depends on the request alone is computed once a request
and shard, what depends on the slot once a slot; only the few campaigns left are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from bidder.domain import (
    AUDIO,
    VIDEO,
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
from bidder.stages.compiled import compiled, specs_of
from bidder.stages.facts import Facts, facts_of, slot_facts
from bidder.stages.fit import has_playable_file
from bidder.stages.floors import floor_of, lowest_maximum, priced_by_duration, reachable
from bidder.stages.maxima import Steps
from bidder.stages.shard import Parts, Shard
from bidder.stages.tables import Kept, Sections

HEAD_CAMPAIGNS = 4096
"""Campaigns of the first shard: masks of 512 bytes, and enough for nearly every request."""

TAIL_CAMPAIGNS = 32768
"""Campaigns of a further shard at most."""

MAX_LOOKED_AT = 512
"""Campaigns looked at one by one for a slot, so that a hostile request cannot ask for all of them."""

POD_CANDIDATES = 32
"""Candidates for a slot that takes several ads: enough advertisers and durations to fill it from."""

MAX_KINDS = 4
"""Candidates of one campaign for one slot."""

WITHOUT_DEAL: tuple[Deal | None, ...] = (None,)


Entry = tuple[Campaign, tuple[tuple[int, Creative], ...]]
"""A campaign, and its creatives with the numbers of their specs."""

KEPT_CAMPAIGNS = 2048
"""Campaigns kept as objects, and as many again of an older generation: those that stand first are asked for always."""


class CampaignIndex:
    """All campaigns, compiled. Immutable but for what it keeps: a new catalog makes a new index.

    `sections`: what `compiled` wrote of `campaigns`, which are read one by one when they are needed. `head` and `tail`:
    campaigns of the first shard, and of a further one at most, multiples of 8."""

    __slots__ = ("_places", "campaigns", "entries", "floors", "shards", "specs")

    def __init__(
        self,
        sections: Sections,
        campaigns: Sequence[Campaign],
        head: int = HEAD_CAMPAIGNS,
        tail: int = TAIL_CAMPAIGNS,
    ) -> None:
        parts = Parts(sections)
        self.campaigns = campaigns
        self.specs, self.floors, self._places = parts.specs, parts.floors, parts.places
        numbers = {spec: number for number, spec in enumerate(parts.specs.all)}

        def entry(place: int) -> Entry:
            campaign = campaigns[place]
            return campaign, tuple([(numbers[creative.spec], creative) for creative in campaign.creatives])

        self.entries: Kept[int, Entry] = Kept(entry, KEPT_CAMPAIGNS)
        self.shards = tuple(Shard(parts, start, end) for start, end in pairwise(_bounds(parts.count, head, tail)))

    def place(self, campaign_id: str) -> int | None:
        """Where a campaign stands, the best at 0; None: there is no such campaign."""
        return next(iter(self._places.numbers(campaign_id)), None)

    def campaign(self, campaign_id: str) -> Campaign | None:
        place = self.place(campaign_id)
        return None if place is None else self.entries[place][0]

    def let_go(self, count: int) -> bool:
        """Forget up to `count` of the campaigns that are kept as objects; whether there were any."""
        return self.entries.let_go(count)


def _bounds(count: int, size: int, most: int) -> list[int]:
    """Where shards begin and end: each twice as large as the one before, up to `most`. Who needs a few campaigns more
    than the head has searches 8,192 and not 32,768."""
    bounds = [0]
    while bounds[-1] < count:
        bounds.append(min(bounds[-1] + size, count))
        size = min(2 * size, most)
    return bounds


def compile_index(
    campaigns: Sequence[Campaign], head: int = HEAD_CAMPAIGNS, tail: int = TAIL_CAMPAIGNS
) -> CampaignIndex:
    """The index of campaigns that are there as objects and stand best first."""
    sections = {name: memoryview(part) for name, part in compiled(campaigns, specs_of(campaigns))}
    return CampaignIndex(sections, tuple(campaigns), head, tail)


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
    walk = _Walk(index, facts_of(auction, exchange, profile, now_s), profile, rates, now_s)
    candidates: list[Candidate] = []
    for slot in auction.slots:
        candidates += walk.over(slot, candidates_wanted(slot, per_slot))
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


def may_bid(campaign: Campaign, profile: Profile | None, now_s: float) -> bool:
    """Flight, and the frequency cap of a user that is known: what bitmaps do not say."""
    if now_s < campaign.start_s or (campaign.end_s and campaign.end_s <= now_s):
        return False
    cap = campaign.daily_frequency_cap
    return not cap or (profile is not None and profile.campaign_impressions.get(campaign.id, 0) < cap)


def deals_for(campaign: Campaign, slot: Slot, exchange: Exchange) -> Sequence[Deal]:
    """The deals of the slot that the campaign has and that take its seat and domains, the guaranteed first
    (§3.2.12)."""
    seat = exchange.seats.get(campaign.seat, campaign.seat)
    taken = [
        deal
        for deal in slot.deals
        if deal.id in campaign.targeting.deals
        and (not deal.seats or seat in deal.seats)
        and (not deal.domains or deal.domains.issuperset(campaign.domains))
    ]
    return sorted(taken, key=lambda deal: not deal.guaranteed) if len(taken) > 1 else taken


class _Walk:
    """The walk over the campaigns that the bitmaps left, slot by slot of one request."""

    __slots__ = (
        *("index", "facts", "profile", "rates", "now_s", "eligible"),
        *("asked", "found", "is_pod", "least", "looked_at", "offered", "seen", "slot", "steps", "varied"),
    )

    def __init__(self, index: CampaignIndex, facts: Facts, profile: Profile | None, rates: Rates, now_s: float) -> None:
        # per request
        self.index = index
        self.facts = facts
        self.profile = profile
        self.rates = rates
        self.now_s = now_s
        self.eligible: dict[int, int] = {}  # by shard: the campaigns that take the request

    def over(self, slot: Slot, wanted: int) -> list[Candidate]:
        """Guaranteed deals first, then other deals, then the open auction: where the slot has deals, these may take
        half of the places, so that both have some to be priced (§7.3)."""
        # per slot
        self.slot = slot
        self.asked = slot_facts(slot, self.facts, self.index.specs)
        self.offered: dict[int, tuple[int, frozenset[int]]] = {}  # by shard: those that take the slot; fitting specs
        self.found: list[Candidate] = []
        self.looked_at = 0
        deals = slot.deals
        varied = not takes_one_ad(slot)
        self.steps = None if priced_by_duration(slot) else self.index.floors.steps(slot, self.rates)
        if self.steps is not None and not varied and not deals:
            self._take(wanted, self.steps)
            return self.found
        self.is_pod = slot.is_pod
        self.varied = varied
        self.seen: set[int] = set()  # places of campaigns that have a candidate, where the slot has deals
        if deals:
            share = wanted if slot.private else max(1, wanted // 2)
            guaranteed = [deal.id for deal in deals if deal.guaranteed]
            if guaranteed:
                self._search(guaranteed, share)
            if len(guaranteed) < len(deals):
                self._search([deal.id for deal in deals], share)
        if not slot.private:
            self._search(None, wanted)
        return self.found[:wanted]

    def _search(self, deal_ids: Sequence[str] | None, wanted: int) -> None:
        """Best first, over the campaigns with one of these deals, or without any."""
        for number, shard in enumerate(self.index.shards):
            if len(self.found) >= wanted:
                return
            mask = shard.without_deal if deal_ids is None else shard.with_deal(deal_ids)
            if not mask:
                continue
            if number not in self.offered:
                self.offered[number] = shard.taking(self.asked)
            offered, fitting = self.offered[number]
            mask &= offered
            if deal_ids is None and self.steps is not None:
                mask &= shard.maxima.paying(self.steps)
            for bit in bits_of(mask and mask & self._eligible(number, shard)):
                if self.looked_at >= MAX_LOOKED_AT:
                    return
                self.looked_at += 1
                self._look(shard.start + bit, fitting)
                if len(self.found) >= wanted:
                    return

    def _eligible(self, number: int, shard: Shard) -> int:
        if number not in self.eligible:
            self.eligible[number] = shard.eligible(self.facts)
        return self.eligible[number]

    def _take(self, wanted: int, steps: Steps) -> None:
        """Adds candidates until there are `wanted`. What `_search` and `_look` do, where the slot takes one kind of ad,
        one from a campaign, and has one floor and no deals, as most do."""
        slot, found, rates = self.slot, self.found, self.rates
        profile, now_s, entries = self.profile, self.now_s, self.index.entries
        media = slot.audio if slot.video is None else slot.video
        least: dict[str, int | float] = {}  # by currency: the slot's floor
        looked_at = 0
        for number, shard in enumerate(self.index.shards):
            mask, fitting = shard.taking(self.asked)
            mask = mask and mask & shard.maxima.paying(steps)
            if not mask:
                continue
            start = shard.start
            for bit in bits_of(mask & self._eligible(number, shard)):
                if looked_at >= MAX_LOOKED_AT:
                    return
                looked_at += 1
                campaign, creatives = entries[start + bit]
                currency = campaign.currency
                if currency not in least:
                    least[currency] = lowest_maximum(slot, currency, rates)
                if campaign.max_cpm_micros < least[currency] or not may_bid(campaign, profile, now_s):
                    continue
                for spec_number, creative in creatives:
                    if spec_number in fitting and (media is None or has_playable_file(creative, media)):
                        found.append(Candidate(slot, campaign, creative, None))
                        if len(found) >= wanted:
                            return
                        break

    def _look(self, place: int, fitting: frozenset[int]) -> None:
        """Adds the campaign's candidates: one; where the slot takes several kinds of ad, one of each; for a pod, one of
        each duration."""
        campaign, creatives = self.index.entries[place]
        if place in self.seen or not may_bid(campaign, self.profile, self.now_s):
            return
        deals: Sequence[Deal | None] = WITHOUT_DEAL
        if campaign.targeting.deals:
            deals = deals_for(campaign, self.slot, self.facts.exchange)
        kinds: list[tuple[Format, int]] = []
        for spec_number, creative in creatives:
            if spec_number not in fitting or not self._plays(creative):
                continue
            if (
                self.varied
                and (kind := (creative.spec.format, creative.spec.duration_s if self.is_pod else 0)) in kinds
            ):
                continue
            for deal in deals:
                if self._is_reached(campaign, creative, deal):
                    self._add(place, campaign, creative, deal)
                    if not self.varied:
                        return
                    kinds.append(kind)
                    break
            if len(kinds) >= MAX_KINDS:
                return

    def _add(self, place: int, campaign: Campaign, creative: Creative, deal: Deal | None) -> None:
        self.found.append(Candidate(self.slot, campaign, creative, deal))
        if self.slot.deals:
            self.seen.add(place)

    def _is_reached(self, campaign: Campaign, creative: Creative, deal: Deal | None) -> bool:
        floor = floor_of(self.slot, creative.spec, deal)
        return floor is not None and reachable(campaign, floor, self.rates)

    def _plays(self, creative: Creative) -> bool:
        if creative.spec.format is VIDEO:
            return self.slot.video is not None and has_playable_file(creative, self.slot.video)
        if creative.spec.format is AUDIO:
            return self.slot.audio is not None and has_playable_file(creative, self.slot.audio)
        return True
