"""Bids that come whole and plainly headed: read without the parser, and never otherwise than by it."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from bidder.domain import Exchange
from bidder.metrics import Metrics
from bidder.pipeline import NO_CONTENT, Answer, Arrival
from bidder.server import whole
from bidder.server.lane import Lane
from bidder.server.patience import Patience, Watch
from bidder.server.protocol import BidProtocol, Bounds, protocol_for
from bidder.server.whole import MAX_SEEN, read_head

MAX_BODY_BYTES, MAX_HEAD_BYTES, MAX_HEADERS = 200, 500, 12
BODY = b'{"id":"1"}'
LINES = [b"Host: bid.example", b"Content-Type: application/json", b"x-openrtb-version: 2.5", b"Accept-Encoding: gzip"]


async def nothing_else(scope: Any, receive: Any, send: Any) -> None:
    """What stands behind other paths."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


CONFIG = Config(nothing_else, http="httptools", ws="none", lifespan="off", log_config=None, interface="asgi3")
CONFIG.load()


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Pipeline:
    """Remembers what it was given; answers at once, or when it is told to."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.waiting: list[Callable[[Answer], None]] | None = None

    def take(self, arrivals: Iterable[Arrival]) -> None:
        for arrival in arrivals:
            self.bodies.append(arrival.body)
            if self.waiting is None:
                arrival.answered(Answer(200, b'{"of":"%b"}' % arrival.exchange.name.encode(), "bid"))
            else:
                self.waiting.append(arrival.answered)

    def send(self) -> None: ...


class Side:
    """One connection; `parser` alone reads it, or what can be is read without."""

    def __init__(self, watch: Watch, *, parser: bool) -> None:
        self.metrics, self.pipeline, self.wire = Metrics(["generic", "other"]), Pipeline(), Wire()
        exchanges = {name: Exchange(name) for name in ("generic", "other")}
        bounds = {"max_body_bytes": MAX_BODY_BYTES, "max_in_flight": 9}
        lane = Lane(self.pipeline, exchanges, self.metrics, **bounds, clock=lambda: 0.0)  # type: ignore[arg-type]
        made = protocol_for(lane, Bounds(MAX_HEAD_BYTES, MAX_HEADERS), watch)
        state = ServerState()
        state.default_headers = [(b"date", b"Thu, 01 Jan 2026 00:00:00 GMT")]
        self.connection: BidProtocol = made(CONFIG, state, {})  # type: ignore[call-arg, arg-type]
        if parser:
            self.connection._take_whole = lambda block: False  # type: ignore[method-assign]
        self.begun = 0  # requests that the parser saw
        self.connection.connection_made(self.wire)  # type: ignore[arg-type]

    async def receive(self, block: bytes) -> None:
        if not self.wire.closed:
            self.connection.data_received(block)
            self.begun += self.connection._begun
            self.connection._begun = 0
        await self.turns()

    async def answer(self, answer: Answer) -> None:
        """To the bid that waits longest."""
        assert self.pipeline.waiting
        self.pipeline.waiting.pop(0)(answer)
        await self.turns()

    async def turns(self) -> None:
        """Of the loop: bids start at their end, one after the other where a block holds several."""
        for _ in range(3):
            await asyncio.sleep(0)

    @property
    def seen(self) -> tuple[object, ...]:
        """All that may not differ."""
        metrics, connection = self.metrics, self.connection
        counted = (metrics.requests, metrics.in_flight, metrics.connections_closed, metrics.unknown_versions)
        return self.wire.written, self.wire.closed, self.pipeline.bodies, counted, connection.awaited


@pytest.fixture
async def watch() -> Any:
    watch = Watch(Patience())
    yield watch
    watch.close()


@pytest.fixture
async def sides(watch: Watch) -> tuple[Side, Side]:
    return Side(watch, parser=False), Side(watch, parser=True)


def post(*lines: bytes, body: bytes = BODY, first: bytes = b"POST /openrtb2/bid HTTP/1.1", length: str = "") -> bytes:
    said = length.encode() or b"Content-Length: %d" % len(body)
    return b"\r\n".join([first, *lines, said, b"", body])


async def test_what_is_plain_never_meets_the_parser(sides: tuple[Side, Side]) -> None:
    """The first time and again, with another length or another line, in lower case; the answers are the same."""
    for block in (
        post(*LINES),
        post(*LINES),
        post(*LINES, body=b"{}"),
        post(*LINES, b"X-Request-Id: 1"),
        post(*LINES, b"X-Request-Id: 2"),
        post(b"Connection: keep-alive", b"X-Percent: 100%d %s"),
        post(b"Connection: keep-alive", b"X-Percent: 100%d %s"),
        post(b"X-After: content-length: 10", length="content-length: 10"),
        post(first=b"POST /openrtb2/bid/other HTTP/1.1"),
        post(body=b""),
    ):
        for side in sides:
            await side.receive(block)
    quick, slow = sides
    assert quick.seen == slow.seen
    assert (quick.begun, slow.begun, len(quick.wire.written)) == (0, 10, 10)


ODD = [
    post(*LINES)[:-1],  # not all of it
    post(*LINES)[: -len(BODY)],
    post(*LINES) + post(*LINES),
    post(*LINES) + b"x",
    post(b"Connection: close"),
    post(b"Connection: Upgrade", b"Upgrade: h2c"),
    post(b"Expect: 100-continue"),
    post(b"Transfer-Encoding: chunked"),
    post(b"Content-Length: 10"),
    post(b"content-length: 10"),
    post(length="Content-Length: 010"),
    post(length="Content-Length: 10 "),
    post(length="Content-Length:10"),
    post(length="CONTENT-LENGTH: 10"),
    post(length="X: 1"),
    post(b"Content-Type: text/html"),
    post(b"Content-Encoding: br"),
    post(b"X:  two spaces"),
    post(b"X: "),
    post(b"X : 1"),
    post(b"X: caf\xc3\xa9"),
    post(b"X: a\tb"),
    post(b"X: a\nY: b"),
    post(b" folded"),
    post(*[b"X: y"] * MAX_HEADERS),
    post(b"X: " + b"y" * MAX_HEAD_BYTES),
    post(body=b"y" * (MAX_BODY_BYTES + 1)),
    post(first=b"POST /openrtb2/bid HTTP/1.0"),
    post(first=b"POST /openrtb2/bid?a=b HTTP/1.1"),
    post(first=b"POST /openrtb2/bid/nobody HTTP/1.1"),
    post(first=b"PUT /openrtb2/bid HTTP/1.1"),
    post(first=b"POST  /openrtb2/bid HTTP/1.1"),
    b"POST /openrtb2/bid HTTP/1.1\r\nContent-Length: 0",
    b"\r\n" + post(*LINES),
    b"",
    b"\r\n\r\n",
]


@pytest.mark.parametrize("block", ODD, ids=range(len(ODD)))
async def test_what_is_not_is_left_to_it(sides: tuple[Side, Side], block: bytes) -> None:
    """Whatever came before, and what comes after is still taken alike."""
    for blocks in ([block, post(*LINES)], [post(*LINES), block, block, post(*LINES)]):
        for each in blocks:
            for side in sides:
                await side.receive(each)
        quick, slow = sides
        assert quick.seen == slow.seen


async def test_while_an_answer_is_awaited_the_next_request_waits(sides: tuple[Side, Side]) -> None:
    """It is not taken without the parser, which keeps the order; afterwards one is again."""
    quick, slow = sides
    for side in sides:
        side.pipeline.waiting = []
        await side.receive(post(*LINES, body=b"1"))
        await side.receive(post(*LINES, body=b"2"))
        assert side.pipeline.bodies == [b"1"]
        for body in (b"first", b"second"):
            await side.answer(Answer(200, body, "bid"))
        await side.receive(post(*LINES, body=b"3"))
        await side.answer(NO_CONTENT)
    assert quick.seen == slow.seen
    assert quick.pipeline.bodies == [b"1", b"2", b"3"]
    assert (quick.begun, slow.begun) == (1, 3)


async def test_a_bidder_that_stops_closes_after_the_answer(sides: tuple[Side, Side]) -> None:
    """Whether it is under way or has begun to arrive."""
    for side in sides:
        side.pipeline.waiting = []
        await side.receive(post(*LINES))
        side.connection.shutdown()
        await side.answer(Answer(200, b"{}", "bid"))
    assert sides[0].seen == sides[1].seen
    assert sides[0].wire.closed
    assert b"connection: close\r\n" in sides[0].wire.written[0]


def _mutated(rng: random.Random) -> Iterator[bytes]:
    """Blocks as clients send them, some of them damaged: a byte, a line or a boundary at a time."""
    pieces = [*LINES, b"content-encoding: identity", b"X-A: b", b"Connection: keep-alive", b"connection: close"]
    pieces += [
        b"CONTENT-TYPE: text/plain",
        b"Content-Length: 10",
        b"Transfer-Encoding: chunked",
        b"Accept-Encoding: br",
    ]
    while True:
        body = rng.choice([BODY, b"", b"x" * rng.randrange(250)])
        block = post(*rng.sample(pieces, rng.randrange(5)), body=body)
        if rng.random() < 0.4:
            at = rng.randrange(len(block))
            block = (
                block[:at]
                + rng.choice([b"", b" ", b"\r\n", b":", b"\0", b"\xff", b"%"])
                + block[at + rng.randrange(2) :]
            )
        if rng.random() < 0.1:
            at = rng.randrange(len(block))
            yield block[:at]
            block = block[at:]
        yield block


async def test_both_ways_agree_on_whatever_comes(watch: Watch) -> None:
    """Thousands of connections of a few blocks each."""
    for seed in range(3_000):
        blocks = _mutated(random.Random(seed))
        quick, slow = Side(watch, parser=False), Side(watch, parser=True)
        for _ in range(5):
            block = next(blocks)
            await quick.receive(block)
            await slow.receive(block)
            assert quick.seen == slow.seen, block
        for side in (quick, slow):
            side.connection.connection_lost(None)


def test_lines_that_are_remembered_are_bounded() -> None:
    """However many there are; each is read as before."""
    stops: dict[bytes, Any] = {b"POST / HTTP/1.1": "stop"}
    for number in range(2 * MAX_SEEN):
        head = b"POST / HTTP/1.1\r\nX-Id: %d\r\nContent-Length: 2" % number
        known = read_head(head, 2, stops, 9)
        assert known is not None
        assert known.lines % 2 == head
        assert len(whole._SEEN) <= MAX_SEEN


@pytest.mark.parametrize("parser", [False, True])
async def test_an_ended_connection_goes_by_reference_counts(watch: Watch, *, parser: bool) -> None:
    """The collector passes by what has lived for long: with bids, answered or not, and other paths before."""
    side = Side(watch, parser=parser)
    for block in (post(*LINES), post(*LINES, first=b"GET /healthz HTTP/1.1"), post(*LINES)):
        await side.receive(block)
    side.pipeline.waiting = []
    await side.receive(post(*LINES) * 2)
    found = weakref.ref(side.connection)
    gc.disable()
    try:
        side.wire.closed = True
        side.connection.connection_lost(None)
        del side.connection
        assert found() is not None  # a bid is under way
        await side.answer(NO_CONTENT)
        assert found() is None
    finally:
        gc.enable()
