"""The bid lane as an HTTP protocol: uvicorn's own extension point, `Config(http=…)`.

A connection takes bid paths itself, from the parser's last callback to `transport.write`, and what `whole` can read
without the parser. It leaves every other path to uvicorn and FastAPI. The rule kept here: answers leave in the order of
their requests, bids and others alike; one write an answer; no task and no timer a bid; nothing a client sends, or fails
to send, is held without bound.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from bidder.server.body import BodyError
from bidder.server.headers import CLOSING, read_headers
from bidder.server.lane import Lane, Stop
from bidder.server.patience import Awaited, Patience, Watch
from bidder.server.turn import Turn
from bidder.server.whole import MAX_HEAD_BYTES, Known, read_head

FAIR_SHARE = 8
"""Pipelined requests of one connection that are taken before others are looked at."""

_REQUEST, _HEAD, _BODY, _ANSWER = Awaited
_PATH = b"/openrtb2/bid"
_HEAD_TOO_LARGE = "the request's headers are too large"
_AT_ONCE = struct.pack("ii", 1, 0)
_NOT_HTTP = "this is no HTTP/1.1 request"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of a request's head, and of the connections at once."""

    max_head_bytes: int = 16_384
    max_headers: int = 100
    max_connections: int = 10_000


class BidProtocol(HttpToolsProtocol):
    """One connection. `protocol_for` gives it the lane, the bounds and the watch that all connections share."""

    # With uvicorn's they would be too many for a class's instances to share their names, and be found more slowly.
    __slots__ = (
        *("awaited", "bounds", "dated", "lane", "metrics", "since_s", "watch"),
        *("_arrived_s", "_began_s", "_begun", "_block_bytes", "_draining", "_first_bytes", "_known"),
        *("_last_words", "_max_whole_bytes", "_more_bytes", "_over", "_own", "_place", "_stalled_s"),
    )

    def __init__(
        self,
        lane: Lane,
        bounds: Bounds,
        watch: Watch,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.lane = lane
        self.metrics = lane.metrics
        self.bounds = bounds
        self.watch = watch
        self.awaited = _REQUEST
        self.since_s = 0.0
        self.headers = []
        self._place = -1
        self._max_whole_bytes = min(bounds.max_head_bytes, MAX_HEAD_BYTES)
        self._known: Known | None = None  # the last head that was read without the parser
        self._own: Any = Turn(self, "", "POST", 0.0, 0.0)  # of such requests, one after the other
        self._own.complete = self._own.is_next = True
        self.dated: tuple[object, bytes] = (None, b"")  # uvicorn's default headers of this second, and their bytes
        self._block_bytes = 0  # of what was received last
        self._begun = 0  # requests that began in that block
        self._first_bytes = 0  # of the block in which a head began that did not end there: it may hold more
        self._more_bytes = 0  # of that head, in later blocks
        self._arrived_s = 0.0
        self._began_s = 0.0
        self._stalled_s = 0.0  # since when the other side does not read what we have sent; 0: it does
        self._draining = False
        self._over = False  # nothing more is read
        self._last_words: tuple[int, str] | None = None  # said once all answers before have left

    # -- the connection ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.since_s = self.loop.time()
        self._place = self.watch.add(self)
        self.metrics.connections += 1
        if len(self.connections) > self.bounds.max_connections:
            self.metrics.connection_closed("too_many")
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.watch.remove(self, self._place)
        self.metrics.connections -= 1
        super().connection_lost(exc)
        # What refers back to it, so that it goes by reference counts: the collector passes by what has lived for long.
        self._own = self.cycle = cast("Any", None)
        self.pipeline.clear()

    def shutdown(self) -> None:
        """A request that has begun to arrive is still answered."""
        self._draining = True
        if self.awaited is not _HEAD:
            super().shutdown()

    def is_overdue(self, patience: Patience, now_s: float) -> bool:
        if self._stalled_s:
            return now_s - self._stalled_s > patience.reader_s
        limit_s = patience.of(self.awaited)
        return limit_s is not None and now_s - self.since_s > limit_s

    def give_up(self) -> None:
        """What the other side should have sent, or read, did not come, or go, in time."""
        idle = self.awaited is _REQUEST and not self._stalled_s
        self.metrics.connection_closed("idle" if idle else "slow")
        if self._stalled_s:  # with what the kernel holds for it
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self.transport.abort()
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        """Who does not read its answers is not read from: what is held for it stays bounded."""
        super().pause_writing()
        self._stalled_s = self.loop.time()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled_s = 0.0
        self._read_on()

    def data_received(self, data: bytes) -> None:
        if self._over or (self.awaited is _REQUEST and not self._draining and self._take_whole(data)):
            return
        self._block_bytes = len(data)
        self._begun = 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # the parser takes what follows for the other protocol
            self._over = True
        except httptools.HttpParserError:
            self._end(400, _NOT_HTTP)
            return
        if self._begun > FAIR_SHARE and not self._over:  # others have their turn; the loop would read on at once
            self.flow.pause_reading()
            self.loop.call_soon(self._read_on)
        if self.awaited is not _HEAD:
            return
        if self._begun:
            self._first_bytes = self._block_bytes
        else:
            self._more_bytes += self._block_bytes
            if self._more_bytes > self.bounds.max_head_bytes:
                self._end(431, _HEAD_TOO_LARGE)

    # -- what the parser reports -------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self._first_bytes = self._more_bytes = 0
        self._arrived_s = self.since_s = self.loop.time()
        self._began_s = perf_counter()
        self.awaited = _HEAD
        self._begun += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._over:
            return
        self.awaited = _BODY
        if len(self.headers) > self.bounds.max_headers or self._head_is_too_large():
            self._end(431, _HEAD_TOO_LARGE)
            return
        stop = self.lane.by_path.get(self.url)
        if stop is not None:
            name: str | None = stop.name
        else:
            path = self.url.partition(b"?")[0]
            name = self.lane.name_of(path.decode("latin-1")) if path.startswith(_PATH) else None
        if name is None:
            self._hand_on()
        else:
            self._take(name, stop)

    def on_body(self, body: bytes) -> None:
        turn: Any = self.cycle
        if self._over or turn is None:
            return
        if type(turn) is not Turn:
            super().on_body(body)
        elif turn.error is None and not turn.response_complete:
            turn.add(body, self.lane.max_body_bytes)
            if turn.error is not None and turn.is_next:
                turn.refuse(turn.error)

    def on_message_complete(self) -> None:
        turn: Any = self.cycle
        if self._over or turn is None:
            return
        self.awaited = _ANSWER
        if turn.response_complete:  # refused, or answered, before all of it was there
            self.awaited, self.since_s = _REQUEST, self.loop.time()
        elif type(turn) is not Turn:
            super().on_message_complete()
        else:
            turn.complete = True
            if turn.is_next:
                turn.start()

    # -- answers in order --------------------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """In place of uvicorn's, which arms a timer for each connection that falls idle, and counts up to a limit that
        is not set."""
        if self.transport.is_closing():
            return
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._read_on()
            if isinstance(cycle, Turn):
                cycle.begin()
            else:
                self._start_asgi_task(cycle, app)
        elif self._last_words is not None:
            self._say(*self._last_words)
        else:
            if self.awaited is _ANSWER:
                self.awaited, self.since_s = _REQUEST, self.loop.time()
            if self.flow.read_paused:
                self._read_on()

    def date(self) -> bytes:
        """The headers that uvicorn adds to every answer, made into bytes once a second."""
        default = self.server_state.default_headers
        if self.dated[0] is not default:
            self.dated = (default, b"".join(b"%b: %b\r\n" % pair for pair in default))
        return self.dated[1]

    def _take_whole(self, block: bytes) -> bool:
        """A bid that came in one block, which the parser need not see. False: it has to."""
        head, end, body = block.partition(b"\r\n\r\n")
        lane, known, turn, size = self.lane, self._known, self._own, len(body)
        if not end or size > lane.max_body_bytes:
            return False
        if known is None or head != known.lines % size:
            if len(head) > self._max_whole_bytes:
                return False
            known = read_head(head, size, lane.by_line, self.bounds.max_headers)
            if known is None:
                return False
            self._known = known
            turn.stop, turn.name, turn.asked = known.stop, known.stop.name, known.asked
        self.cycle, self.awaited = turn, _ANSWER
        turn.response_complete = False
        turn.arrived_s, turn.began_s = self.loop.time(), perf_counter()
        turn.bid(body)
        return True

    def _take(self, name: str, stop: Stop | None) -> None:
        """A bid: from here on it is ours."""
        turn = Turn(self, name, self.parser.get_method().decode("latin-1"), self._arrived_s, self._began_s)
        turn.keep_alive = self.parser.should_keep_alive() and not self._draining
        if self.parser.get_http_version() == "1.0" or self.parser.should_upgrade():
            turn.keep_alive = False
        try:
            if self.parser.should_upgrade():
                raise BodyError(400, "malformed", "bid requests are HTTP/1.1, without Upgrade")
            turn.stop = stop if stop is not None and turn.method == "POST" else self.lane.stop(name, turn.method)
            turn.asked = read_headers(self.headers, self.lane.max_body_bytes)
        except BodyError as error:
            turn.error = error
        before, self.cycle = self.cycle, cast("Any", turn)
        if before is None or before.response_complete:
            turn.begin()
        else:  # pipelined: no more is read until it is its turn
            self.flow.pause_reading()
            self.pipeline.appendleft((cast("Any", turn), cast("Any", None)))

    def _hand_on(self) -> None:
        """Not a bid: from here on it is uvicorn's request, with the head that was read."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        self.headers += headers
        self.expect_100_continue = any(n == b"expect" and v.lower() == b"100-continue" for n, v in headers)
        super().on_headers_complete()
        if self._draining or self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def _head_is_too_large(self) -> bool:
        if self._first_bytes + self._more_bytes + self._block_bytes <= self.bounds.max_head_bytes:
            return False  # all of it is no larger than that
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        return size > self.bounds.max_head_bytes

    def _read_on(self) -> None:
        if not (self.pipeline or self._over or self._stalled_s):
            self.flow.resume_reading()

    def _end(self, status: int, words: str) -> None:
        """Nothing more is read. What is wrong is said when all answers before it have left."""
        self._over = True
        self.flow.pause_reading()
        self.metrics.connection_closed("not_http" if status == 400 else "head_too_large")
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            self._say(status, words)
        elif isinstance(cycle, Turn) and not cycle.complete:  # its own body is what is wrong
            cycle.keep_alive, cycle.error = False, BodyError(status, "malformed", words)
            if cycle.is_next:
                cycle.refuse(cycle.error)
        elif isinstance(cycle, Turn) or not cycle.more_body or self.pipeline:
            self._last_words = (status, words)
        else:
            self._say(status, words)

    def _say(self, status: int, words: str) -> None:
        body = words.encode()
        length = b"content-length: %d\r\n\r\n" % len(body)
        self.transport.write(b"".join((STATUS_LINE[status], self.date(), CLOSING.lines, length, body)))
        self.transport.close()


def protocol_for(lane: Lane, bounds: Bounds, watch: Watch) -> type[BidProtocol]:
    """The protocol class for uvicorn, whose connections share these."""

    class Protocol(BidProtocol):
        __slots__ = ()

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(lane, bounds, watch, *given, **named)

    return Protocol
