"""A new catalog bids beside the traffic before it takes over: nothing of it is seen, and nothing is kept."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bidder.domain import Exchange, Profile, Rates, Scores
from bidder.metrics import Metrics
from bidder.pipeline import Compiled, Open, Pipeline
from bidder.server.rehearsal import Length, Rehearsal
from bidder.stages.encode import Encoder
from bidder.stages.index import compile_index

Make = Callable[..., Any]
PATIENCE_S = 30.0


class Catalog:
    def __init__(self, *campaigns: Any) -> None:
        self.current = self
        self.index = Compiled(compile_index(campaigns), Encoder("https://bidder.example"))


class NoProfiles:
    ready = True

    def lookup(self, keys: tuple[str, ...], deadline_s: float) -> Profile | None:
        return None


class Model:
    def ask(self, questions: Sequence[Open]) -> None:
        for question in questions:
            question.scored(Scores([0.01] * question.rows.count, "sagemaker"))

    def send(self) -> None: ...


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(["generic"])


@pytest.fixture
async def pipeline(make_campaign: Make, rates: Rates, metrics: Metrics) -> Pipeline:
    profiles: Any = NoProfiles()
    return Pipeline(catalog=Catalog(make_campaign()), profiles=profiles, scorer=Model(), rates=rates, metrics=metrics)


@pytest.fixture
def replacement(make_campaign: Make) -> Compiled:
    return Catalog(*[make_campaign(id=f"new-{number}") for number in range(3)]).index


async def begun(rehearsal: Rehearsal, replacement: Compiled) -> asyncio.Task[None]:
    task = asyncio.create_task(rehearsal(replacement))
    await asyncio.sleep(0)
    return task


async def until(condition: Callable[[], bool]) -> None:
    async def poll() -> None:
        while not condition():  # noqa: ASYNC110 -- nothing says when: it is what a thread has done so far
            await asyncio.sleep(0.001)

    await asyncio.wait_for(poll(), PATIENCE_S)


async def test_what_traffic_needs_is_there_before_the_first_bid(
    pipeline: Pipeline, replacement: Compiled, make_body: Make, exchange: Exchange, metrics: Metrics
) -> None:
    """Campaigns and creatives of a catalog that nobody has bid with have been made; bids of the meantime are the old
    one's, and they alone are counted."""
    rehearsal = await begun(Rehearsal(pipeline, 8, Length(2, PATIENCE_S)), replacement)
    answers = [await pipeline.bid(make_body(), exchange, asyncio.get_running_loop().time()) for _ in range(3)]
    await asyncio.wait_for(rehearsal, PATIENCE_S)
    assert sum(map(bool, replacement.index.entries.kept)) == 3
    assert replacement.encoder.let_go(0)  # there are some
    assert all(b'"cid":"c-1"' in answer.body for answer in answers)
    assert sum(metrics.bids) == 3
    assert pipeline.on_group is None


async def test_without_traffic_a_catalog_does_not_wait_for_long(pipeline: Pipeline, replacement: Compiled) -> None:
    """Nobody bids, nobody waits for its first bid."""
    await asyncio.wait_for(Rehearsal(pipeline, 8, Length(collect_s=0.0))(replacement), PATIENCE_S)
    assert not any(replacement.index.entries.kept)
    assert pipeline.on_group is None


async def test_what_was_collected_in_time_is_enough(
    pipeline: Pipeline, replacement: Compiled, make_body: Make, exchange: Exchange
) -> None:
    rehearsal = await begun(Rehearsal(pipeline, 8, Length(auctions=1000, collect_s=0.05)), replacement)
    await pipeline.bid(make_body(), exchange, asyncio.get_running_loop().time())
    await asyncio.wait_for(rehearsal, PATIENCE_S)
    assert any(replacement.index.entries.kept)


async def test_an_end_while_it_collects_leaves_nothing_behind(
    pipeline: Pipeline, replacement: Compiled, make_body: Make, exchange: Exchange
) -> None:
    """Cancelled, it is shown no more auctions."""
    rehearsal = await begun(Rehearsal(pipeline, 8, Length(2, PATIENCE_S)), replacement)
    rehearsal.cancel()
    await asyncio.gather(rehearsal, return_exceptions=True)
    assert rehearsal.cancelled()
    assert pipeline.on_group is None


async def test_an_end_while_it_plays_does_not_wait_for_the_rest(
    pipeline: Pipeline, replacement: Compiled, make_body: Make, exchange: Exchange
) -> None:
    """The thread leaves between two auctions, however long it would have rested."""
    rehearsal = await begun(Rehearsal(pipeline, 8, Length(2, PATIENCE_S, rest=1e9)), replacement)
    for _ in range(2):
        await pipeline.bid(make_body(), exchange, asyncio.get_running_loop().time())
    await until(lambda: any(replacement.index.entries.kept))
    rehearsal.cancel()
    await asyncio.gather(rehearsal, return_exceptions=True)
    await until(lambda: not any(thread.name.startswith("rehearsal") for thread in threading.enumerate()))


async def test_an_auction_that_gets_no_bid_does_not_end_it(
    pipeline: Pipeline, make_campaign: Make, make_body: Make, exchange: Exchange
) -> None:
    """A campaign whose maximum is above the floor and whose value is not: a candidate, and no bid."""
    replacement = Catalog(make_campaign(prior=0.0001)).index  # 0.1 USD CPM
    rehearsal = await begun(Rehearsal(pipeline, 8, Length(2, PATIENCE_S)), replacement)
    for floor in (0.5, 0.01):
        body = make_body(imp=[{"id": "1", "banner": {"format": [{"w": 300, "h": 250}]}, "bidfloor": floor}])
        await pipeline.bid(body, exchange, asyncio.get_running_loop().time())
    await asyncio.wait_for(rehearsal, PATIENCE_S)
    assert replacement.encoder.let_go(0)  # the second was bid on
