"""What privacy signals forbid → gone from the request.

The rule kept here: in place, and first. `redact` works on the freshly read request before anything else looks at it, so
that no later stage, log or explanation can see what was forbidden. Only what is read can be there to be removed, and a
test asks of each field of a person, a device, a place or a page whether it stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import floor

from bidder.stages.privacy.signals import FORBIDS, Forbidden, find_signals
from bidder.stages.privacy.tcf import Policy
from bidder.stages.request import BidRequest, Geo

COORDINATE_DECIMALS = 2
"""About a kilometre: what remains of a position."""

MOST_DEGREES = 1000.0
"""Beyond it a number is no angle, and is rounded with less haste."""


@dataclass(slots=True, frozen=True)
class Verdict:
    """What was found and, as bits of `Forbidden`, what it forbids; and so what may be done."""

    signals: tuple[str, ...] = ()
    forbidden: int = 0
    may_profile: bool = True  # look up who it is
    may_measure: bool = True  # count what they saw and did
    may_learn: bool = True  # keep the request as a training example


CLEAR = Verdict()


def redact(request: BidRequest, policy: Policy) -> Verdict:
    """Removes from `request`, in place, what its privacy signals forbid."""
    signals = find_signals(request, policy)
    if not signals:
        return CLEAR
    verdict = _verdict(tuple(signals))
    _remove(request, verdict.forbidden)
    return verdict


@lru_cache(maxsize=1024)
def _verdict(signals: tuple[str, ...]) -> Verdict:
    """Few combinations occur: remembering them saves 2 µs a redaction."""
    forbidden = 0
    for signal in signals:
        forbidden |= FORBIDS[signal]
    return Verdict(
        tuple(dict.fromkeys(signals)),
        forbidden,
        may_profile=not forbidden & (Forbidden.IDENTIFIERS | Forbidden.TRAITS),
        may_measure=not forbidden & Forbidden.MEASUREMENT,
        may_learn=not forbidden & Forbidden.LEARNING,
    )


def _remove(request: BidRequest, forbidden: int) -> None:
    user, device, site = request.user, request.device, request.site
    identifiers = forbidden & Forbidden.IDENTIFIERS
    position = forbidden & Forbidden.POSITION
    if user is not None:
        if identifiers:
            user.buyeruid = user.eids = user.ext = None
        if forbidden & Forbidden.TRAITS:
            user.data = None
        if position and user.geo is not None:
            _coarsen(user.geo)
    if device is not None:
        if identifiers:
            device.ifa = device.ext = None
        if position and device.geo is not None:
            _coarsen(device.geo)
    if identifiers and site is not None and (page := site.page) is not None:
        # Parts of addresses in which identifiers travel, and what people typed.
        site.page = page.partition("?")[0].partition("#")[0]


def _coarsen(geo: Geo) -> None:
    geo.zip = None
    if (latitude := geo.lat) is not None:
        geo.lat = rounded(latitude)
    if (longitude := geo.lon) is not None:
        geo.lon = rounded(longitude)


def rounded(degrees: float) -> float:
    """What `round` finds by writing the number out, for half of it where one hundredth is plainly the nearest."""
    if -MOST_DEGREES < degrees < MOST_DEGREES:
        hundredths = degrees * 100.0
        nearest = floor(hundredths + 0.5)
        if nearest and -0.49 < hundredths - nearest < 0.49:
            return nearest / 100.0
    return round(degrees, COORDINATE_DECIMALS)
