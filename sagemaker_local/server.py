"""HTTP/1.1 on a raw protocol: bytes in, one `Request` at a time to the application, its `Reply` out in order.

A raw protocol because faults need the transport: a reply may be trickled, or be None, which closes the connection
without an answer. Every buffer is bounded: heads by `MAX_HEAD_BYTES`, bodies by `MAX_BODY_BYTES` (what is over is read,
up to a limit, and dropped, so that the client gets to read its error), connections by number, silence by time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final, Protocol, cast

import httptools

MAX_BODY_BYTES: Final = 6_291_456
MAX_HEAD_BYTES: Final = 65_536
MAX_DROPPED_BYTES: Final = 4 * MAX_BODY_BYTES
STALL_TIMEOUT_S: Final = 60.0  # to send a request whole, or to read an answer
SWEEP_INTERVAL_S: Final = 0.05
TRICKLE_INTERVAL_S: Final = 0.1

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    """One request, read whole. Header names are lower case; repeated headers are joined by a comma."""

    method: bytes
    path: bytes
    query: bytes
    headers: dict[bytes, bytes]
    body: bytes
    body_too_large: bool
    keep_alive: bool
    from_loopback: bool
    whole_at_s: float = field(default_factory=time.perf_counter)  # of the performance counter


@dataclass(slots=True)
class Reply:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    bytes_per_s: float | None = None  # None: at once


class Application(Protocol):
    async def answer(self, request: Request) -> Reply | None:
        """Answer, or None to close the connection without one. Must not raise."""

    def idle_timeout_s(self, path: bytes) -> float:
        """How long a connection that last asked for `path` (empty: nothing yet) may stay idle."""


class Connection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parser: Any = httptools.HttpRequestParser(self)
        self._requests: asyncio.Queue[Request] = asyncio.Queue()
        self._writable = asyncio.Event()
        self._writable.set()
        self.last_path = b""
        self.last_active_s = time.monotonic()
        self.answering = False
        self.receiving = False
        self._start_message()

    def _start_message(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0
        self._in_body = False

    # the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        peer = self._transport.get_extra_info("peername")
        self._from_loopback = ip_address(peer[0]).is_loopback
        if not self._server.admit(self):
            transport.close()
            return
        self._worker = asyncio.get_running_loop().create_task(self._serve())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._server.forget(self):
            self._worker.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        if not self._in_body:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            return self._reject(400, f"this is no HTTP/1.1 request: {error}")
        if not self._in_body and self._head_bytes > MAX_HEAD_BYTES:
            return self._reject(431, f"the headers are over {MAX_HEAD_BYTES} bytes")
        if self._body_bytes > MAX_DROPPED_BYTES:
            return self._reject(413, f"the body is over {MAX_BODY_BYTES} bytes")
        if self._requests.qsize() > 1:  # pipelined: take no more until these are answered
            self._transport.pause_reading()

    # the parser

    def on_message_begin(self) -> None:
        self.receiving = True
        self.last_active_s = time.monotonic()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        earlier = self._headers.get(name)
        self._headers[name] = value if earlier is None else earlier + b"," + value

    def on_headers_complete(self) -> None:
        self._in_body = True
        if self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes <= MAX_BODY_BYTES:
            self._body.append(data)
        else:
            self._body.clear()

    def on_message_complete(self) -> None:
        path, _, query = self._url.partition(b"?")
        self._requests.put_nowait(
            Request(
                method=self._parser.get_method(),
                path=path,
                query=query,
                headers=self._headers,
                body=b"".join(self._body),
                body_too_large=self._body_bytes > MAX_BODY_BYTES,
                keep_alive=self._parser.should_keep_alive(),
                from_loopback=self._from_loopback,
            )
        )
        self.receiving = False
        self.answering = True
        self._start_message()

    # answering

    async def _serve(self) -> None:
        """Answer one request after the other until the connection closes."""
        while True:
            request = await self._requests.get()
            self.last_path = request.path
            reply = await self._server.application.answer(request)
            if reply is None:
                return self._transport.close()
            keep_alive = request.keep_alive and not self._server.stopping
            await self._write(reply, keep_alive)
            self.last_active_s = time.monotonic()
            if not keep_alive:
                return self._transport.close()
            if self._requests.empty():
                self.answering = False
                self._transport.resume_reading()

    async def _write(self, reply: Reply, keep_alive: bool) -> None:
        body = reply.body
        head = [b"HTTP/1.1 %d %b\r\n" % (reply.status, _PHRASES.get(reply.status, "").encode())]
        head += [b"%b: %b\r\n" % header for header in reply.headers]
        connection = b"" if keep_alive else b"Connection: close\r\n"
        head.append(b"%bDate: %b\r\nContent-Length: %d\r\n\r\n" % (connection, _http_date(int(time.time())), len(body)))
        if reply.bytes_per_s is None:
            self._transport.write(b"".join([*head, body]))
        else:
            self._transport.write(b"".join(head))
            await self._trickle(body, reply.bytes_per_s)
        if not self._writable.is_set():
            try:
                async with asyncio.timeout(STALL_TIMEOUT_S):
                    await self._writable.wait()
            except TimeoutError:
                self._transport.abort()

    async def _trickle(self, body: bytes, bytes_per_s: float) -> None:
        piece = max(1, int(bytes_per_s * TRICKLE_INTERVAL_S))
        for start in range(0, len(body), piece):
            await asyncio.sleep(piece / bytes_per_s)
            self._transport.write(body[start : start + piece])

    def _reject(self, status: int, message: str) -> None:
        """Answer what never became a request, and close."""
        if not self.answering:  # an answer that is under way must not be mixed with this one
            body = message.encode()
            line = b"HTTP/1.1 %d %b\r\n" % (status, _PHRASES[status].encode())
            headers = b"Connection: close\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
            self._transport.write(line + headers + body)
        self._transport.close()

    def close_if_silent(self, now_s: float, idle_timeout_s: float) -> None:
        if not self.answering and now_s - self.last_active_s > (STALL_TIMEOUT_S if self.receiving else idle_timeout_s):
            self._transport.close()

    def close_if_idle(self) -> None:
        if not self.answering:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


class Server:
    """Accepts connections and closes those that have been silent for too long."""

    def __init__(self, application: Application, max_connections: int) -> None:
        self.application = application
        self.stopping = False
        self._max_connections = max_connections
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port (of use where `port` is 0)."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(self), host, port, backlog=1024)
        self._sweeper = loop.create_task(self._sweep())
        bound_port: int = self._listener.sockets[0].getsockname()[1]
        return bound_port

    async def stop(self, grace_s: float) -> None:
        """Accept no more, let the answers under way finish for up to `grace_s`, then cut what is left."""
        self.stopping = True
        self._listener.close()
        self._sweeper.cancel()
        for connection in list(self._connections):
            connection.close_if_idle()
        self._empty.clear()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._empty.wait()
        for connection in list(self._connections):
            connection.abort()
        await self._listener.wait_closed()

    def admit(self, connection: Connection) -> bool:
        if self.stopping or len(self._connections) >= self._max_connections:
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: Connection) -> bool:
        """True if the connection had been admitted."""
        if connection not in self._connections:
            return False
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
        return True

    async def _sweep(self) -> None:
        # Asked anew on every round, so that a changed idle_close_s also reaches connections that are idle already.
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            now_s = time.monotonic()
            for connection in list(self._connections):
                connection.close_if_silent(now_s, self.application.idle_timeout_s(connection.last_path))


@lru_cache(maxsize=2)
def _http_date(unix_s: int) -> bytes:
    return formatdate(unix_s, usegmt=True).encode()
