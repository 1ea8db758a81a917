"""Profiles in Redis or Valkey: one string value a profile, under `profile:{key}`.

The rule kept here: the store may slow a bid by its budget (5 ms) and no more, whatever happens to it. All look-ups of
one turn of the event loop go out as one MGET with one timer. An answer that is late is read and dropped, so that its
connection stays usable. While the store is away nothing is asked of it but one probe at a time, at growing intervals.

URL: redis://[user:password@]host[:port][/db], or rediss:// for TLS. Only host, port and db are ever logged.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice

from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from bidder.domain import Profile
from bidder.state.profiles import MAX_KEYS_PER_LOOKUP, LookupCounts, decode_profile

KEY_PREFIX = "profile:"
TIMER_RESOLUTION_S = 0.001  # uvloop's; a timer may fire this much early
log = logging.getLogger("bidder.state")


class _Lookup:
    """One caller's question: its keys stand at [first:last] of the batch."""

    __slots__ = ("answer", "deadline_s", "first", "last")

    def __init__(self, answer: asyncio.Future[Profile | None], deadline_s: float, first: int, last: int) -> None:
        self.answer = answer
        self.deadline_s = deadline_s
        self.first = first
        self.last = last


class _Batch:
    """The look-ups that go out as one MGET."""

    __slots__ = ("keys", "lookups", "timer")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.lookups: list[_Lookup] = []
        self.timer: asyncio.TimerHandle | None = None


class ValkeyProfiles:
    """A ProfileStore over Redis or Valkey.

    Times are seconds: `budget_s` is what a look-up may take, `answer_timeout_s` how long a late answer is waited for
    before its connection is closed, `backoff_s` the first and the longest pause between probes while the store is away.
    ValueError: the URL cannot be read; the message does not repeat it."""

    def __init__(
        self,
        url: str,
        *,
        budget_s: float = 0.005,
        max_keys_per_batch: int = 512,
        max_batches: int = 8,
        connect_timeout_s: float = 1.0,
        answer_timeout_s: float = 0.5,
        backoff_s: tuple[float, float] = (0.05, 5.0),
    ) -> None:
        self.counts = LookupCounts()
        self.address = store_address(url)
        self._client = Redis.from_url(
            url,
            protocol=2,  # no HELLO: a connection costs one round trip less
            max_connections=max_batches + 1,  # and the probe
            socket_connect_timeout=connect_timeout_s,
            socket_timeout=answer_timeout_s,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
        )
        self._budget_s = budget_s
        self._max_keys_per_batch = max(max_keys_per_batch, MAX_KEYS_PER_LOOKUP)
        self._max_batches = max_batches
        self._backoff_s = backoff_s
        self._filling: _Batch | None = None
        self._out: dict[asyncio.Task[None], _Batch] = {}
        self._ready = False
        self._warned = False  # one warning per absence
        self._lost = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"ValkeyProfiles({self.address}, {'ready' if self._ready else 'away'}, {len(self._out)} batches out)"

    @property
    def ready(self) -> bool:
        """Whether the store answered when last asked."""
        return self._ready

    async def start(self) -> None:
        """Connect. A store that is away is no error: it is tried again in the background until `aclose`."""
        self._loop = asyncio.get_running_loop()
        await self._probe()
        self._watcher = self._loop.create_task(self._watch())

    async def aclose(self) -> None:
        """Answer all that wait with None and close the connections."""
        self._ready = False
        self._send()
        for batch in self._out.values():
            self._settle(batch, None)
        tasks = [*self._out, *([self._watcher] if self._watcher else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    # -- asking --------------------------------------------------------------------------------------------------------

    def lookup(self, keys: Iterable[str], deadline_s: float) -> asyncio.Future[Profile | None] | None:
        """See ProfileStore."""
        asked = [KEY_PREFIX + key for key in islice(keys, MAX_KEYS_PER_LOOKUP)]
        if not asked:
            return None
        self.counts.lookups += 1
        batch = self._batch_for(len(asked))
        if batch is None:
            self.counts.refused += 1
            return None
        now_s = self._loop.time()
        if deadline_s <= now_s:
            self.counts.timeouts += 1
            return None
        first = len(batch.keys)
        batch.keys += asked
        answer: asyncio.Future[Profile | None] = self._loop.create_future()
        batch.lookups.append(_Lookup(answer, min(deadline_s, now_s + self._budget_s), first, len(batch.keys)))
        return answer

    def _batch_for(self, keys: int) -> _Batch | None:
        """The batch of this turn of the loop with room for so many keys; None: away, or too many batches are out."""
        if not self._ready:
            return None
        if self._filling is not None:
            if len(self._filling.keys) + keys <= self._max_keys_per_batch:
                return self._filling
            self._send()
        if len(self._out) >= self._max_batches:
            return None
        self._filling = _Batch()
        self._loop.call_soon(self._send)
        return self._filling

    def _send(self) -> None:
        batch, self._filling = self._filling, None
        if batch is None or not batch.lookups:
            return
        self.counts.batches += 1
        self.counts.keys += len(batch.keys)
        batch.timer = self._loop.call_at(min(lookup.deadline_s for lookup in batch.lookups), self._expire, batch)
        task = self._loop.create_task(self._ask(batch))
        self._out[task] = batch
        task.add_done_callback(self._out.pop)

    async def _ask(self, batch: _Batch) -> None:
        values: Sequence[bytes | str | None] | None = None
        try:
            values = await self._client.mget(batch.keys)
        except Exception as error:  # whatever it is, bids go on
            self._lose(error)
        finally:  # nobody is left waiting
            self._settle(batch, values)

    # -- answering -----------------------------------------------------------------------------------------------------

    def _settle(self, batch: _Batch, values: Sequence[bytes | str | None] | None) -> None:
        """Hand out `values`, one a key of the batch; None: the batch is lost."""
        if batch.timer is not None:
            batch.timer.cancel()
        for lookup in batch.lookups:
            if lookup.answer.done():
                continue
            if values is None:
                self.counts.errors += 1
                lookup.answer.set_result(None)
            else:
                lookup.answer.set_result(self._first_profile(values[lookup.first : lookup.last]))

    def _first_profile(self, values: Sequence[bytes | str | None]) -> Profile | None:
        for value in values:
            if value is None:
                continue
            try:
                profile = decode_profile(value)
            except ValueError:
                self.counts.malformed += 1
            else:
                self.counts.hits += 1
                return profile
        self.counts.misses += 1
        return None

    def _expire(self, batch: _Batch) -> None:
        """Answer the look-ups whose time is up. The timer is set again where one had less time than its neighbours."""
        now_s = self._loop.time() + TIMER_RESOLUTION_S
        next_s = float("inf")
        for lookup in batch.lookups:
            if lookup.answer.done():
                continue
            if lookup.deadline_s <= now_s:
                self.counts.timeouts += 1
                lookup.answer.set_result(None)
            else:
                next_s = min(next_s, lookup.deadline_s)
        if next_s < float("inf"):
            batch.timer = self._loop.call_at(next_s, self._expire, batch)

    # -- the connection ------------------------------------------------------------------------------------------------

    def _lose(self, error: Exception) -> None:
        if not self._warned:
            reason = f"{type(error).__name__}: {error}"
            log.warning("profile store %s is away (%s): bids go on without profiles", self.address, reason)
        self._warned = True
        self._ready = False
        self._lost.set()

    async def _watch(self) -> None:
        """While the store is away, probe it at growing intervals."""
        first_s, longest_s = self._backoff_s
        while True:
            await self._lost.wait()
            with suppress(Exception):  # the idle connections may be dead as well
                await self._client.connection_pool.disconnect(inuse_connections=False)
            pause_s = first_s
            while not await self._probe():
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
                pause_s = min(pause_s * 2, longest_s)

    async def _probe(self) -> bool:
        """Ask what look-ups ask, so that a user without the right to it is found out too."""
        try:
            await self._client.mget([KEY_PREFIX])
        except Exception as error:  # whatever it is, the store is tried again
            self._lose(error)
            return False
        log.info("profile store %s answers", self.address)
        self._lost.clear()
        self._warned = False
        self._ready = True
        return True


def store_address(url: str) -> str:
    """`host:port/db` of a store's URL, fit for logs. ValueError: the URL cannot be read; it is not repeated."""
    try:
        scheme = url.partition("://")[0]
        if scheme not in ("redis", "rediss"):
            raise ValueError(scheme)
        options = parse_url(url)
    except ValueError:
        raise ValueError(
            "the profile store's URL cannot be read: give redis://[user:password@]host[:port][/db], or rediss:// for"
            " TLS, with special characters of the password percent-encoded"
        ) from None
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}/{options.get('db', 0)}"
