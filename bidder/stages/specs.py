"""The specs of a catalog's creatives: which of them a slot takes.

The rule kept here: a spec is held against a slot once, whatever the number of creatives that share it, and again only
for a slot that asks something else. Specs stand in the order of the best campaign that has one, so that those of the
head are held against a slot first, and those of the tail only if the tail is searched.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from bidder.domain import NO_CODES, CreativeSpec, Format, Slot
from bidder.stages.compiled import size_key
from bidder.stages.fit import Offers, fits
from bidder.stages.languages import ranges_over
from bidder.stages.tables import Kept, Table

KEPT_OFFERS = 1024
KEPT_SIZES = 128


@dataclass(slots=True)
class Fitting:
    """What a kind of slot takes: `numbers` of specs, of those that campaigns before `end` have."""

    numbers: frozenset[int] = NO_CODES
    end: int = 0


class Specs:
    """`first_users`: for each spec, the place of the best campaign that has it, rising. `numbers`: by format, and for
    banners by size."""

    __slots__ = ("_banners", "_first_users", "_numbers", "_offers", "_others", "all")

    def __init__(self, specs: Sequence[CreativeSpec], first_users: Sequence[int], numbers: Table) -> None:
        self.all = specs
        self._first_users = first_users
        self._numbers: Kept[str, Sequence[int]] = Kept(numbers.numbers, KEPT_SIZES)
        self._offers = Offers(specs)
        # Banners are asked for in thousands of ways, and cheap to hold against the few specs of a size: they do not
        # drive out video and native slots, which are asked for in hundreds, and dear.
        self._banners, self._others = _Kinds(), _Kinds()

    def kind(self, slot: Slot, languages: frozenset[str], strict_sizes: bool) -> Fitting:
        """What is known of the slots that ask what this one does. `languages`: ranges allowed for creatives, empty =
        any; `strict_sizes`: banners in a size that the slot names only, no range or ratio of sizes."""
        kinds = self._others if slot.banner is None else self._banners
        as_it_is = (self._offers.as_it_is(slot), languages, strict_sizes)
        found = kinds.as_they_are.get(as_it_is) or kinds.as_they_are.find(as_it_is)
        if found is None:
            key = (self._offers.key(slot), languages, strict_sizes)
            found = kinds.as_they_are.keep(as_it_is, kinds.by_key[key])
        return found

    def fitting(
        self, kind: Fitting, slot: Slot, languages: frozenset[str], strict_sizes: bool, end: int
    ) -> frozenset[int]:
        """The numbers of the specs that a slot of this kind takes: at least all that campaigns before `end` have."""
        if kind.end < end:
            first, last = bisect_left(self._first_users, kind.end), bisect_left(self._first_users, end)
            more = [
                number
                for numbers in self._asked(slot, strict_sizes)
                for number in numbers[bisect_left(numbers, first) : bisect_left(numbers, last)]
                if (not languages or not languages.isdisjoint(ranges_over(self.all[number].language)))
                and fits(self.all[number], slot)
            ]
            if more:
                kind.numbers = kind.numbers.union(more)
            kind.end = end
        return kind.numbers

    def _asked(self, slot: Slot, strict_sizes: bool) -> Iterator[Sequence[int]]:
        """The specs that have one of the slot's formats, and where it names them its sizes."""
        if (banner := slot.banner) is not None:
            if (banner.width_range is not None or banner.ratios) and not strict_sizes:
                yield self.of_format(Format.BANNER)
            else:
                for width, height in banner.sizes:
                    yield self.of_size(width, height)
        for kind, offer in ((Format.VIDEO, slot.video), (Format.AUDIO, slot.audio), (Format.NATIVE, slot.native)):
            if offer is not None:
                yield self.of_format(kind)

    def of_format(self, kind: Format) -> Sequence[int]:
        """The numbers of the specs of this format."""
        return self._numbers[kind.name]

    def of_size(self, width: int, height: int) -> Sequence[int]:
        """The numbers of the banner specs of this size."""
        return self._numbers[size_key(width, height)]


class _Kinds:
    """Kinds of slots by what these ask, in two spellings: as far as the specs make a difference, and as it stands in
    the request, which is found in a fifth of the time."""

    __slots__ = ("as_they_are", "by_key")

    def __init__(self) -> None:
        self.as_they_are: Kept[Hashable, Fitting] = Kept(_never, KEPT_OFFERS)
        self.by_key: Kept[Hashable, Fitting] = Kept(lambda _: Fitting(), KEPT_OFFERS)


def _never(_: Hashable) -> Fitting:
    raise KeyError("an offer in a request's own spelling is no key")
