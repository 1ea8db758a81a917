"""Campaigns → the parts of a compiled catalog: for each dimension a table, and who names nothing in it.

The rule kept here: one pass over the campaigns, in the order that they have, and none of them is held on to. What is
written here, and nothing else, is what `stages/shard.py` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from bidder.domain import Campaign, CreativeSpec
from bidder.domain.records import Codec, Shared
from bidder.stages.categories import FAMILIES, family_labels, is_suitable_for_children, labels_by
from bidder.stages.circles import circles_of, grid
from bidder.stages.domains import app_id, bare_domain, names_of
from bidder.stages.maxima import maximum_of
from bidder.stages.tables import Value, bitmap, pack
from bidder.stages.versions import by_system, thresholds_of

ValuesOf = Callable[[Campaign], Iterable[Any]]


def _site_names(names: Iterable[str]) -> set[str]:
    """Ids of sites as they are, domains in their one spelling too."""
    return {name for each in names for name in (each, bare_domain(each)) if name}


INCLUDED: Mapping[str, ValuesOf] = {
    "exchange": lambda c: c.targeting.exchanges,
    "channel": lambda c: c.targeting.channels,
    "country": lambda c: c.targeting.countries,
    "region": lambda c: c.targeting.regions,
    "metro": lambda c: c.targeting.metros,
    "city": lambda c: c.targeting.cities,
    "zip": lambda c: c.targeting.zips,
    "device_type": lambda c: c.targeting.device_types,
    "os": lambda c: c.targeting.operating_systems,
    "connection_type": lambda c: c.targeting.connection_types,
    "carrier": lambda c: c.targeting.carriers,
    "language": lambda c: c.targeting.languages,
    "app": lambda c: c.targeting.apps,
    "bundle": lambda c: map(app_id, c.targeting.bundles),
    "publisher": lambda c: c.targeting.publishers,
    "hour": lambda c: c.targeting.hours,
    "sites": lambda c: _site_names(c.targeting.sites),
    "categories": lambda c: c.targeting.categories,
    "segments": lambda c: c.targeting.segments,
    "venues": lambda c: c.targeting.venue_types,
}
"""What a campaign asks for, by the name of the fact: one of these, or anything where it names none."""

AVOIDED: Mapping[str, ValuesOf] = {
    "country": lambda c: c.targeting.excluded_countries,
    "app": lambda c: c.targeting.excluded_apps,
    "bundle": lambda c: map(app_id, c.targeting.excluded_bundles),
    "publisher": lambda c: c.targeting.excluded_publishers,
    "sites": lambda c: _site_names(c.targeting.excluded_sites),
    "categories": lambda c: c.targeting.excluded_categories,
    "segments": lambda c: c.targeting.excluded_segments,
}
"""What it avoids."""

_FURTHER: Mapping[str, ValuesOf] = {
    "position": lambda c: c.targeting.positions,
    "deal": lambda c: c.targeting.deals,
    "requires": lambda c: c.targeting.required_attributes,
    "refuses": lambda c: c.targeting.blocked_attributes,
    "advertiser": names_of,
    "advertised app": lambda c: (app_id(c.bundle),) if c.bundle else (),
    "seat": lambda c: (c.seat,),
    "version": thresholds_of,
    "id": lambda c: (c.id,),
    "road-block": lambda c: ("yes",) if c.roadblock else (),
    "maximum": maximum_of,
    "capped": lambda c: ("yes",) if c.daily_frequency_cap else (),
    "for children": lambda c: ("yes",) if is_suitable_for_children(c) else (),
}

_FAMILY = "family "
_RARE = 1 << 40  # of so many that no value becomes a bitmap
_Bits = Mapping[Any, Sequence[int]]


def has_deals(campaign: Campaign) -> bool:
    """Whether the campaign bids with deals alone. Those that do stand before all others."""
    return bool(campaign.targeting.deals)


def specs_of(campaigns: Iterable[Campaign]) -> Shared[CreativeSpec]:
    """The distinct specs of their creatives."""
    return Shared(dict.fromkeys(creative.spec for campaign in campaigns for creative in campaign.creatives))


def compiled(campaigns: Iterable[Campaign], specs: Shared[CreativeSpec]) -> Iterator[tuple[str, bytes]]:
    """The parts, by name. First stand the `campaigns` that have deals, then the others, each best last; all specs of
    their creatives are in `specs`. ValueError: they stand otherwise."""
    dimensions: dict[str, ValuesOf] = {
        **{f"in {name}": values_of for name, values_of in INCLUDED.items()},
        **{f"not {name}": values_of for name, values_of in AVOIDED.items()},
        **_FURTHER,
        **{_FAMILY + family: _labels_in(family) for family in FAMILIES},
        "circle": circles_of,
        "spec": lambda c: [specs.number_of[creative.spec] for creative in c.creatives],
    }
    count, gathered = _gather(campaigns, dimensions)
    circles = list(gathered["circle"])
    figures, cells = grid(circles)
    gathered["circle"] = {number: gathered["circle"][circle] for number, circle in enumerate(circles)}
    gathered["system"] = {
        system: sorted({bit for threshold in thresholds for bit in gathered["version"][threshold]})
        for system, thresholds in by_system(list(gathered["version"])).items()
    }
    for family in FAMILIES:
        own, below, labelled = labels_by(family, gathered.pop(_FAMILY + family))
        gathered |= {f"own {family}": own, f"below {family}": below, f"labelled {family}": {"yes": labelled}}
    with_deals = len(set().union(*gathered["deal"].values()))
    if any(numbers[-1] >= with_deals for numbers in gathered["deal"].values()):
        raise ValueError("a campaign that has deals stands after one that has none")
    yield "head", orjson.dumps(_head(count, with_deals, list(gathered["version"]), specs.all))
    yield "circles", figures
    yield "table cells", pack(cells, _RARE)
    for name, numbers_by_value in gathered.items():
        if name in _NAMING_ONE:
            yield f"open {name}", bitmap(_others(numbers_by_value, count), count)
        yield f"table {name}", pack(numbers_by_value, _RARE if name == "id" else count)


_NAMING_ONE = frozenset([*(f"in {name}" for name in INCLUDED), "position", "deal", "version", "circle"])
"""Dimensions in which it matters who names nothing."""


def _labels_in(family: str) -> ValuesOf:
    return lambda campaign: family_labels(campaign, family)


def _gather(campaigns: Iterable[Campaign], dimensions: Mapping[str, ValuesOf]) -> tuple[int, dict[str, _Bits]]:
    """How many campaigns there are, and for each dimension which of them name which value."""
    gathered: dict[str, _Bits] = {}
    steps: list[tuple[ValuesOf, dict[Any, list[int]]]] = []
    for name, values_of in dimensions.items():
        steps.append((values_of, {}))
        gathered[name] = steps[-1][1]
    count = 0
    for bit, campaign in enumerate(campaigns):
        count += 1
        for values_of, bits_by_value in steps:
            for value in values_of(campaign):
                bits = bits_by_value.get(value)
                if bits is None:
                    bits_by_value[value] = [bit]
                elif bits[-1] != bit:
                    bits.append(bit)
    return count, gathered


def _others(numbers_by_value: Mapping[Value, Sequence[int]], count: int) -> Iterator[int]:
    """Those that name no value."""
    naming = bytearray(count)
    for numbers in numbers_by_value.values():
        for number in numbers:
            naming[number] = 1
    return (number for number, names_one in enumerate(naming) if not names_one)


def _head(count: int, with_deals: int, thresholds: list[str], specs: Sequence[CreativeSpec]) -> dict[str, Any]:
    return {
        "campaigns": count,
        "with_deals": with_deals,
        "thresholds": by_system(thresholds),
        "specs": list(map(Codec(CreativeSpec).write, specs)),
    }
