"""The wire: OpenRTB 2.6-202606 and Native 1.2 as TypedDicts, read and checked by pydantic-core.

    request = REQUEST.validate_json(body)       # bytes to a plain dict, or pydantic.ValidationError
    request["imp"][0].get("bidfloor")           # a field is there and readable, or it is not in the dict

The rule: this package knows the messages and nothing of bidding; it imports pydantic and the standard library.
How fields are read is in ``reading``, enumerations are in ``enums``. Fields of 2.5 that 2.6 removed (Banner.wmin, wmax,
hmin, hmax; Video.protocol; Content.videoquality) are read too; the places where 2.5 had what 2.6 moved
(``regs.ext.gdpr``, ...) stay as they came, in ``ext``.
"""

from openrtb_schemas.audience import EID, UID, BrandVersion, Data, Device, Geo, Segment, User, UserAgent
from openrtb_schemas.context import DOOH, App, Channel, Content, Network, Producer, Publisher, Site
from openrtb_schemas.impression import (
    Audio,
    Banner,
    Deal,
    DurFloors,
    Format,
    Imp,
    Metric,
    Native,
    Pmp,
    Qty,
    Refresh,
    RefSettings,
    Video,
)
from openrtb_schemas.messages import NATIVE_REQUEST, NATIVE_RESPONSE, REQUEST, RESPONSE, Message
from openrtb_schemas.native import (
    AssetRequest,
    AssetResponse,
    DataRequest,
    DataResponse,
    EventTrackerResponse,
    EventTrackersRequest,
    ImageRequest,
    ImageResponse,
    LinkResponse,
    NativeMarkupRequest,
    NativeMarkupResponse,
    TitleRequest,
    TitleResponse,
    VideoRequest,
    VideoResponse,
)
from openrtb_schemas.reading import RESTRICTION, restriction_paths, unreadable_restrictions
from openrtb_schemas.request import BidRequest, Regs, Source, SupplyChain, SupplyChainNode
from openrtb_schemas.response import Bid, BidResponse, SeatBid

__all__ = [
    "DOOH",
    "EID",
    "NATIVE_REQUEST",
    "NATIVE_RESPONSE",
    "REQUEST",
    "RESPONSE",
    "RESTRICTION",
    "UID",
    "App",
    "AssetRequest",
    "AssetResponse",
    "Audio",
    "Banner",
    "Bid",
    "BidRequest",
    "BidResponse",
    "BrandVersion",
    "Channel",
    "Content",
    "Data",
    "DataRequest",
    "DataResponse",
    "Deal",
    "Device",
    "DurFloors",
    "EventTrackerResponse",
    "EventTrackersRequest",
    "Format",
    "Geo",
    "ImageRequest",
    "ImageResponse",
    "Imp",
    "LinkResponse",
    "Message",
    "Metric",
    "Native",
    "NativeMarkupRequest",
    "NativeMarkupResponse",
    "Network",
    "Pmp",
    "Producer",
    "Publisher",
    "Qty",
    "RefSettings",
    "Refresh",
    "Regs",
    "SeatBid",
    "Segment",
    "Site",
    "Source",
    "SupplyChain",
    "SupplyChainNode",
    "TitleRequest",
    "TitleResponse",
    "User",
    "UserAgent",
    "Video",
    "VideoRequest",
    "VideoResponse",
    "restriction_paths",
    "unreadable_restrictions",
]
