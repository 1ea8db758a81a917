"""What privacy signals forbid → gone from the request.

The rule kept here: in place, and first. `redact` works on the freshly parsed dicts before anything else reads them, so
that no later stage, log or explanation can see what was forbidden.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Any, cast

from bidder.stages.privacy.signals import FORBIDS, Forbidden, find_signals
from bidder.stages.privacy.tcf import Policy
from openrtb_schemas import BidRequest

COORDINATE_DECIMALS = 2
"""About a kilometre: what remains of a position."""

_IPV4 = re.compile(r"([0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3})\.[0-9]{1,3}")
_USER_IDS = ("id", "buyeruid", "eids", "customdata")
_USER_TRAITS = ("data", "keywords", "kwarray", "yob", "gender", "customdata")
_DEVICE_IDS = ("ifa", "didsha1", "didmd5", "dpidsha1", "dpidmd5", "macsha1", "macmd5", "ext")
_EXACT_PLACE = ("zip", "accuracy", "lastfix", "ext")


@dataclass(slots=True, frozen=True)
class Verdict:
    """What was found and, as bits of `Forbidden`, what it forbids."""

    signals: tuple[str, ...] = ()
    forbidden: int = 0

    def allows(self, use: int) -> bool:
        return not self.forbidden & use


CLEAR = Verdict()


def redact(request: BidRequest, policy: Policy) -> Verdict:
    """Removes from `request`, in place, what its privacy signals forbid."""
    signals = find_signals(request, policy)
    if not signals:
        return CLEAR
    verdict = _verdict(tuple(signals))
    _remove(cast("dict[str, Any]", request), verdict.forbidden)
    return verdict


@lru_cache(maxsize=1024)
def _verdict(signals: tuple[str, ...]) -> Verdict:
    """Few combinations occur: remembering them saves 2 µs a redaction."""
    forbidden = 0
    for signal in signals:
        forbidden |= FORBIDS[signal]
    return Verdict(tuple(dict.fromkeys(signals)), forbidden)


def _remove(request: dict[str, Any], forbidden: int) -> None:
    user: dict[str, Any] = request.get("user") or {}
    device: dict[str, Any] = request.get("device") or {}
    if forbidden & Forbidden.IDENTIFIERS:
        _drop(user, _USER_IDS)
        user.pop("ext", None)
        _drop(device, _DEVICE_IDS)
        _shorten_addresses(device)
        _drop_queries(request)
    if forbidden & Forbidden.TRAITS:
        _drop(user, _USER_TRAITS)
        if ext := user.pop("ext", None):
            user["ext"] = {key: ext[key] for key in ("eids", "consent") if key in ext}
    if forbidden & Forbidden.POSITION:
        for owner in (user, device):
            if geo := owner.get("geo"):
                _coarsen(geo)


def _drop(source: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        source.pop(key, None)


def _coarsen(geo: dict[str, Any]) -> None:
    _drop(geo, _EXACT_PLACE)
    for key in ("lat", "lon"):
        if (coordinate := geo.get(key)) is not None:
            geo[key] = round(coordinate, COORDINATE_DECIMALS)


def _shorten_addresses(device: dict[str, Any]) -> None:
    for key in ("ip", "ipv6"):
        if (address := device.pop(key, None)) and (short := shorten(address)):
            device[key] = short


def shorten(address: str) -> str:
    """An address with its last 8 bits (IPv4) or 72 bits (IPv6) zero; "" for what is none."""
    if ipv4 := _IPV4.fullmatch(address):
        return f"{ipv4[1]}.0"
    try:
        return str(IPv6Address(int(IPv6Address(address)) >> 72 << 72))
    except ValueError:
        return ""


def _drop_queries(request: dict[str, Any]) -> None:
    """What people typed, and parts of addresses in which identifiers travel."""
    if site := request.get("site"):
        site.pop("search", None)
        for key in ("page", "ref"):
            if isinstance(address := site.pop(key, None), str):
                site[key] = address.partition("?")[0].partition("#")[0]
