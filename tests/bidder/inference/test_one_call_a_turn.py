"""Bids that come in one turn of the loop share a call, and it leaves with that turn: across real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from bidder.domain import Exchange, Profile, Rates
from bidder.inference.cascade import Cascade, Step
from bidder.inference.limiter import Limiter
from bidder.metrics import Metrics
from bidder.pipeline import Answer, Compiled, Pipeline
from bidder.rounds import GROUP
from bidder.server.headers import Asked
from bidder.server.lane import Lane
from bidder.server.patience import Patience, Watch
from bidder.server.protocol import Bounds, protocol_for
from bidder.stages.encode import Encoder
from bidder.stages.index import compile_index
from bidder.state.profiles import LookupCounts

Make = Callable[..., Any]

BIDS = 2 * GROUP + 5
CONFIG = Config(lambda: None, http="httptools", ws="none", lifespan="off", log_config=None, interface="asgi3")
CONFIG.load()


class Catalog:
    def __init__(self, campaign: Any) -> None:
        self.current = self
        self.index = Compiled(compile_index([campaign]), Encoder())


class Profiles:
    """Has none; where it `waits` it says so a turn of the loop later."""

    ready = True

    def __init__(self) -> None:
        self.counts = LookupCounts()
        self.waits = False

    def lookup(self, keys: Iterable[str], deadline_s: float) -> asyncio.Future[Profile | None] | None:
        if not self.waits:
            return None
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Profile | None] = loop.create_future()
        loop.call_soon(future.set_result, None)
        return future

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


class Bidder:
    """All of a bidder that a bid passes, and an endpoint that gives each row the same score."""

    def __init__(self, kit: Any, calls: Any, endpoint: Any, gate: asyncio.Event, campaign: Any, rates: Rates) -> None:
        self.kit, self.calls, self.endpoint, self.gate = kit, calls, endpoint, gate
        self.profiles, self.metrics = Profiles(), Metrics(["generic"])
        pipeline = Pipeline(
            catalog=Catalog(campaign),
            profiles=self.profiles,
            scorer=Cascade([Step(calls.batcher)]),
            rates=rates,
            metrics=self.metrics,
            as_csv=True,
        )
        exchanges = {"generic": Exchange("generic")}
        self.lane = Lane(pipeline, exchanges, self.metrics, max_body_bytes=100_000, max_in_flight=1000)
        self.answers: list[Answer] = []

    def start(self, body: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        assert self.lane.start(body, Asked(), self.lane.stop("generic", "POST"), now_s, self.answers.append) is None

    async def all_answered(self, count: int) -> None:
        await self.kit.until(lambda: len(self.answers) == count, "all answers")
        assert {answer.outcome for answer in self.answers} == {"bid"}


@pytest.fixture
async def make_bidder(kit: Any, make_campaign: Make, rates: Rates) -> Make:
    async def make(**lane: Any) -> Bidder:
        async def script(request: Any, writer: asyncio.StreamWriter) -> None:
            await gate.wait()
            writer.write(kit.reply(b"0.01\n" * len(request.rows)))

        gate = asyncio.Event()
        gate.set()
        endpoint = await kit.endpoint(script)
        calls = await kit.lane(endpoint.url, warm=4, **lane)
        return Bidder(kit, calls, endpoint, gate, make_campaign(), rates)

    return make


async def test_requests_that_came_together_share_a_call(make_bidder: Make, make_body: Make) -> None:
    """They are more than a group: read from as many connections in one turn of the loop."""
    bidder = await make_bidder()
    watch = Watch(Patience())
    made = protocol_for(bidder.lane, Bounds(), watch)
    state = ServerState()
    state.default_headers = [(b"date", b"Thu, 01 Jan 2026 00:00:00 GMT")]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: made(CONFIG, state, {}), "127.0.0.1", 0)  # type: ignore[call-arg, arg-type]
    body = make_body(tmax=3000)
    head = b"POST /openrtb2/bid HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n" % len(body)
    clients = [socket.create_connection(server.sockets[0].getsockname()[:2]) for _ in range(BIDS)]
    try:
        await bidder.kit.until(lambda: bidder.metrics.connections == BIDS, "all connections")
        for client in clients:  # no turn of the loop passes meanwhile
            client.sendall(head + body)
        requests = bidder.metrics.requests
        await bidder.kit.until(lambda: sum(requests.get("generic", {}).values()) == BIDS, "all answers")
        for client in clients:
            assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert [len(request.rows) for request in bidder.endpoint.requests] == [BIDS]
    finally:
        for client in clients:
            client.close()
        await bidder.kit.until(lambda: bidder.metrics.connections == 0, "connections closed")
        server.close()
        await server.wait_closed()
        watch.close()


async def test_a_call_leaves_with_the_turn_of_its_bids(make_bidder: Make, make_body: Make) -> None:
    """The sockets are not looked at once more: it has left when the next thing of the turn is done."""
    bidder = await make_bidder()
    for _ in range(BIDS):
        bidder.start(make_body(tmax=3000))
    sent: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: sent.append(bidder.calls.stats.calls))
    await asyncio.sleep(0)
    assert (sent, bidder.calls.stats.call_rows) == ([1], BIDS)
    await bidder.all_answered(BIDS)


async def test_who_waited_for_a_profile_shares_the_call_of_its_turn(make_bidder: Make, make_body: Make) -> None:
    """With the requests that are started after it; alone it leaves a turn later."""
    bidder = await make_bidder()
    bidder.profiles.waits = True
    known = make_body(tmax=3000, user={"buyeruid": "u-1"})
    bidder.start(known)
    await asyncio.sleep(0)  # looked up
    await asyncio.sleep(0)  # found
    await asyncio.sleep(0)  # called back
    bidder.start(make_body(tmax=3000))
    await bidder.all_answered(2)
    assert [len(request.rows) for request in bidder.endpoint.requests] == [2]
    bidder.start(known)
    await bidder.all_answered(3)
    assert [len(request.rows) for request in bidder.endpoint.requests] == [2, 1]


async def test_without_a_slot_bids_wait_and_share_the_next_call(make_bidder: Make, make_body: Make) -> None:
    """Sent when the slot is free, without anybody's saying so."""
    bidder = await make_bidder(limiter=Limiter(1))
    bidder.gate.clear()
    for _ in range(4):
        bidder.start(make_body(tmax=3000))
        await asyncio.sleep(0)
    assert (bidder.calls.stats.calls, bidder.calls.batcher.queued) == (1, 3)
    bidder.gate.set()
    await bidder.all_answered(4)
    assert [len(request.rows) for request in bidder.endpoint.requests] == [1, 3]
