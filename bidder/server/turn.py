"""One bid request on a connection: collected, started when it is its turn, answered with one write.

The rule kept here: what a turn knows is of one request; order, bounds and time-outs are the connection's
(`protocol.BidProtocol`).
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from bidder.pipeline import NO_CONTENT, Answer
from bidder.server.body import BodyError, too_large
from bidder.server.headers import ALLOW, ERROR, Asked, Head
from bidder.server.lane import Stop

if TYPE_CHECKING:
    from bidder.server.protocol import BidProtocol

_UNREAD = Asked()
_NOWHERE = cast("Stop", None)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n"
_ALLOW = b"%b: %b\r\n" % ALLOW


class Turn:
    """One bid request and its place among a connection's answers: stands where uvicorn has its request-response cycle,
    and has of it what uvicorn's protocol asks for."""

    __slots__ = (
        *("arrived_s", "asked", "began_s", "body", "complete", "disconnected", "error", "is_next"),
        *("keep_alive", "method", "name", "parts", "protocol", "response_complete", "size", "stop"),
    )

    def __init__(self, protocol: BidProtocol, name: str, method: str, arrived_s: float, began_s: float) -> None:
        self.protocol = protocol
        self.name = name
        self.method = method
        self.arrived_s = arrived_s  # of the loop's clock
        self.began_s = began_s  # of the performance counter
        self.stop = _NOWHERE
        self.asked = _UNREAD
        self.error: BodyError | None = None
        self.body = b""
        self.parts: list[bytes] | None = None
        self.size = 0
        self.complete = False
        self.is_next = False  # all requests before it have their answers
        self.keep_alive = True
        self.response_complete = False
        self.disconnected = False  # uvicorn says so of the last; the transport knows it for all

    @property
    def message_event(self) -> Turn:
        return self

    def set(self) -> None:
        """uvicorn wakes a cycle's task when the connection is lost; a bid has none."""

    def add(self, part: bytes, limit_bytes: int) -> None:
        self.size += len(part)
        if self.size > limit_bytes:
            self.error, self.body, self.parts = too_large(limit_bytes), b"", None
        elif not self.body:  # the usual case: one piece
            self.body = part
        elif self.parts is None:
            self.parts = [self.body, part]
        else:
            self.parts.append(part)

    def begin(self) -> None:
        """All requests before it are answered: go on with what is there of this one."""
        self.is_next = True
        if self.error is not None:
            self.refuse(self.error)
        elif self.complete:
            self.start()
        elif self.asked.expects:
            self.protocol.transport.write(_CONTINUE)

    def start(self) -> None:
        """The whole request is there, and it is its turn."""
        if self.method == "OPTIONS":
            self.send(NO_CONTENT.status, b"", self.stop.reply.to(self.asked, NO_CONTENT)[1], "method")
        else:
            self.bid(self.body if self.parts is None else b"".join(self.parts))

    def bid(self, body: bytes) -> None:
        """All of a bid request's body, and nothing is wrong with its head."""
        try:
            answer = self.protocol.lane.start(body, self.asked, self.stop, self.arrived_s, self.answered)
        except BodyError as error:
            self.refuse(error)
            return
        if answer is not None:  # not admitted
            body, head = self.stop.reply.to(self.asked, answer)
            self.send(answer.status, body, head, answer.outcome)

    def answered(self, answer: Answer) -> None:
        """The pipeline's callback."""
        self.protocol.metrics.in_flight -= 1
        body, head = self.stop.reply.to(self.asked, answer)
        self.send(answer.status, body, head, answer.outcome)

    def refuse(self, error: BodyError) -> None:
        # What is left of too large a body is not waited for: the connection cannot serve another request.
        if error.status == 413:
            self.keep_alive = False
        self.send(error.status, str(error).encode(), ERROR, error.outcome)

    def send(self, status: int, body: bytes, head: Head, outcome: str) -> None:
        """One write. Counting comes after it."""
        protocol = self.protocol
        transport, metrics = protocol.transport, protocol.metrics
        self.response_complete = True
        if transport.is_closing():
            metrics.request(self.name, "disconnected")
            return
        if status == 204:
            end = b"\r\n"
        elif self.method == "HEAD":
            end, body = b"content-length: %d\r\n\r\n" % len(body), b""
        else:
            end = b"content-length: %d\r\n\r\n" % len(body)
        moment, date = protocol.dated
        if moment is not protocol.server_state.default_headers:  # once a second
            date = protocol.date()
        more = b"" if self.keep_alive else _CLOSE
        if self.method != "POST" and status in (204, 405):
            more, outcome = more + _ALLOW, "method"
        transport.write(b"".join((STATUS_LINE[status], date, head.lines, more, end, body)))
        if not self.keep_alive:
            transport.close()
        metrics.answered(self.name, outcome, perf_counter() - self.began_s)
        protocol.on_response_complete()
