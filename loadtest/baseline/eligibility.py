"""Which campaigns may bid on an impression: the index narrows, then each is asked, the most valuable first.

The rule: a campaign is looked at only if its country, format and size fit; the search of an impression ends when it
has as many candidates as are wanted. What is the same for all impressions of a request is asked once a campaign.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from math import asin, cos, radians, sin, sqrt
from typing import Any, NamedTuple

from loadtest.baseline.campaigns import Ad, Campaign, Catalog, Creative, File, Key, version
from loadtest.baseline.native import assets_of, fill
from loadtest.baseline.request import Banner, BidRequest, Deal, Imp, Media, Video

EARTH_KM = 6371.0


class Candidate(NamedTuple):
    imp: Imp
    campaign: Campaign
    creative: Creative
    deal: Deal | None


@dataclass(slots=True)
class Facts:
    """What targeting asks of a request."""

    one: dict[str, Any]
    several: dict[str, set[str]]
    os_version: tuple[int, ...]
    hour: int  # of the week, in the user's time; -1: not known
    knows_user: bool


def facts_of(request: BidRequest, exchange: str, now_s: float) -> Facts:
    """`now_s`: Unix seconds at arrival."""
    place, device, geo = request.place, request.device, request.device.geo
    app, site = request.app, request.site
    knows_user = request.knows_user
    segments = {segment.id for data in request.user.data for segment in data.segment} if knows_user else set()
    categories = {*place.cat, *place.sectioncat, *place.pagecat}
    one = {
        "exchange": exchange,
        "channel": "app" if app else "dooh" if request.dooh else "site",
        "region": f"{geo.country}/{geo.region}",
        "metro": geo.metro.lower(),
        "city": geo.city.lower(),
        "zip": geo.zip.lower(),
        "device": device.devicetype,
        "os": device.os.lower(),
        "connection": device.connectiontype,
        "carrier": device.carrier.lower(),
        "language": device.language.lower()[:2],
        "app": app.id if app else "",
        "bundle": app.bundle if app else "",
        "publisher": place.publisher.id,
    }
    several = {
        "sites": {site.domain.lower(), site.id} if site else set(),
        "categories": categories | {category.split("-")[0] for category in categories},
        "segments": segments,
        "venues": set(request.dooh.venuetype) if request.dooh else set(),
    }
    hour = -1 if geo.utcoffset is None else (int(now_s + geo.utcoffset * 60) // 3600 + 72) % 168
    return Facts(one, several, version(device.osv), hour, knows_user)


class Search:
    """The candidates of one request."""

    def __init__(self, catalog: Catalog, request: BidRequest, facts: Facts, now_s: float, per_imp: int) -> None:
        self._catalog, self._request, self._facts = catalog, request, facts
        self._now_s, self._per_imp = now_s, per_imp
        self._accepted: dict[str, bool] = {}  # by campaign

    def candidates(self, imp: Imp) -> list[Candidate]:
        """The most valuable of each format first; those on deals before those without."""
        found: dict[str, Candidate] = {}
        native = assets_of(imp.native.request) if imp.native else None
        attributes = self._attributes(imp)
        for (campaign, creative), deal in self._offered(imp):
            if campaign.id in found or not self._accepts(campaign) or not _fits_slot(campaign, imp, attributes):
                continue
            if creative.format == "native" and (native is None or fill(native, creative) is None):
                continue
            if _fits(creative, imp, self._request) and _reaches(campaign, imp, creative, deal):
                found[campaign.id] = Candidate(imp, campaign, creative, deal)
                if len(found) == self._per_imp:
                    break
        return list(found.values())

    def _offered(self, imp: Imp) -> Iterator[tuple[Ad, Deal | None]]:
        keys, country = _keys(imp, self._catalog.sizes), self._request.device.geo.country
        for deal in imp.pmp.deals if imp.pmp else ():
            for campaign, creative in chain.from_iterable(self._catalog.on_deal(deal.id, key) for key in keys):
                choice = campaign.countries
                at_home = country in choice.include if choice.include else country not in choice.exclude
                seated = not deal.wseat or campaign.seat in deal.wseat
                if at_home and seated and (not deal.wadomain or set(campaign.domains) <= set(deal.wadomain)):
                    yield (campaign, creative), deal
        if not (imp.pmp and imp.pmp.private_auction):
            for key in keys:
                for ad in self._catalog.open(country, key):
                    yield ad, None

    def _accepts(self, campaign: Campaign) -> bool:
        """Whether campaign and request take each other, whatever the impression."""
        answer = self._accepted.get(campaign.id)
        if answer is None:
            answer = _targets(campaign, self._facts, self._request, self._now_s) and _allowed(campaign, self._request)
            self._accepted[campaign.id] = answer
        return answer

    def _attributes(self, imp: Imp) -> set[str]:
        """Of the slot, in the catalog's words."""
        video = imp.video
        viewability = max((metric.value for metric in imp.metric if metric.type == "viewability"), default=0.0)
        names = {
            "interstitial": imp.instl == 1,
            "rewarded": imp.rwdd == 1,
            "secure": imp.secure == 1,
            "viewable": viewability >= 0.5,
            "deal": bool(imp.pmp and imp.pmp.deals),
            "child_directed": self._request.regs.coppa == 1,
            "known_user": self._facts.knows_user,
            "skippable": video is not None and video.skip == 1,
            "pre_roll": video is not None and video.startdelay == 0,
            "mid_roll": video is not None and (video.startdelay > 0 or video.startdelay == -1),
            "post_roll": video is not None and video.startdelay == -2,
            "in_stream": video is not None and 1 in (video.plcmt, video.placement),
        }
        return {name for name, holds in names.items() if holds}


def _keys(imp: Imp, sizes: Iterable[tuple[int, int]]) -> list[Key]:
    keys: list[Key] = []
    if banner := imp.banner:
        if banner.wmax or banner.hmax:
            within = [size for size in sizes if _in_range(banner, *size)]
        else:
            within = [(size.w, size.h) for size in banner.format] or [(banner.w, banner.h)]
        keys += [("banner", w, h) for w, h in within]
    keys += [(kind, 0, 0) for kind in ("video", "audio", "native") if getattr(imp, kind) is not None]
    return keys


def _in_range(banner: Banner, w: int, h: int) -> bool:
    return banner.wmin <= w <= (banner.wmax or w) and banner.hmin <= h <= (banner.hmax or h)


def _targets(campaign: Campaign, facts: Facts, request: BidRequest, now_s: float) -> bool:
    if not campaign.starts_s <= now_s < campaign.ends_s:
        return False
    for name, choice in campaign.one.items():
        value = facts.one[name]
        if (choice.include and value not in choice.include) or value in choice.exclude:
            return False
    for name, choice in campaign.several.items():
        values = facts.several[name]
        if (choice.include and choice.include.isdisjoint(values)) or not choice.exclude.isdisjoint(values):
            return False
    if campaign.hours and facts.hour not in campaign.hours:
        return False
    least = campaign.os_least.get(facts.one["os"])
    if campaign.os_least and (least is None or facts.os_version < least):
        return False
    return not campaign.circles or _near(campaign, request)


def _near(campaign: Campaign, request: BidRequest) -> bool:
    lat, lon = request.device.geo.lat, request.device.geo.lon
    return lat is not None and lon is not None and any(_km(lat, lon, *at) <= km for *at, km in campaign.circles)


def _km(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """By the haversine formula."""
    a, b = radians(lat), radians(other_lat)
    half = sin((b - a) / 2) ** 2 + cos(a) * cos(b) * sin(radians(other_lon - lon) / 2) ** 2
    return 2 * EARTH_KM * asin(sqrt(half))


def _allowed(campaign: Campaign, request: BidRequest) -> bool:
    """By the request's own lists (§3.2.1)."""
    if request.wseat and campaign.seat not in request.wseat:
        return False
    if campaign.seat in request.bseat or (campaign.bundle and campaign.bundle in request.bapp):
        return False
    if request.regs.coppa and not campaign.for_children:
        return False
    if request.bcat or request.acat:
        labels = campaign.labels.get(request.cattax)
        if not labels:  # nobody can tell
            return False
        for category in labels:
            parts = (category, category.split("-")[0])
            if any(part in request.bcat for part in parts):
                return False
            if request.acat and not any(part in request.acat for part in parts):
                return False
    return not any(
        domain == blocked or domain.endswith("." + blocked) for blocked in request.badv for domain in campaign.domains
    )


def _fits_slot(campaign: Campaign, imp: Imp, attributes: set[str]) -> bool:
    if not campaign.required <= attributes or not campaign.blocked.isdisjoint(attributes):
        return False
    positions = {offer.pos for offer in (imp.banner, imp.video) if offer is not None}
    return not campaign.positions or not campaign.positions.isdisjoint(positions)


def _fits(creative: Creative, imp: Imp, request: BidRequest) -> bool:
    if (imp.secure and not creative.secure) or (request.wlang and creative.language not in request.wlang):
        return False
    offer = getattr(imp, creative.format)
    if not creative.apis <= set(offer.api) or not creative.attributes.isdisjoint(offer.battr):
        return False
    if isinstance(offer, Banner):
        return creative.type not in offer.btype and (not offer.mimes or creative.mime in offer.mimes)
    if isinstance(offer, Media):
        return _plays(creative, offer)
    return True


def _plays(creative: Creative, offer: Media) -> bool:
    duration_s = creative.duration_s
    if offer.rqddurs:
        if duration_s not in offer.rqddurs:
            return False
    elif not offer.minduration <= duration_s <= (offer.maxduration or duration_s):
        return False
    if isinstance(offer, Video):
        if offer.linearity and creative.linearity != offer.linearity:
            return False
        if creative.skippable and not _skips(creative, offer):
            return False
    return protocol_of(creative, offer) is not None and bool(playable(creative, offer))


def _skips(creative: Creative, offer: Video) -> bool:
    """Whether the player skips as the creative wants it."""
    return offer.skip != 0 and creative.duration_s > offer.skipmin and creative.skip_after_s >= offer.skipafter


def protocol_of(creative: Creative, offer: Media) -> int | None:
    """The first protocol of the creative's that the player knows; its first where the player does not say."""
    return next((p for p in creative.protocols if not offer.protocols or p in offer.protocols), None)


def playable(creative: Creative, offer: Media) -> list[File]:
    """The creative's files that the player takes."""
    return [
        file
        for file in creative.files
        if file.mime in offer.mimes
        and (not offer.delivery or file.delivery in offer.delivery)
        and offer.minbitrate <= file.kbps <= (offer.maxbitrate or file.kbps)
    ]


def floor_of(imp: Imp, creative: Creative, deal: Deal | None) -> tuple[float, str]:
    """The floor that counts and its currency: the deal's, the medium's, the impression's (§7.11)."""
    priced: Any = deal or getattr(imp, creative.format)
    floor, currency = (deal.bidfloor, deal.bidfloorcur) if deal else (imp.bidfloor, imp.bidfloorcur)
    if isinstance(priced, Deal | Media) and creative.duration_s:
        for step in priced.durfloors:
            if step.mindur <= creative.duration_s <= (step.maxdur or creative.duration_s):
                return step.bidfloor, currency
        if priced.mincpmpersec:
            return priced.mincpmpersec * creative.duration_s, currency
    return floor, currency


def _reaches(campaign: Campaign, imp: Imp, creative: Creative, deal: Deal | None) -> bool:
    """Whether the campaign may pay as much at all; other currencies are left to the price."""
    floor, currency = floor_of(imp, creative, deal)
    return currency != campaign.currency or campaign.max_cpm >= floor
