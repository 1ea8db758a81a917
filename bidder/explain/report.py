"""One bid request through the bid path, and the report of what happened on the way.

The rule kept here: a report holds no identifier of a person: it shows the auction as decoded (identifiers are digests
by then, and are only counted here), coordinates to two decimals, and the answer that an exchange would get.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from bidder.domain import Auction, Exchange, NoBid, Profile, Rates
from bidder.explain.bids import explain_candidates
from bidder.explain.funnel import explain_targeting
from bidder.metrics import Metrics
from bidder.pipeline import Answer, Arrival, CurrentCatalog, Moment, Open, Pipeline, Scorer
from bidder.stages.privacy import NO_VENDOR, Policy
from bidder.stages.supply import DEFAULT_POLICY, SupplyPolicy
from bidder.state.profiles import ProfileStore

MAX_SHOWN = 50
"""Entries shown of a list in the decoded request."""

Report = dict[str, Any]


class Explainer:
    """Explains requests with the parts that the bid path works with. Construct inside the running loop."""

    def __init__(
        self,
        *,
        catalog: CurrentCatalog,
        profiles: ProfileStore,
        scorer: Scorer,
        rates: Rates,
        privacy: Policy = NO_VENDOR,
        supply: SupplyPolicy = DEFAULT_POLICY,
        candidates_per_slot: int = 8,
        as_csv: bool = False,
    ) -> None:
        self._candidates_per_slot = candidates_per_slot
        self._clock = asyncio.get_running_loop().time

        def trace(arrived_s: float) -> _Trace:
            return _Trace(
                catalog=catalog,
                profiles=profiles,
                scorer=scorer,
                rates=rates,
                metrics=Metrics(),
                privacy=privacy,
                supply=supply,
                candidates_per_slot=candidates_per_slot,
                as_csv=as_csv,
                clock=lambda: arrived_s,
            )

        self._trace: Callable[[float], _Trace] = trace

    async def explain(self, body: bytes, exchange: Exchange) -> Report:
        """The report on a bid request. Never raises for what `body` holds.

        For the pipeline the clock stands still, so that the answer is what a bidder with time to spare would give; the
        endpoint has as long as the auction's deadline leaves it."""
        arrived_s = self._clock()
        trace = self._trace(arrived_s)
        answer = await trace.bid(body, exchange, arrived_s)
        report: Report = {"exchange": exchange.name, "request": _decoded(trace, answer)}
        opened = trace.opened
        if opened is not None:
            profile = opened.profile
            report["profile"] = _profile(opened.auction, profile)
            report["slots"] = slots = []
            for slot in explain_targeting(opened, profile, self._candidates_per_slot):
                slots.append(slot)
                await asyncio.sleep(0)  # bids go first
            report["candidates"] = explain_candidates(opened, answer)
            if opened.scores is not None:
                report["scores"] = {"source": opened.scores.source, "variant": opened.scores.variant}
        report["answer"] = {"status": answer.status, "outcome": answer.outcome, "body": answer.body.decode()}
        return report


class _Trace(Pipeline):
    """The bid path for one request, remembering what its steps hand on."""

    arrived_s = 0.0
    opened: Open | None = None
    no_bid: NoBid | None = None

    def begin(self, arrival: Arrival, moment: Moment) -> Open | Answer:
        self.arrived_s = arrival.arrived_s
        opened = super().begin(arrival, moment)
        if isinstance(opened, Open):
            self.opened = opened
        return opened

    def _no_bid(self, no_bid: NoBid, exchange: Exchange, *, test: bool = False) -> Answer:
        self.no_bid = no_bid
        return super()._no_bid(no_bid, exchange, test=test)


def _decoded(trace: _Trace, answer: Answer) -> Report:
    """What was read of the request, normalised, or why nothing was."""
    if answer.outcome == "malformed":
        return {"outcome": "malformed", "detail": answer.body.decode()}
    decoded: Report = {"outcome": "read" if trace.opened else "refused"}
    if trace.no_bid is not None:
        no_bid = trace.no_bid
        decoded |= {"no_bid": no_bid.reason.value, "nbr": no_bid.reason.nbr, "detail": no_bid.detail}
    if trace.opened is not None:
        decoded["budget_ms"] = round((trace.opened.deadline_s - trace.arrived_s) * 1000)
        decoded["auction"] = _auction(trace.opened.auction)
    return decoded


def _auction(auction: Auction) -> Report:
    shown = _plain(replace(auction, profile_keys=()))
    shown["profile_keys"] = len([*auction.profile_keys])
    for name in ("latitude", "longitude"):
        if name in shown:
            shown[name] = round(shown[name], 2)
    return {name: value for name, value in shown.items() if value or value is False}


def _plain(value: Any) -> Any:
    """Domain objects as JSON: sets in order, lists bounded, what is not said left out."""
    if isinstance(value, Struct) or (is_dataclass(value) and not isinstance(value, type)):
        names = value.__struct_fields__ if isinstance(value, Struct) else [field.name for field in fields(value)]
        pairs = {name: getattr(value, name) for name in names}
        return {name: _plain(item) for name, item in pairs.items() if item not in (None, "", (), frozenset())}
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in list(value.items())[:MAX_SHOWN]}
    if isinstance(value, frozenset | set):
        return [_plain(item) for item in sorted(value)[:MAX_SHOWN]]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value[:MAX_SHOWN]]
    return value


def _profile(auction: Auction, profile: Profile | None) -> Report:
    if not auction.profile_keys:
        return {"result": "not looked up: the request has no identifier, or privacy forbids it"}
    if profile is None:
        return {"result": "not found"}
    return {
        "result": "found",
        "segments": sorted(profile.segments)[:MAX_SHOWN],
        "impressions_today": profile.impressions_today,
    }
