"""Bytes of a bid request → `Auction`.

The rule kept here: read tolerantly, fail closed. A hint that cannot be read counts as absent; a restriction that cannot
be read ends in a no-bid; what is no request at all is `MalformedError`. 2.5's places are read where 2.6's are empty.
What privacy signals forbid is removed first, so that nothing here or later can read it.
Only this stage (with its neighbours `impression`, `privacy`, `reading` and `supply`) sees the objects of `request`.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import ValidationError, from_json

from bidder.domain import NOTHING, Auction, NoBid, NoBidReason, Slot
from bidder.stages.domains import bare_domain
from bidder.stages.impression import read_slots
from bidder.stages.languages import language_ranges
from bidder.stages.parts import Parts
from bidder.stages.privacy import NO_VENDOR, Policy, Verdict, profile_keys, redact
from bidder.stages.reading import browser_of, entries
from bidder.stages.request import ABSENT, DOOH, BidRequest, Content, Data, Device, Geo
from bidder.stages.supply import DEFAULT_POLICY, SupplyPolicy, refuses
from bidder.stages.wire import NotJsonError, read
from openrtb_schemas import unreadable_restrictions

MAX_SLOTS = 64
"""Impressions read of one request; the rest get no bid. Bounds the work a request can ask for."""

OPEN_OOH = (None, 1, 5)
"""Of the taxonomies of venue types (`venuetypetax`), those that targeting knows: OpenOOH 1.0, the default, and 1.1."""

NOWHERE = Geo()
"""Of a place that says nothing; the next one counts."""

NO_DEVICE = Device()
"""In place of what is not there."""

Begun = tuple[list[Slot], frozenset[str], frozenset[str]]
"""Slots, blocked categories, blocked domains."""

MAX_SEGMENTS = 256
"""Segments of `user.data` read of one request."""

_UNNAMED = frozenset([None])


class MalformedError(Exception):
    """The body is no bid request: not JSON, or a required field is missing or of another type. An HTTP 400."""


def decode(body: bytes, policy: Policy = NO_VENDOR, supply: SupplyPolicy = DEFAULT_POLICY) -> Auction | NoBid:
    """The auction in `body`, or why it can't be bid on. `policy` says for which vendor TC strings are read; without a
    vendor there is no consent under GDPR. `supply` says through whom is bought. Raises `MalformedError`.

    Source: OpenRTB 2.6 §3.2; 2.5's places as in 2.6 Appendix B.
    """
    try:
        request, begun = read(body, begin)
    except ValidationError as error:
        return _refuse(body, error)
    except NotJsonError as error:
        raise MalformedError(f"body: {error}") from None
    return read_auction(request, begun, policy, supply)


def begin(request: BidRequest) -> Begun:
    """What is left as bytes at first, nothing of which privacy signals could forbid."""
    slots, unwanted, domains = read_slots(request.imp, MAX_SLOTS), NOTHING, NOTHING
    if (listed := request.bcat) is not ABSENT:
        unwanted = CATEGORIES.known.get(key := b"" + listed) or CATEGORIES.read(key) or NOTHING
    if (listed := request.badv) is not ABSENT:
        domains = DOMAINS.known.get(key := b"" + listed) or DOMAINS.read(key) or NOTHING
    return slots, unwanted, domains


def read_auction(request: BidRequest, begun: Begun, policy: Policy, supply: SupplyPolicy) -> Auction | NoBid:
    """The auction, or why it can't be bid on. What privacy signals forbid is removed from `request` itself."""
    if (reason := refuses(request, supply)) is not None:
        return NoBid(reason, request.id, "source.schain")
    if (regs := request.regs) is not None and (ext := regs.ext) is not None and _requires_transparency(ext.dsa):
        return NoBid(NoBidReason.NO_CAMPAIGN, request.id, "regs.ext.dsa: no campaign says who is behind it")
    if (tmax_ms := request.tmax) is not None and tmax_ms <= 0:
        return NoBid(NoBidReason.INSUFFICIENT_TIME, request.id, f"tmax: {tmax_ms} leaves no time to bid")
    for slot in begun[0]:
        if slot.floor_micros < 0:
            return NoBid(NoBidReason.INVALID_REQUEST, request.id, f"imp {slot.id}: bidfloor is negative")
    return _auction(request, begun, redact(request, policy))


def _refuse(body: bytes, error: ValidationError) -> NoBid:
    """A no-bid if restrictions are all that can't be read; otherwise raises `MalformedError`."""
    unreadable = unreadable_restrictions(error)
    if len(unreadable) < error.error_count():
        details = error.errors(include_url=False, include_context=False, include_input=False)
        first = next(detail for detail in details if detail["type"] != "restriction")
        place = ".".join(str(step) for step in first["loc"]) or "body"
        raise MalformedError(f"{place}: {first['msg']}") from None
    return NoBid(NoBidReason.INVALID_REQUEST, str(from_json(body)["id"]), f"unreadable: {', '.join(unreadable[:5])}")


def _requires_transparency(dsa: Any) -> bool:
    """Whether every bid must say who is behind the ad (Digital Services Act, IAB's extension `regs.ext.dsa`): anything
    but 0, not asked for, and 1, not needed. Campaigns do not say it."""
    required = dsa.get("dsarequired") if isinstance(dsa, dict) else dsa
    return required not in (None, 0, 1, "0", "1")


def _auction(request: BidRequest, begun: Begun, verdict: Verdict) -> Auction:
    """What is left of `request`. Longer than others, since it is one list: made whole, an auction costs a third of what
    it costs to fill in. In two tuples, as more than 30 arguments become a list, one by one: 1 % of decoding."""
    slots, blocked_categories, blocked_domains = begun
    # Where. Of several places (there must not be) app wins over site over DOOH. Each reads what all of them have: where
    # the kinds of objects change, looking up a field costs ten times as much.
    channel = bundle = language = genre = ""
    place_id = domain = publisher = content = None
    categories = venue_types = NOTHING
    if (app := request.app) is not None:
        channel, bundle, categories = "app", app.bundle or "", app.cat or NOTHING
        place_id, domain, publisher, content = app.id, app.domain, app.publisher, app.content
        if app.sectioncat or app.pagecat:
            categories = categories.union(app.sectioncat or (), app.pagecat or ())
    elif (site := request.site) is not None:
        channel, categories = "site", site.cat or NOTHING
        place_id, domain, publisher, content = site.id, site.domain, site.publisher, site.content
        if site.sectioncat or site.pagecat:
            categories = categories.union(site.sectioncat or (), site.pagecat or ())
        if not domain and site.page:
            domain = bare_domain(site.page)
    elif (dooh := request.dooh) is not None:
        channel, venue_types = "dooh", _venue_types(dooh)
        place_id, domain, publisher, content = dooh.id, dooh.domain, dooh.publisher, dooh.content
    if content is not None:
        language, genre = _language(content), content.genre or ""
        if content.cat:
            categories |= content.cat
    # On what, and where in the world.
    user, device, regs = request.user, request.device or NO_DEVICE, request.regs
    geo = device.geo
    if user is not None and (geo is None or (geo.country is None and geo == NOWHERE)):
        geo = user.geo
    if geo is None:
        geo = NOWHERE
    what_and_where = (
        request.id,
        slots,
        request.tmax,
        request.at or 0,
        tuple(map(str.upper, currencies)) if (currencies := request.cur) else (),
        request.test == 1,
        request.allimps == 1 and len(slots) == len(request.imp),  # as far as they can be bid on
        request.wseat or NOTHING,
        frozenset(map(str.strip, entries(seats))) if (seats := request.bseat) else NOTHING,
        NOTHING
        if (ranges := request.wlang) is None and request.wlangb is None
        else language_ranges(ranges, request.wlangb),
        1 if (taxonomy := request.cattax) is None else taxonomy,
        blocked_categories,
        request.acat or NOTHING,
        blocked_domains,
        frozenset(entries(bundles)) if (bundles := request.bapp) else NOTHING,
        # where
        channel,
        place_id or "",
        domain.lower() if domain else "",
        bundle,
        "" if publisher is None else publisher.id or "",
        venue_types,
        categories,
        language,
        genre,
    )
    to_whom = (
        # on what
        device.devicetype or 0,
        (device.os or "").lower(),
        device.osv or "",
        (device.make or "").lower(),
        device.model or "",
        browser_of(device),
        device.connectiontype or 0,
        (device.carrier or "").lower(),
        _language(device),
        device.w or 0,
        device.h or 0,
        # where in the world
        (geo.country or "").upper(),
        geo.region or "",
        geo.metro or "",
        (geo.city or "").lower(),
        geo.zip or "",
        geo.lat,
        geo.lon,
        geo.utcoffset,
        # who
        profile_keys(user, device) if verdict.may_profile else (),
        NOTHING if user is None or not (data := user.data) else _segments(data),
        regs is not None and bool(regs.coppa),
        not verdict.may_profile,
        verdict.signals,
        verdict.may_measure,
        verdict.may_learn,
    )
    return Auction(*(what_and_where + to_whom))


def _venue_types(dooh: DOOH) -> frozenset[str]:
    return frozenset(map(str.lower, dooh.venuetype)) if dooh.venuetype and dooh.venuetypetax in OPEN_OOH else NOTHING


def _language(said: Device | Content) -> str:
    """Two letters."""
    return (said.language or said.langb or "")[:2].lower()


def _segments(data: list[Data]) -> frozenset[str]:
    found: list[Any] = [segment.id for provider in data for segment in provider.segment or ()]
    if len(found) > MAX_SEGMENTS:
        found = [each for each in found if each is not None][:MAX_SEGMENTS]
    said = frozenset(found)
    return said - _UNNAMED if None in said else said


def _categories(listed: list[str]) -> frozenset[str]:
    return frozenset(entries(listed))


def _domains(listed: list[str]) -> frozenset[str]:
    return frozenset(map(str.lower, entries(listed)))


CATEGORIES = Parts(list[str], _categories, 256 << 10)
DOMAINS = Parts(list[str], _domains, 512 << 10)
"""Lists of what a publisher blocks."""
