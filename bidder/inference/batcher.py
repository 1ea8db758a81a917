"""Work-conserving batching for one endpoint: send while a slot is free, batch what queues meanwhile.

The rule kept here: rows wait for a free slot, never for company. What comes in one turn of the loop goes out together
at its end: so many sockets were readable at once, and a call for each would cost more than a bid (decision 4). What
expired is dropped before it is sent, a batch goes to one target only, and no member can harm another: each has its own
deadline, and is told once, where somebody still waits. No task, no timer and no future per auction: who asks is called
back.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush
from math import inf
from typing import Protocol

from bidder.domain import Rows, Scores
from bidder.inference.connection import Connection, Response
from bidder.inference.errors import (
    BadResponse,
    BreakerOpen,
    Closed,
    ConnectFailed,
    InferenceError,
    QueueFull,
    Timeout,
    TooLarge,
)
from bidder.inference.limiter import Limiter, Outcome, State
from bidder.inference.payload import MAX_BODY_BYTES
from bidder.inference.pool import Pool
from bidder.inference.sagemaker import Wire
from bidder.inference.stats import InferenceStats

logger = logging.getLogger(__name__)

_SLACK_S = 0.001  # timers of the event loop are that coarse
_HEADER_BYTES = 256  # an NPY header's room in a request body


class Asker(Protocol):
    """Who asks for scores. Exactly one of the two is called, once, perhaps before asking has returned."""

    def scored(self, scores: Scores) -> None: ...

    def failed(self, error: InferenceError) -> None: ...


class _Nobody:
    """Stands where an asker was that has been told."""

    def scored(self, scores: Scores) -> None: ...

    def failed(self, error: InferenceError) -> None: ...


_NOBODY = _Nobody()
_NO_ROWS = Rows(0, b"")


class Member:
    """One auction's rows in the queue or in a batch. `done`: its asker was told, or has left. `count`: of its rows."""

    __slots__ = ("asker", "batch", "count", "deadline_s", "done", "rows")

    def __init__(self, rows: Rows, deadline_s: float, asker: Asker) -> None:
        self.rows = rows
        self.count = rows.count
        self.deadline_s = deadline_s
        self.asker = asker
        self.done = False
        self.batch: Batch | None = None

    def end(self) -> Asker:
        """Whom to tell, now. The heap of deadlines keeps the member until its own comes; what the auction has does not
        stay with it, so that its memory is the next one's, and no collector walks it (3 % of a bid's CPU time)."""
        asker = self.asker
        self.done, self.asker, self.rows = True, _NOBODY, _NO_ROWS
        return asker

    def tell(self, scores: Scores) -> None:
        try:
            self.end().scored(scores)
        except Exception:  # an asker's bug must not reach its neighbours in the batch
            logger.exception("an auction could not take its scores")


class Waiting:
    """An asker that waits with a future."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()

    def scored(self, scores: Scores) -> None:
        if not self.future.done():
            self.future.set_result(scores)

    def failed(self, error: InferenceError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Batch:
    """One call: its members' rows in order. `pending` members have not passed their deadline yet."""

    __slots__ = (
        "_batcher",
        "body",
        "connection",
        "deadline_s",
        "finished",
        "head",
        "members",
        "pending",
        "resent",
        "rows",
        "sent_s",
    )

    def __init__(self, batcher: Batcher, members: list[Member], rows: int, now_s: float) -> None:
        self._batcher = batcher
        self.members = members
        self.rows = rows
        self.pending = len(members)
        self.sent_s = now_s
        self.deadline_s = max([member.deadline_s for member in members])
        self.head = b""
        self.body = b""
        self.resent = False
        self.finished = False
        self.connection: Connection | None = None
        for member in members:
            member.batch = self

    def answered(self, response: Response) -> bool:
        return self._batcher.answered(self, response)

    def failed(self, error: InferenceError) -> None:
        self._batcher.failed(self, error)

    def finish(self) -> list[Member]:
        """The members, which it holds no longer: they know their batch, and a circle would wait for the collector."""
        members, self.members = self.members, []
        self.finished, self.head, self.body = True, b"", b""
        return members


class Batcher:
    """Scores rows through one target of one endpoint; construct inside the running loop.

    `max_rows` and `max_bytes` bound a call, `max_queue` the auctions that wait. A call that was given up after less
    than `patience_s` seconds is not held against the endpoint: the auction was late, not the answer.
    """

    def __init__(
        self,
        wire: Wire,
        pool: Pool,
        limiter: Limiter,
        stats: InferenceStats,
        *,
        source: str = "sagemaker",
        max_rows: int = 128,
        max_bytes: int = MAX_BODY_BYTES,
        max_queue: int = 2048,
        patience_s: float = 0.01,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._wire = wire
        self._pool = pool
        self._limiter = limiter
        self._source = source
        self._max_rows = max_rows
        self._max_bytes = min(max_bytes, MAX_BODY_BYTES) - _HEADER_BYTES
        self._max_queue = max_queue
        self._patience_s = patience_s
        self._queue: deque[Member] = deque()
        self._deadlines: list[tuple[float, int, Member]] = []  # a heap; the serial keeps equal deadlines in order
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._is_due = False
        self._fresh = 0
        self._closed = False
        self._resting = False
        self.stats = stats
        self.last_error = ""
        pool.on_available = self._pump_soon
        pool.on_connect_failed = self._connect_failed

    @property
    def queued(self) -> int:
        """Auctions that wait for a slot, or for the end of this turn of the loop."""
        return len(self._queue)

    @property
    def is_behind(self) -> bool:
        """Whether some wait since an earlier turn: all slots are taken."""
        return len(self._queue) > self._fresh

    def submit(self, rows: Rows, deadline_s: float) -> asyncio.Future[Scores]:
        """`ask`, for who waits with a future: it fails with an InferenceError. Cancelling it is safe at any time."""
        waiting = Waiting()
        member = self.ask(rows, deadline_s, waiting)

        def leave(_: object) -> None:
            member.done = True

        waiting.future.add_done_callback(leave)
        return waiting.future

    def ask(self, rows: Rows, deadline_s: float, asker: Asker) -> Member:
        """Ask for the scores of `rows`. `asker` is told by `deadline_s` (of `loop.time()`), at the latest; setting
        the member's `done` withdraws the question."""
        member = Member(rows, deadline_s, asker)
        stats = self.stats
        stats.submitted += 1
        refusal = self._refusal(rows, deadline_s, self._loop.time())
        if refusal is not None:
            self._fail((member,), refusal)
            return member
        self._queue.append(member)
        self._fresh += 1
        heappush(self._deadlines, (deadline_s, stats.submitted, member))
        if deadline_s < self._timer_at:
            self._arm(deadline_s)
        self._pump_soon()
        return member

    def close(self) -> None:
        """Fail what waits, take nothing more. Calls in flight end with the pool."""
        self._closed = True
        self._flush(Closed("the inference client has been closed"))
        if self._timer is not None:
            self._timer.cancel()

    def _refusal(self, rows: Rows, deadline_s: float, now_s: float) -> InferenceError | None:
        if deadline_s <= now_s:
            return Timeout("the deadline had passed before the call")
        if self._limiter.refuses(now_s):
            return BreakerOpen(f"the endpoint is given a rest after: {self.last_error}")
        if len(self._queue) >= self._max_queue:
            return QueueFull(f"{self._max_queue} auctions wait for a free slot")
        if len(rows.body) > self._max_bytes:
            return TooLarge(f"{len(rows.body)} bytes of rows; one call takes {self._max_bytes}")
        return Closed("the inference client has been closed") if self._closed else None

    # -- from queue to call ------------------------------------------------------------------------------------------

    def _pump_soon(self) -> None:
        """At the end of this turn of the loop, once."""
        if not self._is_due and self._queue:
            self._is_due = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Send while something waits, and a slot and a connection are free."""
        self._is_due, self._fresh = False, 0
        while self._queue:
            now = self._loop.time()
            if not self._limiter.acquire(now):
                break
            connection = self._pool.acquire(len(self._queue))
            if connection is None:  # the pool is opening one and will call again
                self._limiter.release(Outcome.IGNORE, now)
                break
            members, rows = self._take(now)
            if not (members and self._send(connection, members, rows, now)):
                self._limiter.release(Outcome.IGNORE, now)
                self._pool.put_back(connection)

    def _take(self, now_s: float) -> tuple[list[Member], int]:
        """The next batch and its rows: order is kept, what nobody waits for any more is dropped."""
        queue = self._queue
        members: list[Member] = []
        rows = size = 0
        while queue:
            member = queue[0]
            if not member.done and member.deadline_s > now_s:
                count, length = member.count, len(member.rows.body)
                if members and (rows + count > self._max_rows or size + length > self._max_bytes):
                    break
                members.append(member)
                rows += count
                size += length
            queue.popleft()
        return members, rows

    def _send(self, connection: Connection, members: list[Member], rows: int, now_s: float) -> bool:
        """Sign and write one call. False if it could not be signed; its members have failed then."""
        batch = Batch(self, members, rows, now_s)
        try:
            batch.head, batch.body = self._wire.request([member.rows.body for member in members], rows)
        except InferenceError as error:
            self._fail(batch.finish(), error)
            return False
        stats = self.stats
        stats.calls += 1
        stats.call_rows += rows
        stats.rows_per_call.observe(rows)
        connection.send(batch)
        return True

    # -- from answer to members --------------------------------------------------------------------------------------

    def answered(self, batch: Batch, response: Response) -> bool:
        """Give each member its part. False if the answer makes the connection suspect."""
        try:
            values, variant = self._wire.scores(response, batch.rows)
        except InferenceError as error:
            self.failed(batch, error)
            return not isinstance(error, BadResponse)
        now = self._loop.time()
        members = batch.finish()
        self.stats.answered += 1
        self.stats.call_seconds.observe(now - batch.sent_s)
        self._limiter.release(Outcome.SUCCESS, now)
        if self._resting and self._limiter.state is State.CLOSED:
            self._resting = False
            logger.warning("the endpoint answers again")
        start = 0
        for member in members:
            end = start + member.count
            if not member.done:
                member.tell(Scores(values[start:end], self._source, variant))
            start = end
        return True

    def failed(self, batch: Batch, error: InferenceError) -> None:
        """The call brought no scores: say so to all that still wait."""
        self.stats.count_call_error(error.kind)
        self._fail(batch.finish(), error)
        self._drop(error, batch)
        self._pump_soon()

    def _fail(self, members: Iterable[Member], error: InferenceError) -> None:
        for member in members:
            if not member.done:
                self.stats.count_error(error.kind)
                try:
                    member.end().failed(error)
                except Exception:  # see Member.tell
                    logger.exception("an auction could not take its failure")

    def _drop(self, error: InferenceError, batch: Batch | None = None) -> None:
        """Tell the limiter of a failure, of `batch` or of a connect; if that opens the breaker, nobody waits for it."""
        self.last_error = f"{type(error).__name__}: {error}"
        outcome = Outcome.DROPPED if error.blames_endpoint else Outcome.IGNORE
        opened = self._limiter.opened
        if batch is None:
            self._limiter.record(outcome, self._loop.time())
        else:
            self._limiter.release(outcome, self._loop.time())
        if self._limiter.opened != opened:
            if not self._resting:
                self._resting = True
                logger.warning("the endpoint is given a rest, bids fall back: %s", self.last_error)
            self._flush(BreakerOpen(f"the endpoint is given a rest after: {self.last_error}"))

    def _flush(self, error: InferenceError) -> None:
        waiting, self._queue = self._queue, deque()
        self._fail(waiting, error)

    def _connect_failed(self, error: ConnectFailed) -> None:
        self._drop(error)
        if not self._pool.open and not self._pool.connecting:
            self._flush(error)

    # -- deadlines ---------------------------------------------------------------------------------------------------

    def _arm(self, deadline_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline_s
        self._timer = self._loop.call_at(deadline_s, self._expire)

    def _expire(self) -> None:
        """Fail the members whose deadline has come; sort out those that ended before. Armed for the earliest only."""
        self._timer, self._timer_at = None, inf
        deadlines = self._deadlines
        now = self._loop.time()
        while deadlines:
            deadline_s, _, member = deadlines[0]
            if not member.done and deadline_s > now + _SLACK_S:
                self._arm(deadline_s)
                break
            heappop(deadlines)
            if not member.done:
                state = "waiting for a slot" if member.batch is None else "waiting for the answer"
                self._fail((member,), Timeout(f"the deadline passed while {state}"))
            batch = member.batch
            if batch is not None and not batch.finished:
                batch.pending -= 1
                if not batch.pending:
                    self._abandon(batch, now)
        queue = self._queue
        while queue and queue[0].done:
            queue.popleft()

    def _abandon(self, batch: Batch, now_s: float) -> None:
        """All members are gone: the answer may drain, the slot is free."""
        batch.finish()
        self.stats.abandoned += 1
        self.stats.count_call_error(Timeout.kind)
        if batch.connection is not None:
            batch.connection.abandon()
        waited_s = now_s - batch.sent_s
        if waited_s < self._patience_s:
            self._limiter.release(Outcome.IGNORE, now_s)
        else:
            self._drop(Timeout(f"no answer within {waited_s * 1000:.0f} ms"), batch)
        self._pump_soon()
