"""The bench on which exemplars and mutations are tried: the real stages, a catalog, no network.

The rule: what goes in are documents (a request, campaigns as a catalog has them); what comes out is judged from those
documents alone, see `invariants.py`. The model says what the campaign's prior says, so that a price can be worked out
on paper.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from bidder.catalog.reader import read_catalog
from bidder.domain import Exchange, Profile, Scores
from bidder.metrics import Metrics
from bidder.pipeline import Compiled, Open, Pipeline
from bidder.stages.encode import Encoder
from bidder.stages.index import compile_index
from bidder.stages.privacy import Policy
from bidder.state.profiles import LookupCounts
from bidder.supply_lists import read_supply
from tests.exemplars.invariants import RATES, Invariants, Json, Outcome


class _Catalog:
    def __init__(self, campaigns: Sequence[Any]) -> None:
        self.current = self
        self.index = Compiled(compile_index(campaigns), Encoder("https://notices.example"))


class _Profiles:
    ready = True

    def __init__(self, profile: Profile | None) -> None:
        self.counts = LookupCounts()
        self.profile = profile
        self.keys: tuple[str, ...] = ()

    def lookup(self, keys: Iterable[str], deadline_s: float) -> Profile | None:
        self.keys = tuple(keys)
        return self.profile

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


class _Model:
    """Its score is the prior."""

    rows = b""

    def ask(self, questions: Sequence[Open]) -> None:
        (question,) = questions
        self.rows = question.rows.body
        question.scored(Scores(question.priors(), "prior"))

    def send(self) -> None: ...


class Bench:
    """A bidder with these campaigns (documents) on this exchange. Needs a running loop. `vendor`: our id in the Global
    Vendor List; `supply`: a document of supply lists."""

    def __init__(
        self,
        campaigns: list[Json],
        exchange: Exchange,
        profile: Profile | None = None,
        vendor: int = 0,
        supply: Json | None = None,
    ) -> None:
        _, compiled = read_catalog(json.dumps({"version": "exemplar", "campaigns": campaigns}).encode(), RATES)
        self._exchange = exchange
        self._invariants = Invariants(campaigns, exchange, vendor, (supply or {}).get("incomplete_allowed", False))
        self.metrics = Metrics([exchange.name])
        self._profiles = _Profiles(profile)
        self._model = _Model()
        self._pipeline = Pipeline(
            catalog=_Catalog(compiled),
            profiles=self._profiles,
            scorer=self._model,
            rates=RATES,
            metrics=self.metrics,
            privacy=Policy(vendor),
            supply=read_supply(json.dumps(supply or {}).encode(), "exemplar"),
            as_csv=True,
            clock=lambda: 1000.0,  # stands still: no answer is late because the machine is slow
        )

    async def bid(self, body: bytes) -> Outcome:
        before = dict(self.metrics.no_bids)
        self._profiles.keys, self._model.rows = (), b""
        answer = await self._pipeline.bid(body, self._exchange, 1000.0)
        counted = {reason: count - before[reason] for reason, count in self.metrics.no_bids.items()}
        reason = next((reason for reason, count in counted.items() if count), "")
        return Outcome(
            answer.status, answer.body, reason, self._profiles.keys, self._model.rows, counted["technical_error"]
        )

    def violations(self, body: bytes, outcome: Outcome) -> list[str]:
        """Everything that is wrong with the answer, whatever was asked."""
        return self._invariants.violations(body, outcome)
