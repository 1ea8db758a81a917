"""The facts of a request and of its slots, as targeting holds them against campaigns.

The rule kept here: computed once, a request's once a request and a slot's once a slot, whatever the number of shards.
"" and 0 mean unknown. What a value is called by who asks for it, or avoids it, is said here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from bidder.domain import PLACES_IN_POD, SLOT_ATTRIBUTES, Auction, Exchange, MediaOffer, Pod, Profile, Slot
from bidder.stages.domains import and_above, app_id, bare_domain
from bidder.stages.specs import Specs

VIEWABLE = 0.5
PRE_ROLL, GENERIC_MID_ROLL, GENERIC_POST_ROLL, MID_ROLL = 0, -1, -2, 1  # startdelay; above 0: so many seconds in
IN_STREAM = 1  # plcmt, and 2.5's placement
FIRST, LAST = 1, -1  # of podseq and slotinpod
HOURS_A_WEEK = 168

Values = Iterable[Any]
Group = tuple[Any, ...]
Named = dict[str, Values]


def _inventory(
    channel: str, inventory_id: str, domain: str, bundle: str, publisher_id: str, venues: frozenset[str]
) -> Named:
    return {
        "channel": (channel,),
        "sites": (domain, inventory_id) if channel == "site" else (),
        "app": (inventory_id if channel == "app" else "",),
        "bundle": (bundle,),
        "publisher": (publisher_id,),
        "venues": venues,
    }


def _place(country: str, region: str, metro: str, city: str, zip_: str) -> Named:
    return {
        "country": (country,),
        "region": (f"{country}/{region}" if region else "",),
        "metro": (metro,),
        "city": (city,),
        "zip": (zip_,),
    }


def _moment(exchange: str, hour: int) -> Named:
    """A group of its own: of thousands of places and the hours of a week hardly two come together again."""
    return {"exchange": (exchange,), "hour": (str(hour),)}


def _device(device_type: int, os: str, os_version: str, profile_known: bool) -> Named:
    return {
        "device_type": (str(device_type),),
        "os": (os,),
        "version": (os, os_version),
        "profile": (profile_known,),
    }


def _connection(connection_type: int, carrier: str, language: str) -> Named:
    return {"connection_type": (str(connection_type),), "carrier": (carrier,), "language": (language,)}


GROUPS: tuple[Callable[..., Named], ...] = (_inventory, _place, _moment, _device, _connection)
"""Facts that come together in traffic, and are looked up together: eighteen dimensions are five masks, of which a
request that is like others needs no further. Of each group: what its facts are, by name."""


class Facts(Struct, gc=False):
    """What targeting asks of a request, computed once. "" and 0 mean unknown. `groups`: in the order of `GROUPS`;
    `attributes`: those that all slots of the request have."""

    groups: tuple[Group, ...]
    segments: frozenset[str]
    auction: Auction
    exchange: Exchange
    attributes: int

    def named(self) -> Named:
        """All values by the fact's name."""
        named: Named = {
            "categories": self.auction.categories,
            "segments": self.segments,
        }
        for facts_of_group, group in zip(GROUPS, self.groups, strict=True):
            named |= facts_of_group(*group)
        return named


def facts_of(auction: Auction, exchange: Exchange, profile: Profile | None, now_s: float) -> Facts:
    venues = auction.venue_types
    groups = (
        (auction.channel, auction.inventory_id, auction.domain, auction.bundle, auction.publisher_id, venues),
        (auction.country, auction.region, auction.metro, auction.city, auction.zip),
        (exchange.name, hour_of_week(now_s, auction.utc_offset_min)),
        (auction.device_type, auction.os, auction.os_version, profile is not None),
        (auction.connection_type, auction.carrier, auction.language),
    )
    segments = auction.segments | profile.segments if profile else auction.segments
    return Facts(groups, segments, auction, exchange, _request_attributes(auction))


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


ATTRIBUTES: Mapping[str, int] = {name: 1 << number for number, name in enumerate(SLOT_ATTRIBUTES)}
"""A bit for each attribute of a slot."""

_INTERSTITIAL, _REWARDED, _SECURE = (ATTRIBUTES[name] for name in ("interstitial", "rewarded", "secure"))
_VIEWABLE, _DEAL, _SKIPPABLE = (ATTRIBUTES[name] for name in ("viewable", "deal", "skippable"))
_IN_STREAM, _KNOWN_USER = (ATTRIBUTES[name] for name in ("in_stream", "known_user"))
_CHILD_DIRECTED, _ALL_IMPRESSIONS = (ATTRIBUTES[name] for name in ("child_directed", "all_impressions"))
_BY_DELAY = {
    delay_s: ATTRIBUTES[name]
    for delay_s, name in (
        (PRE_ROLL, "pre_roll"),
        (MID_ROLL, "mid_roll"),
        (GENERIC_MID_ROLL, "mid_roll"),
        (GENERIC_POST_ROLL, "post_roll"),
    )
}
_BY_ORDER = {FIRST: ATTRIBUTES["first_pod"], LAST: ATTRIBUTES["last_pod"]}
_BY_PLACE = {place: ATTRIBUTES[name] for name, place in PLACES_IN_POD.items()}

Terms = tuple[int, int, int]
"""What campaigns ask of a slot: bits of `ATTRIBUTES` that it has, of those that it has if a bid asks for them, and a
bit for each position of its offers that is one of AdCOM's."""

POSITION_BITS = {position: 1 << position for position in range(16)}
"""More than AdCOM has; a position beyond is unknown."""


class SlotFacts(Struct, gc=False):
    """What targeting asks of a slot. `specs`: a bitmap of those that it takes."""

    slot: Slot
    specs: int
    terms: Terms


def slot_facts(slot: Slot, facts: Facts, specs: Specs) -> SlotFacts:
    exchange = facts.exchange
    taken = specs.taken(slot, facts.auction.allowed_languages, exchange.strict_banner_size)
    to_ask_for = positions = 0
    if (banner := slot.banner) is not None:
        positions = POSITION_BITS.get(banner.position, 0)
    if (video := slot.video) is not None:
        positions |= POSITION_BITS.get(video.position, 0)
    if (audio := slot.audio) is not None:
        positions |= POSITION_BITS.get(audio.position, 0)
    media = video or audio
    if media is not None and media.pod is not None and slot.is_pod and exchange.hears_places:
        to_ask_for = _places_to_ask_for(media.pod)
    return SlotFacts(slot, taken, (slot_attributes(slot, facts), to_ask_for, positions))


def slot_attributes(slot: Slot, facts: Facts) -> int:
    """Which of `ATTRIBUTES` this slot has."""
    present = facts.attributes
    if slot.interstitial:
        present |= _INTERSTITIAL
    if slot.rewarded:
        present |= _REWARDED
    if slot.secure:
        present |= _SECURE
    if slot.viewability >= VIEWABLE:
        present |= _VIEWABLE
    if slot.deals:
        present |= _DEAL
    media = slot.video or slot.audio
    return present if media is None else present | _media_attributes(media)


def _request_attributes(auction: Auction) -> int:
    """Those that all its slots have."""
    present = 0
    if auction.coppa:
        present |= _CHILD_DIRECTED
    if auction.all_impressions:
        present |= _ALL_IMPRESSIONS
    if auction.profile_keys:
        present |= _KNOWN_USER
    return present


def _media_attributes(media: MediaOffer) -> int:
    present = 0
    if media.skippable:
        present |= _SKIPPABLE
    if media.placement == IN_STREAM:
        present |= _IN_STREAM
    if (delay_s := media.start_delay_s) is not None:
        present |= _BY_DELAY.get(min(delay_s, MID_ROLL), 0)
    if (pod := media.pod) is not None:
        present |= _BY_ORDER.get(pod.order, 0)
        if not pod.is_dynamic:
            present |= _BY_PLACE.get(pod.place, 0)
    return present


def _places_to_ask_for(pod: Pod) -> int:
    """Of a dynamic pod: a bid may be for its first or last place alone (section 7.6)."""
    return sum([flag for place, flag in _BY_PLACE.items() if place in pod.open_places])
