"""The campaigns of a catalog, as targeting asks for them: bitmaps by shard, and objects for the few that are looked at.

The rule kept here: campaigns with deals stand first, then the others, each best last. Both have shards of their own, of
which that of the best is asked first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from bidder.domain import Campaign, Creative, Deal
from bidder.stages.compiled import compiled, has_deals, specs_of
from bidder.stages.features import packed
from bidder.stages.shard import Parts, Shard
from bidder.stages.tables import Sections

HEAD_CAMPAIGNS = 4096
"""Campaigns of the first shard: masks of 512 bytes, and enough for nearly every request."""

TAIL_CAMPAIGNS = 32768
"""Campaigns of a further shard at most."""

Ad = tuple[int, Creative, bytes]
"""The number of a creative's spec, the creative, and the part of a row of features that is its."""

Entry = tuple[Campaign, int, float, float, int, Creative, bytes, tuple[Ad, ...]]
"""A campaign, the number of its currency (see `Floors`), its flight (begin and end in Unix seconds, as `now_s` is
compared with them), its first ad, which is nearly always the one that is wanted, and all its ads."""

KEPT_CAMPAIGNS = 2048
"""Campaigns kept as objects, and as many again of an older generation: the best are asked for always."""


class Entries:
    """The campaigns asked for lately, as objects, by place: `kept[place] or made(place)`. Two generations, as in
    `Kept`, but a list: eight a request are looked up, each for a fourth of what that takes."""

    __slots__ = ("_limit", "_make", "_old", "_young", "kept")

    def __init__(self, make: Callable[[int], Entry], count: int, limit: int) -> None:
        self.kept: list[Entry | None] = [None] * count
        self._make, self._limit = make, limit
        self._young: list[int] = []
        self._old: dict[int, Entry | None] = {}

    def __getitem__(self, place: int) -> Entry:
        return self.kept[place] or self.made(place)

    def made(self, place: int) -> Entry:
        """One that is not in `kept`, from now on is."""
        kept, young = self.kept, self._young
        if len(young) >= self._limit:
            self._old = {each: kept[each] for each in young}
            for each in young:
                kept[each] = None
            young.clear()
        entry = kept[place] = self._old.pop(place, None) or self._make(place)
        young.append(place)
        return entry

    def let_go(self, count: int) -> bool:
        """Forget up to `count` of them; whether there were any."""
        for _ in range(min(count, len(self._young) or len(self._old))):
            if self._young:
                self.kept[self._young.pop()] = None
            else:
                self._old.popitem()
        return bool(self._young or self._old)


class CampaignIndex:
    """All campaigns, compiled. Immutable but for what it keeps: a new catalog makes a new index.

    `sections`: what `compiled` wrote of `campaigns`, which are read one by one when they are needed. `head` and `tail`:
    campaigns of the first shard, and of a further one at most. `deal_shards`: of the campaigns with deals, which one
    request in fourteen asks for; `open_shards`: of the others; those of the best first."""

    __slots__ = ("_deals", "_places", "campaigns", "deal_shards", "entries", "floors", "open_shards", "parts", "specs")

    def __init__(
        self,
        sections: Sections,
        campaigns: Sequence[Campaign],
        head: int = HEAD_CAMPAIGNS,
        tail: int = TAIL_CAMPAIGNS,
    ) -> None:
        self.parts = parts = Parts(sections)
        self.campaigns = campaigns
        self.specs, self.floors, self._places = parts.specs, parts.floors, parts.places
        self._deals = parts.table("deal")
        currencies = parts.floors.currencies
        numbers = {spec: number for number, spec in enumerate(parts.specs.all)}

        def entry(place: int) -> Entry:
            campaign = campaigns[place]
            ads = [(numbers[creative.spec], creative, packed(campaign, creative)) for creative in campaign.creatives]
            currency = currencies.index(campaign.currency)
            return campaign, currency, float(campaign.start_s), float(campaign.end_s or inf), *ads[0], tuple(ads)

        self.entries = Entries(entry, parts.count, KEPT_CAMPAIGNS)
        self.deal_shards, self.open_shards = [
            tuple(Shard(parts, *bounds) for bounds in _bounds(start, end, head, tail))
            for start, end in ((0, parts.with_deals), (parts.with_deals, parts.count))
        ]
        parts.read_ahead()

    @property
    def shards(self) -> tuple[Shard, ...]:
        """All of them, in the order in which a slot with deals asks them."""
        return self.deal_shards + self.open_shards

    def place(self, campaign_id: str) -> int | None:
        """Where a campaign stands; None: there is no such campaign."""
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


def _bounds(start: int, end: int, size: int, most: int) -> list[tuple[int, int]]:
    """Where the shards of [start, end) begin and end, from the best on: each twice as large as the one before, up to
    `most`. Who needs a few campaigns more than the head has searches 8,192 and not 32,768."""
    bounds = []
    while end > start:
        begin = max(start, end - size)
        bounds.append((begin, end))
        end, size = begin, min(2 * size, most)
    return bounds


def compile_index(
    campaigns: Sequence[Campaign], head: int = HEAD_CAMPAIGNS, tail: int = TAIL_CAMPAIGNS
) -> CampaignIndex:
    """The index of campaigns that are there as objects, the best first."""
    best_last = sorted(campaigns, key=has_deals)[::-1]
    sections = {name: memoryview(part) for name, part in compiled(best_last, specs_of(best_last))}
    return CampaignIndex(sections, tuple(best_last), head, tail)
