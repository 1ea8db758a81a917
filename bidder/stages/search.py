"""The search with deals, floors by duration, and ads of several kinds: what one slot in ten asks.

The rule kept here: guaranteed deals first, then other deals, then the open auction, each best first.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from bidder.domain import Campaign, Candidate, Creative, Deal, Exchange, Format, Profile, Rates, Slot
from bidder.stages.bitmaps import bits_of
from bidder.stages.facts import Facts, SlotFacts
from bidder.stages.floors import floor_of, reachable
from bidder.stages.index import CampaignIndex
from bidder.stages.maxima import Lowest, Steps
from bidder.stages.shard import FactsNamed, Shard

MAX_LOOKED_AT = 512
"""Campaigns looked at one by one for a slot, so that a hostile request cannot ask for all of them."""

MAX_KINDS = 4
"""Candidates of one campaign for one slot."""

WITHOUT_DEAL: tuple[Deal | None, ...] = (None,)


class Eligible(Struct, gc=False):
    """The campaigns that take the request, shard by shard: each found when it is first asked for, by its start."""

    index: CampaignIndex
    facts: Facts
    named: FactsNamed | None = None
    found: dict[int, int] = {}

    def of(self, shard: Shard) -> int:
        """Those of the shard."""
        found, start = self.found, shard.start
        if start in found:
            return found[start]
        if (named := self.named) is None:
            named = self.named = self.index.parts.named(self.facts)
        mask = found[start] = shard.eligible(self.facts, named)
        return mask


class Walk(Struct, gc=False):
    """What the campaigns that the bitmaps left are held against, for one request. `now_s`: Unix seconds at arrival."""

    index: CampaignIndex
    facts: Facts
    profile: Profile | None
    rates: Rates
    now_s: float
    eligible: Eligible


def has_seen_enough(campaign: Campaign, profile: Profile) -> bool:
    """Whether the user has seen the campaign as often as its frequency cap allows. Without a profile, bitmaps leave no
    campaign that has one."""
    cap = campaign.daily_frequency_cap
    return bool(cap) and profile.campaign_impressions.get(campaign.id, 0) >= cap


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


class Search:
    """A slot's candidates: of the campaigns with its deals; where it has floors by duration, or takes ads of several
    kinds, of the others, too.

    `floor`: None where durations have floors of their own; `varied`: whether the slot takes several kinds."""

    __slots__ = ("_asked", "_fitting", "_floor", "_is_pod", "_seen", "_slot", "_varied", "_walk", "found", "left")

    def __init__(self, walk: Walk, asked: SlotFacts, floor: tuple[Steps, Lowest] | None, varied: bool) -> None:
        self._walk, self._asked, self._floor, self._varied = walk, asked, floor, varied
        self._slot = slot = asked.slot
        self._is_pod = slot.is_pod
        self._fitting = walk.index.specs.numbers[asked.specs]
        self._seen: set[int] = set()  # places of campaigns that have a candidate with a deal
        self.found: list[Candidate] = []
        self.left = MAX_LOOKED_AT  # campaigns that may still be looked at

    def over_deals(self, wanted: int) -> None:
        """Over the campaigns with one of the slot's deals."""
        slot, deals = self._slot, self._slot.deals
        share = wanted if slot.private else max(1, wanted // 2)
        guaranteed = [deal.id for deal in deals if deal.guaranteed]
        if guaranteed:
            self._search(guaranteed, share)
        if len(guaranteed) < len(deals):
            self._search([deal.id for deal in deals], share)

    def over_others(self, wanted: int) -> None:
        """Over the campaigns without deals."""
        self._search(None, wanted)

    def _search(self, deal_ids: Sequence[str] | None, wanted: int) -> None:
        """Best first, over the campaigns with one of these deals, or without any."""
        found, walk, asked, floor = self.found, self._walk, self._asked, self._floor
        for shard in walk.index.open_shards if deal_ids is None else walk.index.deal_shards:
            if len(found) >= wanted:
                return
            if deal_ids is not None:
                mask = shard.with_deal(deal_ids)
            else:
                mask = shard.everyone if floor is None else shard.paying[floor[0]]
            mask = mask and mask & shard.having[asked.specs] & shard.terms[asked.terms]
            for bit in bits_of(mask and mask & walk.eligible.of(shard)):
                if not self.left:
                    return
                self.left -= 1
                self._look(shard.start + bit, deal_ids is not None)
                if len(found) >= wanted:
                    return

    def _look(self, place: int, with_deal: bool) -> None:
        """Adds the campaign's candidates: one; where the slot takes several kinds of ad, one of each; for a pod, one of
        each duration."""
        walk, slot, floor, fitting, is_pod = self._walk, self._slot, self._floor, self._fitting, self._is_pod
        campaign, currency, begins_s, ends_s, _, _, _, ads = walk.index.entries[place]
        if place in self._seen or not begins_s <= walk.now_s < ends_s:
            return
        if walk.profile is not None and has_seen_enough(campaign, walk.profile):
            return
        lowest = None if with_deal or floor is None else floor[1]  # None: the floor depends on the creative
        if lowest is not None and campaign.max_cpm_micros < lowest[currency]:
            return
        deals = deals_for(campaign, slot, walk.facts.exchange) if with_deal else WITHOUT_DEAL
        kinds: list[tuple[Format, int]] = []
        for spec_number, creative, row in ads:
            if spec_number not in fitting:
                continue
            kind = (creative.spec.format, creative.spec.duration_s if is_pod else 0)
            if kind in kinds:
                continue
            for deal in deals:
                if lowest is not None or self._is_reached(campaign, creative, deal):
                    self.found.append(Candidate(slot, campaign, creative, deal, row))
                    kinds.append(kind)
                    break
            if kinds and (not self._varied or len(kinds) >= MAX_KINDS):
                break
        if kinds and with_deal:
            self._seen.add(place)

    def _is_reached(self, campaign: Campaign, creative: Creative, deal: Deal | None) -> bool:
        floor = floor_of(self._slot, creative.spec, deal)
        return floor is not None and reachable(campaign, floor, self._walk.rates)
