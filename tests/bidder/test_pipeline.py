"""The order of the stages, the deadline, and what happens when something fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson
import pytest

from bidder.domain import Exchange, Profile, Rates, Rows, Scores
from bidder.metrics import Metrics
from bidder.pipeline import ENCODE_RESERVE_S, MAX_TMAX_MS, Answer, Arrival, Compiled, Open, Pipeline
from bidder.rounds import fresh_clock
from bidder.stages.encode import Encoder
from bidder.stages.index import compile_index
from bidder.state.profiles import LookupCounts

Make = Callable[..., Any]


class Catalog:
    """A catalog with these campaigns."""

    def __init__(self, *campaigns: Any) -> None:
        self.current = self
        self.index = Compiled(compile_index(campaigns), Encoder())


class Profiles:
    """A profile store that gives what it was told to give."""

    ready = True

    def __init__(self, answer: Any = None) -> None:
        self.counts = LookupCounts()
        self.answer = answer
        self.keys: list[tuple[str, ...]] = []

    def lookup(self, keys: Iterable[str], deadline_s: float) -> Any:
        self.keys.append(tuple(keys))
        return self.answer

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


class Model:
    """Answers with its score for each row, or as it was told to."""

    def __init__(self, score: float = 0.01, *, fails: bool = False) -> None:
        self.score_of_a_row = score
        self.fails = fails
        self.asked: list[tuple[Rows, list[float], float]] = []
        self.holds = False
        self.held: list[Callable[[Scores], None]] = []

    def ask(self, questions: Sequence[Open]) -> None:
        for question in questions:
            self.asked.append((question.rows, list(question.priors()), question.due_s))
            if self.fails:
                raise RuntimeError("out of order")
            if self.holds:
                self.held.append(question.scored)
            else:
                question.scored(Scores([self.score_of_a_row] * question.rows.count, "sagemaker"))

    def send(self) -> None: ...


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(["generic"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_pipeline(make_campaign: Make, rates: Rates, metrics: Metrics, clock: Clock) -> Make:
    def make(model: Model, profiles: Profiles | None = None, campaigns: Sequence[Any] | None = None) -> Pipeline:
        return Pipeline(
            catalog=Catalog(*([make_campaign()] if campaigns is None else campaigns)),
            profiles=profiles or Profiles(),
            scorer=model,
            rates=rates,
            metrics=metrics,
            clock=clock,
        )

    return make


async def test_a_bid_is_scored_and_priced(
    make_pipeline: Make, make_body: Make, exchange: Exchange, metrics: Metrics
) -> None:
    """1 USD a click at a probability of 0.004 is 4 USD CPM."""
    model = Model(0.004)
    answer = await make_pipeline(model).bid(make_body(), exchange, 1000.0)
    assert (answer.status, answer.outcome) == (200, "bid")
    (bid,) = orjson.loads(answer.body)["seatbid"][0]["bid"]
    assert (bid["price"], bid["impid"], bid["cid"]) == (4.0, "1", "c-1")
    ((rows, priors, deadline_s),) = model.asked
    assert (rows.count, priors) == (1, [0.01])
    assert deadline_s == pytest.approx(1000.0 + 0.090 - ENCODE_RESERVE_S)
    assert metrics.bids == [0, 1, 0, 0, 0]


@pytest.mark.parametrize(("tmax", "budget_ms"), [(None, 100), (50, 50), (200.0, 200), (10**9, MAX_TMAX_MS)])
async def test_the_deadline_is_tmax_less_the_margin(
    make_pipeline: Make, make_body: Make, exchange: Exchange, tmax: Any, budget_ms: int
) -> None:
    """The exchange's default where nothing is said, and never longer than the bound."""
    model = Model()
    await make_pipeline(model).bid(make_body(tmax=tmax), exchange, 1000.0)
    assert model.asked[0][2] == pytest.approx(1000.0 + (budget_ms - 10) / 1000 - ENCODE_RESERVE_S)


@pytest.mark.parametrize(("tmax", "left_ms"), [(None, 120 - 25), (80, 80 - 25)])
async def test_default_and_margin_are_those_of_the_exchange(
    make_pipeline: Make, make_body: Make, tmax: int | None, left_ms: int
) -> None:
    """Each profile has its own; the margin is kept back from what a request says, too."""
    model, exchange = Model(), Exchange("far", default_tmax_ms=120, network_margin_ms=25)
    await make_pipeline(model).bid(make_body(tmax=tmax), exchange, 1000.0)
    assert model.asked[0][2] == pytest.approx(1000.0 + left_ms / 1000 - ENCODE_RESERVE_S)


async def test_too_little_time_is_not_tried(
    make_pipeline: Make, make_body: Make, exchange: Exchange, clock: Clock, metrics: Metrics
) -> None:
    """A request that waited too long before it was read is answered at once."""
    model = Model()
    clock.now_s = 1000.089
    answer = await make_pipeline(model).bid(make_body(), exchange, 1000.0)
    assert (answer.status, model.asked) == (204, [])
    assert metrics.no_bids["insufficient_time"] == 1
    assert metrics.late_answers == {"generic": 0}  # there was time to say so


async def test_a_request_read_after_its_deadline_is_answered_late(
    make_pipeline: Make, make_body: Make, exchange: Exchange, clock: Clock, metrics: Metrics
) -> None:
    """Counted by exchange: too many of them cost traffic."""
    clock.now_s = 1000.090
    answer = await make_pipeline(Model()).bid(make_body(), exchange, 1000.0)
    assert (answer.status, metrics.late_answers) == (204, {"generic": 1})


async def test_scores_that_come_too_late_are_no_bid(
    make_pipeline: Make, make_body: Make, exchange: Exchange, clock: Clock, metrics: Metrics
) -> None:
    """The exchange would not take the answer any more."""
    model = Model()
    model.holds = True
    answers: list[Answer] = []
    make_pipeline(model).take([Arrival(make_body(), exchange, 1000.0, answers.append)])
    assert answers == []
    clock.now_s = 1000.091
    model.held[0](Scores([0.01], "sagemaker"))
    await asyncio.sleep(0)
    assert [answer.status for answer in answers] == [204]
    assert metrics.no_bids["insufficient_time"] == 1
    assert metrics.late_answers == {"generic": 1}


async def test_who_has_scores_is_answered_before_others_begin(
    make_pipeline: Make, make_body: Make, exchange: Exchange
) -> None:
    """In whichever order they came in a turn of the loop: less is left to do for them. Once."""
    model = Model()
    model.holds = True
    pipeline = make_pipeline(model)
    answers: list[Answer] = []
    pipeline.take([Arrival(make_body(), exchange, 1000.0, answers.append)])
    model.held[0](Scores([0.01], "sagemaker"))
    assert answers == []
    pipeline.take([Arrival(make_body(), exchange, 1000.0, answers.append)])
    assert [answer.status for answer in answers] == [200]
    await asyncio.sleep(0)
    assert len(answers) == 1


async def test_a_failure_inside_is_a_no_bid(
    make_pipeline: Make, make_body: Make, exchange: Exchange, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """Logged with its trace, counted, and never a 5xx."""
    answer = await make_pipeline(Model(fails=True)).bid(make_body(), exchange, 1000.0)
    assert answer.status == 204
    assert metrics.no_bids["technical_error"] == 1
    assert "out of order" in caplog.text


async def test_a_model_that_answers_and_fails_is_one_answer(
    make_pipeline: Make, make_body: Make, exchange: Exchange
) -> None:
    """A second one would be taken for that to the connection's next request."""

    class Twice(Model):
        def ask(self, questions: Sequence[Open]) -> None:
            super().ask(questions)
            raise RuntimeError("out of order")

    model = Twice()
    model.holds = True
    answers: list[Answer] = []
    make_pipeline(model).take([Arrival(make_body(), exchange, 1000.0, answers.append)])
    model.held[0](Scores([0.01], "sagemaker"))
    await asyncio.sleep(0)
    assert [answer.status for answer in answers] == [204]


async def test_a_model_that_fails_for_some_answers_others(
    make_pipeline: Make, make_body: Make, exchange: Exchange, metrics: Metrics
) -> None:
    """Who had its scores before bids; the others are answered all the same, each once."""

    class First(Model):
        def ask(self, questions: Sequence[Open]) -> None:
            super().ask(questions[:1])
            raise RuntimeError("out of order")

    answers: list[Answer] = []
    bids = [Arrival(make_body(id=name), exchange, 1000.0, answers.append) for name in ("first", "second", "third")]
    make_pipeline(First()).take(bids)
    await asyncio.sleep(0)
    assert sorted(answer.status for answer in answers) == [200, 204, 204]
    assert metrics.no_bids["technical_error"] == 2


async def test_every_stage_is_timed_once_a_bid(
    make_pipeline: Make, make_body: Make, exchange: Exchange, metrics: Metrics
) -> None:
    """However many are taken together; none is timed that does not come so far."""
    answers: list[Answer] = []
    bodies = [make_body(), make_body(), make_body(imp=[{"id": "1", "banner": {"format": [{"w": 1, "h": 1}]}}]), b"{"]
    make_pipeline(Model()).take([Arrival(body, exchange, 1000.0, answers.append) for body in bodies])
    await asyncio.sleep(0)
    assert len(answers) == 4
    timed = {stage: sum(histogram.counts) for stage, histogram in metrics.stage_latency.items()}
    assert timed == {"decode": 4, "profile": 0, "target": 3, "features": 2, "inference": 2, "price": 2, "encode": 2}


async def test_scores_that_cannot_be_used_are_a_no_bid(
    make_pipeline: Make, make_body: Make, exchange: Exchange, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug met when the model calls back ends in an answer too, and only one."""
    model = Model()
    model.holds = True
    answers: list[Answer] = []
    make_pipeline(model).take([Arrival(make_body(), exchange, 1000.0, answers.append)])
    model.held[0](Scores([], "sagemaker"))
    await asyncio.sleep(0)
    assert [answer.status for answer in answers] == [204]
    assert metrics.no_bids["technical_error"] == 1
    assert "a bid failed" in caplog.text


async def test_auctions_taken_together_end_each_on_its_own(
    make_pipeline: Make, make_body: Make, make_campaign: Make, exchange: Exchange, metrics: Metrics
) -> None:
    """Malformed, without a campaign, with a profile that comes later or fails, and a bid: none harms another."""
    waiting = [asyncio.get_running_loop().create_future() for _ in range(2)]
    lookups = iter(waiting)
    profiles = Profiles()
    profiles.lookup = lambda keys, deadline_s: next(lookups)  # type: ignore[method-assign]
    pipeline = make_pipeline(Model(), profiles, [make_campaign("anyone"), make_campaign("there")])
    bodies = {
        "malformed": b"{",
        "no campaign": make_body(imp=[{"id": "1", "banner": {"format": [{"w": 1, "h": 1}]}}]),
        "later": make_body(id="later", user={"buyeruid": "u-1"}),
        "fails": make_body(id="fails", user={"buyeruid": "u-2"}),
        "bid": make_body(id="bid"),
    }
    answers: dict[str, list[Answer]] = {name: [] for name in bodies}
    pipeline.take([Arrival(body, exchange, 1000.0, answers[name].append) for name, body in bodies.items()])
    await asyncio.sleep(0)
    assert {name: [each.status for each in got] for name, got in answers.items()} == {
        "malformed": [400],
        "no campaign": [204],
        "later": [],
        "fails": [],
        "bid": [200],
    }
    waiting[0].set_result(None)
    waiting[1].set_exception(RuntimeError("out of order"))
    for _ in ("told of the profiles", "targeted", "scored", "answered"):
        await asyncio.sleep(0)
    assert orjson.loads(answers["later"][0].body)["id"] == "later"
    assert answers["fails"][0].status == 204
    assert metrics.no_bids["technical_error"] == 1
    assert [len(got) for got in answers.values()] == [1] * len(bodies)


async def test_a_profile_that_fails_is_a_no_bid(
    make_pipeline: Make, make_body: Make, exchange: Exchange, metrics: Metrics
) -> None:
    """Stores promise not to fail; if one does, the exchange is answered all the same."""
    broken: asyncio.Future[Profile | None] = asyncio.get_running_loop().create_future()
    broken.set_exception(RuntimeError("out of order"))
    answer = await make_pipeline(Model(), Profiles(broken)).bid(make_body(user={"buyeruid": "u-1"}), exchange, 1000.0)
    assert (answer.status, metrics.no_bids["technical_error"]) == (204, 1)


async def test_who_hung_up_is_not_told(make_pipeline: Make, make_body: Make, exchange: Exchange) -> None:
    """A waiting caller that was cancelled is left alone."""
    model = Model()
    model.holds = True
    bid = asyncio.ensure_future(make_pipeline(model).bid(make_body(), exchange, 1000.0))
    await asyncio.sleep(0)
    bid.cancel()
    await asyncio.gather(bid, return_exceptions=True)
    model.held[0](Scores([0.01], "sagemaker"))
    assert bid.cancelled()


async def test_a_profile_may_come_at_once_or_later(
    make_pipeline: Make, make_body: Make, make_campaign: Make, exchange: Exchange
) -> None:
    """Either way its segments count; a miss leaves the contextual campaigns."""
    campaigns = [make_campaign("gamers", segments=frozenset({"gamers"}))]
    body = make_body(user={"buyeruid": "u-1"})
    later = asyncio.get_running_loop().create_future()
    later.set_result(Profile(frozenset({"gamers"})))
    for profile, status in ((Profile(frozenset({"gamers"})), 200), (later, 200), (None, 204)):
        profiles = Profiles(profile)
        answer = await make_pipeline(Model(), profiles, campaigns).bid(body, exchange, 1000.0)
        assert answer.status == status
        assert len(profiles.keys) == 1


async def test_an_anonymous_request_is_not_looked_up(make_pipeline: Make, make_body: Make, exchange: Exchange) -> None:
    """Nor is one whose identifiers privacy forbids."""
    profiles = Profiles(Profile(frozenset({"gamers"})))
    pipeline = make_pipeline(Model(), profiles)
    await pipeline.bid(make_body(), exchange, 1000.0)
    await pipeline.bid(make_body(user={"buyeruid": "u-1"}, regs={"coppa": 1}), exchange, 1000.0)
    assert profiles.keys == []


async def test_no_bids_take_the_exchanges_form(make_pipeline: Make, make_body: Make) -> None:
    """With a reason where the exchange wants one, else 204."""
    pipeline = make_pipeline(Model(), campaigns=[])
    verbose = await pipeline.bid(make_body(), Exchange("generic", no_bid_body=True), 1000.0)
    assert (verbose.status, orjson.loads(verbose.body)) == (200, {"id": "auction-1", "nbr": 500})
    assert (await pipeline.bid(make_body(), Exchange("generic"), 1000.0)).status == 204


async def test_malformed_is_400_with_the_place(make_pipeline: Make, exchange: Exchange) -> None:
    """So that whoever integrates finds the fault."""
    answer = await make_pipeline(Model()).bid(b'{"id":"1","imp":[{}]}', exchange, 1000.0)
    assert (answer.status, answer.outcome) == (400, "malformed")
    assert answer.body.startswith(b"imp.0.id: ")


async def test_the_clock_goes_on_within_a_turn_of_the_loop() -> None:
    """uvloop's own stands still, and a bid after a hundred others would seem to have all its time."""
    clock, loop = fresh_clock(), asyncio.get_running_loop()
    assert clock() == pytest.approx(loop.time(), abs=1.0)
    seen = clock()
    while clock() == seen:
        pass
    assert clock() > seen
