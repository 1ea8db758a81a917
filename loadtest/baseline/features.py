"""Candidates to rows and the call of the endpoint, as most would do both: a dict of features, NumPy, aioboto3.

The rule: the list of features is the model's (`python -m bidder features` prints it); what this bidder does not know
of it is 0. An endpoint whose model was trained on another list is not believed.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np

from loadtest.baseline.campaigns import MTYPES
from loadtest.baseline.eligibility import Candidate, Facts
from loadtest.baseline.request import BidRequest, Imp

NPY = "application/x-npy"
NEVER_SEEN_H = 720.0
_GOALS = {"cpm": 0, "cpc": 1, "cpa": 2}


class FeaturesMismatchError(Exception):
    """The endpoint's model takes other features."""


@lru_cache(maxsize=1 << 16)
def hashed(text: str) -> int:
    return crc32(text.encode("utf-8", "surrogatepass")) & 0xFFFFFF if text else 0


def rows(
    names: Sequence[str], candidates: Sequence[Candidate], request: BidRequest, facts: Facts, hour: int
) -> list[list[float]]:
    """One row a candidate, in the order of `names`. `hour`: of the week, UTC where the user's is not known."""
    context, slots = _context(request, facts, hour), {imp.id: _slot(imp) for imp in request.imp}
    made = []
    for candidate in candidates:
        values = context | slots[candidate.imp.id] | _candidate(candidate)
        made.append([values.get(name, 0.0) for name in names])
    return made


async def scores(client: Any, endpoint: str, features_version: str, values: list[list[float]]) -> list[float]:
    """Probabilities, one a row. Raises what aioboto3 raises, FeaturesMismatchError, and ValueError."""
    buffer = io.BytesIO()
    np.save(buffer, np.array(values, dtype=np.float32))
    answer = await client.invoke_endpoint(EndpointName=endpoint, ContentType=NPY, Accept=NPY, Body=buffer.getvalue())
    async with answer["Body"] as stream:
        body = await stream.read()
    if f"features={features_version}" not in answer.get("CustomAttributes", ""):
        raise FeaturesMismatchError(f"endpoint {endpoint} says {answer.get('CustomAttributes', 'nothing')!r}")
    found: list[float] = np.load(io.BytesIO(body), allow_pickle=False).tolist()
    if len(found) != len(values) or not all(0.0 <= score <= 1.0 for score in found):
        raise ValueError(f"{len(found)} scores for {len(values)} rows, or scores that are no probabilities")
    return found


def _context(request: BidRequest, facts: Facts, hour: int) -> dict[str, float]:
    place, device, one = request.place, request.device, facts.one
    content = place.content
    angle = hour % 24 * math.pi / 12
    return {
        "hour_sin": math.sin(angle),
        "hour_cos": math.cos(angle),
        "weekday": hour // 24,
        "exchange": hashed(one["exchange"]),
        "channel": hashed(one["channel"]),
        "publisher": hashed(one["publisher"]),
        "inventory": hashed(one["bundle"] or place.domain or place.id),
        "content_category": hashed(min(place.cat, default="")),
        "content_categories": len(place.cat),
        "content_language": hashed(content.language if content else ""),
        "content_genre": hashed(content.genre if content else ""),
        "country": hashed(device.geo.country),
        "region": hashed(device.geo.region),
        "metro": hashed(one["metro"]),
        "city": hashed(one["city"]),
        "device_type": device.devicetype,
        "os": hashed(one["os"]),
        "os_major": facts.os_version[0] if facts.os_version else 0,
        "make": hashed(device.make.lower()),
        "model": hashed(device.model.lower()),
        "browser": hashed(device.sua.browsers[0].brand if device.sua and device.sua.browsers else ""),
        "connection_type": device.connectiontype,
        "carrier": hashed(one["carrier"]),
        "language": hashed(one["language"]),
        "screen_ratio": device.w / device.h if device.h > 0 else 0.0,
        "auction_type": request.at,
        "slots": len(request.imp),
        "children": request.regs.coppa,
        "user_known": facts.knows_user,
        "segments": len(facts.several["segments"]),
        "hours_since_impression": NEVER_SEEN_H,
    }


def _slot(imp: Imp) -> dict[str, float]:
    offer = imp.banner or imp.video
    return {
        "position": offer.pos if offer else 0,
        "placement": (imp.video.plcmt or imp.video.placement) if imp.video else 0,
        "floor_usd": imp.bidfloor,
        "interstitial": imp.instl,
        "rewarded": imp.rwdd,
        "viewability": max((metric.value for metric in imp.metric if metric.type == "viewability"), default=0.0),
        "deals": len(imp.pmp.deals) if imp.pmp else 0,
        "slot_tag": hashed(imp.tagid),
    }


def _candidate(candidate: Candidate) -> dict[str, float]:
    campaign, creative = candidate.campaign, candidate.creative
    return {
        "campaign": hashed(campaign.id),
        "advertiser": hashed(campaign.advertiser),
        "creative": hashed(creative.id),
        "format": MTYPES[creative.format],
        "width": creative.w,
        "height": creative.h,
        "duration_s": creative.duration_s,
        "skippable": creative.skippable,
        "goal": _GOALS[campaign.goal],
        "ad_category": hashed(campaign.categories[0]) if campaign.categories else 0,
        "has_deal": candidate.deal is not None,
    }
