"""Batching: at once while a slot is free, together while none is; members never harm each other."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import pytest

from bidder.domain import Rows, Scores
from bidder.inference.batcher import MAX_BODY_BYTES
from bidder.inference.errors import Closed, InferenceError, QueueFull, Timeout, TooLarge
from bidder.inference.limiter import Limiter


class Gate:
    """A script that answers when it is told to."""

    def __init__(self, kit: Any) -> None:
        self._kit = kit
        self.open = asyncio.Event()

    async def __call__(self, request: Any, writer: asyncio.StreamWriter) -> None:
        await self.open.wait()
        writer.write(self._kit.echo(request))


def _sizes(endpoint: Any) -> list[int]:
    return [len(request.rows) for request in endpoint.requests]


async def test_free_slot_sends_at_once(kit: Any) -> None:
    """While slots are free, nothing waits for company: each turn of the loop ends with a call."""
    gate = Gate(kit)
    endpoint = await kit.endpoint(gate)
    lane = await kit.lane(endpoint.url, warm=4)
    futures = []
    for tag in range(4):
        futures.append(kit.submit(lane, tag))
        await asyncio.sleep(0)
    assert lane.batcher.queued == 0
    gate.open.set()
    await asyncio.gather(*futures)
    assert sorted(_sizes(endpoint)) == [1, 1, 1, 1]


async def test_what_comes_in_one_turn_of_the_loop_goes_out_together(kit: Any) -> None:
    """However many slots are free."""
    endpoint = await kit.endpoint()
    lane = await kit.lane(endpoint.url, warm=4)
    results = await asyncio.gather(*[kit.submit(lane, tag) for tag in range(20)])
    assert [list(result.values) for result in results] == [[tag / 1e6] for tag in range(20)]
    assert _sizes(endpoint) == [20]


async def test_what_queues_is_batched(kit: Any) -> None:
    """With one slot, what comes during a call goes out together in the next, in order."""
    gate = Gate(kit)
    endpoint = await kit.endpoint(gate)
    lane = await kit.lane(endpoint.url, warm=1, limiter=Limiter(1))
    futures = await kit.submit_all(lane, *[(tag, tag + 100) for tag in range(6)])
    await kit.until(lambda: endpoint.requests, "first call")
    assert lane.batcher.queued == 5
    gate.open.set()
    results = await asyncio.gather(*futures)
    assert _sizes(endpoint) == [2, 10]
    assert [list(result.values) for result in results] == [[t / 1e6, (t + 100) / 1e6] for t in range(6)]
    assert sum(lane.stats.rows_per_call.counts) == 2
    assert lane.stats.call_rows == 12


async def test_rows_and_bytes_of_a_call_are_bounded(kit: Any) -> None:
    """A batch takes auctions up to max_rows and max_bytes; the rest goes in the next call."""
    gate = Gate(kit)
    endpoint = await kit.endpoint(gate)
    by_rows = await kit.lane(endpoint.url, warm=1, limiter=Limiter(1), max_rows=4)
    by_bytes = await kit.lane(endpoint.url, warm=1, limiter=Limiter(1), max_bytes=256 + 15)
    futures = [kit.submit(by_rows, tag, tag) for tag in range(10, 15)]
    futures += [kit.submit(by_bytes, tag) for tag in range(10, 15)]  # 7 bytes each
    gate.open.set()
    await asyncio.gather(*futures)
    assert by_rows.stats.rows_per_call.counts[:3] == [0, 1, 2]
    assert by_bytes.stats.rows_per_call.counts[:2] == [1, 2]


async def test_auction_larger_than_a_call_is_refused(kit: Any) -> None:
    """Rows that no call could take fail at once."""
    lane = await kit.lane((await kit.endpoint()).url)
    deadline_s = asyncio.get_running_loop().time() + 5
    with pytest.raises(TooLarge, match="one call takes"):
        await lane.batcher.submit(Rows(1, b"0" * MAX_BODY_BYTES), deadline_s)


async def test_auction_larger_than_a_call_harms_no_neighbour(kit: Any) -> None:
    """It alone is refused; who was asked before and after it is sent, bounded as ever."""
    endpoint = await kit.endpoint()
    lane = await kit.lane(endpoint.url, warm=2, max_bytes=256 + 15)
    before = [kit.submit(lane, tag) for tag in (11, 12)]  # 7 bytes each
    large, after = kit.submit(lane, 1, 2, 3), kit.submit(lane, 13)
    with pytest.raises(TooLarge, match="one call takes 15"):
        await large
    assert [list((await future).values) for future in (*before, after)] == [[11 / 1e6], [12 / 1e6], [13 / 1e6]]
    assert sorted(_sizes(endpoint)) == [1, 2]


async def test_expired_auctions_are_not_sent(kit: Any) -> None:
    """What passed its deadline in the queue fails with Timeout, and its rows are never sent."""
    gate = Gate(kit)
    endpoint = await kit.endpoint(gate)
    lane = await kit.lane(endpoint.url, warm=1, limiter=Limiter(1))
    (first,) = await kit.submit_all(lane, (1,))
    short = [kit.submit(lane, tag, within_s=0.02) for tag in (2, 3)]
    last = kit.submit(lane, 4)
    results = await asyncio.gather(*short, return_exceptions=True)
    assert [str(result) for result in results] == ["the deadline passed before the call"] * 2
    gate.open.set()
    assert [list((await future).values) for future in (first, last)] == [[1 / 1e6], [4 / 1e6]]
    assert [request.body for request in endpoint.requests] == [b"1,0,1\n", b"4,0,1\n"]


async def test_a_deadline_that_passes_in_its_own_turn_is_not_sent(kit: Any) -> None:
    """Between asking and the end of a turn of the loop that lasts; who was asked beside it is sent."""
    endpoint = await kit.endpoint()
    lane = await kit.lane(endpoint.url, warm=1)
    late, other = kit.submit(lane, 1, within_s=0.005), kit.submit(lane, 2)
    until_s = perf_counter() + 0.02
    while perf_counter() < until_s:
        pass
    with pytest.raises(Timeout, match="before the call"):
        await late
    assert list((await other).values) == [2 / 1e6]
    assert [request.body for request in endpoint.requests] == [b"2,0,1\n"]


async def test_those_in_a_queue_have_deadlines_of_their_own(kit: Any) -> None:
    """They are told one after the other while the only slot is taken; the last is still sent, and in its time."""
    gate = Gate(kit)
    endpoint = await kit.endpoint(gate)
    lane = await kit.lane(endpoint.url, warm=1, limiter=Limiter(1))
    (first,) = await kit.submit_all(lane, (1,))
    ended: list[int] = []
    futures = [kit.submit(lane, tag, within_s=within_s) for tag, within_s in ((2, 0.06), (3, 0.02), (4, 0.04))]
    for tag, future in enumerate(futures, 2):
        future.add_done_callback(lambda _, tag=tag: ended.append(tag))
    last = kit.submit(lane, 5)
    await asyncio.gather(*futures, return_exceptions=True)
    assert ended == [3, 4, 2]
    assert lane.batcher.queued == 1
    gate.open.set()
    assert [list((await future).values) for future in (first, last)] == [[1 / 1e6], [5 / 1e6]]


async def test_deadline_already_passed(kit: Any) -> None:
    """A deadline in the past fails without a call."""
    endpoint = await kit.endpoint()
    lane = await kit.lane(endpoint.url)
    with pytest.raises(Timeout, match="before the call"):
        await kit.score(lane, 1, within_s=-1.0)
    assert not endpoint.requests


async def test_each_member_has_its_own_deadline(kit: Any) -> None:
    """In one batch, a short deadline ends one member and leaves the others to their answer."""
    gate = Gate(kit)
    endpoint = await kit.endpoint(gate)
    lane = await kit.lane(endpoint.url, limiter=Limiter(1))
    futures = [kit.submit(lane, tag, within_s=20.0 if tag % 2 else 0.5) for tag in range(6)]
    await kit.until(lambda: endpoint.requests, "one batch")
    results = await asyncio.gather(*futures[::2], return_exceptions=True)
    assert [str(result) for result in results] == ["the deadline passed while waiting for the answer"] * 3
    gate.open.set()
    assert [list((await future).values) for future in futures[1::2]] == [[1 / 1e6], [3 / 1e6], [5 / 1e6]]
    assert lane.stats.abandoned == 0


async def test_earlier_deadline_submitted_later_comes_first(kit: Any) -> None:
    """Deadlines are kept in their own order, not in that of submission."""
    endpoint = await kit.endpoint(Gate(kit))
    lane = await kit.lane(endpoint.url, limiter=Limiter(1))
    futures = [kit.submit(lane, tag, within_s=0.1 if tag == 3 else 60.0) for tag in range(4)]
    with pytest.raises(Timeout):
        await futures[3]
    assert not any(future.done() for future in futures[:3])
    for future in futures[:3]:
        future.cancel()


async def test_cancelled_members_do_not_harm_neighbours(kit: Any) -> None:
    """Members cancelled in the queue are not sent, those cancelled in flight are skipped; the others get theirs."""
    gate = Gate(kit)
    endpoint = await kit.endpoint(gate)
    lane = await kit.lane(endpoint.url, warm=1, limiter=Limiter(1))
    (first,) = await kit.submit_all(lane, (1,))
    futures = [kit.submit(lane, tag) for tag in range(10, 20)]
    for future in futures[::3]:
        future.cancel()
    await kit.until(lambda: endpoint.requests, "first call")
    first.cancel()
    gate.open.set()
    for tag, future in enumerate(futures, 10):
        if not future.cancelled():
            assert list((await future).values) == [tag / 1e6]
    assert _sizes(endpoint) == [1, 6]
    assert lane.limiter.in_flight == 0


@dataclass
class Clumsy:
    """An asker with a bug."""

    rows: Rows
    deadline_s: float
    done: bool = False

    def scored(self, scores: Any) -> None:
        raise RuntimeError("a bug")

    def failed(self, error: Any) -> None:
        raise RuntimeError("a bug")


async def test_an_asker_with_a_bug_harms_nobody(kit: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Whether it is told scores or a failure, its neighbours get theirs; it is logged."""
    gate = Gate(kit)
    endpoint = await kit.endpoint(gate)
    lane = await kit.lane(endpoint.url, warm=1, limiter=Limiter(1))
    deadline_s = asyncio.get_running_loop().time() + kit.patience_s
    first = kit.submit(lane, 1)
    lane.batcher.ask([Clumsy(kit.tagged(2), deadline_s)])
    last = kit.submit(lane, 3)
    gate.open.set()
    assert [list((await future).values) for future in (first, last)] == [[1 / 1e6], [3 / 1e6]]
    assert "could not take its scores" in caplog.text
    lane.batcher.ask([Clumsy(kit.tagged(4), 0.0)])
    lane.batcher.send()
    assert "could not take its failure" in caplog.text


class Told:
    """An asker that says when it was told."""

    done = False

    def __init__(self, rows: Rows, deadline_s: float, told: asyncio.Event) -> None:
        self.rows = rows
        self.deadline_s = deadline_s
        self._told = told

    def scored(self, scores: Scores) -> None:
        self._told.set()

    def failed(self, error: InferenceError) -> None:
        self._told.set()


@pytest.mark.parametrize("status", [200, 500])
async def test_who_was_told_is_let_go_at_once(kit: Any, status: int) -> None:
    """Reference counts alone free what an auction has, with an answer and without, however far its deadline is."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(kit.echo(request) if status == 200 else kit.reply(b"{}", status))

    endpoint = await kit.endpoint(script)
    lane = await kit.lane(endpoint.url)
    told = asyncio.Event()
    asker = Told(Rows(1, b"1,0,1\n"), asyncio.get_running_loop().time() + 3600, told)
    gone = weakref.ref(asker)
    gc.disable()
    try:
        lane.batcher.ask([asker])
        lane.batcher.send()
        del asker
        assert gone() is not None
        await asyncio.wait_for(told.wait(), 30)
        await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()


async def test_call_that_all_gave_up_frees_its_slot(kit: Any) -> None:
    """When the last member's deadline has passed, the slot serves the next auction, on another connection."""
    gate = Gate(kit)
    endpoint = await kit.endpoint(gate)
    lane = await kit.lane(endpoint.url, warm=2, limiter=Limiter(1))
    with pytest.raises(Timeout):
        await kit.score(lane, 1, within_s=0.03)
    assert lane.limiter.in_flight == 0
    gate.open.set()
    assert await kit.score(lane, 2) == [2 / 1e6]
    assert lane.stats.abandoned == 1


async def test_queue_is_bounded(kit: Any) -> None:
    """Beyond max_queue waiting auctions the next is refused; room comes back when they expire."""
    endpoint = await kit.endpoint(Gate(kit))
    lane = await kit.lane(endpoint.url, warm=1, limiter=Limiter(1), max_queue=3)
    futures = [kit.submit(lane, tag, within_s=0.2) for tag in range(4)]
    with pytest.raises(QueueFull, match="3 auctions wait"):
        await kit.score(lane, 9)
    await asyncio.gather(*futures, return_exceptions=True)
    await kit.until(lambda: lane.batcher.queued == 0, "room again")


async def test_closed_batcher_refuses(kit: Any) -> None:
    """After closing, waiting and new auctions fail with Closed."""
    endpoint = await kit.endpoint(Gate(kit))
    lane = await kit.lane(endpoint.url, warm=1, limiter=Limiter(1))
    futures = [kit.submit(lane, tag) for tag in range(2)]
    lane.batcher.close()
    assert [type(error) for error in await asyncio.gather(*futures, return_exceptions=True)] == [Closed, Closed]
    with pytest.raises(Closed):
        await kit.score(lane, 2)


async def test_no_answer_reaches_another_request(kit: Any) -> None:
    """6,000 tagged auctions under delays, time-outs, cancelled callers and dropped sockets: each score is its own."""
    rng = random.Random(5)

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        fate = rng.random()
        if fate < 0.02:
            writer.close()
            return
        if fate < 0.15:
            await asyncio.sleep(rng.random() * 0.02)
        writer.write(kit.echo(request))

    endpoint = await kit.endpoint(script)
    limiter = Limiter(8, failure_ratio=1.0)  # the breaker has tests of its own
    lane = await kit.lane(
        endpoint.url, warm=8, limiter=limiter, max_rows=6, pool={"connects_per_s": 5000.0}, patience_s=kit.patience_s
    )
    scored = 0
    for start in range(0, 6000, 200):
        tags = [(tag, tag + 10_000) for tag in range(start, start + 200)]
        futures = [kit.submit(lane, *pair, within_s=rng.choice((0.004, 0.02, kit.patience_s))) for pair in tags]
        for future in rng.sample(futures, 10):
            future.cancel()
        results = await asyncio.gather(*futures, return_exceptions=True)
        for pair, result in zip(tags, results, strict=True):
            if not isinstance(result, BaseException):
                assert list(result.values) == [pair[0] / 1e6, pair[1] / 1e6]
                scored += 1
    assert scored > 1000
    assert lane.limiter.in_flight == 0
