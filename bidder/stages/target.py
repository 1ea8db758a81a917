"""`Auction` → `Candidate`s: the campaigns that may bid, best first, each with a creative that fits.

The rule kept here: bitmaps narrow, exact checks decide. What depends on the request alone is computed once a request
and shard, what depends on the slot once a slot; only the few campaigns left are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf

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
from bidder.stages.bitmaps import CHUNK, CHUNK_BITS, bits_of
from bidder.stages.compiled import compiled, specs_of
from bidder.stages.facts import Facts, SlotFacts, facts_of, slot_facts
from bidder.stages.features import packed
from bidder.stages.fit import has_playable_file
from bidder.stages.floors import floor_of, priced_by_duration, reachable
from bidder.stages.maxima import Lowest, Steps
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


Ad = tuple[int, Creative, bytes]
"""The number of a creative's spec, the creative, and the part of a row of features that is its."""

Entry = tuple[Campaign, int, float, float, tuple[Ad, ...]]
"""A campaign, the number of its currency (see `Floors`), its flight (begin and end in Unix seconds, as `now_s` is
compared with them), and its ads."""

KEPT_CAMPAIGNS = 2048
"""Campaigns kept as objects, and as many again of an older generation: those that stand first are asked for always."""


class CampaignIndex:
    """All campaigns, compiled. Immutable but for what it keeps: a new catalog makes a new index.

    `sections`: what `compiled` wrote of `campaigns`, which are read one by one when they are needed. `head` and `tail`:
    campaigns of the first shard, and of a further one at most, multiples of 8."""

    __slots__ = ("_deals", "_places", "campaigns", "entries", "floors", "shards", "specs")

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
        self._deals = parts.table("deal")
        currencies = parts.floors.currencies
        numbers = {spec: number for number, spec in enumerate(parts.specs.all)}

        def entry(place: int) -> Entry:
            campaign = campaigns[place]
            ads = [(numbers[creative.spec], creative, packed(campaign, creative)) for creative in campaign.creatives]
            currency = currencies.index(campaign.currency)
            return campaign, currency, float(campaign.start_s), float(campaign.end_s or inf), tuple(ads)

        self.entries: Kept[int, Entry] = Kept(entry, KEPT_CAMPAIGNS)
        self.shards = tuple(Shard(parts, start, end) for start, end in pairwise(_bounds(parts.count, head, tail)))

    def place(self, campaign_id: str) -> int | None:
        """Where a campaign stands, the best at 0; None: there is no such campaign."""
        return next(iter(self._places.numbers(campaign_id)), None)

    def campaign(self, campaign_id: str) -> Campaign | None:
        place = self.place(campaign_id)
        return None if place is None else self.entries[place][0]

    def has_deals(self, deals: Sequence[Deal]) -> bool:
        """Whether campaigns have any of these deals: two slots with deals in three have only others'."""
        return bool(self._deals.those_named([deal.id for deal in deals]))

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
        candidates += walk.over(slot, per_slot)
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


class _Eligible(dict[int, int]):
    """By a shard's number: its campaigns that take the request. Found when they are first asked for."""

    __slots__ = ("_facts", "_shards")

    def __init__(self, shards: Sequence[Shard], facts: Facts) -> None:
        super().__init__()
        self._shards, self._facts = shards, facts

    def __missing__(self, number: int) -> int:
        found = self[number] = self._shards[number].eligible(self._facts)
        return found


class _Walk:
    """The walk over the campaigns that the bitmaps left, for one request."""

    __slots__ = ("eligible", "facts", "index", "now_s", "profile", "rates")

    def __init__(self, index: CampaignIndex, facts: Facts, profile: Profile | None, rates: Rates, now_s: float) -> None:
        self.index = index
        self.facts = facts
        self.profile = profile
        self.rates = rates
        self.now_s = now_s
        self.eligible = _Eligible(index.shards, facts)

    def over(self, slot: Slot, per_slot: int) -> list[Candidate]:
        """The slot's candidates: guaranteed deals first, then other deals, then the open auction. Where campaigns have
        some of its deals, these may take half of the places, so that both have some to be priced (§7.3)."""
        index = self.index
        has_deals = bool(slot.deals) and index.has_deals(slot.deals)
        if slot.private and not has_deals:
            return []
        asked = slot_facts(slot, self.facts, index.specs)
        if not asked.specs:
            return []
        wanted, varied, has_floor = per_slot, slot.banner is not None and slot.native is not None, True
        if slot.video is not None or slot.audio is not None:
            wanted, varied = candidates_wanted(slot, per_slot), not takes_one_ad(slot)
            has_floor = not priced_by_duration(slot)
        floor = index.floors.of(slot, self.rates) if has_floor else None
        if floor is not None and not has_deals and not varied:
            return self._plain(asked, floor, [], wanted, MAX_LOOKED_AT)
        search = _Search(self, asked, floor, varied)
        if has_deals:
            search.over_deals(wanted)
        if slot.private:
            return search.found[:wanted]
        if floor is not None and not varied:
            return self._plain(asked, floor, search.found, wanted, search.left)
        search.over_others(wanted)
        return search.found[:wanted]

    def _plain(
        self, asked: SlotFacts, floor: tuple[Steps, Lowest], found: list[Candidate], wanted: int, left: int
    ) -> list[Candidate]:
        """Adds candidates without a deal until there are `wanted`. What `_Search` does, where the slot takes one kind
        of ad, one from a campaign, and has one floor, as most do. `left`: campaigns that may be looked at."""
        if len(found) >= wanted:
            return found
        slot, entries, profile, now_s = asked.slot, self.index.entries, self.profile, self.now_s
        eligible, fitting = self.eligible, self.index.specs.numbers[asked.specs]
        media = slot.audio if slot.video is None else slot.video
        steps, lowest = floor
        wanted -= len(found)
        for number, shard in enumerate(self.index.shards):
            mask = shard.having[asked.specs]
            mask = mask and mask & shard.maxima.paying(steps)
            mask = mask and mask & shard.offered(asked)
            if slot.deals:
                mask &= shard.without_deal
            mask = mask and mask & eligible[number]
            if not mask:
                continue
            start = shard.start - 1
            while mask:  # as `bits_of` has it: a generator's turn a campaign is 3 % of targeting
                chunk = mask & CHUNK
                while chunk:
                    if not left:
                        return found
                    left -= 1
                    less = chunk - 1
                    campaign, currency, begins_s, ends_s, ads = entries[start + (chunk ^ less).bit_length()]
                    chunk &= less
                    if campaign.max_cpm_micros < lowest[currency] or now_s < begins_s or now_s >= ends_s:
                        continue
                    if profile is not None and has_seen_enough(campaign, profile):
                        continue
                    for spec_number, creative, row in ads:
                        if spec_number in fitting and (media is None or has_playable_file(creative, media)):
                            found.append(Candidate(slot, campaign, creative, None, row))
                            wanted -= 1
                            break
                    else:
                        continue
                    if not wanted:
                        return found
                mask >>= CHUNK_BITS
                start += CHUNK_BITS
        return found


class _Search:
    """The same over the campaigns with deals; and where the slot has floors by duration, or takes ads of several kinds,
    over all. `floor`: None where durations have floors of their own; `varied`: whether it takes several kinds."""

    __slots__ = (
        *("_asked", "_fitting", "_floor", "_is_pod", "_offered", "_seen", "_slot", "_varied", "_walk"),
        *("found", "left"),
    )

    def __init__(self, walk: _Walk, asked: SlotFacts, floor: tuple[Steps, Lowest] | None, varied: bool) -> None:
        self._walk, self._asked, self._floor, self._varied = walk, asked, floor, varied
        self._slot = slot = asked.slot
        self._is_pod = slot.is_pod
        self._fitting = walk.index.specs.numbers[asked.specs]
        self._seen: set[int] = set()  # places of campaigns that have a candidate with a deal
        self._offered: dict[int, int] = {}  # by shard: those that take the slot
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
        found, eligible, floor = self.found, self._walk.eligible, self._floor
        for number, shard in enumerate(self._walk.index.shards):
            if len(found) >= wanted:
                return
            mask = shard.without_deal if deal_ids is None else shard.with_deal(deal_ids)
            if not mask:
                continue
            if number not in self._offered:
                self._offered[number] = shard.taking(self._asked)
            mask &= self._offered[number]
            if deal_ids is None and floor is not None:
                mask = mask and mask & shard.maxima.paying(floor[0])
            for bit in bits_of(mask and mask & eligible[number]):
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
        campaign, currency, begins_s, ends_s, ads = walk.index.entries[place]
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
            if kind in kinds or not self._plays(creative):
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

    def _plays(self, creative: Creative) -> bool:
        if creative.spec.format is VIDEO:
            return self._slot.video is not None and has_playable_file(creative, self._slot.video)
        if creative.spec.format is AUDIO:
            return self._slot.audio is not None and has_playable_file(creative, self._slot.audio)
        return True
