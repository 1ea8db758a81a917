"""The facts of a request and of its slots, as targeting holds them against campaigns.

The rule kept here: computed once, a request's once a request and a slot's once a slot, whatever the number of shards.
"" and 0 mean unknown. What a value is called by who asks for it, or avoids it, is said here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any

from msgspec import Struct

from bidder.domain import NOTHING, PLACES_IN_POD, Auction, Exchange, MediaOffer, Pod, Profile, Slot
from bidder.stages.domains import and_above, app_id, bare_domain
from bidder.stages.specs import Specs

VIEWABLE = 0.5
PRE_ROLL, GENERIC_MID_ROLL, GENERIC_POST_ROLL = 0, -1, -2  # startdelay; above 0: mid-roll, so many seconds in
IN_STREAM = 1  # plcmt, and 2.5's placement
FIRST, LAST = 1, -1  # of podseq and slotinpod
HOURS_A_WEEK = 168

Values = Iterable[Any]
Group = tuple[Any, ...]
Named = dict[str, Values]


def _inventory(channel: str, inventory_id: str, domain: str, bundle: str, publisher_id: str) -> Named:
    return {
        "channel": (channel,),
        "sites": (domain, inventory_id) if channel == "site" else (),
        "app": (inventory_id if channel == "app" else "",),
        "bundle": (bundle,),
        "publisher": (publisher_id,),
    }


def _place(country: str, region: str, metro: str, city: str, zip_: str) -> Named:
    return {
        "country": (country,),
        "region": (f"{country}/{region}" if region else "",),
        "metro": (metro,),
        "city": (city,),
        "zip": (zip_,),
    }


def _device(device_type: int, os: str, os_version: str) -> Named:
    return {"device_type": (str(device_type),), "os": (os,), "version": (os, os_version)}


def _connection(connection_type: int, carrier: str, language: str) -> Named:
    return {"connection_type": (str(connection_type),), "carrier": (carrier,), "language": (language,)}


def _moment(exchange: str, hour: int) -> Named:
    return {"exchange": (exchange,), "hour": (str(hour),)}


GROUPS: tuple[Callable[..., Named], ...] = (_inventory, _place, _device, _connection, _moment)
"""Facts that come together in traffic, and are looked up together: sixteen dimensions are five masks, of which a
request that is like others needs no further. Of each group: what its facts are, by name."""

_inventory_of = attrgetter("channel", "inventory_id", "domain", "bundle", "publisher_id")
_place_of = attrgetter("country", "region", "metro", "city", "zip")
_device_of = attrgetter("device_type", "os", "os_version")
_connection_of = attrgetter("connection_type", "carrier", "language")


class Facts(Struct, gc=False):
    """What targeting asks of a request, computed once. "" and 0 mean unknown. `groups`: in the order of `GROUPS`;
    `attributes`: those of `SLOT_ATTRIBUTES` that all slots of the request have."""

    groups: tuple[Group, ...]
    segments: frozenset[str]
    auction: Auction
    exchange: Exchange
    attributes: list[str]
    profile_known: bool

    def named(self) -> Named:
        """All values by the fact's name."""
        named: Named = {
            "categories": self.auction.categories,
            "segments": self.segments,
            "venues": self.auction.venue_types,
        }
        for facts_of_group, group in zip(GROUPS, self.groups, strict=True):
            named |= facts_of_group(*group)
        return named


def facts_of(auction: Auction, exchange: Exchange, profile: Profile | None, now_s: float) -> Facts:
    groups = (
        _inventory_of(auction),
        _place_of(auction),
        _device_of(auction),
        _connection_of(auction),
        (exchange.name, hour_of_week(now_s, auction.utc_offset_min)),
    )
    segments = auction.segments | profile.segments if profile else auction.segments
    return Facts(groups, segments, auction, exchange, _request_attributes(auction), profile is not None)


def hour_of_week(now_s: float, utc_offset_min: int | None) -> int:
    """Hour of the week in the user's time, 0 = Monday 00:00; -1 = the user's time is not known.

    The Unix epoch was a Thursday."""
    if utc_offset_min is None or abs(utc_offset_min) > 16 * 60:
        return -1
    return (int(now_s + utc_offset_min * 60) // 3600 + 3 * 24) % HOURS_A_WEEK


def wanted(name: str, values: Iterable[Any]) -> Iterable[Any]:
    """What a campaign may name to ask for one of these values of a fact."""
    widen = _WANTED.get(name)
    return values if widen is None else widen(values)


def unwanted(name: str, values: Iterable[Any]) -> Iterable[Any]:
    """What it may name to keep away from one of them."""
    return _sites_and_above(values) if name == "sites" else wanted(name, values)


def _with_wider(venues: Values) -> Values:
    """ "retail.gas_stations" is also "retail"."""
    return [name for venue in venues for name in (venue, *_wider(venue))]


def _wider(venue: str) -> Iterator[str]:
    while (dot := venue.rfind(".")) > 0:
        venue = venue[:dot]
        yield venue


def _with_parents(categories: Values) -> Values:
    """ "IAB1-2" is also "IAB1"."""
    return {name for category in categories for name in (category, category.split("-")[0])}


def _app_ids(bundles: Values) -> Values:
    return map(app_id, bundles)


def _sites(names: Values) -> Values:
    """A site's domain in its one spelling, and its id."""
    domain, *ids = names or ("",)
    return [bare_domain(domain), *ids]


def _sites_and_above(names: Values) -> Values:
    """To keep away from a domain is to keep away from all below it."""
    return [
        name for place, each in enumerate(names) for name in (and_above(bare_domain(each)) if place == 0 else (each,))
    ]


_WANTED: Mapping[str, Callable[[Values], Values]] = {
    "bundle": _app_ids,
    "sites": _sites,
    "categories": _with_parents,
    "venues": _with_wider,
}


Attributes = tuple[tuple[str, ...], frozenset[str]]
"""Of `SLOT_ATTRIBUTES`: those that a slot has, and those that it has if a bid asks for them."""


class SlotFacts(Struct, gc=False):
    """What targeting asks of a slot. `specs`: a bitmap of those that it takes."""

    slot: Slot
    specs: int
    attributes: Attributes


def slot_facts(slot: Slot, facts: Facts, specs: Specs) -> SlotFacts:
    exchange = facts.exchange
    taken = specs.taken(slot, facts.auction.allowed_languages, exchange.strict_banner_size)
    media = slot.video or slot.audio
    to_ask_for = NOTHING
    if media is not None and media.pod is not None and slot.is_pod and exchange.hears_places:
        to_ask_for = _places_to_ask_for(media.pod)
    return SlotFacts(slot, taken, (slot_attributes(slot, facts), to_ask_for))


def slot_attributes(slot: Slot, facts: Facts) -> tuple[str, ...]:
    """Which of `SLOT_ATTRIBUTES` this slot has, always in one order."""
    present = list(facts.attributes)
    if slot.interstitial:
        present.append("interstitial")
    if slot.rewarded:
        present.append("rewarded")
    if slot.secure:
        present.append("secure")
    if slot.viewability >= VIEWABLE:
        present.append("viewable")
    if slot.deals:
        present.append("deal")
    media = slot.video or slot.audio
    if media is not None:
        _add_media_attributes(present, media)
    return tuple(present)


def _request_attributes(auction: Auction) -> list[str]:
    """Those that all its slots have."""
    present = []
    if auction.coppa:
        present.append("child_directed")
    if auction.all_impressions:
        present.append("all_impressions")
    if auction.profile_keys:
        present.append("known_user")
    return present


def _add_media_attributes(present: list[str], media: MediaOffer) -> None:
    if media.skippable:
        present.append("skippable")
    if media.placement == IN_STREAM:
        present.append("in_stream")
    delay_s = media.start_delay_s
    if delay_s is not None:
        if delay_s > 0 or delay_s == GENERIC_MID_ROLL:
            present.append("mid_roll")
        elif delay_s in (PRE_ROLL, GENERIC_POST_ROLL):
            present.append("pre_roll" if delay_s == PRE_ROLL else "post_roll")
    if (pod := media.pod) is not None:
        if pod.order in (FIRST, LAST):
            present.append("first_pod" if pod.order == FIRST else "last_pod")
        if pod.place in (FIRST, LAST) and not pod.is_dynamic:
            present.append("first_in_pod" if pod.place == FIRST else "last_in_pod")


def _places_to_ask_for(pod: Pod) -> frozenset[str]:
    """Of a dynamic pod: a bid may be for its first or last place alone (section 7.6)."""
    return frozenset([name for name, place in PLACES_IN_POD.items() if place in pod.open_places])
