"""Bytes of a bid request → `Auction`.

The rule kept here: read tolerantly, fail closed. A hint that cannot be read counts as absent; a restriction that cannot
be read ends in a no-bid; what is no request at all is `MalformedError`. 2.5's places are read where 2.6's are empty.
What privacy signals forbid is removed first, so that nothing here or later can read it.
Only this stage (with its neighbours `impression`, `privacy` and `reading`) sees the dicts of `openrtb_schemas`.
"""

from __future__ import annotations

import orjson
from pydantic_core import ValidationError, from_json

from bidder.domain import NOTHING, Auction, NoBid, NoBidReason
from bidder.stages.domains import bare_domain
from bidder.stages.impression import read_slots
from bidder.stages.languages import language_ranges
from bidder.stages.privacy import NO_VENDOR, Forbidden, Policy, Verdict, profile_keys, redact
from bidder.stages.reading import all_categories, blocked, browser_of, extension
from bidder.stages.supply import DEFAULT_POLICY, SupplyPolicy, refuses
from bidder.stages.wire import REQUEST
from openrtb_schemas import DOOH, App, BidRequest, Content, Data, Device, Geo, Site, unreadable_restrictions

MAX_SLOTS = 64
"""Impressions read of one request; the rest get no bid. Bounds the work a request can ask for."""

OPEN_OOH = (1, 5)
"""Of the taxonomies of venue types (`venuetypetax`), those that targeting knows: OpenOOH 1.0, the default, and 1.1."""

MAX_SEGMENTS = 256
"""Segments of `user.data` read of one request."""


class MalformedError(Exception):
    """The body is no bid request: not JSON, or a required field is missing or of another type. An HTTP 400."""


def decode(body: bytes, policy: Policy = NO_VENDOR, supply: SupplyPolicy = DEFAULT_POLICY) -> Auction | NoBid:
    """The auction in `body`, or why it can't be bid on. `policy` says for which vendor TC strings are read; without a
    vendor there is no consent under GDPR. `supply` says through whom is bought. Raises `MalformedError`.

    Source: OpenRTB 2.6 §3.2; 2.5's places as in 2.6 Appendix B.
    """
    try:
        request: BidRequest = REQUEST.validate_json(body)
    except ValidationError as error:
        return _refuse(body, error)
    if b"NaN" in body or b"Infinity" in body:
        _insist_on_json(body)
    return read_auction(request, policy, supply)


def read_auction(request: BidRequest, policy: Policy, supply: SupplyPolicy) -> Auction | NoBid:
    """The auction in a request that was read already. What privacy signals forbid is removed from `request` itself."""
    if (reason := refuses(request, supply)) is not None:
        return NoBid(reason, request["id"], "source.schain")
    if _requires_transparency(request):
        return NoBid(NoBidReason.NO_CAMPAIGN, request["id"], "regs.ext.dsa: no campaign says who is behind it")
    verdict = redact(request, policy)
    auction = Auction(id=request["id"], slots=[])
    _read_terms(auction, request)
    _read_inventory(auction, request)
    device = request.get("device") or {}
    _read_device(auction, device)
    _read_user(auction, request, device, verdict)
    auction.slots = read_slots(request["imp"], MAX_SLOTS)
    if request.get("allimps") == 1:
        auction.all_impressions = len(auction.slots) == len(request["imp"])  # as far as they can be bid on
    if auction.tmax_ms is not None and auction.tmax_ms <= 0:
        return NoBid(NoBidReason.INSUFFICIENT_TIME, auction.id, f"tmax: {auction.tmax_ms} leaves no time to bid")
    for slot in auction.slots:
        if slot.floor_micros < 0:
            return NoBid(NoBidReason.INVALID_REQUEST, auction.id, f"imp {slot.id}: bidfloor is negative")
    return auction


def _insist_on_json(body: bytes) -> None:
    """pydantic-core takes NaN and Infinity for numbers; JSON knows neither. As text they are welcome."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedError(f"body: {error}") from None


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
    if not (regs := request.get("regs")) or not (ext := regs.get("ext")):
        return False
    dsa = ext.get("dsa")
    required = dsa.get("dsarequired") if isinstance(dsa, dict) else dsa
    return required not in (None, 0, 1, "0", "1")


def _read_terms(auction: Auction, request: BidRequest) -> None:
    """Most requests have few of the lists, and what an auction has at first is what a list says that is not there."""
    auction.tmax_ms = request.get("tmax")
    auction.auction_type = request.get("at", 0)
    auction.test = request.get("test") == 1
    auction.category_taxonomy = request.get("cattax", 1)
    if currencies := request.get("cur"):
        auction.currencies = tuple(map(str.upper, currencies))
    if seats := request.get("wseat"):
        auction.allowed_seats = frozenset(seats)
    if seats := request.get("bseat"):
        auction.blocked_seats = frozenset(map(str.strip, blocked(seats)))
    if "wlang" in request or "wlangb" in request:
        auction.allowed_languages = language_ranges(request.get("wlang"), request.get("wlangb"))
    if categories := request.get("bcat"):
        auction.blocked_categories = blocked(categories)
    if categories := request.get("acat"):
        auction.allowed_categories = frozenset(categories)
    if domains := request.get("badv"):
        auction.blocked_domains = blocked([*map(str.lower, domains)])
    if bundles := request.get("bapp"):
        auction.blocked_bundles = blocked(bundles)


def _read_inventory(auction: Auction, request: BidRequest) -> None:
    """Site, app or DOOH; where a request carries several (it must not), app wins over site over DOOH."""
    place: Site | App | DOOH | None
    if (app := request.get("app")) is not None:
        place, auction.channel = app, "app"
        auction.bundle = app.get("bundle", "")
    elif (site := request.get("site")) is not None:
        place, auction.channel = site, "site"
    elif (dooh := request.get("dooh")) is not None:
        place, auction.channel = dooh, "dooh"
        if dooh.get("venuetypetax", OPEN_OOH[0]) in OPEN_OOH:
            auction.venue_types = frozenset([venue.lower() for venue in dooh.get("venuetype", ())])
    else:
        return
    auction.inventory_id = place.get("id", "")
    auction.domain = place.get("domain", "").lower()
    if not auction.domain and auction.channel == "site":
        auction.domain = bare_domain(request["site"].get("page", ""))
    if publisher := place.get("publisher"):
        auction.publisher_id = publisher.get("id", "")
    content: Content = place.get("content") or {}
    auction.categories = all_categories(place, content)
    if content:
        auction.content_language = (content.get("language") or content.get("langb") or "")[:2].lower()
        auction.content_genre = content.get("genre", "")


def _read_device(auction: Auction, device: Device) -> None:
    auction.device_type = device.get("devicetype", 0)
    auction.os = device.get("os", "").lower()
    auction.os_version = device.get("osv", "")
    auction.make = device.get("make", "").lower()
    auction.model = device.get("model", "")
    auction.browser = browser_of(device)
    auction.connection_type = device.get("connectiontype", 0)
    auction.carrier = device.get("carrier", "").lower()
    auction.language = (device.get("language") or device.get("langb") or "")[:2].lower()
    auction.screen_width = device.get("w", 0)
    auction.screen_height = device.get("h", 0)


def _read_user(auction: Auction, request: BidRequest, device: Device, verdict: Verdict) -> None:
    """Who and where: what the privacy signals left of it."""
    user = request.get("user") or {}
    auction.coppa = bool((request.get("regs") or {}).get("coppa"))
    geo: Geo = device.get("geo") or user.get("geo") or {}
    auction.country = geo.get("country", "").upper()
    auction.region = geo.get("region", "")
    auction.metro = geo.get("metro", "")
    auction.city = geo.get("city", "").lower()
    auction.zip = geo.get("zip", "")
    auction.latitude, auction.longitude = geo.get("lat"), geo.get("lon")
    auction.utc_offset_min = geo.get("utcoffset")
    auction.segments = _segments(user.get("data") or ())
    if verdict.allows(Forbidden.IDENTIFIERS | Forbidden.TRAITS):
        auction.profile_keys = profile_keys(user, device, extension(user, "eids"))
    else:
        auction.redacted = True
    if verdict.forbidden:
        auction.privacy_signals = verdict.signals
        auction.may_measure = verdict.allows(Forbidden.MEASUREMENT)
        auction.may_learn = verdict.allows(Forbidden.LEARNING)


def _segments(data: list[Data] | tuple[()]) -> frozenset[str]:
    found: list[str] = []
    for provider in data:
        found += [segment["id"] for segment in provider.get("segment", ()) if "id" in segment]
        if len(found) > MAX_SEGMENTS:
            break
    return frozenset(found[:MAX_SEGMENTS]) if found else NOTHING
