"""Categories of ads, across taxonomies: what lies below what, what a request blocks and allows, what children may see.

The rule kept here: fail closed. A category's parents come from the taxonomy's own table; versions of a taxonomy that
share their ids are one family. An ad that is not labelled in the family a request speaks of, whose label the table
does not know, or whose family has no table, does not pass a block list or an allow list.

Source: OpenRTB 2.6 §3.2.1 (bcat, acat, cattax); AdCOM 1.0, category taxonomies; the tables are those of the IAB
Technology Laboratory, CC BY 3.0 (data/category_parents.json). Content Taxonomy 1.0 needs none: IAB1-2 is below IAB1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType

import orjson

from bidder.domain import Campaign
from bidder.stages.bitmaps import mask_of

CONTENT_1 = "content-1"
"""Content Taxonomy 1.0, whose ids name their parents."""

_IAB = frozenset({"IAB", "Iab", "iab"})

MAX_KEPT = 64
"""Categories of a list that is remembered between requests."""

_CONTENT_1_ID = re.compile(r"IAB[0-9]{1,3}(-[0-9]{1,3})?\Z")


def _read(name: str) -> Mapping[str, object]:
    families: Mapping[str, object] = orjson.loads(files("bidder").joinpath("data", name).read_bytes())["families"]
    return families


def _ids(packed: str) -> Iterator[str]:
    """ "2 16 25-37" → each id. A range is of numbers."""
    for part in packed.split():
        first, dash, last = part.partition("-")
        if dash and first.isdigit():
            yield from map(str, range(int(first), int(last) + 1))
        else:
            yield part


def _parents(children: Mapping[str, str]) -> dict[str, str]:
    """Child → parent; "" for what stands at the top."""
    parents = dict.fromkeys(children, "")
    for parent, packed in children.items():
        parents.update(dict.fromkeys(_ids(packed), parent))
    parents.pop("", None)
    return parents


def _load() -> tuple[dict[int, str], dict[str, dict[str, str]]]:
    family_of, tables = {1: CONTENT_1}, {}
    for name, family in _read("category_parents.json").items():
        assert isinstance(family, dict)
        tables[name] = _parents(family["children"])
        family_of.update(dict.fromkeys(family["taxonomies"], name))
    return family_of, tables


_FAMILY_OF, _PARENTS = _load()
FAMILY_OF: Mapping[int, str] = MappingProxyType(_FAMILY_OF)
"""The family of each taxonomy that has a table (AdCOM's numbers)."""


def lineage(family: str, category: str) -> tuple[str, ...]:
    """The category and all above it, nearest first; empty: the family does not know it."""
    if family == CONTENT_1:
        category = category.upper()
        if not _CONTENT_1_ID.match(category):
            return ()
        top, dash, _ = category.partition("-")
        return (category, top) if dash else (category,)
    parents = _PARENTS.get(family, {})
    found: list[str] = []
    while category in parents and category not in found:
        found.append(category)
        category = parents[category]
    return tuple(found)


NOT_FOR_CHILDREN: Mapping[str, frozenset[str]] = MappingProxyType(
    {name: frozenset(str(packed).split()) for name, packed in _read("not_for_children.json").items()}
)
"""By family: categories that are never advertised to children, with all below them (data/not_for_children.json)."""


def unsuitable_for_children(labels: Iterable[tuple[int, Sequence[str]]]) -> str | None:
    """Why an ad labelled like this, in (taxonomy, categories), must not be shown to children; None: it may be.

    Every category must be known and harmless, and there must be one."""
    known = False
    for taxonomy, categories in labels:
        family = FAMILY_OF.get(taxonomy)
        if family is None:
            continue
        for category in categories:
            above = lineage(family, category)
            if not above:
                return f"category {category!r} is not known in taxonomy {taxonomy}"
            if not NOT_FOR_CHILDREN[family].isdisjoint(above):
                return f"category {category!r} is not advertised to children"
            known = True
    return None if known else "it has no category in a taxonomy whose table is known"


class _Family:
    """The campaigns labelled in one family."""

    __slots__ = ("by_ancestor", "labelled", "own")

    def __init__(self, family: str, labels: Sequence[tuple[int, str]]) -> None:
        own: dict[str, list[int]] = {}
        unknown: list[int] = []
        for bit, category in labels:
            own.setdefault(category, []).append(bit)
        self.own = {category: (lineage(family, category), mask_of(bits)) for category, bits in own.items()}
        self.by_ancestor: dict[str, int] = {}
        for category, (above, mask) in self.own.items():
            if not above:
                unknown += own[category]
            for name in above or (category,):
                self.by_ancestor[name] = self.by_ancestor.get(name, 0) | mask
        self.labelled = mask_of([bit for bit, _ in labels]) & ~mask_of(unknown)

    def blocking(self, categories: Iterable[str]) -> int:
        mask, get = 0, self.by_ancestor.get
        for category in categories:
            mask |= get(category, 0)
        return mask

    def within(self, categories: Iterable[str]) -> int:
        """The campaigns all of whose categories are among these, or below them."""
        allowed = frozenset(categories)
        mask = self.labelled
        for above, campaigns in self.own.values():
            if allowed.isdisjoint(above):
                mask &= ~campaigns
        return mask


class Categories:
    """Which campaigns a request's block and allow lists of categories let through."""

    __slots__ = ("_families", "suitable_for_children")

    def __init__(self, campaigns: Sequence[Campaign]) -> None:
        labels: dict[str, list[tuple[int, str]]] = {}
        for bit, campaign in enumerate(campaigns):
            for taxonomy, categories in campaign.labels:
                if (family := FAMILY_OF.get(taxonomy)) is not None:
                    labels.setdefault(family, []).extend((bit, category) for category in categories)
        self._families = {family: _Family(family, entries) for family, entries in labels.items()}
        self.suitable_for_children = mask_of(
            bit
            for bit, campaign in enumerate(campaigns)
            if campaign.suitable_for_children and unsuitable_for_children(campaign.labels) is None
        )

    def not_blocked(self, taxonomy: int, blocked: frozenset[str]) -> int:
        """The campaigns with a label in the block list's family, and none in it or below. `blocked` holds something."""
        mask = -1
        for name, categories in _by_family(taxonomy, blocked).items():
            family = self._families.get(name)
            if family is None:
                return 0
            mask &= family.labelled & ~family.blocking(categories)
        if taxonomy == 1:
            # What is no id of Content Taxonomy 1.0 may be one of any other: it blocks wherever it is known.
            strange = [category for category in map(str.strip, blocked) if category[:3] not in _IAB]
            for family in self._families.values() if strange else ():
                mask &= ~family.blocking(strange)
        return mask

    def allowed(self, taxonomy: int, allowed: frozenset[str]) -> int:
        """The campaigns whose categories, in the list's family, all are on it, or below. `allowed` is not empty."""
        name = FAMILY_OF.get(taxonomy, "")
        family = self._families.get(name)
        return family.within(_by_family(taxonomy, allowed)[name]) if family is not None else 0


def _by_family(taxonomy: int, categories: frozenset[str]) -> Mapping[str, Sequence[str]]:
    """The listed categories by family: that of `taxonomy`, always, and Content Taxonomy 1.0 for "IAB…", which no other
    taxonomy has as an id, while `cattax` often is wrong. One without a table is named "", as no campaign's is."""
    # Publishers send the same list again and again: 4 µs saved for one of 20. A hostile list is not kept.
    return _grouped(taxonomy, categories) if len(categories) > MAX_KEPT else _kept(taxonomy, categories)


def _grouped(taxonomy: int, categories: frozenset[str]) -> Mapping[str, Sequence[str]]:
    stated = FAMILY_OF.get(taxonomy, "")
    grouped: dict[str, list[str]] = {stated: []}
    for category in map(str.strip, categories):
        if category[:3] in _IAB:
            grouped.setdefault(CONTENT_1, []).append(category.upper())
        else:
            grouped[stated].append(category)
    return grouped


_kept = lru_cache(maxsize=256)(_grouped)
