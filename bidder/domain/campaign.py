"""What may be bid with: campaigns, where they may bid, and their creatives. Immutable; shared by all auctions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from bidder.domain.terms import NO_CODES, NOTHING, Format


class GoalKind(IntEnum):
    """What a campaign pays for: 1,000 viewed impressions, a click, an action."""

    CPM = 0
    CPC = 1
    CPA = 2


CPM, CPC, CPA = GoalKind
"""The members by themselves: see `terms.Format`."""


@dataclass(slots=True, frozen=True)
class Goal:
    kind: GoalKind
    amount_micros: int  # for 1,000 viewed impressions, a click or an action; in the campaign's currency


Pays = tuple[float, float, int, str]
"""What an event is worth, in micro-units; by how much to multiply it for 1,000 impressions that each bring one (a CPM
goal's is for 1,000 already); the maximum, in micro-units; the currency."""


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
    venue_types: frozenset[str] = NOTHING  # of screens, by OpenOOH: "retail", "retail.gas_stations"
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
    "pre_roll",
    "mid_roll",
    "post_roll",
    "in_stream",
    "first_in_pod",
    "last_in_pod",
    "first_pod",
    "last_pod",
    "all_impressions",
)
"""What `required_attributes` and `blocked_attributes` may name. "viewable": the exchange's own viewability metric is at
least 0.5. "skippable": the video or audio slot offers skipping. "pre_roll", "mid_roll", "post_roll": when a video or
audio ad starts. "in_stream": the video plays within content that the user asked for. "first_in_pod", "last_in_pod":
the ad's place in its pod, as the exchange promises it; where a pod leaves it open, a bid that requires it asks for it.
"first_pod", "last_pod": the pod's place within the content. "all_impressions": the request offers all that there are,
as `allimps` says."""

PLACES_IN_POD = {"first_in_pod": 1, "last_in_pod": -1}
"""By slot attribute, as `slotinpod` has it (AdCOM, slot position in pod)."""


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


Shown = Literal["any", "beside", "end_card"]
"""When a companion is meant to be seen: while the ad plays, or after it."""


@dataclass(slots=True, frozen=True)
class Companion:
    """A static image that goes with a video or audio ad."""

    url: str
    mime: str
    width: int
    height: int
    landing_url: str
    shown: Shown = "any"


@dataclass(slots=True, frozen=True)
class CreativeSpec:
    """What decides whether a creative fits a slot; shared by all creatives that are alike in it, so that a slot is held
    against each spec once and not against each creative."""

    format: Format
    width: int = 0
    height: int = 0
    mimes: frozenset[str] = NOTHING  # banner
    protocols: frozenset[int] = NO_CODES  # VAST/DAAST versions it can be delivered in
    apis: frozenset[int] = NO_CODES  # API frameworks it needs
    attributes: frozenset[int] = NO_CODES  # creative attributes (AdCOM)
    banner_type: int = 0  # banner ad type (btype): 1 XHTML text, 2 XHTML banner, 3 JavaScript, 4 iframe
    duration_s: int = 0
    linearity: int = 1
    skippable: bool = False
    files: tuple[tuple[str, int, int], ...] = ()  # video, audio: (MIME type, delivery, Kbps)
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
    companions: tuple[Companion, ...] = ()
    title: str = ""
    texts: tuple[NativeText, ...] = ()
    images: tuple[NativeImage, ...] = ()
    call_to_action: str = ""
    impression_trackers: tuple[str, ...] = ()
    preview_url: str = ""  # iurl
    privacy_url: str = ""  # native: the advertiser's page on what data is used for
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
    more_categories: tuple[tuple[int, tuple[str, ...]], ...] = ()  # the same ad in other taxonomies
    suitable_for_children: bool = False  # may bid where COPPA applies
    bundle: str = ""  # of the advertised app
    roadblock: bool = False  # on all impressions of a request that offers all there are, or on none
    start_s: int = 0  # flight, Unix seconds; 0 = open
    end_s: int = 0
    daily_frequency_cap: int = 0  # impressions a user a day; 0 = none
    feature_hash: int = 0
    pays: Pays = field(init=False, repr=False, compare=False)  # read together for each candidate: a tenth of pricing

    def __post_init__(self) -> None:
        events = 1.0 if self.goal.kind is CPM else 1000.0
        object.__setattr__(self, "pays", (float(self.goal.amount_micros), events, self.max_cpm_micros, self.currency))

    @property
    def labels(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """The ad's categories by taxonomy: (AdCOM's number of the taxonomy, its ids)."""
        return ((self.category_taxonomy, self.categories), *self.more_categories)

    @property
    def expected_cpm_micros(self) -> int:
        """Value of an impression by the prior alone: the order in which campaigns are tried."""
        per_mille = 1 if self.goal.kind is GoalKind.CPM else 1000
        return min(self.max_cpm_micros, round(self.prior * self.goal.amount_micros * per_mille))
