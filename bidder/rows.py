"""Requests → rows of the event log, off line: the rows that the bid path would have asked the model about.

The rule kept here: features are computed by the bid path's own stages, so that a model trained on these rows meets the
same ones when it serves. The log's first line names the features and their version; training reads it there.

    #{"format":"bidder-rows/1","features":[…],"features_version":"…","categorical":[…]}
    auction_id,impression_id,campaign_id,<features>
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TextIO

import orjson

from bidder.domain import Auction, Candidate, Exchange, Profile, Rates
from bidder.stages.decode import MalformedError, decode
from bidder.stages.features import (
    CATEGORICAL,
    FEATURES,
    FEATURES_VERSION,
    as_text,
    candidate_values,
    context_values,
    slot_values,
)
from bidder.stages.index import CampaignIndex
from bidder.stages.privacy import NO_VENDOR, Policy
from bidder.stages.supply import DEFAULT_POLICY, SupplyPolicy
from bidder.stages.target import target

FORMAT = "bidder-rows/1"
COLUMNS = ("auction_id", "impression_id", "campaign_id", *FEATURES)

Lookup = Callable[[Iterable[str]], Profile | None]


def header() -> dict[str, object]:
    """What the log's first line says, after its `#`."""
    return {
        "format": FORMAT,
        "features": list(FEATURES),
        "features_version": FEATURES_VERSION,
        "categorical": list(CATEGORICAL),
    }


def write_rows(
    bodies: Iterable[bytes],
    out: TextIO,
    *,
    index: CampaignIndex,
    exchange: Exchange,
    rates: Rates,
    lookup: Lookup,
    start_s: float,
    step_s: float,
    per_slot: int,
    privacy: Policy = NO_VENDOR,
    supply: SupplyPolicy = DEFAULT_POLICY,
) -> Mapping[str, int]:
    """Writes the rows of all requests that may be bid on and learned from, and returns how many requests, rows and
    refusals there were.

    Requests are taken as arriving at `start_s` (Unix seconds) and then every `step_s` seconds."""
    out.write("#" + orjson.dumps(header()).decode() + "\n")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    counts = {"requests": 0, "refused": 0, "rows": 0}
    for number, body in enumerate(bodies):
        counts["requests"] += 1
        try:
            auction = decode(body, privacy, supply)
        except MalformedError:
            counts["refused"] += 1
            continue
        if not isinstance(auction, Auction) or not auction.may_learn:
            counts["refused"] += 1
            continue
        now_s = start_s + number * step_s
        profile = lookup(auction.profile_keys) if auction.profile_keys else None
        candidates = target(auction, exchange, profile, index, rates, now_s, per_slot)
        writer.writerows(_rows(auction, candidates, context_values(auction, exchange, profile, now_s), profile, rates))
        counts["rows"] += len(candidates)
    return counts


def _rows(
    auction: Auction,
    candidates: Sequence[Candidate],
    context: tuple[float, ...],
    profile: Profile | None,
    rates: Rates,
) -> Iterable[tuple[object, ...]]:
    for candidate in candidates:
        slot = candidate.slot
        values = (*context, *slot_values(slot, rates), *candidate_values(candidate, profile))
        yield auction.id, slot.id, candidate.campaign.id, *as_text(values)
