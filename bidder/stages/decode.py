"""Bytes of a bid request → `Auction`.

The rule kept here: read tolerantly, fail closed. A hint that cannot be read counts as absent; a restriction that cannot
be read ends in a no-bid; what is no request at all is `MalformedError`. 2.5's places are read where 2.6's are empty.
What privacy signals forbid is removed first, so that nothing here or later can read it.
Only this stage (with its neighbours `impression`, `privacy`, `reading` and `supply`) sees the objects of `request`.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from pydantic_core import ValidationError, from_json

from bidder.domain import NOTHING, Auction, NoBid, NoBidReason
from bidder.stages.domains import bare_domain
from bidder.stages.impression import read_slots
from bidder.stages.languages import language_ranges
from bidder.stages.parts import Parts
from bidder.stages.privacy import NO_VENDOR, Policy, Verdict, profile_keys, redact
from bidder.stages.reading import all_categories, browser_of, entries
from bidder.stages.request import ABSENT, DOOH, App, BidRequest, Data, Device, Geo, Site
from bidder.stages.supply import DEFAULT_POLICY, SupplyPolicy, refuses
from bidder.stages.wire import NotJsonError, read
from openrtb_schemas import unreadable_restrictions

MAX_SLOTS = 64
"""Impressions read of one request; the rest get no bid. Bounds the work a request can ask for."""

OPEN_OOH = (None, 1, 5)
"""Of the taxonomies of venue types (`venuetypetax`), those that targeting knows: OpenOOH 1.0, the default, and 1.1."""

NOWHERE = Geo()
"""Of a place that says nothing; the next one counts."""

MAX_SEGMENTS = 256
"""Segments of `user.data` read of one request."""

_segment_id = attrgetter("id")
_UNNAMED = frozenset([None])


class MalformedError(Exception):
    """The body is no bid request: not JSON, or a required field is missing or of another type. An HTTP 400."""


def decode(body: bytes, policy: Policy = NO_VENDOR, supply: SupplyPolicy = DEFAULT_POLICY) -> Auction | NoBid:
    """The auction in `body`, or why it can't be bid on. `policy` says for which vendor TC strings are read; without a
    vendor there is no consent under GDPR. `supply` says through whom is bought. Raises `MalformedError`.

    Source: OpenRTB 2.6 §3.2; 2.5's places as in 2.6 Appendix B.
    """
    try:
        request, auction = read(body, begin)
    except ValidationError as error:
        return _refuse(body, error)
    except NotJsonError as error:
        raise MalformedError(f"body: {error}") from None
    return read_auction(auction, request, policy, supply)


def begin(request: BidRequest) -> Auction:
    """The auction as far as its impressions and block lists go, nothing of which privacy signals could forbid."""
    auction = Auction(request.id, read_slots(request.imp, MAX_SLOTS), request.tmax, request.at or 0)
    if (unwanted := request.bcat) is not ABSENT:
        auction.blocked_categories = CATEGORIES[b"" + unwanted] or NOTHING
    if (domains := request.badv) is not ABSENT:
        auction.blocked_domains = DOMAINS[b"" + domains] or NOTHING
    return auction


def read_auction(auction: Auction, request: BidRequest, policy: Policy, supply: SupplyPolicy) -> Auction | NoBid:
    """The rest of it, or why it can't be bid on. What privacy signals forbid is removed from `request` itself."""
    if (reason := refuses(request, supply)) is not None:
        return NoBid(reason, request.id, "source.schain")
    if _requires_transparency(request):
        return NoBid(NoBidReason.NO_CAMPAIGN, request.id, "regs.ext.dsa: no campaign says who is behind it")
    verdict = redact(request, policy)
    _read_terms(auction, request)
    _read_inventory(auction, request)
    if (device := request.device) is not None:
        _read_device(auction, device)
    _read_user(auction, request, verdict)
    if (tmax_ms := request.tmax) is not None and tmax_ms <= 0:
        return NoBid(NoBidReason.INSUFFICIENT_TIME, request.id, f"tmax: {tmax_ms} leaves no time to bid")
    for slot in auction.slots:
        if slot.floor_micros < 0:
            return NoBid(NoBidReason.INVALID_REQUEST, request.id, f"imp {slot.id}: bidfloor is negative")
    return auction


def _refuse(body: bytes, error: ValidationError) -> NoBid:
    """A no-bid if restrictions are all that can't be read; otherwise raises `MalformedError`."""
    unreadable = unreadable_restrictions(error)
    if len(unreadable) < error.error_count():
        details = error.errors(include_url=False, include_context=False, include_input=False)
        first = next(detail for detail in details if detail["type"] != "restriction")
        place = ".".join(str(step) for step in first["loc"]) or "body"
        raise MalformedError(f"{place}: {first['msg']}") from None
    return NoBid(NoBidReason.INVALID_REQUEST, str(from_json(body)["id"]), f"unreadable: {', '.join(unreadable[:5])}")


def _requires_transparency(request: BidRequest) -> bool:
    """Whether every bid must say who is behind the ad (Digital Services Act, IAB's extension `regs.ext.dsa`): anything
    but 0, not asked for, and 1, not needed. Campaigns do not say it."""
    if (regs := request.regs) is None or (ext := regs.ext) is None:
        return False
    required = ext.dsa.get("dsarequired") if isinstance(ext.dsa, dict) else ext.dsa
    return required not in (None, 0, 1, "0", "1")


def _read_terms(auction: Auction, request: BidRequest) -> None:
    """Most requests have few of the lists, and what an auction has at first is what a list says that is not there."""
    if request.test == 1:
        auction.test = True
    if request.allimps == 1:
        auction.all_impressions = len(auction.slots) == len(request.imp)  # as far as they can be bid on
    if (taxonomy := request.cattax) is not None:
        auction.category_taxonomy = taxonomy
    if currencies := request.cur:
        auction.currencies = tuple(map(str.upper, currencies))
    if seats := request.wseat:
        auction.allowed_seats = seats
    if barred := request.bseat:
        auction.blocked_seats = frozenset(map(str.strip, entries(barred)))
    if request.wlang is not None or request.wlangb is not None:
        auction.allowed_languages = language_ranges(request.wlang, request.wlangb)
    if categories := request.acat:
        auction.allowed_categories = categories
    if bundles := request.bapp:
        auction.blocked_bundles = frozenset(entries(bundles))


def _read_inventory(auction: Auction, request: BidRequest) -> None:
    """Site, app or DOOH; where a request carries several (it must not), app wins over site over DOOH."""
    place: Site | App | DOOH
    if (app := request.app) is not None:
        place, auction.channel = app, "app"
        auction.bundle = app.bundle or ""
        auction.categories = all_categories(app)
    elif (site := request.site) is not None:
        place, auction.channel = site, "site"
        auction.categories = all_categories(site)
        if not site.domain and site.page:
            auction.domain = bare_domain(site.page)
    elif (dooh := request.dooh) is not None:
        place, auction.channel = dooh, "dooh"
        if dooh.venuetype and dooh.venuetypetax in OPEN_OOH:
            auction.venue_types = frozenset([venue.lower() for venue in dooh.venuetype])
    else:
        return
    auction.inventory_id = place.id or ""
    if domain := place.domain:
        auction.domain = domain.lower()
    if (publisher := place.publisher) is not None:
        auction.publisher_id = publisher.id or ""
    if (content := place.content) is not None:
        auction.content_language = (content.language or content.langb or "")[:2].lower()
        auction.content_genre = content.genre or ""
        if content.cat:
            auction.categories |= content.cat


def _read_device(auction: Auction, device: Device) -> None:
    auction.device_type = device.devicetype or 0
    auction.os = (device.os or "").lower()
    auction.os_version = device.osv or ""
    auction.make = (device.make or "").lower()
    auction.model = device.model or ""
    auction.browser = browser_of(device)
    auction.connection_type = device.connectiontype or 0
    auction.carrier = (device.carrier or "").lower()
    auction.language = (device.language or device.langb or "")[:2].lower()
    auction.screen_width = device.w or 0
    auction.screen_height = device.h or 0


def _read_user(auction: Auction, request: BidRequest, verdict: Verdict) -> None:
    """Who and where: what the privacy signals left of it."""
    user, device = request.user, request.device
    if (regs := request.regs) is not None and regs.coppa:
        auction.coppa = True
    geo = device.geo if device is not None else None
    if user is not None:
        if geo is None or geo == NOWHERE:
            geo = user.geo
        if data := user.data:
            auction.segments = _segments(data)
    if geo is not None:
        auction.country = (geo.country or "").upper()
        auction.region = geo.region or ""
        auction.metro = geo.metro or ""
        auction.city = (geo.city or "").lower()
        auction.zip = geo.zip or ""
        auction.latitude, auction.longitude = geo.lat, geo.lon
        auction.utc_offset_min = geo.utcoffset
    if verdict.may_profile:
        auction.profile_keys = profile_keys(user, device)
    else:
        auction.redacted = True
    if verdict.forbidden:
        auction.privacy_signals = verdict.signals
        auction.may_measure = verdict.may_measure
        auction.may_learn = verdict.may_learn


def _segments(data: list[Data]) -> frozenset[str]:
    found: list[Any] = []
    for provider in data:
        if segments := provider.segment:
            found += map(_segment_id, segments)
    if len(found) > MAX_SEGMENTS:
        found = [each for each in found if each is not None][:MAX_SEGMENTS]
    said = frozenset(found)
    return said - _UNNAMED if None in said else said


def _categories(listed: list[str]) -> frozenset[str]:
    return frozenset(entries(listed))


def _domains(listed: list[str]) -> frozenset[str]:
    return frozenset(map(str.lower, entries(listed)))


CATEGORIES = Parts(list[str], _categories, 2048, 512)
DOMAINS = Parts(list[str], _domains, 1024, 1024)
"""Lists of what a publisher blocks."""
