"""One kept-alive HTTP/1.1 connection to a bidder, as cheap as it can be.

The rule: one request at a time, the answer framed by Content-Length, the clock read when its last byte arrives. An
answer framed otherwise is an error of the bidder's, as exchanges require the length.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 4 << 20


class ConnectionLostError(Exception):
    """No answer came: refused, reset, cut off, or not HTTP. The text says which."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes
    took_s: float


class _Reader(asyncio.Protocol):
    """Collects one answer at a time."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.waiting: asyncio.Future[Answer] | None = None
        self.started_s = 0.0
        self.closed = False

    def data_received(self, data: bytes) -> None:
        arrived_s = time.perf_counter()
        self.buffer += data
        if self.waiting is None or self.waiting.done():
            return
        try:
            answer = self._answer(arrived_s - self.started_s)
        except ValueError as error:
            self.waiting.set_exception(ConnectionLostError(f"not an answer in HTTP/1.1: {error}"))
            return
        if answer is not None:
            self.waiting.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(
                ConnectionLostError(f"closed before the answer was complete ({error or 'no error'})")
            )

    def _answer(self, took_s: float) -> Answer | None:
        """The answer, taken off the buffer, once it is complete. Raises ValueError."""
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self.buffer) > MAX_HEAD_BYTES:
                raise ValueError(f"a head of more than {MAX_HEAD_BYTES} bytes")
            return None
        first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ", 2)
        if not version.startswith("HTTP/1."):
            raise ValueError(f"the first line is {first[:60]!r}")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        code = int(status)
        if "content-length" not in headers and code != 204:
            raise ValueError(f"{code} without Content-Length")
        length = int(headers.get("content-length", 0))
        if not 0 <= length <= MAX_BODY_BYTES:
            raise ValueError(f"Content-Length is {length}")
        if len(self.buffer) < end + 4 + length:
            return None
        body = bytes(self.buffer[end + 4 : end + 4 + length])
        del self.buffer[: end + 4 + length]
        return Answer(code, headers, body, took_s)


class Connection:
    """Connects when first used and again after a loss."""

    def __init__(self, url: str) -> None:
        """`url` is http://HOST:PORT/PATH."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{url}: expected http://HOST:PORT/PATH")
        self.host, self.port = parts.hostname, parts.port or 80
        self._head = (
            f"POST {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            "x-openrtb-version: 2.6\r\nContent-Length: "
        ).encode()
        self._transport: asyncio.Transport | None = None
        self._reader = _Reader()

    async def post(self, body: bytes, patience_s: float) -> Answer:
        """Sends `body` and waits for the answer. Raises ConnectionLostError, and TimeoutError after `patience_s`."""
        async with asyncio.timeout(patience_s):
            if self._transport is None or self._reader.closed:
                await self._connect()
            assert self._transport is not None
            reader = self._reader
            reader.waiting = asyncio.get_running_loop().create_future()
            reader.started_s = time.perf_counter()
            self._transport.write(self._head + str(len(body)).encode() + b"\r\n\r\n" + body)
            try:
                answer = await reader.waiting
            except BaseException:  # a late answer must not be taken for the next one's
                self.close()
                raise
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._transport, self._reader = await loop.create_connection(_Reader, self.host, self.port)
        except OSError as error:
            raise ConnectionLostError(f"cannot connect to {self.host}:{self.port}: {error}") from error

    def close(self) -> None:
        if self._transport is not None:
            with contextlib.suppress(OSError):
                self._transport.abort()
            self._transport = None
