"""What the bidder talks about: auctions, slots, campaigns, creatives, candidates, bids, no-bids.

The rule kept here: plain slotted data with units in the names, no I/O and no clock. Money is an integer of
micro-units (1/1,000,000) of a currency; every price and floor is a CPM, the price of 1,000 impressions.
Section numbers are those of OpenRTB 2.6-202606.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

MICROS = 1_000_000
NOTHING: frozenset[str] = frozenset()
NO_CODES: frozenset[int] = frozenset()


class Format(IntEnum):
    """The four kinds of ad; the values are those of `bid.mtype` (section 4.2.3)."""

    BANNER = 1
    VIDEO = 2
    AUDIO = 3
    NATIVE = 4


class GoalKind(IntEnum):
    """What a campaign pays for: 1,000 viewed impressions, a click, an action."""

    CPM = 0
    CPC = 1
    CPA = 2


class NoBidReason(StrEnum):
    """Why there is no bid. `nbr` maps each to the code of the no-bid reason list."""

    TECHNICAL_ERROR = "technical_error"
    INVALID_REQUEST = "invalid_request"
    NO_CAMPAIGN = "no_campaign"
    BELOW_FLOOR = "below_floor"
    CURRENCY = "currency"
    INSUFFICIENT_TIME = "insufficient_time"
    OVERLOAD = "overload"

    @property
    def nbr(self) -> int:
        return _NBR[self]


# No-bid reason codes: 0 unknown, 1 technical error, 2 invalid request, 8 unmatched user, 15 insufficient auction time,
# 500 and above are the bidder's own.
_NBR = {
    NoBidReason.TECHNICAL_ERROR: 1,
    NoBidReason.INVALID_REQUEST: 2,
    NoBidReason.NO_CAMPAIGN: 500,
    NoBidReason.BELOW_FLOOR: 501,
    NoBidReason.CURRENCY: 502,
    NoBidReason.INSUFFICIENT_TIME: 15,
    NoBidReason.OVERLOAD: 503,
}


# -- the request --


@dataclass(slots=True)
class Deal:
    """A private deal offered with a slot (section 3.2.12). Its floor's currency does not inherit from the slot's."""

    id: str
    floor_micros: int = 0
    floor_currency: str = "USD"
    auction_type: int | None = None  # 1 first price, 2 second price plus, 3 floor is the agreed price
    seats: frozenset[str] = NOTHING  # allowed buyer seats; empty = any
    domains: frozenset[str] = NOTHING  # allowed advertiser domains; empty = any
    guaranteed: bool = False


@dataclass(slots=True)
class BannerOffer:
    """The banner a slot would take (section 3.2.6)."""

    sizes: tuple[tuple[int, int], ...] = ()
    width_range: tuple[int, int] | None = None  # 2.5's wmin..wmax, hmin..hmax
    height_range: tuple[int, int] | None = None
    position: int = 0
    mimes: frozenset[str] = NOTHING  # empty = any
    apis: frozenset[int] = NO_CODES  # supported API frameworks
    blocked_attributes: frozenset[int] = NO_CODES
    blocked_types: frozenset[int] = NO_CODES  # btype


@dataclass(slots=True)
class MediaOffer:
    """The video or audio a slot would take (sections 3.2.7, 3.2.8). Durations are in seconds, bitrates in Kbps."""

    mimes: frozenset[str] = NOTHING
    protocols: frozenset[int] = NO_CODES  # empty = any
    apis: frozenset[int] = NO_CODES
    blocked_attributes: frozenset[int] = NO_CODES
    min_duration_s: int = 0
    max_duration_s: int | None = None
    required_durations_s: frozenset[int] = NO_CODES  # rqddurs: exactly one of these
    linearity: int | None = None  # 1 linear, 2 overlay
    skippable: bool | None = None  # None = not said; False = the player gives no skip control
    delivery: frozenset[int] = NO_CODES
    min_bitrate_kbps: int | None = None
    max_bitrate_kbps: int | None = None
    width: int = 0
    height: int = 0
    position: int = 0
    placement: int = 0  # plcmt, or 2.5's placement where only that stands
    start_delay: int | None = None
    floor_per_second_micros: int | None = None  # mincpmpersec
    duration_floors: tuple[tuple[int, int, int], ...] = ()  # durfloors: (min_s, max_s or 0, floor micros)


@dataclass(slots=True)
class NativeAsset:
    """One asset that a native slot asks for (Native 1.2, section 4.2). Exactly one of the kinds is set."""

    id: int
    required: bool
    kind: str  # "title", "image", "data", "video"
    type: int = 0  # image or data asset type
    max_length: int = 0  # title or data, in characters; 0 = not limited
    width: int = 0  # image: exact when set
    height: int = 0
    min_width: int = 0
    min_height: int = 0
    mimes: frozenset[str] = NOTHING
    min_duration_s: int = 0  # video
    max_duration_s: int = 0
    protocols: frozenset[int] = NO_CODES


@dataclass(slots=True)
class NativeOffer:
    """The native ad a slot would take (section 3.2.9; Native 1.2, section 4.1)."""

    assets: tuple[NativeAsset, ...]
    version: str = "1.2"
    wrapped: bool = False  # the request stood in Native 1.0's {"native": …}; so must the answer
    apis: frozenset[int] = NO_CODES
    blocked_attributes: frozenset[int] = NO_CODES
    context: int = 0
    placement_type: int = 0
    event_trackers: tuple[tuple[int, frozenset[int]], ...] = ()  # (event, methods) that the slot supports


@dataclass(slots=True)
class Slot:
    """One impression up for auction (Imp, section 3.2.4)."""

    id: str
    banner: BannerOffer | None = None
    video: MediaOffer | None = None
    audio: MediaOffer | None = None
    native: NativeOffer | None = None
    floor_micros: int = 0
    floor_currency: str = "USD"
    deals: tuple[Deal, ...] = ()
    private: bool = False  # private_auction: bids without a deal are not wanted
    secure: bool = False  # every asset by HTTPS
    interstitial: bool = False
    rewarded: bool = False
    tag_id: str = ""
    viewability: float = -1.0  # metric "viewability", 0..1; -1 = not said
    expiry_s: int = 0  # exp; 0 = not said


@dataclass(slots=True)
class Auction:
    """One bid request (BidRequest, section 3.2.1), normalised: 2.5's places read, identifiers already redacted where
    a privacy signal forbids them. Empty string, 0 or an empty set means: not said."""

    id: str
    slots: list[Slot]
    tmax_ms: int | None = None  # None = not said: the exchange's default counts
    auction_type: int = 2
    currencies: tuple[str, ...] = ()  # allowed for the answer; empty = USD
    test: bool = False
    allowed_seats: frozenset[str] = NOTHING
    blocked_seats: frozenset[str] = NOTHING
    allowed_languages: frozenset[str] = NOTHING  # of creatives: primary language subtags, lower case
    category_taxonomy: int = 1  # of blocked_ and allowed_categories
    blocked_categories: frozenset[str] = NOTHING
    allowed_categories: frozenset[str] = NOTHING
    blocked_domains: frozenset[str] = NOTHING  # advertiser domains, lower case
    blocked_bundles: frozenset[str] = NOTHING
    # where
    channel: str = ""  # "site", "app" or "dooh"
    inventory_id: str = ""  # site.id, app.id or dooh.id
    domain: str = ""
    bundle: str = ""
    page: str = ""
    publisher_id: str = ""
    categories: frozenset[str] = NOTHING  # of site or app, section, page and content
    content_language: str = ""
    content_genre: str = ""
    content_rating: str = ""
    # on what
    device_type: int = 0
    os: str = ""  # lower case: "ios", "android", "windows", …
    os_version: str = ""
    make: str = ""
    model: str = ""
    browser: str = ""
    connection_type: int = 0
    carrier: str = ""
    language: str = ""  # two letters, lower case
    screen_width: int = 0
    screen_height: int = 0
    # where in the world
    country: str = ""  # ISO 3166-1 alpha-3
    region: str = ""
    metro: str = ""
    city: str = ""
    zip: str = ""
    latitude: float | None = None
    longitude: float | None = None
    utc_offset_min: int | None = None
    # who: keys for the profile store, best first, never a raw identifier; empty where privacy forbids them
    profile_keys: tuple[str, ...] = ()
    segments: frozenset[str] = NOTHING  # from user.data and, after enrichment, from the profile
    year_of_birth: int = 0
    gender: str = ""
    coppa: bool = False
    redacted: bool = False  # a privacy signal removed identifiers


@dataclass(slots=True)
class Profile:
    """What is known of a user: segments, how often and how recently ads were shown. Times are Unix seconds."""

    segments: frozenset[str] = NOTHING
    impressions_today: int = 0
    last_impression_s: int = 0
    campaign_impressions: Mapping[str, int] = field(default_factory=dict)  # today's, by campaign id


# -- the catalog --


@dataclass(slots=True, frozen=True)
class Goal:
    kind: GoalKind
    amount_micros: (
        int  # CPM: for 1,000 viewed impressions; CPC: for a click; CPA: for an action; in the campaign's currency
    )


@dataclass(slots=True, frozen=True)
class Circle:
    latitude: float
    longitude: float
    radius_km: float


@dataclass(slots=True, frozen=True)
class Targeting:
    """Where a campaign may bid. An empty include list means: anywhere. All lists are alternatives within, and
    conditions between them. Text is lower case but for countries, regions (as the exchange sends them) and ids."""

    exchanges: frozenset[str] = NOTHING
    channels: frozenset[str] = NOTHING  # "site", "app", "dooh"
    countries: frozenset[str] = NOTHING  # ISO 3166-1 alpha-3
    excluded_countries: frozenset[str] = NOTHING
    regions: frozenset[str] = NOTHING  # "USA/CA": country, slash, region
    metros: frozenset[str] = NOTHING
    cities: frozenset[str] = NOTHING
    zips: frozenset[str] = NOTHING
    circles: tuple[Circle, ...] = ()
    device_types: frozenset[int] = NO_CODES
    operating_systems: frozenset[str] = NOTHING
    os_min_versions: tuple[tuple[str, str], ...] = ()  # (os, lowest version)
    connection_types: frozenset[int] = NO_CODES
    carriers: frozenset[str] = NOTHING
    languages: frozenset[str] = NOTHING  # of the device
    positions: frozenset[int] = NO_CODES
    sites: frozenset[str] = NOTHING  # domain or site.id
    excluded_sites: frozenset[str] = NOTHING
    apps: frozenset[str] = NOTHING  # app.id
    excluded_apps: frozenset[str] = NOTHING
    bundles: frozenset[str] = NOTHING
    excluded_bundles: frozenset[str] = NOTHING
    publishers: frozenset[str] = NOTHING
    excluded_publishers: frozenset[str] = NOTHING
    categories: frozenset[str] = NOTHING  # of the content, IAB codes as the exchange sends them
    excluded_categories: frozenset[str] = NOTHING
    segments: frozenset[str] = NOTHING
    excluded_segments: frozenset[str] = NOTHING
    hours: frozenset[int] = NO_CODES  # hour of the week in the user's time, 0 = Monday 00:00 to 00:59
    deals: frozenset[str] = NOTHING  # bids with one of these deals only
    required_attributes: frozenset[str] = NOTHING  # of the slot: see `SLOT_ATTRIBUTES`
    blocked_attributes: frozenset[str] = NOTHING


SLOT_ATTRIBUTES = (
    "interstitial",
    "rewarded",
    "secure",
    "skippable",
    "viewable",
    "deal",
    "child_directed",
    "known_user",
)
"""What `required_attributes` and `blocked_attributes` may name. "viewable": the exchange's own viewability metric is at
least 0.5. "skippable": the video or audio slot offers skipping."""


@dataclass(slots=True, frozen=True)
class NativeText:
    type: int  # data asset type of Native 1.2; 0 = the title
    text: str


@dataclass(slots=True, frozen=True)
class NativeImage:
    type: int  # 1 icon, 3 main
    url: str
    width: int
    height: int
    mime: str = "image/jpeg"


@dataclass(slots=True, frozen=True)
class MediaFile:
    url: str
    mime: str
    width: int
    height: int
    bitrate_kbps: int
    delivery: int = 2  # 1 streaming, 2 progressive


@dataclass(slots=True, frozen=True)
class CreativeSpec:
    """What decides whether a creative fits a slot; shared by all creatives that are alike in it, so that a slot is held
    against each spec once and not against each creative."""

    format: Format
    width: int = 0
    height: int = 0
    mimes: frozenset[str] = NOTHING
    protocols: frozenset[int] = NO_CODES  # VAST/DAAST versions it can be delivered in
    apis: frozenset[int] = NO_CODES  # API frameworks it needs
    attributes: frozenset[int] = NO_CODES  # creative attributes (AdCOM)
    banner_type: int = 0  # banner ad type (btype): 1 XHTML text, 2 XHTML banner, 3 JavaScript, 4 iframe
    duration_s: int = 0
    linearity: int = 1
    skippable: bool = False
    bitrates_kbps: tuple[int, ...] = ()
    deliveries: frozenset[int] = NO_CODES
    secure: bool = True
    language: str = ""
    title_length: int = 0
    texts: tuple[tuple[int, int], ...] = ()  # native: (data type, length)
    images: tuple[tuple[int, int, int, str], ...] = ()  # native: (image type, width, height, mime)


@dataclass(slots=True, frozen=True)
class Creative:
    """One ad. What its markup is built from depends on the format: `html`, `media`, or title, texts and images."""

    id: str
    spec: CreativeSpec
    landing_url: str
    html: str = ""  # banner; may hold ${CLICK_URL}, replaced by the click tracker's URL
    media: tuple[MediaFile, ...] = ()
    skip_after_s: int = 0
    title: str = ""
    texts: tuple[NativeText, ...] = ()
    images: tuple[NativeImage, ...] = ()
    call_to_action: str = ""
    impression_trackers: tuple[str, ...] = ()
    preview_url: str = ""  # iurl
    feature_hash: int = 0


@dataclass(slots=True, frozen=True)
class Campaign:
    """Who bids, for what, how much at most, where, and with which creatives."""

    id: str
    advertiser_id: str
    seat: str
    domains: tuple[str, ...]  # adomain
    goal: Goal
    max_cpm_micros: int
    currency: str
    prior: float  # probability of the goal's event, used where no model answers, 0..1
    targeting: Targeting
    creatives: tuple[Creative, ...]
    categories: tuple[str, ...] = ()  # of the ad, in `category_taxonomy`
    category_taxonomy: int = 1
    bundle: str = ""  # of the advertised app
    start_s: int = 0  # flight, Unix seconds; 0 = open
    end_s: int = 0
    daily_frequency_cap: int = 0  # impressions a user a day; 0 = none
    feature_hash: int = 0

    @property
    def expected_cpm_micros(self) -> int:
        """Value of an impression by the prior alone: the order in which campaigns are tried."""
        per_mille = 1 if self.goal.kind is GoalKind.CPM else 1000
        return min(self.max_cpm_micros, round(self.prior * self.goal.amount_micros * per_mille))


@dataclass(slots=True, frozen=True)
class Rates:
    """Currency rates: how many units of each currency one unit of `base` buys, on `date` (ISO)."""

    date: str
    base: str
    per_base: Mapping[str, float]

    def knows(self, currency: str) -> bool:
        return currency == self.base or currency in self.per_base

    def exact(self, micros: int, source: str, target: str) -> float:
        """`micros` of `source` in micro-units of `target`, unrounded. KeyError: a currency without a rate."""
        out = 1.0 if target == self.base else self.per_base[target]
        into = 1.0 if source == self.base else self.per_base[source]
        return micros * out / into

    def convert(self, micros: int, source: str, target: str) -> int:
        """The same, rounded to nearest."""
        return micros if source == target else round(self.exact(micros, source, target))


@dataclass(slots=True, frozen=True)
class Exchange:
    """What differs between exchanges, as data."""

    name: str
    default_tmax_ms: int = 100
    network_margin_ms: int = 10
    no_bid_body: bool = False  # True: 200 with {"id": …, "nbr": …}; False: 204
    currency: str = "USD"  # preferred where the request leaves a choice
    price_macro: str = "${AUCTION_PRICE}"
    version: str = "2.6"
    seats: Mapping[str, str] = field(default_factory=dict)  # our seat → this exchange's seat id; absent: ours is sent


# -- the way from candidates to bids --


@dataclass(slots=True)
class Candidate:
    """A campaign that may bid on a slot, with the creative that fits and the deal it would use."""

    slot: Slot
    campaign: Campaign
    creative: Creative
    deal: Deal | None
    width: int = 0
    height: int = 0


@dataclass(slots=True)
class Rows:
    """The model's input for one auction: `count` rows, one a candidate, in the candidates' order.

    `body` holds them joined: CSV lines, each ending in a newline, or row-major little-endian float32."""

    count: int
    body: bytes


@dataclass(slots=True)
class Scores:
    """The model's output: for each row the probability (0..1) of the campaign's goal event."""

    values: Sequence[float]
    source: str  # the tier that answered: "sagemaker", "local", "prior"
    variant: str = ""  # the production variant that answered


@dataclass(slots=True)
class Bid:
    """One bid: `price_micros` is a CPM in `currency`, never below the floor that counts."""

    candidate: Candidate
    price_micros: int
    currency: str
    score: float
    id: str = ""


@dataclass(slots=True)
class NoBid:
    reason: NoBidReason
    auction_id: str = ""
    detail: str = ""
