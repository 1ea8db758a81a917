"""Native 1.2: the markup request inside ``imp.native.request``, and the markup that answers it in ``bid.adm``.

The rule: the request is read tolerantly, but an asset wanted is understood or the request is refused, because an answer
that lacks a required asset is worth nothing. The response is checked exactly.
"""

from typing import Annotated, Any, Required

from pydantic import FailFast

from openrtb_schemas.reading import Array, Ext, Hint, Hints, Int, Part, Restriction, Restrictions, Strict, Tolerant


class TitleRequest(Tolerant, total=False):
    """Native 1.2 §4.3: a title wanted; ``len`` in characters."""

    len: Required[Int]
    ext: Ext


class ImageRequest(Tolerant, total=False):
    """Native 1.2 §4.4: an image wanted. ``w`` or ``h`` alone is exact, ``wmin`` or ``hmin`` the least."""

    type: Hint[Int]  # NativeImageAsset
    w: Restriction[Int]
    wmin: Restriction[Int]
    h: Restriction[Int]
    hmin: Restriction[Int]
    mimes: Restrictions[str]
    ext: Ext


class VideoRequest(Tolerant, total=False):
    """Native 1.2 §4.5: a video wanted; durations in seconds."""

    mimes: Required[Array[str]]
    minduration: Required[Int]
    maxduration: Required[Int]
    protocols: Required[Array[Int]]  # VideoProtocol
    ext: Ext


class DataRequest(Tolerant, total=False):
    """Native 1.2 §4.6: a text or number wanted; ``len`` in characters."""

    type: Required[Int]  # NativeDataAsset
    len: Restriction[Int]
    ext: Ext


class AssetRequest(Tolerant, total=False):
    """Native 1.2 §4.2: an asset wanted: one of title, image, video and data."""

    id: Required[Int]
    required: Restriction[Int]
    title: Part[TitleRequest]
    img: Part[ImageRequest]
    video: Part[VideoRequest]
    data: Part[DataRequest]
    ext: Ext


class EventTrackersRequest(Tolerant, total=False):
    """Native 1.2 §4.7: an event that can be tracked, and how."""

    event: Required[Int]  # NativeEvent
    methods: Required[Array[Int]]  # NativeTrackingMethod
    ext: Ext


class NativeMarkupRequest(Tolerant, total=False):
    """Native 1.2 §4.1: the native ad wanted."""

    ver: Hint[str]
    context: Hint[Int]  # NativeContext
    contextsubtype: Hint[Int]  # NativeContextSubtype
    plcmttype: Hint[Int]  # NativePlacement
    plcmtcnt: Hint[Int]
    seq: Hint[Int]
    assets: Required[Annotated[list[AssetRequest], FailFast()]]
    aurlsupport: Hint[Int]
    durlsupport: Hint[Int]
    eventtrackers: Hints[EventTrackersRequest]
    privacy: Hint[Int]
    ext: Ext


class LinkResponse(Strict, total=False):
    """Native 1.2 §5.7: where a click leads."""

    url: Required[str]
    clicktrackers: list[str]
    fallback: str
    ext: dict[str, Any]


class TitleResponse(Strict, total=False):
    """Native 1.2 §5.3: a title."""

    text: Required[str]
    len: int
    ext: dict[str, Any]


class ImageResponse(Strict, total=False):
    """Native 1.2 §5.4: an image."""

    type: int  # NativeImageAsset
    url: Required[str]
    w: int
    h: int
    ext: dict[str, Any]


class VideoResponse(Strict, total=False):
    """Native 1.2 §5.6: a video, as VAST."""

    vasttag: Required[str]


class DataResponse(Strict, total=False):
    """Native 1.2 §5.5: a text or number."""

    type: int  # NativeDataAsset
    len: int
    value: Required[str]
    ext: dict[str, Any]


class AssetResponse(Strict, total=False):
    """Native 1.2 §5.2: an asset, answering the one wanted with the same id."""

    id: int
    required: int
    title: TitleResponse
    img: ImageResponse
    video: VideoResponse
    data: DataResponse
    link: LinkResponse
    ext: dict[str, Any]


class EventTrackerResponse(Strict, total=False):
    """Native 1.2 §5.8: a tracker to be fired at an event."""

    event: Required[int]  # NativeEvent
    method: Required[int]  # NativeTrackingMethod
    url: str
    customdata: dict[str, Any]
    ext: dict[str, Any]


class NativeMarkupResponse(Strict, total=False):
    """Native 1.2 §5.1: a native ad."""

    ver: str
    assets: list[AssetResponse]
    assetsurl: str
    dcourl: str
    link: Required[LinkResponse]
    imptrackers: list[str]
    jstracker: str
    eventtrackers: list[EventTrackerResponse]
    privacy: str
    ext: dict[str, Any]
