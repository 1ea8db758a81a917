"""Categories of ads, across taxonomies: what lies below what, what a request blocks and allows, what children may see.

The rule kept here: fail closed. A category's parents come from the taxonomy's own table; versions of a taxonomy that
share their ids are one family. An ad that is not labelled in the family a request speaks of, whose label the table
does not know, or whose family has no table, does not pass a block list or an allow list.

Source: OpenRTB 2.6 §3.2.1 (bcat, acat, cattax); AdCOM 1.0, category taxonomies; the tables are those of the IAB
Technology Laboratory, CC BY 3.0 (data/category_parents.json). Content Taxonomy 1.0 needs none: IAB1-2 is below IAB1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.resources import files
from types import MappingProxyType

import orjson

from bidder.domain import Campaign
from bidder.stages.tables import MAX_SET, Kept, KeptOfSets, KeptOfTexts, Masks

CONTENT_1 = "content-1"
"""Content Taxonomy 1.0, whose ids name their parents."""

_IAB = frozenset({"IAB", "Iab", "iab"})

KEPT_LISTS = 256
KEPT_CATEGORIES = 512
LONGEST_ID = 64
"""Characters of a category that is remembered to block nobody."""

_Bits = dict[str, Sequence[int]]
_Listed = tuple[int, frozenset[str]]  # taxonomy, categories

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


def family_labels(campaign: Campaign, family: str) -> list[str]:
    """The campaign's categories in one family, as values of a table."""
    return [name for taxonomy, names in campaign.labels if FAMILY_OF.get(taxonomy) == family for name in names]


def is_suitable_for_children(campaign: Campaign) -> bool:
    return campaign.suitable_for_children and unsuitable_for_children(campaign.labels) is None


FAMILIES = tuple(dict.fromkeys(FAMILY_OF.values()))


class Labels:
    """The campaigns labelled in one family. `own`: by their categories as far as the family knows them; `below`: by
    these and all above them, and by what it does not know; `labelled`: those that have a label, and none unknown."""

    __slots__ = ("below", "family", "labelled", "own")

    def __init__(self, family: str, own: Masks, below: Masks, labelled: int) -> None:
        self.family, self.own, self.below, self.labelled = family, own, below, labelled

    def within(self, categories: Iterable[str]) -> int:
        """The campaigns all of whose categories are among these, or below them."""
        allowed = frozenset(categories)
        mask = self.labelled
        for category, campaigns in self.own.each():
            if allowed.isdisjoint(lineage(self.family, category)):
                mask &= ~campaigns
        return mask


def labels_by(family: str, bits_by_category: Mapping[str, Sequence[int]]) -> tuple[_Bits, _Bits, list[int]]:
    """What `Labels` is made of: `own`, `below` and `labelled`, as numbers of campaigns."""
    own: _Bits = {}
    below: dict[str, set[int]] = {}
    labelled: set[int] = set()
    unknown: set[int] = set()
    for category, bits in bits_by_category.items():
        above = lineage(family, category)
        labelled.update(bits)
        if above:
            own[category] = bits
        else:
            unknown.update(bits)
        for name in above or (category,):
            below.setdefault(name, set()).update(bits)
    return own, {name: sorted(bits) for name, bits in below.items()}, sorted(labelled - unknown)


class Categories:
    """Which campaigns a request's block and allow lists of categories let through."""

    __slots__ = ("_allowed", "_unblocked", "suitable_for_children")

    def __init__(self, families: Iterable[Labels], suitable_for_children: int, everyone: int) -> None:
        by_name = {labels.family: labels for labels in families}
        self.suitable_for_children = suitable_for_children
        self._unblocked = {family: _Unblocked(family, by_name, everyone) for family in (*FAMILIES, "")}
        self._allowed: Kept[_Listed, int] = KeptOfTexts(partial(_allowed, by_name), KEPT_LISTS)

    def unblocked(self, taxonomy: int, blocked: frozenset[str]) -> int:
        """The campaigns that have a label in the block list's family, and none in it or below. `blocked` holds
        something."""
        return self._unblocked[_FAMILY_OF.get(taxonomy, "")].by(blocked)

    def allowed(self, taxonomy: int, allowed: frozenset[str]) -> int:
        """The campaigns whose categories, in the list's family, all are on it, or below. `allowed` is not empty."""
        kept = self._allowed
        return kept.make((taxonomy, allowed)) if len(allowed) > MAX_SET else kept[taxonomy, allowed]


class _Unblocked:
    """Whom block lists in one family let through. Each of their categories blocks the unlabelled, and most nobody
    else; what is left of a list without those recurs."""

    __slots__ = ("_by", "_harmless")

    def __init__(self, stated: str, families: Mapping[str, Labels], everyone: int) -> None:
        self._harmless: set[str] = set()
        self._by = KeptOfSets(_by_each(stated, families, everyone, self._harmless), KEPT_LISTS)

    def by(self, categories: frozenset[str]) -> int:
        return self._by[categories.difference(self._harmless)]


def _by_each(
    stated: str, families: Mapping[str, Labels], everyone: int, harmless: set[str]
) -> Callable[[frozenset[str]], int]:
    """Whom these categories let through. Adds to `harmless` those that block the unlabelled alone."""
    labelled = families[stated].labelled if stated in families else 0
    kept: Kept[str, int] = KeptOfTexts(
        lambda category: everyone & _not_blocked_by(families, stated, category), KEPT_CATEGORIES
    )

    def by_each(categories: frozenset[str]) -> int:
        mask = labelled
        for category in categories:
            unblocked = kept[category]
            mask &= unblocked
            if unblocked == labelled and len(category) <= LONGEST_ID:
                if len(harmless) >= KEPT_CATEGORIES:
                    harmless.clear()
                harmless.add(category)
        return mask

    return by_each


def _not_blocked_by(families: Mapping[str, Labels], stated: str, category: str) -> int:
    mask = -1
    for name, categories in _by_family(stated, (category,)).items():
        family = families.get(name)
        if family is None:
            return 0
        mask &= family.labelled & ~family.below.any_of_many(categories)
    if stated == CONTENT_1:
        # What is no id of Content Taxonomy 1.0 may be one of any other: it blocks wherever it is known.
        strange = category.strip()
        for family in families.values() if strange[:3] not in _IAB else ():
            mask &= ~family.below.of(strange)
    return mask


def _allowed(families: Mapping[str, Labels], listed: _Listed) -> int:
    taxonomy, allowed = listed
    name = FAMILY_OF.get(taxonomy, "")
    family = families.get(name)
    return family.within(_by_family(name, allowed)[name]) if family is not None else 0


def _by_family(stated: str, categories: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """The listed categories by family: the stated one, always, and Content Taxonomy 1.0 for "IAB…", which no other
    taxonomy has as an id, while `cattax` often is wrong. One without a table is named "", as no campaign's is."""
    grouped: dict[str, list[str]] = {stated: []}
    for category in map(str.strip, categories):
        if category[:3] in _IAB:
            grouped.setdefault(CONTENT_1, []).append(category.upper())
        else:
            grouped[stated].append(category)
    return grouped
