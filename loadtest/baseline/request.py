"""The bid request as pydantic models, as FastAPI takes them: OpenRTB 2.6 (§3.2), with 2.5's places for consent.

The rule: every object and field that requests have in practice, with the types of the specification; what cannot be
read is the caller's error.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

Ext = dict[str, Any]


class Part(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    ext: Any = None


class Format(Part):
    w: int = 0
    h: int = 0
    wratio: int = 0
    hratio: int = 0
    wmin: int = 0


class Banner(Part):
    format: list[Format] = []
    w: int = 0
    h: int = 0
    wmin: int = 0
    wmax: int = 0
    hmin: int = 0
    hmax: int = 0
    btype: list[int] = []
    battr: list[int] = []
    pos: int = 0
    mimes: list[str] = []
    topframe: int = 0
    expdir: list[int] = []
    api: list[int] = []
    id: str = ""


class DurFloor(Part):
    mindur: int = 0
    maxdur: int = 0
    bidfloor: float = 0.0


class Media(Part):
    mimes: list[str]
    minduration: int = 0
    maxduration: int = 0
    rqddurs: list[int] = []
    startdelay: int = 0
    protocols: list[int] = []
    sequence: int = 0
    battr: list[int] = []
    maxextended: int = 0
    minbitrate: int = 0
    maxbitrate: int = 0
    delivery: list[int] = []
    api: list[int] = []
    poddur: int = 0
    podid: str = ""
    podseq: int = 0
    slotinpod: int = 0
    mincpmpersec: float = 0.0
    durfloors: list[DurFloor] = []
    maxseq: int = 0


class Video(Media):
    w: int = 0
    h: int = 0
    placement: int = 0
    plcmt: int = 0
    linearity: int = 0
    skip: int | None = None
    skipmin: int = 0
    skipafter: int = 0
    boxingallowed: int = 1
    playbackmethod: list[int] = []
    playbackend: int = 0
    pos: int = 0


class Audio(Media):
    feed: int = 0
    stitched: int = 0
    nvol: int = 0


class Native(Part):
    request: str
    ver: str = ""
    api: list[int] = []
    battr: list[int] = []


class Deal(Part):
    id: str
    bidfloor: float = 0.0
    bidfloorcur: str = "USD"
    at: int = 0
    wseat: list[str] = []
    wadomain: list[str] = []
    guar: int = 0
    mincpmpersec: float = 0.0
    durfloors: list[DurFloor] = []


class Pmp(Part):
    private_auction: int = 0
    deals: list[Deal] = []


class Metric(Part):
    type: str
    value: float
    vendor: str = ""


class Imp(Part):
    id: str
    metric: list[Metric] = []
    banner: Banner | None = None
    video: Video | None = None
    audio: Audio | None = None
    native: Native | None = None
    pmp: Pmp | None = None
    displaymanager: str = ""
    displaymanagerver: str = ""
    instl: int = 0
    tagid: str = ""
    bidfloor: float = 0.0
    bidfloorcur: str = "USD"
    clickbrowser: int = 0
    secure: int = 0
    iframebuster: list[str] = []
    rwdd: int = 0
    ssai: int = 0
    exp: int = 0


class Publisher(Part):
    id: str = ""
    name: str = ""
    cat: list[str] = []
    domain: str = ""


class Content(Part):
    id: str = ""
    title: str = ""
    series: str = ""
    season: str = ""
    episode: int = 0
    genre: str = ""
    cat: list[str] = []
    context: int = 0
    contentrating: str = ""
    keywords: str = ""
    livestream: int = 0
    len: int = 0
    language: str = ""
    network: Ext = {}
    channel: Ext = {}


class Place(Part):
    """Site, app and screen network."""

    id: str = ""
    name: str = ""
    domain: str = ""
    cat: list[str] = []
    sectioncat: list[str] = []
    pagecat: list[str] = []
    privacypolicy: int = 0
    publisher: Publisher = Publisher()
    content: Content | None = None
    keywords: str = ""


class Site(Place):
    page: str = ""
    ref: str = ""
    search: str = ""
    mobile: int = 0


class App(Place):
    bundle: str = ""
    storeurl: str = ""
    ver: str = ""
    paid: int = 0


class Dooh(Place):
    venuetype: list[str] = []
    venuetypetax: int = 0


class Geo(Part):
    lat: float | None = None
    lon: float | None = None
    type: int = 0
    accuracy: int = 0
    country: str = ""
    region: str = ""
    metro: str = ""
    city: str = ""
    zip: str = ""
    utcoffset: int | None = None


class Brand(Part):
    brand: str
    version: list[str] = []


class UserAgent(Part):
    browsers: list[Brand] = []
    platform: Brand | None = None
    mobile: int = 0
    model: str = ""
    source: int = 0


class Device(Part):
    geo: Geo = Geo()
    dnt: int = 0
    lmt: int = 0
    ua: str = ""
    sua: UserAgent | None = None
    ip: str = ""
    ipv6: str = ""
    devicetype: int = 0
    make: str = ""
    model: str = ""
    os: str = ""
    osv: str = ""
    hwv: str = ""
    h: int = 0
    w: int = 0
    ppi: int = 0
    pxratio: float = 0.0
    js: int = 0
    language: str = ""
    carrier: str = ""
    mccmnc: str = ""
    connectiontype: int = 0
    ifa: str = ""


class Uid(Part):
    id: str = ""
    atype: int = 0


class Eid(Part):
    source: str = ""
    uids: list[Uid] = []


class Segment(Part):
    id: str = ""
    name: str = ""
    value: str = ""


class Data(Part):
    id: str = ""
    name: str = ""
    segment: list[Segment] = []


class User(Part):
    id: str = ""
    buyeruid: str = ""
    yob: int = 0
    gender: str = ""
    keywords: str = ""
    consent: str = ""
    data: list[Data] = []
    eids: list[Eid] = []


class Regs(Part):
    coppa: int = 0
    gdpr: int = 0
    us_privacy: str = ""
    gpp: str = ""
    gpp_sid: list[int] = []


class Node(Part):
    asi: str
    sid: str
    rid: str = ""
    name: str = ""
    domain: str = ""
    hp: int = 0


class SupplyChain(Part):
    complete: int
    ver: str
    nodes: list[Node]


class Source(Part):
    fd: int = 0
    tid: str = ""
    pchain: str = ""
    schain: SupplyChain | None = None


class BidRequest(Part):
    id: str
    imp: list[Imp]
    site: Site | None = None
    app: App | None = None
    dooh: Dooh | None = None
    device: Device = Device()
    user: User = User()
    regs: Regs = Regs()
    source: Source = Source()
    test: int = 0
    at: int = 2
    tmax: int = 0
    wseat: list[str] = []
    bseat: list[str] = []
    allimps: int = 0
    cur: list[str] = []
    wlang: list[str] = []
    bcat: list[str] = []
    acat: list[str] = []
    cattax: int = 1
    badv: list[str] = []
    bapp: list[str] = []

    @property
    def place(self) -> Site | App | Dooh:
        return self.site or self.app or self.dooh or Site()

    @property
    def knows_user(self) -> bool:
        """Whether the law and the user let us know who it is: asked for, not read from the TC string."""
        regs, user, device = self.regs, self.user, self.device
        old_regs, old_user = regs.ext or {}, user.ext or {}
        consented = bool(user.consent or old_user.get("consent")) or not (regs.gdpr or old_regs.get("gdpr"))
        return consented and not (regs.coppa or device.lmt or device.dnt) and bool(user.buyeruid or device.ifa)
