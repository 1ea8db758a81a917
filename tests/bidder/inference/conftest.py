"""A scripted endpoint on a real socket, and lanes that speak to it. Ports are free ones, everything is closed."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop

from bidder.domain import Rows
from bidder.inference.batcher import Batcher
from bidder.inference.client import Lane
from bidder.inference.credentials import StaticCredentials
from bidder.inference.limiter import Limiter
from bidder.inference.pool import Pool
from bidder.inference.resolver import Resolver
from bidder.inference.sagemaker import Origin, Target, Wire
from bidder.inference.stats import InferenceStats

PATIENCE_S = 20.0  # how long a test waits for what must happen: long, so that a slow machine does not fail it


@dataclass
class Request:
    """What the endpoint read: `connection` counts from 1, `serial` is the request's number on that connection."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int
    serial: int

    @property
    def rows(self) -> list[bytes]:
        return self.body.splitlines()


Script = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


def reply(body: bytes, status: int = 200, content_type: str = "text/csv; charset=utf-8", **headers: str) -> bytes:
    """A whole HTTP answer. Underscores in header names stand for hyphens."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def echo(request: Request) -> bytes:
    """Each row's first field, an integer below a million, comes back as the score field / 1,000,000."""
    return reply(b"".join(b"0.%06d\n" % int(row.partition(b",")[0]) for row in request.rows))


async def answer_echo(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(echo(request))


def tagged(*tags: int) -> Rows:
    """Rows whose echo is tag / 1,000,000."""
    return Rows(len(tags), b"".join(b"%d,0,1\n" % tag for tag in tags))


@dataclass
class Endpoint:
    """A listening server; `script` answers each request and may be changed at any time."""

    script: Script
    port: int = 0
    host: str = "127.0.0.1"
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    closed_by_client: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def start(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self.server = await asyncio.start_server(self._serve, self.host, self.port, ssl=ssl_context)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop all connections."""
        if self.server is not None:
            self.server.close()
            for task in list(self.tasks):
                task.cancel()
            for writer in list(self.writers):
                writer.transport.abort()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            await self.server.wait_closed()
            self.server = None

    def drop_connections(self) -> None:
        """Close what is open, as a server does with idle connections."""
        for writer in self.writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.writers.add(writer)
        self.connections += 1
        with contextlib.suppress(asyncio.CancelledError):  # stop() cancels; the streams' own callback would log it
            await self._converse(reader, writer, self.connections)
        self.writers.discard(writer)
        self.tasks.discard(task)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        serial = 0
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line, *lines = head.rstrip().split("\r\n")
                headers = {name.lower(): value for name, value in (text.split(": ", 1) for text in lines)}
                body = await reader.readexactly(int(headers["content-length"]))
                serial += 1
                request = Request(line, headers, body, number, serial)
                self.requests.append(request)
                await self.script(request, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            self.closed_by_client += 1
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


async def until(condition: Callable[[], object], what: str = "condition") -> None:
    """Wait for a condition, with patience."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + PATIENCE_S
    while not condition():
        assert loop.time() < give_up, f"did not happen in {PATIENCE_S} s: {what}"
        await asyncio.sleep(0.002)


@dataclass
class Kit:
    """What the tests of this folder work with."""

    endpoints: list[Endpoint] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)

    reply = staticmethod(reply)
    echo = staticmethod(echo)
    answer_echo = staticmethod(answer_echo)
    tagged = staticmethod(tagged)
    until = staticmethod(until)
    patience_s = PATIENCE_S

    async def endpoint(self, script: Script = answer_echo, ssl_context: ssl.SSLContext | None = None) -> Endpoint:
        endpoint = Endpoint(script)
        self.endpoints.append(endpoint)
        await endpoint.start(ssl_context)
        return endpoint

    async def lane(
        self,
        url: str,
        *,
        warm: int = 0,
        wire: dict[str, Any] | None = None,
        pool: dict[str, Any] | None = None,
        limiter: Limiter | None = None,
        resolver: Resolver | None = None,
        credentials: Any = None,
        **batcher: Any,
    ) -> Lane:
        origin, target, stats = Origin.parse(url), Target("ctr"), InferenceStats()
        source = credentials or StaticCredentials("AKIDLOCAL", "local")
        translator = Wire(target, origin, region="us-east-1", credentials=source, **(wire or {}))
        connections = Pool(resolver or Resolver(origin.host, origin.port), stats, **(pool or {}))
        limits = limiter or Limiter()
        lane = Lane(target, connections, limits, Batcher(translator, connections, limits, stats, **batcher), stats)
        self.lanes.append(lane)
        await connections.start()
        assert await connections.warm(warm, PATIENCE_S) == warm
        return lane

    async def score(self, lane: Lane, *tags: int, within_s: float = PATIENCE_S) -> list[float]:
        """Scores of tagged rows, straight from the lane."""
        scores = await lane.batcher.submit(tagged(*tags), asyncio.get_running_loop().time() + within_s)
        return list(scores.values)

    def submit(self, lane: Lane, *tags: int, within_s: float = PATIENCE_S) -> asyncio.Future[Any]:
        return lane.batcher.submit(tagged(*tags), asyncio.get_running_loop().time() + within_s)

    async def submit_all(self, lane: Lane, *rows: tuple[int, ...], **within: float) -> list[asyncio.Future[Any]]:
        """Each in a turn of the loop of its own, so that none goes out together while slots are free."""
        futures = []
        for tags in rows:
            futures.append(self.submit(lane, *tags, **within))
            await asyncio.sleep(0)
        return futures

    async def aclose(self) -> None:
        for lane in self.lanes:
            lane.batcher.close()
            await lane.pool.aclose()
        for endpoint in self.endpoints:
            await endpoint.stop()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Everything runs on both loops: the one of production, and the one where uvloop is not to be had."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
async def kit() -> AsyncIterator[Kit]:
    kit = Kit()
    yield kit
    await kit.aclose()
