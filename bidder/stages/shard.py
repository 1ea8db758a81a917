"""A run of campaigns as bitmaps, and the facts of a request that are held against them.

The rule kept here: an unknown fact passes only campaigns that do not ask for it, and a restriction of the request lets
through only campaigns that are known to keep to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bidder.domain import (
    NOTHING,
    PLACES_IN_POD,
    Auction,
    Campaign,
    Creative,
    CreativeSpec,
    Exchange,
    Format,
    MediaOffer,
    Profile,
    Slot,
)
from bidder.stages.bitmaps import Circles, Include, Masks, Versions, mask_of
from bidder.stages.categories import Categories
from bidder.stages.domains import Advertisers, and_above, bare_domain
from bidder.stages.fit import fits
from bidder.stages.languages import ranges_over

VIEWABLE = 0.5
PRE_ROLL, GENERIC_MID_ROLL, GENERIC_POST_ROLL = 0, -1, -2  # startdelay; above 0: mid-roll, so many seconds in
IN_STREAM = 1  # plcmt, and 2.5's placement
FIRST, LAST = 1, -1  # of podseq and slotinpod
HOURS_A_WEEK = 168

# Dimensions in which a request has one value: the name of the fact, and the campaign's values.
_ONE: tuple[tuple[str, Callable[[Campaign], Iterable[Any]]], ...] = (
    ("exchange", lambda c: c.targeting.exchanges),
    ("channel", lambda c: c.targeting.channels),
    ("country", lambda c: c.targeting.countries),
    ("region", lambda c: c.targeting.regions),
    ("metro", lambda c: c.targeting.metros),
    ("city", lambda c: c.targeting.cities),
    ("zip", lambda c: c.targeting.zips),
    ("device_type", lambda c: c.targeting.device_types),
    ("os", lambda c: c.targeting.operating_systems),
    ("connection_type", lambda c: c.targeting.connection_types),
    ("carrier", lambda c: c.targeting.carriers),
    ("language", lambda c: c.targeting.languages),
    ("app", lambda c: c.targeting.apps),
    ("bundle", lambda c: {app_id(bundle) for bundle in c.targeting.bundles}),
    ("publisher", lambda c: c.targeting.publishers),
    ("hour", lambda c: c.targeting.hours),
)
# Dimensions in which it has several: one of them must be named.
_SEVERAL: tuple[tuple[str, Callable[[Campaign], Iterable[str]]], ...] = (
    ("sites", lambda c: _places(c.targeting.sites)),
    ("categories", lambda c: c.targeting.categories),
    ("segments", lambda c: c.targeting.segments),
    ("venues", lambda c: c.targeting.venue_types),
)
# What a campaign avoids.
_AVOIDED: tuple[tuple[str, Callable[[Campaign], Iterable[str]]], ...] = (
    ("countries", lambda c: c.targeting.excluded_countries),
    ("sites", lambda c: _places(c.targeting.excluded_sites)),
    ("apps", lambda c: c.targeting.excluded_apps),
    ("bundles", lambda c: {app_id(bundle) for bundle in c.targeting.excluded_bundles}),
    ("publishers", lambda c: c.targeting.excluded_publishers),
    ("categories", lambda c: c.targeting.excluded_categories),
    ("segments", lambda c: c.targeting.excluded_segments),
)


@dataclass(slots=True)
class Facts:
    """What targeting asks of a request, computed once. "" and 0 mean unknown."""

    one: dict[str, Any]
    several: dict[str, Iterable[str]]
    avoided: dict[str, Iterable[str]]
    os_version: str
    latitude: float | None
    longitude: float | None
    auction: Auction
    exchange: Exchange
    user_known: bool


def facts_of(auction: Auction, exchange: Exchange, profile: Profile | None, now_s: float) -> Facts:
    app = auction.inventory_id if auction.channel == "app" else ""
    sites: tuple[str, ...] = ()
    avoided_sites: tuple[str, ...] = ()
    if auction.channel == "site":
        domain = bare_domain(auction.domain)
        sites = (domain, auction.inventory_id)
        avoided_sites = (*and_above(domain), auction.inventory_id)
    bundle = app_id(auction.bundle)
    one = {
        "exchange": exchange.name,
        "channel": auction.channel,
        "country": auction.country,
        "region": f"{auction.country}/{auction.region}" if auction.region else "",
        "metro": auction.metro,
        "city": auction.city,
        "zip": auction.zip,
        "device_type": auction.device_type,
        "os": auction.os,
        "connection_type": auction.connection_type,
        "carrier": auction.carrier,
        "language": auction.language,
        "app": app,
        "bundle": bundle,
        "publisher": auction.publisher_id,
        "hour": hour_of_week(now_s, auction.utc_offset_min),
    }
    several: dict[str, Iterable[str]] = {
        "sites": sites,
        "categories": _with_parents(auction.categories),
        "segments": auction.segments | profile.segments if profile else auction.segments,
        "venues": _with_wider(auction.venue_types),
    }
    avoided: dict[str, Iterable[str]] = {
        "countries": (auction.country,),
        "sites": avoided_sites,
        "apps": (app,),
        "bundles": (bundle,),
        "publishers": (auction.publisher_id,),
        "categories": several["categories"],
        "segments": several["segments"],
    }
    return Facts(
        one,
        several,
        avoided,
        auction.os_version,
        auction.latitude,
        auction.longitude,
        auction,
        exchange,
        bool(auction.profile_keys),
    )


def hour_of_week(now_s: float, utc_offset_min: int | None) -> int:
    """Hour of the week in the user's time, 0 = Monday 00:00; -1 = the user's time is not known.

    The Unix epoch was a Thursday."""
    if utc_offset_min is None or abs(utc_offset_min) > 16 * 60:
        return -1
    return (int(now_s + utc_offset_min * 60) // 3600 + 3 * 24) % HOURS_A_WEEK


def _places(names: Iterable[str]) -> set[str]:
    """Ids of sites as they are, domains in their one spelling too."""
    return {name for each in names for name in (each, bare_domain(each)) if name}


def _with_wider(venues: frozenset[str]) -> Iterable[str]:
    """ "retail.gas_stations" is also "retail"."""
    return [name for venue in venues for name in (venue, *_wider(venue))] if venues else ()


def _wider(venue: str) -> Iterator[str]:
    while (dot := venue.rfind(".")) > 0:
        venue = venue[:dot]
        yield venue


def _with_parents(categories: frozenset[str]) -> frozenset[str]:
    """ "IAB1-2" is also "IAB1"."""
    if not categories:
        return NOTHING
    return categories.union([category.split("-")[0] for category in categories if "-" in category])


class Shard:
    """The bitmaps of a run of campaigns."""

    def __init__(self, campaigns: Sequence[Campaign]) -> None:
        self.campaigns = tuple(campaigns)
        self.everyone = (1 << len(campaigns)) - 1
        # Dimensions that no campaign uses are left out: they would let everyone through.
        one = [(name, Include(campaigns, values_of)) for name, values_of in _ONE]
        several = [(name, Include(campaigns, values_of)) for name, values_of in _SEVERAL]
        avoided = [(name, Masks(campaigns, values_of)) for name, values_of in _AVOIDED]
        self.one = [(name, table.by_value, table.anywhere) for name, table in one if table.by_value]
        self.several = [(name, table) for name, table in several if table.by_value]
        self.avoided = [(name, table) for name, table in avoided if table.by_value]
        self.versions = Versions(campaigns)
        self.circles = Circles(campaigns)
        self.deals = Masks(campaigns, lambda campaign: campaign.targeting.deals)
        self.without_deal = mask_of(bit for bit, c in enumerate(campaigns) if not c.targeting.deals)
        self.requiring = Masks(campaigns, lambda campaign: campaign.targeting.required_attributes).by_value
        self.refusing = Masks(campaigns, lambda campaign: campaign.targeting.blocked_attributes).by_value
        self.positions = Include(campaigns, lambda campaign: campaign.targeting.positions)
        self.advertisers = Advertisers(campaigns)
        self.by_bundle = Masks(campaigns, lambda campaign: [app_id(campaign.bundle)] if campaign.bundle else [])
        self.ad_categories = Categories(campaigns)
        self.roadblocks = mask_of(bit for bit, campaign in enumerate(campaigns) if campaign.roadblock)
        self.by_seat = Masks(campaigns, lambda campaign: [campaign.seat]).by_value
        self._compile_creatives()

    def _compile_creatives(self) -> None:
        """Numbers the distinct specs; creatives of a campaign become (spec number, creative)."""
        numbers: dict[CreativeSpec, int] = {}
        users: list[list[int]] = []
        compiled: list[tuple[tuple[int, Creative], ...]] = []
        for bit, campaign in enumerate(self.campaigns):
            entries = []
            for creative in campaign.creatives:
                number = numbers.setdefault(creative.spec, len(numbers))
                if number == len(users):
                    users.append([])
                users[number].append(bit)
                entries.append((number, creative))
            compiled.append(tuple(entries))
        self.creatives = tuple(compiled)
        self.spec_masks = [mask_of(bits) for bits in users]
        self.specs_by_size: dict[tuple[int, int], list[tuple[int, CreativeSpec]]] = {}
        self.specs_by_format: dict[Format, list[tuple[int, CreativeSpec]]] = {kind: [] for kind in Format}
        for spec, number in numbers.items():
            self.specs_by_format[spec.format].append((number, spec))
            if spec.format is Format.BANNER:
                self.specs_by_size.setdefault((spec.width, spec.height), []).append((number, spec))

    def eligible(self, facts: Facts) -> int:
        """The campaigns that take this request, and that this request takes, whatever the slot."""
        mask = self.everyone
        one = facts.one
        for name, by_value, anywhere in self.one:
            mask &= by_value.get(one[name], anywhere)
        for name, table in self.several:
            mask &= table.any_of(facts.several[name])
        for name, avoided in self.avoided:
            mask &= ~avoided.any_of(facts.avoided[name])
        mask &= self.versions.of(one["os"], facts.os_version)
        mask &= self.circles.of(facts.latitude, facts.longitude)
        return mask and self._allowed(mask, facts)

    def _allowed(self, mask: int, facts: Facts) -> int:
        """Without those that the request refuses: by category, domain, app, seat (§3.2.1); for children, COPPA."""
        auction = facts.auction
        if self.roadblocks and not auction.all_impressions:
            mask &= ~self.roadblocks
        if auction.coppa:
            mask &= self.ad_categories.suitable_for_children
        if auction.blocked_categories:
            mask &= self.ad_categories.not_blocked(auction.category_taxonomy, auction.blocked_categories)
        if auction.allowed_categories:
            mask &= self.ad_categories.allowed(auction.category_taxonomy, auction.allowed_categories)
        if auction.blocked_domains:
            mask &= ~self.advertisers.blocked(auction.blocked_domains)
        if auction.blocked_bundles:
            mask &= ~self.by_bundle.any_of(map(app_id, auction.blocked_bundles))
        if auction.allowed_seats or auction.blocked_seats:
            mask &= self._seated(facts)
        return mask

    def _seated(self, facts: Facts) -> int:
        allowed, blocked = facts.auction.allowed_seats, facts.auction.blocked_seats
        mask = 0
        for seat, campaigns in self.by_seat.items():
            name = facts.exchange.seats.get(seat, seat)
            if name not in blocked and (not allowed or name in allowed):
                mask |= campaigns
        return mask

    def offered(self, slot: Slot, facts: Facts) -> int:
        """The campaigns that take the slot's deals, position and attributes."""
        mask = 0 if slot.private else self.without_deal
        if slot.deals:
            mask |= self.deals.any_of([deal.id for deal in slot.deals])
        if self.positions.by_value:
            mask &= self.positions.any_of({offer.position for offer in (slot.banner, slot.video, slot.audio) if offer})
        if self.requiring or self.refusing:
            present = slot_attributes(slot, facts)
            for attribute, campaigns in self.refusing.items():
                if attribute in present:
                    mask &= ~campaigns
            if slot.is_pod and facts.exchange.hears_places:
                present |= _places_to_ask_for(slot)
            for attribute, campaigns in self.requiring.items():
                if attribute not in present:
                    mask &= ~campaigns
        return mask

    def fitting(self, slot: Slot, languages: frozenset[str], strict_sizes: bool = False) -> frozenset[int]:
        """The numbers of the creative specs that the slot takes. `languages`: ranges allowed for creatives, empty =
        any; `strict_sizes`: banners in a size that the slot names only, no range or ratio of sizes."""
        offered: list[tuple[int, CreativeSpec]] = []
        if (banner := slot.banner) is not None:
            if (banner.width_range is not None or banner.ratios) and not strict_sizes:
                offered += self.specs_by_format[Format.BANNER]
            else:
                for size in banner.sizes:
                    offered += self.specs_by_size.get(size, ())
        if slot.video is not None:
            offered += self.specs_by_format[Format.VIDEO]
        if slot.audio is not None:
            offered += self.specs_by_format[Format.AUDIO]
        if slot.native is not None:
            offered += self.specs_by_format[Format.NATIVE]
        if languages:
            offered = [entry for entry in offered if not languages.isdisjoint(ranges_over(entry[1].language))]
        return frozenset([number for number, spec in offered if fits(spec, slot)])

    def having(self, specs: Iterable[int]) -> int:
        """The campaigns that have a creative of one of these specs."""
        mask = 0
        for number in specs:
            mask |= self.spec_masks[number]
        return mask


def app_id(text: str) -> str:
    """An app's id as it is compared: in lower case, Apple's without the "id" of its store's URLs."""
    name = text.strip().lower()
    return name[2:] if name[:2] == "id" and name[2:].isdigit() else name


def slot_attributes(slot: Slot, facts: Facts) -> set[str]:
    """Which of `SLOT_ATTRIBUTES` this slot has."""
    present = {
        name
        for name, is_so in (
            ("interstitial", slot.interstitial),
            ("rewarded", slot.rewarded),
            ("secure", slot.secure),
            ("viewable", slot.viewability >= VIEWABLE),
            ("deal", slot.deals),
            ("child_directed", facts.auction.coppa),
            ("all_impressions", facts.auction.all_impressions),
            ("known_user", facts.user_known),
        )
        if is_so
    }
    media = slot.video or slot.audio
    return present if media is None else present.union(_media_attributes(media))


def _media_attributes(media: MediaOffer) -> Iterator[str]:
    if media.skippable:
        yield "skippable"
    if media.placement == IN_STREAM:
        yield "in_stream"
    delay_s = media.start_delay_s
    if delay_s is not None:
        if delay_s > 0 or delay_s == GENERIC_MID_ROLL:
            yield "mid_roll"
        elif delay_s in (PRE_ROLL, GENERIC_POST_ROLL):
            yield "pre_roll" if delay_s == PRE_ROLL else "post_roll"
    if (pod := media.pod) is not None:
        if pod.order in (FIRST, LAST):
            yield "first_pod" if pod.order == FIRST else "last_pod"
        if pod.place in (FIRST, LAST) and not pod.is_dynamic:
            yield "first_in_pod" if pod.place == FIRST else "last_in_pod"


def _places_to_ask_for(slot: Slot) -> set[str]:
    """Of a dynamic pod: a bid may be for its first or last place alone (section 7.6)."""
    media = slot.video or slot.audio
    pod = None if media is None else media.pod
    return set() if pod is None else {name for name, place in PLACES_IN_POD.items() if place in pod.open_places}
