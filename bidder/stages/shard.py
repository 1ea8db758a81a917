"""A run of campaigns as bitmaps, against which the facts of a request are held.

The rule kept here: an unknown fact passes only campaigns that do not ask for it, and a restriction of the request lets
through only campaigns that are known to keep to it. What one value lets through is made of the compiled catalog when it
is first asked for, and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson
from msgspec import Struct

from bidder.domain import NOTHING, CreativeSpec
from bidder.domain.records import Codec
from bidder.stages.bitmaps import bits_of, without
from bidder.stages.categories import FAMILIES, Categories, Labels
from bidder.stages.circles import Circles
from bidder.stages.compiled import AVOIDED, INCLUDED
from bidder.stages.domains import Advertisers, app_id
from bidder.stages.facts import ATTRIBUTES, GROUPS, Facts, Group, Named, SlotFacts, Terms, Values, unwanted, wanted
from bidder.stages.maxima import Floors, Steps, paying
from bidder.stages.specs import Specs
from bidder.stages.tables import Kept, KeptOfSets, KeptOfTexts, Masks, Sections, Table, bits_between, named_in
from bidder.stages.versions import Versions

KEPT_BYTES = 1 << 19
"""Of masks kept for one dimension of one shard, by value and by set of values; twice that at most."""

KEPT_TERMS = 512
KEPT_INVENTORY = 4
"""Times as many masks of inventory: of all facts that come together it has the most variants."""

MANY = frozenset({"segments", "categories"})
"""Dimensions in which a request has many values, most of them unknown here, and ever other ones together."""


User = tuple[frozenset[str], tuple[int, ...]]
"""Segments, and the numbers of circles that the user is in."""


class FactsNamed(Struct, gc=False):
    """What campaigns of a catalog name of a request's facts, of which there are many and hardly any is named."""

    user: User
    advertisers: frozenset[str]


class Parts:
    """A compiled catalog, opened: what its shards share."""

    def __init__(self, sections: Sections) -> None:
        self._sections = sections
        self._tables: dict[str, Table] = {}
        head = orjson.loads(sections["head"])
        self.count: int = head["campaigns"]
        self.with_deals: int = head["with_deals"]
        self.thresholds: Mapping[str, Sequence[str]] = head["thresholds"]
        read = Codec(CreativeSpec).read
        self.specs = Specs(list(map(read, head["specs"])))
        self.circles = Circles(sections["circles"], self.table("cells"))
        self.places = self.table("id")
        self.floors = Floors(self.table("maximum"))
        self._named_segments = named_in(self.table("in segments"), self.table("not segments"))
        self.advertisers = Advertisers(self.table("advertiser"))

    def table(self, name: str) -> Table:
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = Table(self._sections[f"table {name}"])
        return table

    def read_ahead(self) -> None:
        """Make what the first request would wait for, some 8 ms: the values of the smaller tables, as texts."""
        for table in self._tables.values():
            table.those_named(())

    def named(self, facts: Facts) -> FactsNamed:
        """Found once a request, whatever the number of shards. Of a user's segments one in ten is named, and often the
        same together."""
        auction, segments = facts.auction, facts.segments
        if segments:
            segments = self._named_segments(segments)
        circles = self.circles.around(auction.latitude, auction.longitude)
        blocked = auction.blocked_domains
        return FactsNamed((segments, circles), self.advertisers.blocked(blocked) if blocked else NOTHING)

    def masks(self, name: str, start: int, end: int) -> Masks:
        anywhere = 0
        if (bits := self._sections.get(f"open {name}")) is not None:
            anywhere = bits_between(bits, start, end)
        return Masks(self.table(name), start, end, anywhere)


class Shard:
    """The bitmaps of the campaigns [start, end)."""

    def __init__(self, parts: Parts, start: int, end: int) -> None:
        def masks(name: str) -> Masks:
            return parts.masks(name, start, end)

        self.start, self.count = start, end - start
        self.everyone = everyone = (1 << (end - start)) - 1
        self.limit = max(64, KEPT_BYTES // ((end - start) // 8 + 64))
        # Dimensions that no campaign uses are left out: they would let everyone through.
        self.included = {name: table for name in INCLUDED if (table := masks(f"in {name}"))}
        self.avoided = {name: table for name in AVOIDED if (table := masks(f"not {name}"))}
        lowest = masks("version")
        self.versions = versions = Versions(masks("system"), lowest, parts.thresholds, everyone, lowest.anywhere)
        dimensions = {name: self._taking(name) for name in {*self.included, *self.avoided}}
        self.inside = masks("circle")
        self._users = KeptOfTexts(_users(dimensions.pop("segments", None), self.inside, everyone), self.limit)
        categories = dimensions.pop("categories", None)
        self._categories = None if categories is None else KeptOfSets(categories, self.limit)
        # Without a profile nobody can say how often this user has seen a campaign: a frequency cap fails closed.
        self.uncapped = without(everyone, masks("capped").of("yes"))
        one_by_one: dict[str, Mapping[Any, int]] = {
            "profile": {(True,): everyone, (False,): self.uncapped},
            **{
                name: (KeptOfSets if name == "venues" else KeptOfTexts)(make, self.limit)
                for name, make in dimensions.items()
            },
        }
        if versions:
            one_by_one["version"] = KeptOfTexts(lambda asked: versions.of(*asked), self.limit)
        self._inventory, self._places, self._moments, self._devices, self._connections = [
            KeptOfTexts(_grouped(everyone, named, one_by_one), limit)
            for named, limit in zip(GROUPS, (KEPT_INVENTORY * self.limit, *[self.limit] * 4), strict=True)
        ]
        self.deals = masks("deal")
        self.without_deal, self.deals.anywhere = self.deals.anywhere, 0
        self._deals = KeptOfTexts(self.deals.of, self.limit)
        self.requiring, self.refusing = dict(masks("requires").each()), dict(masks("refuses").each())
        self.positions = masks("position")
        self.terms: Kept[Terms, int] = Kept(_with_terms(self.positions, self.requiring, self.refusing), KEPT_TERMS)
        """The campaigns that take a slot with these terms."""
        self._by_advertiser: Kept[str, int] = KeptOfTexts(masks("advertiser").of, self.limit)
        self.by_bundle = masks("advertised app")
        labels = [
            Labels(family, masks(f"own {family}"), masks(f"below {family}"), masks(f"labelled {family}").of("yes"))
            for family in FAMILIES
        ]
        suitable = masks("for children").of("yes")
        self.ad_categories = Categories([each for each in labels if each.below], suitable, everyone)
        self.roadblocks = masks("road-block").of("yes")
        self.paying: Kept[Steps, int] = Kept(paying(masks("maximum"), parts.floors.currencies), self.limit)
        """Those that may pay a floor of so many steps: all that can, and few more."""
        self.by_seat = masks("seat")
        self.specs = parts.specs
        users: Kept[int, int] = Kept(masks("spec").of, self.limit)
        for number in range(min(len(parts.specs.all), self.limit)):
            users[number]  # or the first requests would wait for those of all shards, some 5 ms each
        self.having: Kept[int, int] = Kept(_having(users), self.limit)
        """By a bitmap of specs: the campaigns that have a creative of one of them."""

    def _taking(self, name: str) -> Callable[[Any], int]:
        """Who takes these values of a dimension."""
        return _taking(name, self.everyone, self.included.get(name), self.avoided.get(name), self.limit)

    def eligible(self, facts: Facts, named: FactsNamed) -> int:
        """The campaigns that take this request, and that this request takes, whatever the slot."""
        auction = facts.auction
        # What names who may bid leaves few or nobody, and then nothing else is asked.
        names_who = auction.allowed_seats or auction.allowed_categories
        allowed = self._listed(facts) if names_who else self.everyone
        if not allowed:
            return 0
        inventory, place, moment, device, connection = facts.groups
        mask = self._inventory[inventory] & self._places[place]
        mask &= self._moments[moment]
        mask &= self._devices[device]
        mask &= self._connections[connection]
        mask &= self._users[named.user]
        if self._categories is not None:
            mask &= self._categories[auction.categories]
        if names_who:
            mask &= allowed
        return mask and self._allowed(mask, facts, named)

    def _listed(self, facts: Facts) -> int:
        """The campaigns by whose seat and categories the request says who may bid."""
        auction, mask = facts.auction, self.everyone
        if auction.allowed_seats:
            mask = self._seated(auction.allowed_seats, facts.exchange.seats)
        if auction.allowed_categories:
            mask &= self.ad_categories.allowed(auction.category_taxonomy, auction.allowed_categories)
        return mask

    def _allowed(self, mask: int, facts: Facts, named: FactsNamed) -> int:
        """Without those that the request refuses: by category, domain, app, seat (§3.2.1); for children, COPPA."""
        auction = facts.auction
        if self.roadblocks and not auction.all_impressions:
            mask = without(mask, self.roadblocks)
        if auction.coppa:
            mask &= self.ad_categories.suitable_for_children
        if auction.blocked_categories:
            mask &= self.ad_categories.unblocked(auction.category_taxonomy, auction.blocked_categories)
        for name in named.advertisers:
            mask = without(mask, self._by_advertiser[name])
        if auction.blocked_bundles:
            mask = without(mask, self.by_bundle.any_of_many(map(app_id, auction.blocked_bundles)))
        if auction.blocked_seats:
            mask = without(mask, self._seated(auction.blocked_seats, facts.exchange.seats))
        return mask

    def _seated(self, listed: frozenset[str], names: Mapping[str, str]) -> int:
        """The campaigns whose seat the exchange knows by one of the listed names."""
        own = [seat for seat in listed if seat not in names]
        return self.by_seat.any_of_many([*own, *(seat for seat, name in names.items() if name in listed)])

    def offered(self, asked: SlotFacts) -> int:
        """The campaigns that take the slot's deals, position and attributes."""
        slot = asked.slot
        mask = 0 if slot.private else self.without_deal
        if slot.deals:
            mask |= self.with_deal([deal.id for deal in slot.deals])
        return mask & self.terms[asked.terms]

    def with_deal(self, deal_ids: Iterable[str]) -> int:
        """The campaigns that bid with one of these deals."""
        mask = 0
        for deal_id in deal_ids:
            mask |= self._deals[deal_id]
        return mask


def _with_terms(positions: Masks, requiring: Mapping[str, int], refusing: Mapping[str, int]) -> Callable[[Terms], int]:
    """Who takes a slot with these terms."""
    anywhere, at = positions.anywhere, {1 << int(position): campaigns for position, campaigns in positions.each()}

    def taking(terms: Terms) -> int:
        present, to_ask_for, places = terms
        mask = anywhere
        for position, campaigns in at.items():
            if places & position:
                mask |= campaigns
        left_out = 0
        for name, campaigns in refusing.items():
            if present & ATTRIBUTES[name]:
                left_out |= campaigns
        for name, campaigns in requiring.items():
            if not (present | to_ask_for) & ATTRIBUTES[name]:
                left_out |= campaigns
        return without(mask, left_out)

    return taking


def _having(users: Mapping[int, int]) -> Callable[[int], int]:
    """Who has a creative of one of these specs. `users`: who has one of each."""

    def having(specs: int) -> int:
        mask = 0
        for number in bits_of(specs):
            mask |= users[number]
        return mask

    return having


def _users(segments: Callable[[Any], int] | None, inside: Masks, everyone: int) -> Callable[[User], int]:
    """Who takes a user with these segments in these circles."""

    def users(user: User) -> int:
        named, circles = user
        mask = everyone if segments is None else segments(named)
        return mask & inside.any_of(circles)

    return users


def _grouped(
    everyone: int, named: Callable[..., Named], dimensions: Mapping[str, Mapping[Any, int]]
) -> Callable[[Group], int]:
    """Who takes a group of facts."""

    def grouped(group: Group) -> int:
        mask = everyone
        for name, values in named(*group).items():
            if name in dimensions:
                mask &= dimensions[name][values]
        return mask

    return grouped


def _taking(
    name: str, everyone: int, included: Masks | None, avoided: Masks | None, limit: int
) -> Callable[[Any], int]:
    """Who takes these values of a dimension."""
    any_of = _any_kept if name in MANY else _any
    asking = None if included is None else any_of(included, limit)
    avoiding = None if avoided is None else any_of(avoided, limit)

    def taking(values: Values) -> int:
        mask = everyone if asking is None else asking(wanted(name, values))
        refusing = 0 if avoiding is None else avoiding(unwanted(name, values))
        return without(mask, refusing) if refusing else mask

    return taking


def _any(masks: Masks, limit: int) -> Callable[[Values], int]:
    return masks.any_of_many


def _any_kept(masks: Masks, limit: int) -> Callable[[Values], int]:
    """The same for `MANY` values: what each of those that are known lets through is kept."""
    named, by_value, anywhere = masks.table.those_named, KeptOfTexts(masks.of, limit), masks.anywhere

    def any_kept(values: Values) -> int:
        mask = anywhere
        for value in named(values):
            mask |= by_value[value]
        return mask

    return any_kept
