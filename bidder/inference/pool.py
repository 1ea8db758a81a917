"""Kept-alive connections to one endpoint: which one is free, when to open one, when to let one go.

The rule kept here: a call takes a free connection or none, at once; connects happen beside the calls, are capped
in number and per second, and are not cancelled. The connection used last is used next, so that what is not needed ages
and is recycled before the server or a load balancer drops it silently.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

from bidder.inference.connection import Call, Connection
from bidder.inference.errors import Closed, ConnectFailed
from bidder.inference.payload import MAX_BODY_BYTES
from bidder.inference.resolver import Address, Resolver
from bidder.inference.stats import InferenceStats

_AVOID_S = 5.0  # how long an address that failed is the last choice


def tls_context(cafile: str | None = None) -> ssl.SSLContext:
    """Certificates and host names verified, TLS 1.2 or better; `cafile` trusts a private authority instead."""
    context = ssl.create_default_context(cafile=cafile)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Pool:
    """At most `max_connections` to `resolver`'s host; construct inside the running loop.

    Times are in seconds. `connects_per_s` and `connect_burst` cap new connections, `max_connecting` those under way.
    `on_available` is called when a connection may have become free, `on_connect_failed` with each failed connect.
    """

    def __init__(
        self,
        resolver: Resolver,
        stats: InferenceStats,
        *,
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int = 64,
        max_connecting: int = 8,
        connects_per_s: float = 50.0,
        connect_burst: int = 32,
        idle_s: float = 50.0,
        max_age_s: float = 600.0,
        drain_s: float = 1.0,
        connect_s: float = 3.0,
        upkeep_s: float = 5.0,
        max_response_bytes: int = MAX_BODY_BYTES,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.stats = stats
        self.drain_s = drain_s
        self.max_response_bytes = max_response_bytes
        self.open = 0
        self.connecting = 0
        self.on_available: Callable[[], None] = _nothing
        self.on_connect_failed: Callable[[ConnectFailed], None] = _nothing
        self._resolver = resolver
        self._ssl = ssl_context
        self._max_connections = max_connections
        self._max_connecting = max_connecting
        self._rate = connects_per_s
        self._burst = float(connect_burst)
        self._tokens = float(connect_burst)
        self._idle_s = idle_s
        self._max_age_s = max_age_s
        self._connect_s = connect_s
        self._upkeep_s = upkeep_s
        self._clock = clock or self.loop.time
        self._refilled_at = self._clock()
        self._idle: dict[Connection, None] = {}  # in order of release: the last is used next, any can leave
        self._connections: set[Connection] = set()
        self._resends: deque[Call] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._attempts: set[asyncio.Task[Any]] = set()
        self._warm = 0
        self._changed = asyncio.Event()
        self._token_timer: asyncio.TimerHandle | None = None
        self._upkeep_timer: asyncio.TimerHandle | None = None
        self._closing = False

    def __repr__(self) -> str:
        return (
            f"<Pool {self._resolver.host}:{self._resolver.port} open={self.open} idle={len(self._idle)} "
            f"in_flight={self.in_flight} draining={self.open - len(self._idle) - self.in_flight} "
            f"connecting={self.connecting}>"
        )

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def in_flight(self) -> int:
        return sum(connection.call is not None for connection in self._connections)

    async def start(self) -> None:
        await self._resolver.start()
        self._upkeep_timer = self.loop.call_later(self._upkeep_s, self._upkeep)

    async def warm(self, count: int, timeout_s: float = 5.0) -> int:
        """Open `count` connections and keep at least as many from now on. Returns how many are open after it."""
        self._warm = min(count, self._max_connections)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.open < self._warm:
                    self._changed.clear()
                    self._fill()
                    await self._changed.wait()
        return self.open

    async def aclose(self) -> None:
        """Close all connections, and return when they are closed, which is bounded. Calls in flight fail."""
        self._closing = True
        for timer in (self._token_timer, self._upkeep_timer):
            if timer is not None:
                timer.cancel()
        for task in self._tasks:  # these only watch
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.connecting = 0
        # A connect cancelled half-way can leave a transport whose loss is never reported: they get time to end.
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=self._connect_s)
            for attempt in self._attempts:
                attempt.cancel()
            await asyncio.gather(*self._attempts, return_exceptions=True)
        while self._resends:
            self._resends.popleft().failed(Closed("the inference client has been closed"))
        for connection in list(self._connections):
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._connect_s):
                while self.open:
                    self._changed.clear()
                    await self._changed.wait()
        await self._resolver.aclose()

    # -- for callers ---------------------------------------------------------------------------------------------------

    def acquire(self, waiting: int) -> Connection | None:
        """A free connection, or None; then more are being opened for the `waiting`, as far as the caps allow."""
        while self._idle:
            connection, _ = self._idle.popitem()
            now = self._clock()
            if now < connection.idle_since + self._idle_s and now < connection.expires_at:
                if connection.served:
                    self.stats.reused += 1
                return connection
            connection.close()
        if self.connecting < waiting + len(self._resends):
            self._connect()
        return None

    def release(self, connection: Connection) -> None:
        """Take back a connection whose call is over."""
        connection.idle_since = self._clock()
        self.put_back(connection)

    def put_back(self, connection: Connection) -> None:
        """Take back a connection that was acquired and not used."""
        if self._closing:
            connection.close()
            return
        self._idle[connection] = None
        self.on_available()

    # -- for connections -----------------------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        self.open += 1
        self.stats.opened += 1
        connection.address.open += 1
        # Ages differ by up to a tenth, so that connections made together do not end together.
        connection.expires_at = self._clock() + self._max_age_s * (1.0 - 0.1 * (self.stats.opened % 16) / 16)
        self._connections.add(connection)
        self._changed.set()
        if self.open > self._max_connections:  # an overdue connect that succeeded after all
            connection.close()
            return
        while self._resends:
            call = self._resends.popleft()
            if not call.finished:
                connection.send(call)
                return
        self.release(connection)

    def lost(self, connection: Connection) -> None:
        self.open -= 1
        self.stats.closed += 1
        connection.address.open -= 1
        self._connections.discard(connection)
        self._idle.pop(connection, None)
        self._changed.set()
        self.on_available()  # there is room for another

    def resend(self, call: Call) -> bool:
        """Send a call again on a fresh connection. False if that was done already, or is too late."""
        if self._closing or call.resent or call.finished or self.loop.time() >= call.deadline_s:
            return False
        call.resent = True
        call.connection = None
        self.stats.resends += 1
        self._resends.append(call)
        self._connect()
        return True

    def suspect(self, address: Address) -> None:
        """Prefer other addresses for a while."""
        address.avoid_until = self.loop.time() + _AVOID_S

    # -- opening connections -------------------------------------------------------------------------------------------

    def _connect(self) -> bool:
        """Start one connect, if the caps allow."""
        if self._closing or self.connecting >= self._max_connecting or len(self._attempts) >= 4 * self._max_connecting:
            return False
        if self.open + self.connecting >= self._max_connections:
            return False
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._refilled_at) * self._rate)
        self._refilled_at = now
        if self._tokens < 1.0:
            if self._token_timer is None:
                self.stats.connects_deferred += 1
                self._token_timer = self.loop.call_later((1.0 - self._tokens) / self._rate, self._token_ready)
            return False
        address = self._resolver.pick(self.loop.time())
        if address is None:
            self._connect_failed(ConnectFailed(f"no address: {self._resolver.last_error}"))
            return False
        self._tokens -= 1.0
        self.connecting += 1
        address.connecting += 1
        task = self.loop.create_task(self._open(address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _open(self, address: Address) -> None:
        """See one connect through. Past its time it is no longer counted, but not cancelled: it may still succeed.

        The loop makes the socket: one made here and handed over can be closed twice by uvloop, the second time as
        somebody else's file descriptor.
        """
        attempt = self.loop.create_task(
            self.loop.create_connection(
                lambda: Connection(self, address),
                *address.sockaddr[:2],
                ssl=self._ssl,
                server_hostname=self._resolver.host if self._ssl else None,
                ssl_handshake_timeout=self._connect_s if self._ssl else None,
            )
        )
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempt_ended)
        await asyncio.wait((attempt,), timeout=self._connect_s)
        self.connecting -= 1
        address.connecting -= 1
        self._changed.set()
        failure = attempt.exception() if attempt.done() else f"no connection within {self._connect_s} s"
        if failure is not None:
            self.suspect(address)
            self._connect_failed(ConnectFailed(f"{address.text}: {failure}"))
        self.on_available()  # there is room for another connect

    def _attempt_ended(self, attempt: asyncio.Task[Any]) -> None:
        self._attempts.discard(attempt)
        if not attempt.cancelled():
            attempt.exception()  # the overdue ones have been reported already

    def _connect_failed(self, error: ConnectFailed) -> None:
        self.stats.connect_failures += 1
        if not self.connecting:
            while self._resends:
                call = self._resends.popleft()
                if not call.finished:
                    call.failed(error)
        self.on_connect_failed(error)

    def _token_ready(self) -> None:
        self._token_timer = None
        if self._resends:
            self._connect()
        self._fill()
        self.on_available()

    def _fill(self) -> None:
        while self.open + self.connecting < self._warm and self._connect():
            pass

    def _upkeep(self) -> None:
        """Close what was idle too long, open what is missing from the warm ones."""
        self._upkeep_timer = self.loop.call_later(self._upkeep_s, self._upkeep)
        now = self._clock()
        for connection in list(self._idle):
            if now < connection.idle_since + self._idle_s:
                break
            del self._idle[connection]
            connection.close()
        self._fill()


def _nothing(*_: object) -> None:
    """Until the batcher listens."""
