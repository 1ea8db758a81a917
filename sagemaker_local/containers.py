"""The model containers, by the container contract (GET /ping, POST /invocations): pooled connections, readiness.

Rule: a connection goes back to the pool only after a whole answer; whatever else happens on it closes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httptools

MAX_ANSWER_BYTES: Final = 6_291_456
CONNECT_TIMEOUT_S: Final = 2.0
PING_TIMEOUT_S: Final = 2.0


class ContainerError(Exception):
    """The container gave no usable answer."""


class ContainerDownError(ContainerError):
    """No connection could be made."""


class StaleConnectionError(ContainerError):
    """A pooled connection was closed before the first byte of an answer: the container had dropped it while idle."""


class State(Enum):
    NOT_READY = "not ready"  # accepts connections, but /ping is not 200 (yet)
    READY = "ready"
    DOWN = "down"  # no connection, or no answer to /ping in time


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class _Connection(asyncio.Protocol):
    """One connection to a container; one request at a time."""

    def __init__(self) -> None:
        self._waiter: asyncio.Future[Answer] | None = None
        self._exchanges = 0
        self.usable = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self.usable = True

    async def exchange(self, request: bytes) -> Answer:
        self._parser: Any = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._started = self._in_body = False
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiter
        finally:
            self._waiter = None
            self._exchanges += 1

    def close(self) -> None:
        self.usable = False
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():  # bytes that nobody asked for
            return self.close()
        self._started = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ContainerError(f"its answer is no HTTP/1.1: {error}"))
        if self._body_bytes > MAX_ANSWER_BYTES:
            self._fail_too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._in_body = True

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes <= MAX_ANSWER_BYTES:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._body_bytes > MAX_ANSWER_BYTES:
            return self._fail_too_large()
        if not self._parser.should_keep_alive():
            self.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(Answer(self._parser.get_status_code(), self._headers, b"".join(self._body)))

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        if self._waiter is None or self._waiter.done():
            return
        unframed = b"content-length" not in self._headers and b"transfer-encoding" not in self._headers
        if self._in_body and unframed and exc is None:
            self.on_message_complete()  # a body without a length ends with the connection (RFC 9112 §6.3)
        elif self._exchanges and not self._started:
            self._fail(StaleConnectionError())
        else:
            self._fail(ContainerError("it closed the connection before its answer was complete"))

    def _fail_too_large(self) -> None:
        self._fail(ContainerError(f"its answer is over {MAX_ANSWER_BYTES} bytes"))

    def _fail(self, error: ContainerError) -> None:
        self.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


class Instance:
    """One container behind a variant."""

    def __init__(self, url: str, max_connections: int, ping_interval_s: float) -> None:
        parts = urlsplit(url)
        self.url = url
        self.state = State.NOT_READY
        self.outstanding = 0
        self._host = parts.hostname or ""
        self._port = parts.port or 80
        self._ping_interval_s = ping_interval_s
        self._ping_request = f"GET /ping HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
        self._invoke_head = f"POST /invocations HTTP/1.1\r\nHost: {parts.netloc}\r\n".encode()
        self._slots = asyncio.Semaphore(max_connections)
        self._idle: list[_Connection] = []  # last in, first out: the few that are needed stay warm

    async def invoke(self, headers: Sequence[tuple[bytes, bytes]], body: bytes, timeout_s: float) -> Answer:
        """POST /invocations. Raises TimeoutError, ContainerDownError, ContainerError."""
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        request = b"%b%bContent-Length: %d\r\n\r\n%b" % (self._invoke_head, lines, len(body), body)
        self.outstanding += 1
        try:
            async with asyncio.timeout(timeout_s), self._slots:
                return await self._exchange(request)
        except ContainerDownError:
            self.state = State.DOWN  # until the next /ping says otherwise
            raise
        finally:
            self.outstanding -= 1

    async def _exchange(self, request: bytes) -> Answer:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                try:
                    return await self._exchange_on(connection, request)
                except StaleConnectionError:
                    break  # once more, on a fresh connection
        return await self._exchange_on(await self._connect(), request)

    async def _exchange_on(self, connection: _Connection, request: bytes) -> Answer:
        try:
            answer = await connection.exchange(request)
        except BaseException:  # cancelled or timed out included: an answer may still be on its way
            connection.close()
            raise
        if connection.usable:
            self._idle.append(connection)
        return answer

    async def _connect(self) -> _Connection:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(_Connection, self._host, self._port)
                return connection
        except (OSError, TimeoutError) as error:
            raise ContainerDownError(f"no connection to {self.url}: {error}") from error

    async def ping(self) -> None:
        """GET /ping once; sets `state`."""
        try:
            async with asyncio.timeout(PING_TIMEOUT_S):
                connection = await self._connect()
                try:
                    answer = await connection.exchange(self._ping_request)
                finally:
                    connection.close()
        except (ContainerError, TimeoutError):
            self.state = State.DOWN
        else:
            self.state = State.READY if answer.status == 200 else State.NOT_READY

    async def watch(self) -> None:
        """Ping for ever."""
        while True:
            await asyncio.sleep(self._ping_interval_s)
            await self.ping()

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()
