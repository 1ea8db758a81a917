"""The way of a bid: decode, profile, target, features, inference, price, encode.

The only place that knows the order of the stages. The rule kept here: each step either ends the auction or hands it to
the next; whatever happens inside, the exchange gets one answer, in time, and never an error of ours. All steps are
synchronous; what has to be waited for (a profile in a store, the model) calls back. No task a bid.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic, perf_counter, time
from typing import Protocol

from bidder.domain import Auction, Candidate, Exchange, NoBid, NoBidReason, Profile, Rates, Rows, Scores
from bidder.metrics import Metrics
from bidder.stages.decode import MalformedError, decode
from bidder.stages.encode import Encoder
from bidder.stages.features import features
from bidder.stages.price import price
from bidder.stages.privacy import NO_VENDOR, Policy
from bidder.stages.supply import DEFAULT_POLICY, SupplyPolicy
from bidder.stages.target import CampaignIndex, target
from bidder.state.profiles import ProfileStore

logger = logging.getLogger(__name__)

ENCODE_RESERVE_S = 0.002
"""Kept back from the model's share of the deadline, for pricing, encoding and sending."""

MAX_TMAX_MS = 3000
"""An exchange that allows more is not kept waiting longer: it bounds what is in flight."""


@dataclass(slots=True, frozen=True)
class Compiled:
    """What is made of a catalog when it is loaded, and replaced with it."""

    index: CampaignIndex
    encoder: Encoder

    def let_go(self, count: int) -> bool:
        """Forget up to `count` objects that were made on the way; whether there were any. What is still asked for is
        made anew."""
        return self.index.let_go(count) or self.encoder.let_go(count)


class Loaded(Protocol):
    @property
    def index(self) -> Compiled: ...


class CurrentCatalog(Protocol):
    """What holds the catalog of the moment."""

    @property
    def current(self) -> Loaded: ...


class Scorer(Protocol):
    def ask(
        self, rows: Rows, priors: Sequence[float], deadline_s: float, answered: Callable[[Scores], None]
    ) -> None: ...


@dataclass(slots=True, frozen=True)
class Answer:
    """What the exchange gets. `outcome` is the metrics' word for it."""

    status: int
    body: bytes
    outcome: str


NO_CONTENT = Answer(204, b"", "no_bid")

TEST = "test"
"""The outcome of every auction with `test: 1` (section 3.2.1): answered like any other, counted apart."""

TEST_NO_CONTENT = Answer(204, b"", TEST)


Answered = Callable[[Answer], None]


def _nobody(_: Answer) -> None:
    """Who is told of an auction that is only begun."""


@dataclass(slots=True)
class Open:
    """An auction under way: what later steps need of earlier ones, and what is called back."""

    pipeline: Pipeline
    auction: Auction
    exchange: Exchange
    compiled: Compiled
    deadline_s: float
    now_s: float
    rates: Rates  # of the moment: none once they are stale
    profile: Profile | asyncio.Future[Profile | None] | None = None
    candidates: list[Candidate] = field(default_factory=list)
    answered: Answered = _nobody
    waiting_since_s: float = 0.0  # on the performance counter: for the profile, then for the scores

    def profiled(self, future: asyncio.Future[Profile | None]) -> None:
        """Goes on once the profile is there, or is known not to come in time."""
        pipeline = self.pipeline
        try:
            pipeline.took["profile"](perf_counter() - self.waiting_since_s)
            self.profile = future.result()
            answer = pipeline.ask(self)
        except Exception:
            answer = pipeline.failed(self.exchange)
        if answer is not None:
            self.answered(answer)

    def scored(self, scores: Scores) -> None:
        """Ends the auction with the scores that came for it."""
        pipeline = self.pipeline
        try:
            pipeline.took["inference"](perf_counter() - self.waiting_since_s)
            answer = pipeline.finish(self, scores)
        except Exception:
            answer = pipeline.failed(self.exchange)
        self.answered(answer)


class Pipeline:
    """The stages and what they work with, put together once."""

    def __init__(
        self,
        *,
        catalog: CurrentCatalog,
        profiles: ProfileStore,
        scorer: Scorer,
        rates: Rates,
        metrics: Metrics,
        privacy: Policy = NO_VENDOR,
        supply: SupplyPolicy = DEFAULT_POLICY,
        candidates_per_slot: int = 8,
        as_csv: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._catalog = catalog
        self._profiles = profiles
        self._scorer = scorer
        self._rates = rates
        self._metrics = metrics
        self._privacy = privacy
        self._supply = supply
        self._candidates_per_slot = candidates_per_slot
        self._as_csv = as_csv
        self._clock = clock or fresh_clock()
        stages = metrics.stage_latency
        self.took = {stage: histogram.observe for stage, histogram in stages.items()}

    async def bid(self, body: bytes, exchange: Exchange, arrived_s: float) -> Answer:
        """`start`, for who waits with a future."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def answered(answer: Answer) -> None:
            if not future.done():  # else the exchange has hung up
                future.set_result(answer)

        self.start(body, exchange, arrived_s, answered)
        return await future

    def start(self, body: bytes, exchange: Exchange, arrived_s: float, answered: Answered) -> None:
        """Calls `answered` once with the answer to one bid request that began to arrive at `arrived_s` (of the loop's
        clock), perhaps before it returns. Never raises."""
        try:
            opened = self.begin(body, exchange, arrived_s)
            if isinstance(opened, Answer):
                answer: Answer | None = opened
            else:
                opened.answered = answered
                if isinstance(opened.profile, asyncio.Future):
                    opened.waiting_since_s = perf_counter()
                    opened.profile.add_done_callback(opened.profiled)
                    return
                answer = self.ask(opened)
        except Exception:
            answer = self.failed(exchange)
        if answer is not None:
            answered(answer)

    def failed(self, exchange: Exchange) -> Answer:
        """The answer to an auction that ended in the exception being handled."""
        logger.exception("a bid failed: answered with a no-bid")
        return self._no_bid(NoBid(NoBidReason.TECHNICAL_ERROR), exchange)

    def begin(self, body: bytes, exchange: Exchange, arrived_s: float) -> Open | Answer:
        """Decode, and start looking up the profile."""
        started = perf_counter()
        try:
            auction = decode(body, self._privacy, self._supply)
        except MalformedError as error:
            return Answer(400, str(error).encode("utf-8", "replace"), "malformed")
        finally:
            self.took["decode"](perf_counter() - started)
        if isinstance(auction, NoBid):
            return self._no_bid(auction, exchange)
        tmax_ms = min(auction.tmax_ms or exchange.default_tmax_ms, MAX_TMAX_MS)
        deadline_s = arrived_s + (tmax_ms - exchange.network_margin_ms) / 1000
        now_s = time()
        opened = Open(self, auction, exchange, self._catalog.current.index, deadline_s, now_s, self._rates.at(now_s))
        if (left_s := deadline_s - self._clock()) <= ENCODE_RESERVE_S:
            if left_s <= 0:
                self._metrics.late_answer(exchange.name)
            return self._refuse(auction, NoBidReason.INSUFFICIENT_TIME, exchange)
        if auction.profile_keys:
            opened.profile = self._profiles.lookup(auction.profile_keys, deadline_s - ENCODE_RESERVE_S)
        return opened

    def ask(self, opened: Open) -> Answer | None:
        """Target and features; then the model is asked, which calls `opened.scored`. An answer here means that there
        is nothing to ask."""
        auction, exchange, took = opened.auction, opened.exchange, self.took
        profile = opened.profile if isinstance(opened.profile, Profile) else None
        index, rates = opened.compiled.index, opened.rates
        started = perf_counter()
        candidates = target(auction, exchange, profile, index, rates, opened.now_s, self._candidates_per_slot)
        targeted = perf_counter()
        took["target"](targeted - started)
        if not candidates:
            return self._refuse(auction, NoBidReason.NO_CAMPAIGN, exchange)
        opened.candidates = candidates
        rows = features(candidates, auction, exchange, profile, rates, opened.now_s, as_csv=self._as_csv)
        opened.waiting_since_s = ready = perf_counter()
        took["features"](ready - targeted)
        priors = [candidate.campaign.prior for candidate in candidates]
        self._scorer.ask(rows, priors, opened.deadline_s - ENCODE_RESERVE_S, opened.scored)
        return None

    def finish(self, opened: Open, scores: Scores) -> Answer:
        """Price and encode. An answer that would come too late is a no-bid: it would cost the exchange's patience."""
        auction, exchange, metrics, took = opened.auction, opened.exchange, self._metrics, self.took
        if self._clock() >= opened.deadline_s:
            metrics.late_answer(exchange.name)
            return self._refuse(auction, NoBidReason.INSUFFICIENT_TIME, exchange)
        started = perf_counter()
        bids, reason = price(opened.candidates, scores.values, auction, exchange, opened.rates)
        priced = perf_counter()
        took["price"](priced - started)
        if reason is not None:
            return self._refuse(auction, reason, exchange)
        encoded = opened.compiled.encoder.answer(auction, bids, exchange)
        took["encode"](perf_counter() - priced)
        for refusal in encoded.refused:
            metrics.refused(refusal)
        if not encoded.bids:  # the exchange's profile allows none of them
            return self._refuse(auction, NoBidReason.PROFILE, exchange)
        metrics.self_check.look(encoded.body, auction, exchange)
        if auction.test:
            return Answer(200, encoded.body, TEST)
        for bid in encoded.bids:
            metrics.bid(bid.candidate.creative.spec.format)
        return Answer(200, encoded.body, "bid")

    def _refuse(self, auction: Auction, reason: NoBidReason, exchange: Exchange) -> Answer:
        return self._no_bid(NoBid(reason, auction.id), exchange, test=auction.test)

    def _no_bid(self, no_bid: NoBid, exchange: Exchange, *, test: bool = False) -> Answer:
        if not test:
            self._metrics.no_bid(no_bid.reason)
        body = self._catalog.current.index.encoder.no_bid(no_bid.auction_id, no_bid.reason, exchange)
        if body is None:
            return TEST_NO_CONTENT if test else NO_CONTENT
        return Answer(200, body, TEST if test else "no_bid")


def fresh_clock() -> Callable[[], float]:
    """The running loop's clock, read anew at each call. uvloop's own stands still during a turn of the loop: right for
    when something arrived, wrong for whether there is time left. Where the system's two clocks differ, uvloop's."""
    own = asyncio.get_running_loop().time
    return monotonic if abs(monotonic() - own()) < 1.0 else own
