"""What is offered: an impression, the formats it can be filled with, its floors and its deals.

The rule: what a creative must or must not be (``battr``, ``mimes``, durations, ...) and what it must cost at least is a
restriction, and what holds one is a part. What helps to value the impression (``pos``, ``plcmt``, ...) is a hint.
"""

from typing import Required

from openrtb_schemas.reading import (
    Array,
    Ext,
    Hint,
    Hints,
    Int,
    Part,
    Parts,
    Restriction,
    Restrictions,
    TextOrObject,
    Tolerant,
)


class Format(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.10: a size that a banner may have, absolute or as a ratio (Flex Ads)."""

    w: Hint[Int]
    h: Hint[Int]
    wratio: Hint[Int]
    hratio: Hint[Int]
    wmin: Hint[Int]
    ext: Ext


class Banner(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.6: a banner, or the companion of a video or audio ad. Sizes in device-independent pixels."""

    format: Hints[Format]
    w: Hint[Int]
    h: Hint[Int]
    btype: Restrictions[Int]  # BannerAdType
    battr: Restrictions[Int]  # CreativeAttribute
    pos: Hint[Int]  # PlacementPosition
    mimes: Restrictions[str]
    topframe: Hint[Int]
    expdir: Restrictions[Int]  # ExpandableDirection
    api: Restrictions[Int]  # ApiFramework
    id: Hint[str]
    vcm: Hint[Int]
    ext: Ext
    wmax: Restriction[Int]  # 2.5
    hmax: Restriction[Int]  # 2.5
    wmin: Restriction[Int]  # 2.5
    hmin: Restriction[Int]  # 2.5


class DurFloors(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.35: the floor, in CPM, of creatives of mindur to maxdur seconds."""

    mindur: Restriction[Int]
    maxdur: Restriction[Int]
    bidfloor: Restriction[float]
    ext: Ext


class Video(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.7: a video impression or pod. Durations in seconds, bit rates in kbps."""

    mimes: Required[Array[str]]
    minduration: Restriction[Int]
    maxduration: Restriction[Int]
    startdelay: Hint[Int]  # StartDelay
    maxseq: Restriction[Int]
    poddur: Restriction[Int]
    protocols: Restrictions[Int]  # VideoProtocol
    w: Hint[Int]
    h: Hint[Int]
    podid: Hint[str]
    podseq: Hint[Int]  # PodSequence
    rqddurs: Restrictions[Int]
    placement: Hint[Int]  # VideoPlacement, deprecated
    plcmt: Hint[Int]  # VideoPlcmt
    linearity: Restriction[Int]  # LinearityMode
    skip: Hint[Int]
    skipmin: Hint[Int]
    skipafter: Hint[Int]
    sequence: Hint[Int]  # deprecated
    slotinpod: Restriction[Int]  # SlotPosition
    mincpmpersec: Restriction[float]
    battr: Restrictions[Int]  # CreativeAttribute
    maxextended: Restriction[Int]
    minbitrate: Restriction[Int]
    maxbitrate: Restriction[Int]
    boxingallowed: Restriction[Int]
    playbackmethod: Hints[Int]  # PlaybackMethod
    playbackend: Hint[Int]  # PlaybackCessationMode
    delivery: Restrictions[Int]  # DeliveryMethod
    pos: Hint[Int]  # PlacementPosition
    companionad: Parts[Banner]
    api: Restrictions[Int]  # ApiFramework
    companiontype: Restrictions[Int]  # CompanionType
    poddedupe: Hints[Int]  # PodDeduplication
    durfloors: Parts[DurFloors]
    ext: Ext
    protocol: Restriction[Int]  # VideoProtocol, 2.5


class Audio(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.8: an audio impression or pod. Durations in seconds, bit rates in kbps."""

    mimes: Required[Array[str]]
    minduration: Restriction[Int]
    maxduration: Restriction[Int]
    poddur: Restriction[Int]
    protocols: Restrictions[Int]  # VideoProtocol
    startdelay: Hint[Int]  # StartDelay
    rqddurs: Restrictions[Int]
    podid: Hint[str]
    podseq: Hint[Int]  # PodSequence
    sequence: Hint[Int]  # deprecated
    slotinpod: Restriction[Int]  # SlotPosition
    mincpmpersec: Restriction[float]
    battr: Restrictions[Int]  # CreativeAttribute
    maxextended: Restriction[Int]
    minbitrate: Restriction[Int]
    maxbitrate: Restriction[Int]
    delivery: Restrictions[Int]  # DeliveryMethod
    companionad: Parts[Banner]
    api: Restrictions[Int]  # ApiFramework
    companiontype: Restrictions[Int]  # CompanionType
    maxseq: Restriction[Int]
    feed: Hint[Int]  # FeedType
    stitched: Hint[Int]
    nvol: Hint[Int]  # VolumeNormalization
    durfloors: Parts[DurFloors]
    ext: Ext


class Native(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.9: a native impression. ``request``, Native 1.2, is JSON in a string, or the object itself."""

    request: Required[TextOrObject]
    ver: Hint[str]
    api: Restrictions[Int]  # ApiFramework
    battr: Restrictions[Int]  # CreativeAttribute
    ext: Ext


class Deal(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.12: a deal with buyers. ``bidfloorcur`` is USD if absent, whatever the impression says."""

    id: Required[str]
    bidfloor: Restriction[float]
    bidfloorcur: Restriction[str]
    at: Restriction[Int]  # DealAuctionType
    wseat: Restrictions[str]
    wadomain: Restrictions[str]
    guar: Restriction[Int]
    mincpmpersec: Restriction[float]
    durfloors: Parts[DurFloors]
    ext: Ext


class Pmp(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.11: the private marketplace of an impression."""

    private_auction: Restriction[Int]
    deals: Parts[Deal]
    ext: Ext


class Metric(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.5: a measured quality of an impression, such as its viewability."""

    type: Required[str]
    value: Required[float]
    vendor: Hint[str]
    ext: Ext


class Qty(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.31: how many impressions one play is worth (out of home)."""

    multiplier: Required[float]
    sourcetype: Hint[Int]  # DoohMultiplierSource
    vendor: Hint[str]
    ext: Ext


class RefSettings(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.34: when an ad slot is refreshed."""

    reftype: Hint[Int]  # AutoRefreshTrigger
    minint: Hint[Int]
    ext: Ext


class Refresh(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.33: how an ad slot is refreshed."""

    refsettings: Hints[RefSettings]
    count: Hint[Int]
    ext: Ext


class Imp(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.4: an impression offered. ``bidfloor`` is in CPM."""

    id: Required[str]
    metric: Hints[Metric]
    banner: Part[Banner]
    video: Part[Video]
    audio: Part[Audio]
    native: Part[Native]
    pmp: Part[Pmp]
    displaymanager: Hint[str]
    displaymanagerver: Hint[str]
    instl: Restriction[Int]
    tagid: Hint[str]
    bidfloor: Restriction[float]
    bidfloorcur: Restriction[str]
    clickbrowser: Hint[Int]
    secure: Restriction[Int]
    iframebuster: Hints[str]
    rwdd: Restriction[Int]
    ssai: Hint[Int]  # SsaiMode
    exp: Hint[Int]
    qty: Restriction[Qty]
    dt: Hint[float]
    refresh: Hint[Refresh]
    ext: Ext
