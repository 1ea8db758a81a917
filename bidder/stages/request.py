"""What the bidder reads of a bid request, as slotted objects: the fields of `openrtb_schemas` cut down to those used.

The rule kept here: this is the list, and there is no other. A hint stands here if decoding looks it up; restrictions,
parts and required fields always do, since they can refuse a request. A test holds every class against the schema of its
name, field by field. Absent, null and, for hints, unreadable are None. Of an `ext` some fields are read, of any JSON
type, but for what 2.6 has brought to a place of its own whole: it has that type here too (see `unchecked`).

Sets in place of lists wherever neither order nor repeats matter: they are built while the bytes are read. What recurs
byte for byte is left as bytes, `Raw` of what it says beside it, for `parts`. This module is longer than others, since
it is one list, a line a field.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Raw, Struct

Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Codes = frozenset[Int]
Texts = frozenset[str]

ABSENT = Raw()
"""In place of bytes that are not there."""


class Object(Struct, gc=False):
    """The base. Without the garbage collector: a request is a tree, and goes when its auction has been read."""


# -- audience ----------------------------------------------------------------------------------------------------------


class Segment(Object):
    id: str | None = None


class Data(Object):
    segment: list[Segment] | None = None


class UID(Object):
    id: str | None = None


class EID(Object):
    source: str | None = None
    uids: list[UID] | None = None


class BrandVersion(Object):
    brand: str


class UserAgent(Object):
    browsers: list[BrandVersion] | None = None


class Geo(Object):
    lat: float | None = None
    lon: float | None = None
    country: str | None = None
    region: str | None = None
    metro: str | None = None
    city: str | None = None
    zip: str | None = None
    utcoffset: Int | None = None


class DeviceExt(Object):
    atts: Any = None


class Device(Object):
    geo: Geo | None = None
    dnt: Int | None = None
    lmt: Int | None = None
    ua: str | None = None
    sua: UserAgent | None = None
    devicetype: Int | None = None
    make: str | None = None
    model: str | None = None
    os: str | None = None
    osv: str | None = None
    h: Int | None = None
    w: Int | None = None
    language: str | None = None
    langb: str | None = None
    carrier: str | None = None
    connectiontype: Int | None = None
    ifa: str | None = None
    ext: DeviceExt | None = None


class UserExt(Object):
    consent: Any = None
    eids: list[EID] | None = None


class User(Object):
    buyeruid: str | None = None
    geo: Geo | None = None
    data: list[Data] | None = None
    consent: str | None = None
    eids: list[EID] | None = None
    ext: UserExt | None = None


# -- context -----------------------------------------------------------------------------------------------------------


class Publisher(Object):
    id: str | None = None
    domain: str | None = None


class Content(Object):
    genre: str | None = None
    cat: Texts | None = None
    language: str | None = None
    langb: str | None = None


class Site(Object):
    id: str | None = None
    domain: str | None = None
    cat: Texts | None = None
    sectioncat: Texts | None = None
    pagecat: Texts | None = None
    page: str | None = None
    publisher: Publisher | None = None
    content: Content | None = None


class App(Object):
    id: str | None = None
    bundle: str | None = None
    domain: str | None = None
    cat: Texts | None = None
    sectioncat: Texts | None = None
    pagecat: Texts | None = None
    publisher: Publisher | None = None
    content: Content | None = None


class DOOH(Object):
    id: str | None = None
    venuetype: Texts | None = None
    venuetypetax: Int | None = None
    publisher: Publisher | None = None
    domain: str | None = None
    content: Content | None = None


# -- impression --------------------------------------------------------------------------------------------------------


class Format(Object):
    w: Int | None = None
    h: Int | None = None
    wratio: Int | None = None
    hratio: Int | None = None
    wmin: Int | None = None


class Banner(Object):
    format: list[Format] | None = None
    w: Int | None = None
    h: Int | None = None
    btype: Codes | None = None
    battr: Codes | None = None
    pos: Int | None = None
    mimes: Texts | None = None
    topframe: Int | None = None
    expdir: Codes | None = None
    api: Codes | None = None
    vcm: Int | None = None
    wmax: Int | None = None
    hmax: Int | None = None
    wmin: Int | None = None
    hmin: Int | None = None


class DurFloors(Object):
    mindur: Int | None = None
    maxdur: Int | None = None
    bidfloor: float | None = None


class Media(Object):
    """What `Video` and `Audio` have in common."""

    mimes: Texts
    minduration: Int | None = None
    maxduration: Int | None = None
    startdelay: Int | None = None
    maxseq: Int | None = None
    poddur: Int | None = None
    protocols: Codes | None = None
    podid: str | None = None
    podseq: Int | None = None
    rqddurs: Codes | None = None
    slotinpod: Int | None = None
    mincpmpersec: float | None = None
    battr: Codes | None = None
    maxextended: Int | None = None
    minbitrate: Int | None = None
    maxbitrate: Int | None = None
    delivery: Codes | None = None
    companionad: list[Banner] | None = None
    api: Codes | None = None
    companiontype: Codes | None = None
    durfloors: list[DurFloors] | None = None


class Video(Media):
    w: Int | None = None
    h: Int | None = None
    placement: Int | None = None
    plcmt: Int | None = None
    linearity: Int | None = None
    skip: Int | None = None
    skipmin: Int | None = None
    skipafter: Int | None = None
    boxingallowed: Int | None = None
    pos: Int | None = None
    poddedupe: Codes | None = None
    protocol: Int | None = None


class Audio(Media):
    pass


class Native(Object):
    request: str | dict[str, Any]
    ver: str | None = None
    api: Codes | None = None
    battr: Codes | None = None


class Deal(Object):
    id: str
    bidfloor: float | None = None
    bidfloorcur: str | None = None
    at: Int | None = None
    wseat: Texts | None = None
    wadomain: list[str] | None = None
    guar: Int | None = None
    mincpmpersec: float | None = None
    durfloors: list[DurFloors] | None = None


class Pmp(Object):
    private_auction: Int | None = None
    deals: list[Deal] | None = None


class Metric(Object):
    type: str
    value: float


class Qty(Object):
    multiplier: float


class ImpExt(Object):
    prebid: Any = None


class Imp(Object):
    id: str
    metric: list[Metric] | None = None
    banner: Annotated[Raw, Banner] = ABSENT
    video: Annotated[Raw, Video] = ABSENT
    audio: Annotated[Raw, Audio] = ABSENT
    native: Annotated[Raw, Native] = ABSENT
    pmp: Pmp | None = None
    instl: Int | None = None
    tagid: str | None = None
    bidfloor: float | None = None
    bidfloorcur: str | None = None
    secure: Int | None = None
    rwdd: Int | None = None
    exp: Int | None = None
    qty: Qty | None = None
    ext: ImpExt | None = None


# -- request -----------------------------------------------------------------------------------------------------------


class SupplyChainNode(Object):
    asi: str
    sid: str


class SupplyChain(Object):
    complete: Int
    nodes: list[SupplyChainNode]
    ver: str


class SourceExt(Object):
    schain: SupplyChain | None = None


class Source(Object):
    schain: SupplyChain | None = None
    ext: SourceExt | None = None


class RegsExt(Object):
    gdpr: Any = None
    us_privacy: Any = None
    gpp: Any = None
    gpp_sid: Any = None
    gpc: Any = None
    dsa: Any = None


class Regs(Object):
    coppa: Int | None = None
    gdpr: Int | None = None
    us_privacy: str | None = None
    gpp: str | None = None
    gpp_sid: list[Int] | None = None
    ext: RegsExt | None = None


class BidRequestExt(Object):
    schain: SupplyChain | None = None


class BidRequest(Object):
    id: str
    imp: Annotated[list[Imp], Meta(min_length=1)]
    site: Site | None = None
    app: App | None = None
    dooh: DOOH | None = None
    device: Device | None = None
    user: User | None = None
    test: Int | None = None
    at: Int | None = None
    tmax: Int | None = None
    wseat: Texts | None = None
    bseat: list[str] | None = None
    allimps: Int | None = None
    cur: list[str] | None = None
    wlang: Texts | None = None
    wlangb: Texts | None = None
    acat: Texts | None = None
    bcat: Annotated[Raw, list[str]] = ABSENT
    cattax: Int | None = None
    badv: Annotated[Raw, list[str]] = ABSENT
    bapp: list[str] | None = None
    source: Source | None = None
    regs: Regs | None = None
    ext: BidRequestExt | None = None
