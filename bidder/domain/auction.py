"""What an exchange asks: an auction, its slots, what each would take; and what is known of the user.

The rule kept here: everything normalised, nothing raw. Section numbers are those of OpenRTB 2.6-202606.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from msgspec import Struct

from bidder.domain.terms import NO_CODES, NOTHING

DurationFloors = tuple[tuple[int, int, int], ...]
"""Floors by duration (section 3.2.35): (from seconds, to seconds or 0 for open, micro-units)."""


class Deal(Struct, gc=False):
    """A private deal offered with a slot (section 3.2.12). Its floor's currency does not inherit from the slot's."""

    id: str
    floor_micros: int | None = None  # None = not said
    floor_currency: str = "USD"
    floor_per_second_micros: int | Fraction | None = None  # mincpmpersec, for video and audio
    duration_floors: DurationFloors = ()  # durfloors, for video and audio
    guaranteed: bool = False  # guar: the buyer has agreed to buy and must bid
    auction_type: int | None = None  # 1 first price, 2 second price plus, 3 floor is the agreed price
    seats: frozenset[str] = NOTHING  # allowed buyer seats; empty = any
    domains: frozenset[str] = NOTHING  # allowed advertiser domains; empty = any


class BannerOffer(Struct, gc=False):
    """The banner a slot would take (section 3.2.6)."""

    sizes: tuple[tuple[int, int], ...] = ()
    width_range: tuple[int, int] | None = None  # 2.5's wmin..wmax, hmin..hmax
    height_range: tuple[int, int] | None = None
    ratios: tuple[tuple[int, int, int], ...] = ()  # flexible sizes: (width's part, height's part, least width)
    position: int = 0
    mimes: frozenset[str] = NOTHING  # empty = any
    apis: frozenset[int] = NO_CODES  # supported API frameworks
    blocked_attributes: frozenset[int] = NO_CODES
    blocked_types: frozenset[int] = NO_CODES  # btype
    expand_directions: frozenset[int] = NO_CODES  # expdir: those in which a banner may expand; empty = none
    top_frame: bool | None = None  # topframe; None = not said
    end_card: bool = False  # vcm, of a companion's place: shown after the ad, not beside it


class Pod(Struct, gc=False):
    """The ad pod that a video or audio slot is a part of, or all of (section 7.6). Places are those of AdCOM's "slot
    position in pod": 1 first, -1 last."""

    id: str = ""  # podid: the impressions of one pod share it; "" = there is no other
    order: int = 0  # podseq: 1 the first pod of the content, -1 the last, 0 = not said
    place: int = 0  # slotinpod: 1, -1, 2 = one of them, 0 = not said
    seconds: int = 0  # poddur: that all ads may fill; 0 = not said
    most_ads: int = 0  # maxseq: that it may hold; 0 = not said
    distinct: frozenset[int] = NO_CODES  # poddedupe: what no two ads of the pod may share
    open_places: frozenset[int] = NO_CODES  # of a dynamic pod: those that a bid may ask for

    @property
    def is_dynamic(self) -> bool:
        """Whether several ads may fill this part of it: a dynamic pod, or the dynamic part of a hybrid one."""
        return self.seconds > 0 or self.most_ads > 1


class MediaOffer(Struct, gc=False):
    """The video or audio a slot would take (sections 3.2.7, 3.2.8). Durations are in seconds, bitrates in Kbps."""

    mimes: frozenset[str] = NOTHING
    protocols: frozenset[int] = NO_CODES  # empty = any
    apis: frozenset[int] = NO_CODES
    blocked_attributes: frozenset[int] = NO_CODES
    min_duration_s: int = 0
    max_duration_s: int | None = None  # maxduration with maxextended
    required_durations_s: frozenset[int] = NO_CODES  # rqddurs: exactly one of these
    linearity: int | None = None  # 1 linear, 2 overlay
    skippable: bool | None = None  # None = not said; False = the player gives no skip control
    skip_min_s: int = 0  # skipmin: only what is longer may be skipped
    skip_after_s: int = 0  # skipafter: not before so many seconds
    delivery: frozenset[int] = NO_CODES
    min_bitrate_kbps: int | None = None
    max_bitrate_kbps: int | None = None
    position: int = 0
    start_delay_s: int | None = None  # 0 pre-roll, above 0 and -1 mid-roll, -2 post-roll; None = not said
    placement: int = 0  # plcmt, or 2.5's placement where only that stands
    companions: tuple[BannerOffer, ...] = ()  # companionad: where an image may stand beside the ad
    companion_types: frozenset[int] = NO_CODES  # companiontype: 1 static, 2 HTML, 3 iframe; empty = any
    floor_per_second_micros: int | Fraction | None = None  # mincpmpersec
    duration_floors: DurationFloors = ()  # durfloors
    aspect: tuple[int, int] | None = None  # boxingallowed 0: of the player, and of the ad; None = letter-boxing is fine
    pod: Pod | None = None

    @property
    def is_pod(self) -> bool:
        """Whether several ads may fill it."""
        return self.pod is not None and self.pod.is_dynamic


class NativeAsset(Struct, gc=False):
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


class NativeOffer(Struct, gc=False):
    """The native ad a slot would take (section 3.2.9; Native 1.2, section 4.1)."""

    assets: tuple[NativeAsset, ...]
    version: str = "1.2"
    wrapped: bool = False  # the request stood in Native 1.0's {"native": …}; so must the answer
    apis: frozenset[int] = NO_CODES
    blocked_attributes: frozenset[int] = NO_CODES
    event_trackers: tuple[tuple[int, frozenset[int]], ...] = ()  # (event, methods) that the slot supports
    privacy_link: bool = False  # privacy: it shows the buyer's own notice


class Slot(Struct, gc=False):
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
    multiplier: float = 1.0  # qty.multiplier: impressions that one play counts as; the price stays that of one

    @property
    def is_pod(self) -> bool:
        return (self.video is not None and self.video.is_pod) or (self.audio is not None and self.audio.is_pod)


class Auction(Struct, gc=False):
    """One bid request (BidRequest, section 3.2.1), normalised: 2.5's places read, identifiers already redacted where
    a privacy signal forbids them. Empty string, 0 or an empty set means: not said."""

    id: str
    slots: list[Slot]
    tmax_ms: int | None = None  # None = not said: the exchange's default counts
    auction_type: int = 0  # 1 first price, 2 second price plus; 0 = not said: the exchange's default counts
    currencies: tuple[str, ...] = ()  # allowed for the answer; empty = USD
    test: bool = False
    all_impressions: bool = False  # allimps: the slots are all that there are in this context
    allowed_seats: frozenset[str] = NOTHING
    blocked_seats: frozenset[str] = NOTHING
    allowed_languages: frozenset[str] = NOTHING  # of creatives: language ranges, BCP 47, lower case
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
    publisher_id: str = ""
    venue_types: frozenset[str] = NOTHING  # of a screen, by OpenOOH, lower case
    categories: frozenset[str] = NOTHING  # of site or app, section, page and content
    content_language: str = ""
    content_genre: str = ""
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
    # who: keys for the profile store, best first, made when they are asked for; () where privacy forbids them
    profile_keys: Iterable[str] = ()
    segments: frozenset[str] = NOTHING  # from user.data and, after enrichment, from the profile
    coppa: bool = False
    redacted: bool = False  # a privacy signal removed identifiers or traits: no profile
    privacy_signals: tuple[str, ...] = ()  # the names of those found, as in `stages/privacy/signals.py`
    may_measure: bool = True  # count for this user what they saw and did
    may_learn: bool = True  # keep the request as a training example


@dataclass(slots=True)
class Profile:
    """What is known of a user: segments, how often and how recently ads were shown. Times are Unix seconds."""

    segments: frozenset[str] = NOTHING
    impressions_today: int = 0
    last_impression_s: int = 0
    campaign_impressions: Mapping[str, int] = field(default_factory=dict)  # today's, by campaign id
