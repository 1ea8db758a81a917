"""The request inside `imp.native.request` → the native ad that a slot would take.

The rule kept here: a request that cannot be read asks for nothing, and the slot takes no native ad. As with bid
requests, what is typed to the letter is read without the schema, and the schema reads everything else; both end in the
same objects. Source: OpenRTB 2.6 §3.2.9, Native 1.2 §4.
"""

from __future__ import annotations

from typing import Any

import orjson
from msgspec import ValidationError, convert

from bidder.domain import NO_CODES, NOTHING, NativeAsset, NativeOffer
from bidder.stages.parts import Parts
from bidder.stages.request import Codes, Int, Native, Object, Texts
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


def read_markup(parsed: Any) -> NativeMarkupRequest:
    """What a parsed request asks for, wrapped or not. ValueError: it cannot be read."""
    try:
        return convert(_unwrapped(parsed), NativeMarkupRequest)
    except ValidationError:
        return convert(NATIVE_REQUEST.validate_python(parsed), NativeMarkupRequest)


def _unwrapped(parsed: Any) -> Any:
    """Native 1.0 wraps it: `{"native": {...}}`."""
    return parsed["native"] if isinstance(parsed, dict) and "native" in parsed and "assets" not in parsed else parsed


# -- what becomes of it ------------------------------------------------------------------------------------------------


def native_offer(native: Native) -> NativeOffer | None:
    """None: its request cannot be read, or asks for no asset."""
    raw = native.request
    try:
        parsed = orjson.loads(raw) if isinstance(raw, str) else raw
        markup = read_markup(parsed)
    except ValueError:
        return None
    if not markup.assets:
        return None
    return NativeOffer(
        tuple([_asset(asset) for asset in markup.assets]),
        markup.ver or native.ver or "1.2",
        "assets" not in parsed,
        native.api or NO_CODES,
        native.battr or NO_CODES,
        tuple([(tracker.event, tracker.methods) for tracker in markup.eventtrackers or ()]),
        markup.privacy == 1,
    )


def _asset(asset: AssetRequest) -> NativeAsset:
    number, required = asset.id, asset.required == 1
    if (title := asset.title) is not None:
        return NativeAsset(number, required, "title", max_length=title.len)
    if (image := asset.img) is not None:
        return NativeAsset(
            number,
            required,
            "image",
            type=image.type or 0,
            width=image.w or 0,
            height=image.h or 0,
            min_width=image.wmin or 0,
            min_height=image.hmin or 0,
            mimes=image.mimes or NOTHING,
        )
    if (data := asset.data) is not None:
        return NativeAsset(number, required, "data", type=data.type, max_length=data.len or 0)
    if (video := asset.video) is not None:
        return NativeAsset(
            number,
            required,
            "video",
            mimes=video.mimes,
            min_duration_s=video.minduration,
            max_duration_s=video.maxduration,
            protocols=video.protocols,
        )
    return NativeAsset(number, required, "unknown")


NATIVES = Parts(Native, native_offer, 2048, 1024)
"""Usual are 400 to 600 bytes."""
