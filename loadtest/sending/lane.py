"""One kept-alive HTTP/1.1 connection to a bidder, for many requests a second.

The rule: answers are framed by Content-Length and belong to the oldest request under way on their connection. A late
answer is waited for and taken off the wire like any other, so that it cannot be taken for the next one's. What comes
unasked, or is not HTTP, ends the connection. Nothing is awaited: a request is a write, an answer a call.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from typing import NamedTuple, Protocol, cast

from loadtest.sending.message import Message

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 4 << 20

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection:[^\r]*\bclose\b", re.IGNORECASE)


class Sent(NamedTuple):
    """A request under way. Times on `time.monotonic()`'s scale."""

    intended_s: float
    tag: bytes
    number: int  # of the message
    message: Message


class Owner(Protocol):
    """Who is told. After `lost` the lane is of no use."""

    def answered(self, lane: Lane, sent: Sent, status: int, head: bytes, body: bytes, now_s: float) -> None: ...
    def stray(self, lane: Lane) -> None: ...
    def lost(self, lane: Lane, unanswered: list[Sent]) -> None: ...


class Lane(asyncio.Protocol):
    """Up to the owner's depth of requests at once, in order."""

    __slots__ = ("_buffer", "_needs", "_owner", "closing", "pending", "transport")

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._buffer = bytearray()
        self._needs = 0  # bytes until there is more to find out
        self.pending: deque[Sent] = deque()
        self.transport: asyncio.Transport | None = None
        self.closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none of its subclasses

    def send(self, sent: Sent) -> None:
        assert self.transport is not None
        self.pending.append(sent)
        self.transport.write(sent.tag.join(sent.message.parts))

    def data_received(self, data: bytes) -> None:
        now_s = time.monotonic()
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needs:
                return
            data = bytes(self._buffer)
            self._buffer.clear()
        while data:
            if not self.pending:
                self._owner.stray(self)
                self.close()
                return
            size = self._take(data, now_s)
            if size == 0:  # not yet complete
                self._buffer += data
                return
            if size < 0:
                return
            data = data[size:]

    def eof_received(self) -> None:
        """The default closes the connection, and `connection_lost` follows."""

    def connection_lost(self, error: Exception | None) -> None:
        self.closing = True
        unanswered = list(self.pending)
        self.pending.clear()
        self._owner.lost(self, unanswered)

    def close(self) -> None:
        """At once; what is under way is lost."""
        self.closing = True
        if self.transport is not None:
            self.transport.abort()

    def _take(self, data: bytes, now_s: float) -> int:
        """The size of the answer that `data` starts with, handed on; 0: incomplete; below 0: the lane was closed."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._needs = 0
            return self._give_up() if len(data) > MAX_HEAD_BYTES else 0
        head = data[: end + 2]
        if not head.startswith(b"HTTP/1.") or not head[9:12].isdigit():
            return self._give_up()
        status = int(head[9:12])
        found = _LENGTH.search(head)
        if found is None and status != 204:  # exchanges require the length
            return self._give_up()
        length = int(found[1]) if found is not None else 0
        if length > MAX_BODY_BYTES:
            return self._give_up()
        size = end + 4 + length
        if len(data) < size:
            self._needs = size
            return 0
        sent = self.pending.popleft()
        if _CLOSES.search(head):
            self.closing = True
        self._owner.answered(self, sent, status, head, data[end + 4 : size], now_s)
        if self.closing:
            self.close()
            return -1
        return size

    def _give_up(self) -> int:
        self.close()
        return -1
