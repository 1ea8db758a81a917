"""The request inside `imp.native.request` → the native ad that a slot would take.

The rule kept here: a request that cannot be read asks for nothing, and the slot takes no native ad. As with bid
requests, what is typed to the letter is read without the schema, and the schema reads everything else; both end in the
same objects. Source: OpenRTB 2.6 §3.2.9, Native 1.2 §4.
"""

from __future__ import annotations

from typing import Any

import orjson
from msgspec import DecodeError, Raw, Struct, ValidationError, convert
from msgspec.json import Decoder

from bidder.domain import NO_CODES, NOTHING, NativeAsset, NativeOffer
from bidder.stages.parts import Parts
from bidder.stages.request import ABSENT, Codes, Int, Native, Object, Texts
from openrtb_schemas import NATIVE_REQUEST

# -- what is read of it, by the schema's names -------------------------------------------------------------------------


class TitleRequest(Object):
    len: Int


class ImageRequest(Object):
    type: Int | None = None
    w: Int | None = None
    wmin: Int | None = None
    h: Int | None = None
    hmin: Int | None = None
    mimes: Texts | None = None


class VideoRequest(Object):
    mimes: Texts
    minduration: Int
    maxduration: Int
    protocols: Codes


class DataRequest(Object):
    type: Int
    len: Int | None = None


class AssetRequest(Object):
    id: Int
    required: Int | None = None
    title: TitleRequest | None = None
    img: ImageRequest | None = None
    video: VideoRequest | None = None
    data: DataRequest | None = None


class EventTrackersRequest(Object):
    event: Int
    methods: Codes


class NativeMarkupRequest(Object):
    assets: list[AssetRequest]
    ver: str | None = None
    eventtrackers: list[EventTrackersRequest] | None = None
    privacy: Int | None = None


class _Wrapped(Struct, gc=False):
    """As Native 1.0 has it: `{"native": {...}}`."""

    native: NativeMarkupRequest
    assets: Raw = ABSENT  # beside which the other counts for nothing


_decode, _decode_wrapped = Decoder(NativeMarkupRequest).decode, Decoder(_Wrapped).decode


def read_markup(request: str | dict[str, Any]) -> tuple[NativeMarkupRequest, bool]:
    """What a request asks for, and whether it is wrapped. ValueError: it cannot be read."""
    if isinstance(request, str):
        try:
            if not request.startswith('{"native"'):
                return _decode(request), False
            if (wrapped := _decode_wrapped(request)).assets is ABSENT:
                return wrapped.native, True
        except (DecodeError, UnicodeEncodeError, RecursionError):
            pass  # for the schema
    parsed = orjson.loads(request) if isinstance(request, str) else request
    is_wrapped = isinstance(parsed, dict) and "native" in parsed and "assets" not in parsed
    try:
        return convert(parsed["native"] if is_wrapped else parsed, NativeMarkupRequest), is_wrapped
    except ValidationError:
        return convert(NATIVE_REQUEST.validate_python(parsed), NativeMarkupRequest), is_wrapped


# -- what becomes of it ------------------------------------------------------------------------------------------------


def native_offer(native: Native) -> NativeOffer | None:
    """None: its request cannot be read, or asks for no asset."""
    try:
        markup, is_wrapped = read_markup(native.request)
    except ValueError:
        return None
    if not markup.assets:
        return None
    return NativeOffer(
        tuple([_asset(asset) for asset in markup.assets]),
        markup.ver or native.ver or "1.2",
        is_wrapped,
        native.api or NO_CODES,
        native.battr or NO_CODES,
        tuple([(tracker.event, tracker.methods) for tracker in markup.eventtrackers or ()]),
        markup.privacy == 1,
    )


def _asset(asset: AssetRequest) -> NativeAsset:
    number, required = asset.id, asset.required == 1
    if (title := asset.title) is not None:
        return NativeAsset(number, required, "title", 0, title.len)
    if (image := asset.img) is not None:
        sizes = image.w or 0, image.h or 0, image.wmin or 0, image.hmin or 0
        return NativeAsset(number, required, "image", image.type or 0, 0, *sizes, image.mimes or NOTHING)
    if (data := asset.data) is not None:
        return NativeAsset(number, required, "data", data.type, data.len or 0)
    if (video := asset.video) is not None:
        durations = video.minduration, video.maxduration
        return NativeAsset(number, required, "video", 0, 0, 0, 0, 0, 0, video.mimes, *durations, video.protocols)
    return NativeAsset(number, required, "unknown")


NATIVES = Parts(Native, native_offer, 768 << 10)
"""Usual are 400 to 600 bytes."""
