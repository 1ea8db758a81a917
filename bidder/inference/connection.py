"""One kept-alive HTTP/1.1 connection to the endpoint: one call at a time, its answer to that call alone.

The rule kept here: a connection is handed on only when its last answer is whole, nothing came after it, and the
server wants to keep it. Everything else ends the connection. An answer that comes too late is read and thrown away, so
that a slow endpoint does not cost a new handshake a call; one that does not come within the drain bound costs one.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from bidder.inference.errors import BadResponse, ConnectionLost, InferenceError
from bidder.inference.heads import Head, Response

if TYPE_CHECKING:
    from bidder.inference.pool import Pool
    from bidder.inference.resolver import Address

_KEEPALIVE = (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
LEARN = 4  # answers of a connection from which their head is known: an endpoint's have always the same
_HEADERS_BYTES = 65_536  # allowed on top of the body for status line, headers and chunk framing


class Call(Protocol):
    """One request and what becomes of it: exactly one of `answered` and `failed` is called, unless it was abandoned."""

    head: bytes
    body: bytes
    deadline_s: float
    resent: bool
    finished: bool
    connection: Connection | None

    def answered(self, response: Response) -> bool:
        """Take the answer; False if it was such that the connection must not be used again."""
        ...

    def failed(self, error: InferenceError) -> None: ...


class Connection(asyncio.Protocol):
    """Made by the pool, one a socket. `call` is the call in flight; without one it is idle or draining."""

    __slots__ = (
        "_body",
        "_complete",
        "_drain",
        "_head",
        "_headers",
        "_keep",
        "_messages",
        "_parser",
        "_pool",
        "_received",
        "_status",
        "_transport",
        "address",
        "busy",
        "call",
        "expires_at",
        "idle_since",
        "on_body",
        "on_header",
        "served",
    )

    def __init__(self, pool: Pool, address: Address) -> None:
        # for the connection's life
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        # The parser calls these two straight, without a Python frame: 1 us less a call.
        self.on_header = self._headers.__setitem__
        self.on_body = self._body.append
        self._head: Head | None = None  # of the answers, once known
        self.address = address
        self.expires_at = 0.0
        self.idle_since = 0.0
        self.served = 0
        # for one call
        self.call: Call | None = None
        self.busy = False
        self._drain: asyncio.TimerHandle | None = None
        self._messages = 0
        self._received = 0
        self._complete = False
        self._keep = False
        self._status = 0

    def __repr__(self) -> str:
        state = "in flight" if self.call else "draining" if self.busy else "idle"
        return f"<Connection {self.address.text} {state} served={self.served}>"

    # -- what the pool and the caller do ---------------------------------------------------------------------------

    def send(self, call: Call) -> None:
        """Write a call's request. The connection must come from `Pool.acquire`."""
        self.call = call
        self.busy = True
        call.connection = self
        if self._transport is not None:
            self._transport.writelines((call.head, call.body))

    def abandon(self) -> None:
        """Nobody waits for the answer any more: let it drain, within the pool's bound."""
        self.call = None
        self._drain = self._pool.loop.call_later(self._pool.drain_s, self._drain_expired)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- what the socket does --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = HttpResponseParser(self)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, seconds in _KEEPALIVE:
                if hasattr(socket, name):  # not all systems have all of them
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
        self._pool.opened(self)

    def data_received(self, data: bytes) -> None:
        if not self.busy:
            self._break(BadResponse("the endpoint sent bytes that nobody asked for"))
            return
        self._received += len(data)
        if self._received > self._pool.max_response_bytes + _HEADERS_BYTES:
            self._break(BadResponse(f"the answer is larger than {self._pool.max_response_bytes} bytes"))
            return
        if self._head is not None and self._received == len(data):
            response = self._head.read(data)
            if response is not None:
                self._finish(response, True)
                return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._break(BadResponse(f"the answer is no HTTP/1.1: {error}"))
            return
        if self._messages > 1:
            self._break(BadResponse("the endpoint sent more than one answer to one request"))
        elif self._complete:
            self._parsed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_drain()
        del self._parser  # it refers back: without it the connection goes by reference counts
        call, self.call = self.call, None
        self._pool.lost(self)
        if call is None:
            return
        # A kept-alive socket that the server had closed before it read a byte: worth one try on a fresh one.
        if self.served and not self._received and self._pool.resend(call):
            return
        reason = f": {exc}" if exc else ""
        state = "in the middle of" if self._received else "before"
        call.failed(ConnectionLost(f"{self.address.text} closed the connection {state} the answer{reason}"))

    # -- what the parser reports -----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._messages += 1

    def on_message_complete(self) -> None:
        self._complete = True
        self._status = self._parser.get_status_code()
        # Interim answers (1xx) were not asked for; what follows one could be taken for the next call's answer.
        self._keep = self._parser.should_keep_alive() and self._status >= 200

    # -- the end of a call -----------------------------------------------------------------------------------------

    def _parsed(self, block: bytes) -> None:
        """All bytes received, of which `block` is the last, were looked at: what follows an answer must be nothing."""
        chunks = self._body
        headers = {name.lower(): value for name, value in self._headers.items()}
        response = Response(self._status, headers, chunks[0] if len(chunks) == 1 else b"".join(chunks))
        if self.served < LEARN and self._received == len(block) and self._status == 200:
            with suppress(ValueError):
                self._head = Head(block, headers)
        self._headers.clear()
        self._body.clear()
        self._complete = False
        self._messages = 0
        self._finish(response, self._keep)

    def _finish(self, response: Response, keep: bool) -> None:
        """Hand on the answer."""
        call, self.call = self.call, None
        if call is None:
            self._pool.stats.late_drained += 1
            self._stop_drain()
        else:
            keep = call.answered(response) and keep
        self.busy = False
        self._received = 0
        self.served += 1
        if keep:
            self._pool.release(self)
        else:
            self.close()

    def _break(self, error: InferenceError) -> None:
        call, self.call = self.call, None
        self.close()
        if call is not None:
            call.failed(error)

    def _drain_expired(self) -> None:
        self._drain = None
        self._pool.suspect(self.address)
        self.close()

    def _stop_drain(self) -> None:
        if self._drain is not None:
            self._drain.cancel()
            self._drain = None
