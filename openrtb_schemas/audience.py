"""Whom the ad is for: the device, the user, and the data about them.

The rule: what the person has opted out of or consented to is a restriction, all else a hint. A broken ID costs that ID
only.
"""

from typing import Required

from openrtb_schemas.reading import Ext, Hint, Hints, Int, Restriction, Tolerant


class Segment(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.22: a key and value of user or content data."""

    id: Hint[str]
    name: Hint[str]
    value: Hint[str]
    ext: Ext


class Data(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.21: user or content data from one provider."""

    id: Hint[str]
    name: Hint[str]
    cids: Hints[str]
    segment: Hints[Segment]
    ext: Ext


class UID(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.28: one ID of a user."""

    id: Hint[str]
    atype: Hint[Int]  # AgentType
    ext: Ext


class EID(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.27: IDs of a user from one source."""

    inserter: Hint[str]
    source: Hint[str]
    matcher: Hint[str]
    mm: Hint[Int]  # IdMatchMethod
    uids: Hints[UID]
    ext: Ext


class BrandVersion(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.30: a browser or platform and its version, in parts."""

    brand: Required[str]
    version: Hints[str]
    ext: Ext


class UserAgent(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.29: the user agent, structured as in User-Agent Client Hints."""

    browsers: Hints[BrandVersion]
    platform: Hint[BrandVersion]
    mobile: Hint[Int]
    architecture: Hint[str]
    bitness: Hint[str]
    model: Hint[str]
    source: Hint[Int]  # UserAgentSource
    ext: Ext


class Geo(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.19: where a device or user is. Degrees, metres, seconds; ``utcoffset`` in minutes."""

    lat: Hint[float]
    lon: Hint[float]
    type: Hint[Int]  # LocationType
    accuracy: Hint[Int]
    lastfix: Hint[Int]
    ipservice: Hint[Int]  # IpLocationService
    country: Hint[str]
    region: Hint[str]
    regionfips104: Hint[str]
    metro: Hint[str]
    city: Hint[str]
    zip: Hint[str]
    utcoffset: Hint[Int]
    ext: Ext


class Device(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.18: the device that will show the ad."""

    geo: Hint[Geo]
    dnt: Restriction[Int]
    lmt: Restriction[Int]
    ua: Hint[str]
    sua: Hint[UserAgent]
    ip: Hint[str]
    ipv6: Hint[str]
    devicetype: Hint[Int]  # DeviceType
    make: Hint[str]
    model: Hint[str]
    os: Hint[str]
    osv: Hint[str]
    hwv: Hint[str]
    h: Hint[Int]
    w: Hint[Int]
    ppi: Hint[Int]
    pxratio: Hint[float]
    js: Hint[Int]
    geofetch: Hint[Int]
    flashver: Hint[str]
    language: Hint[str]
    langb: Hint[str]
    carrier: Hint[str]
    mccmnc: Hint[str]
    connectiontype: Hint[Int]  # ConnectionType
    ifa: Hint[str]
    didsha1: Hint[str]  # deprecated
    didmd5: Hint[str]  # deprecated
    dpidsha1: Hint[str]  # deprecated
    dpidmd5: Hint[str]  # deprecated
    macsha1: Hint[str]  # deprecated
    macmd5: Hint[str]  # deprecated
    ext: Ext


class User(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.20: the user of the device."""

    id: Hint[str]
    buyeruid: Hint[str]
    yob: Hint[Int]  # deprecated
    gender: Hint[str]  # deprecated
    keywords: Hint[str]
    kwarray: Hints[str]
    customdata: Hint[str]
    geo: Hint[Geo]
    data: Hints[Data]
    consent: Restriction[str]
    eids: Hints[EID]
    ext: Ext
