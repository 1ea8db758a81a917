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
from time import perf_counter, time
from typing import Protocol

from msgspec import Struct

from bidder.domain import Auction, Bid, Candidate, Exchange, NoBid, NoBidReason, Profile, Rates, Rows, Scores
from bidder.metrics import Metrics
from bidder.rounds import Round, fresh_clock
from bidder.stages.decode import MalformedError, decode
from bidder.stages.encode import Encoder
from bidder.stages.features import features
from bidder.stages.index import CampaignIndex
from bidder.stages.price import price
from bidder.stages.privacy import NO_VENDOR, Policy
from bidder.stages.supply import DEFAULT_POLICY, SupplyPolicy
from bidder.stages.target import target
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
    def ask(self, questions: Sequence[Open]) -> None:
        """Calls `scored` of each with the scores of its `rows` by its `due_s`, perhaps at once. The rows leave with
        the next `send`."""
        ...

    def send(self) -> None:
        """All that are to share a call have been asked about."""
        ...


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


class Arrival(Struct, gc=False):
    """A bid request that began to arrive at `arrived_s` (of the loop's clock). `answered` is called once."""

    body: bytes
    exchange: Exchange
    arrived_s: float
    answered: Answered


_NO_ROWS = Rows(0, b"")


class Open(Struct, eq=False, gc=False):
    """An auction under way: what later steps need of earlier ones, and what is called back. The collector passes it by:
    nothing leads back to it but a look-up that is not answered yet."""

    pipeline: Pipeline
    auction: Auction
    exchange: Exchange
    answered: Answered
    deadline_s: float  # for the answer
    due_s: float  # for what it is waited for: the profile, then the scores
    compiled: Compiled
    now_s: float
    rates: Rates  # of the moment: none once they are stale
    lookup: asyncio.Future[Profile | None] | None = None  # of the profile, where it takes time
    profile: Profile | None = None
    candidates: Sequence[Candidate] = ()
    rows: Rows = _NO_ROWS
    scores: Scores | None = None
    bids: Sequence[Bid] = ()
    waiting_since_s: float = 0.0  # on the performance counter: for the profile, then for the scores
    is_over: bool = False  # it was answered though it has no scores: they would come too late

    def priors(self) -> Sequence[float]:
        """Of the campaigns of `rows`: what answers where the model does not."""
        return [candidate.campaign.prior for candidate in self.candidates]

    def profiled(self, _: asyncio.Future[Profile | None]) -> None:
        """Goes on with the profile, or without one where it did not come in time."""
        pipeline = self.pipeline
        pipeline.took["profile"](perf_counter() - self.waiting_since_s)
        pipeline.profiled.add(self)

    def scored(self, scores: Scores) -> None:
        """Goes on with the first scores that come for it."""
        if self.is_over or self.scores is not None:
            return
        pipeline = self.pipeline
        pipeline.inferred(perf_counter() - self.waiting_since_s)
        self.scores = scores
        pipeline.scored.add(self)


Ended = list[tuple[Answered, Answer]]
"""Auctions of a group that are over, and who is to be told."""

Step = Callable[[Open], Answer | None]
"""A step of an auction: the answer, if that ends it."""

_NO_CAMPAIGN = NoBidReason.NO_CAMPAIGN  # a name of its own: Python 3.11 calls a function for an enum's


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
        self._loop = asyncio.get_running_loop()
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
        self.inferred, self._decoded = self.took["inference"], self.took["decode"]
        self.profiled: Round[Open] = Round(self._go_on, self._send_soon)
        self.scored: Round[Open] = Round(self._finish)
        self.on_group: Callable[[Sequence[Open]], None] | None = None  # is shown all that are aimed

    async def bid(self, body: bytes, exchange: Exchange, arrived_s: float) -> Answer:
        """`take`, for who has one request and waits with a future."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def answered(answer: Answer) -> None:
            if not future.done():  # else the exchange has hung up
                future.set_result(answer)

        self.take([Arrival(body, exchange, arrived_s, answered)])
        self.send()
        return await future

    def take(self, arrivals: Iterable[Arrival]) -> None:
        """Answers each of these bid requests once, perhaps before it returns; who takes several groups in one turn of
        the loop says `send` after the last. Never raises."""
        if self.scored.added:  # the shorter work first: at half load 0.01 ms a bid in the mean
            self.scored.end()
        ended: Ended = []
        group: list[Open] = []
        now_s = time()
        moment = self._catalog.current.index, now_s, self._rates.at(now_s)
        for arrival in arrivals:
            try:
                opened = self.begin(arrival, moment)
                if not isinstance(opened, Open):
                    ended.append((arrival.answered, opened))
                elif opened.lookup is None:
                    group.append(opened)
                else:
                    opened.waiting_since_s = perf_counter()
                    opened.lookup.add_done_callback(opened.profiled)
            except Exception:
                ended.append((arrival.answered, self.failed(arrival.exchange)))
        self._go_on(group, ended)

    def send(self) -> None:
        """All that came in this turn of the loop was taken: what the model is asked leaves in one call, now."""
        self._scorer.send()

    def _send_soon(self) -> None:
        """Requests of the same turn, which are taken after the profiles, share the call."""
        self._loop.call_soon(self._scorer.send)

    def _go_on(self, group: list[Open], ended: Ended | None = None) -> None:
        """From the profile to the model."""
        ended = [] if ended is None else ended
        if self.on_group is not None:
            self.on_group(group)
        group = self._each("target", self.aim, group, ended)
        group = self._each("features", self.make_rows, group, ended)
        if group:
            self._ask(group, ended)
        for answered, answer in ended:
            answered(answer)

    def _finish(self, group: list[Open]) -> None:
        """From the scores to the answer."""
        ended: Ended = []
        group = self._each("price", self.price, group, ended)
        self._each("encode", self.encode, group, ended)
        for answered, answer in ended:
            answered(answer)

    def _each(self, stage: str, step: Step, group: list[Open], ended: Ended) -> list[Open]:
        """A step for all of a group; returns those that are left. The clock is read between two of them: the end of
        one is the beginning of the next."""
        left: list[Open] = []
        took = self.took[stage]
        since_s = perf_counter()
        for opened in group:
            try:
                answer = step(opened)
            except Exception:
                answer = self.failed(opened.exchange)
            now_s = perf_counter()
            took(now_s - since_s)
            since_s = now_s
            if answer is None:
                left.append(opened)
            else:
                ended.append((opened.answered, answer))
        return left

    def _ask(self, group: list[Open], ended: Ended) -> None:
        """The model is asked for all at once; it calls `scored` of each."""
        asked_s = perf_counter()
        for opened in group:
            opened.waiting_since_s = asked_s
        try:
            self._scorer.ask(group)
        except Exception:
            for opened in group:
                if opened.scores is None:
                    opened.is_over = True
                    ended.append((opened.answered, self.failed(opened.exchange)))

    def failed(self, exchange: Exchange) -> Answer:
        """The answer to an auction that ended in the exception being handled."""
        logger.exception("a bid failed: answered with a no-bid")
        return self._no_bid(NoBid(NoBidReason.TECHNICAL_ERROR), exchange)

    def begin(self, arrival: Arrival, moment: Moment) -> Open | Answer:
        """Decode, and start looking up the profile."""
        exchange, arrived_s = arrival.exchange, arrival.arrived_s
        started = perf_counter()
        try:
            auction = decode(arrival.body, self._privacy, self._supply)
        except MalformedError as error:
            return Answer(400, str(error).encode("utf-8", "replace"), "malformed")
        finally:
            self._decoded(perf_counter() - started)
        if not isinstance(auction, Auction):
            return self._no_bid(auction, exchange)
        tmax_ms = auction.tmax_ms or exchange.default_tmax_ms
        if tmax_ms > MAX_TMAX_MS:
            tmax_ms = MAX_TMAX_MS
        deadline_s = arrived_s + (tmax_ms - exchange.network_margin_ms) / 1000
        due_s = deadline_s - ENCODE_RESERVE_S
        now_s = self._clock()
        if now_s >= due_s:
            if now_s >= deadline_s:
                self._metrics.late_answer(exchange.name)
            return self._refuse(auction, NoBidReason.INSUFFICIENT_TIME, exchange)
        compiled, unix_s, rates = moment
        opened = Open(self, auction, exchange, arrival.answered, deadline_s, due_s, compiled, unix_s, rates)
        if auction.profile_keys:
            found = self._profiles.lookup(auction.profile_keys, due_s)
            if found is None or isinstance(found, Profile):
                opened.profile = found
            else:
                opened.lookup = found
        return opened

    def aim(self, opened: Open) -> Answer | None:
        """Target."""
        if opened.lookup is not None:
            opened.profile = opened.lookup.result()
        auction, exchange = opened.auction, opened.exchange
        index, wanted = opened.compiled.index, self._candidates_per_slot
        opened.candidates = target(auction, exchange, opened.profile, index, opened.rates, opened.now_s, wanted)
        return None if opened.candidates else self._refuse(auction, _NO_CAMPAIGN, exchange)

    def make_rows(self, opened: Open) -> None:
        """Features."""
        auction, exchange, profile, rates = opened.auction, opened.exchange, opened.profile, opened.rates
        opened.rows = features(opened.candidates, auction, exchange, profile, rates, opened.now_s, as_csv=self._as_csv)

    def price(self, opened: Open) -> Answer | None:
        """An answer that would come too late is a no-bid: it would cost the exchange's patience."""
        auction, exchange, scores = opened.auction, opened.exchange, opened.scores
        if scores is None or self._clock() >= opened.deadline_s:
            self._metrics.late_answer(exchange.name)
            return self._refuse(auction, NoBidReason.INSUFFICIENT_TIME, exchange)
        priced = price(opened.candidates, scores.values, auction, exchange, opened.rates)
        opened.bids = priced.bids
        return None if priced.reason is None else self._refuse(auction, priced.reason, exchange)

    def encode(self, opened: Open) -> Answer:
        """The bids as the exchange wants them."""
        auction, exchange, metrics = opened.auction, opened.exchange, self._metrics
        encoded = opened.compiled.encoder.answer(auction, opened.bids, exchange)
        if encoded.refused:
            for refusal in encoded.refused:
                metrics.refused(refusal)
        if not encoded.bids:  # the exchange's profile allows none of them
            return self._refuse(auction, NoBidReason.PROFILE, exchange)
        metrics.self_check.look(encoded.body, auction, exchange)
        if auction.test:
            return Answer(200, encoded.body, TEST)
        metrics.sent(encoded.bids)
        return Answer(200, encoded.body, "bid")

    def _refuse(self, auction: Auction, reason: NoBidReason, exchange: Exchange) -> Answer:
        return self._no_bid(NoBid(reason, auction.id), exchange, test=auction.test)

    def _no_bid(self, no_bid: NoBid, exchange: Exchange, *, test: bool = False) -> Answer:
        if not test:
            self._metrics.no_bid(no_bid.reason)
        body = None
        if exchange.no_bid_body:
            body = self._catalog.current.index.encoder.no_bid(no_bid.auction_id, no_bid.reason, exchange)
        if body is None:
            return TEST_NO_CONTENT if test else NO_CONTENT
        return Answer(200, body, TEST if test else "no_bid")
