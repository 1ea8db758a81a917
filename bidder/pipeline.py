"""The way of a bid: decode, profile, target, features, inference, price, encode.

The only place that knows the order of the stages. The rule kept here: each step either ends an auction or hands it to
the next; whatever happens inside, the exchange gets one answer, in time, and never an error of ours. All steps are
synchronous, and done for a group of auctions before the next (see `rounds`); what has to be waited for (a profile in a
store, the model) calls back. No task a bid.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter, time
from typing import NamedTuple, Protocol

from msgspec import Struct

from bidder.domain import Auction, Bid, Candidate, Exchange, NoBid, NoBidReason, Profile, Rates, Rows, Scores
from bidder.metrics import Metrics
from bidder.rounds import Round
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


class Answer(Struct, frozen=True, gc=False):
    """What the exchange gets. `outcome` is the metrics' word for it."""

    status: int
    body: bytes
    outcome: str


NO_CONTENT = Answer(204, b"", "no_bid")

TEST = "test"
"""The outcome of every auction with `test: 1` (section 3.2.1): answered like any other, counted apart."""

TEST_NO_CONTENT = Answer(204, b"", TEST)


Answered = Callable[[Answer], None]


Moment = tuple[Compiled, float, Rates]
"""What holds for all that are taken together: the catalog, Unix seconds, the rates (none once they are stale)."""


class Arrival(NamedTuple):
    """A bid request that began to arrive at `arrived_s` (of the loop's clock). `answered` is called once."""

    body: bytes
    exchange: Exchange
    arrived_s: float
    answered: Answered


@dataclass(slots=True)
class Open:
    """An auction under way: what later steps need of earlier ones, and what is called back."""

    pipeline: Pipeline
    auction: Auction
    exchange: Exchange
    answered: Answered
    deadline_s: float
    compiled: Compiled
    now_s: float
    rates: Rates  # of the moment: none once they are stale
    lookup: asyncio.Future[Profile | None] | None = None  # of the profile, where it takes time
    profile: Profile | None = None
    candidates: Sequence[Candidate] = ()
    scores: Scores | None = None
    bids: Sequence[Bid] = ()
    waiting_since_s: float = 0.0  # on the performance counter: for the profile, then for the scores
    is_over: bool = False  # whoever still comes with something for it is late

    def profiled(self, _: asyncio.Future[Profile | None]) -> None:
        """Goes on with the profile, or without one where it did not come in time."""
        self.pipeline.took["profile"](perf_counter() - self.waiting_since_s)
        self.pipeline.profiled.add(self)

    def scored(self, scores: Scores) -> None:
        """Goes on with the scores that came for it."""
        if self.is_over:
            return
        self.pipeline.took["inference"](perf_counter() - self.waiting_since_s)
        self.scores = scores
        self.pipeline.scored.add(self)


Ended = list[tuple[Answered, Answer]]
"""Auctions of a group that are over, and who is to be told."""

Step = Callable[[Open], Answer | None]
"""A step of an auction: the answer, if that ends it."""


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
        self.profiled: Round[Open] = Round(self._go_on)
        self.scored: Round[Open] = Round(self._finish)

    async def bid(self, body: bytes, exchange: Exchange, arrived_s: float) -> Answer:
        """`take`, for who has one request and waits with a future."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def answered(answer: Answer) -> None:
            if not future.done():  # else the exchange has hung up
                future.set_result(answer)

        self.take([Arrival(body, exchange, arrived_s, answered)])
        return await future

    def take(self, arrivals: Iterable[Arrival]) -> None:
        """Answers each of these bid requests once, perhaps before it returns. Never raises."""
        ended: Ended = []
        group: list[Open] = []
        now_s = time()
        moment = self._catalog.current.index, now_s, self._rates.at(now_s)
        for arrival in arrivals:
            try:
                opened = self.begin(arrival, moment)
                if isinstance(opened, Answer):
                    ended.append((arrival.answered, opened))
                elif opened.lookup is not None:
                    opened.waiting_since_s = perf_counter()
                    opened.lookup.add_done_callback(opened.profiled)
                else:
                    group.append(opened)
            except Exception:
                ended.append((arrival.answered, self.failed(arrival.exchange)))
        self._go_on(group, ended)

    def _go_on(self, group: list[Open], ended: Ended | None = None) -> None:
        """From the profile to the model."""
        self._through((self.aim, self.ask), group, [] if ended is None else ended)

    def _finish(self, group: list[Open]) -> None:
        """From the scores to the answer."""
        self._through((self.price, self.encode), group, [])

    def _through(self, steps: Iterable[Step], group: list[Open], ended: Ended) -> None:
        """One step after the other over all that are left; then who has ended is told."""
        for step in steps:
            left: list[Open] = []
            for opened in group:
                try:
                    answer = step(opened)
                except Exception:
                    answer = self.failed(opened.exchange)
                if answer is None:
                    left.append(opened)
                else:
                    opened.is_over = True
                    ended.append((opened.answered, answer))
            group = left
        for answered, answer in ended:
            answered(answer)

    def failed(self, exchange: Exchange) -> Answer:
        """The answer to an auction that ended in the exception being handled."""
        logger.exception("a bid failed: answered with a no-bid")
        return self._no_bid(NoBid(NoBidReason.TECHNICAL_ERROR), exchange)

    def begin(self, arrival: Arrival, moment: Moment) -> Open | Answer:
        """Decode, and start looking up the profile."""
        body, exchange, arrived_s, answered = arrival
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
        opened = Open(self, auction, exchange, answered, deadline_s, *moment)
        if (left_s := deadline_s - self._clock()) <= ENCODE_RESERVE_S:
            if left_s <= 0:
                self._metrics.late_answer(exchange.name)
            return self._refuse(auction, NoBidReason.INSUFFICIENT_TIME, exchange)
        if auction.profile_keys:
            found = self._profiles.lookup(auction.profile_keys, deadline_s - ENCODE_RESERVE_S)
            if isinstance(found, asyncio.Future):
                opened.lookup = found
            else:
                opened.profile = found
        return opened

    def aim(self, opened: Open) -> Answer | None:
        """Target."""
        auction, exchange, rates = opened.auction, opened.exchange, opened.rates
        started = perf_counter()
        if opened.lookup is not None:
            opened.profile = opened.lookup.result()
        index, wanted = opened.compiled.index, self._candidates_per_slot
        opened.candidates = target(auction, exchange, opened.profile, index, rates, opened.now_s, wanted)
        self.took["target"](perf_counter() - started)
        return None if opened.candidates else self._refuse(auction, NoBidReason.NO_CAMPAIGN, exchange)

    def ask(self, opened: Open) -> None:
        """Features; then the model is asked, which calls `opened.scored`."""
        auction, exchange, candidates, rates = opened.auction, opened.exchange, opened.candidates, opened.rates
        started = perf_counter()
        rows = features(candidates, auction, exchange, opened.profile, rates, opened.now_s, as_csv=self._as_csv)
        opened.waiting_since_s = ready = perf_counter()
        self.took["features"](ready - started)
        priors = [candidate.campaign.prior for candidate in candidates]
        self._scorer.ask(rows, priors, opened.deadline_s - ENCODE_RESERVE_S, opened.scored)

    def price(self, opened: Open) -> Answer | None:
        """An answer that would come too late is a no-bid: it would cost the exchange's patience."""
        auction, exchange, scores = opened.auction, opened.exchange, opened.scores
        if scores is None or self._clock() >= opened.deadline_s:
            self._metrics.late_answer(exchange.name)
            return self._refuse(auction, NoBidReason.INSUFFICIENT_TIME, exchange)
        started = perf_counter()
        opened.bids, reason = price(opened.candidates, scores.values, auction, exchange, opened.rates)
        self.took["price"](perf_counter() - started)
        return None if reason is None else self._refuse(auction, reason, exchange)

    def encode(self, opened: Open) -> Answer:
        """The bids as the exchange wants them."""
        auction, exchange, metrics = opened.auction, opened.exchange, self._metrics
        started = perf_counter()
        encoded = opened.compiled.encoder.answer(auction, opened.bids, exchange)
        self.took["encode"](perf_counter() - started)
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
