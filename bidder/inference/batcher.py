"""Work-conserving batching for one endpoint: send while a slot is free, batch what queues meanwhile.

The rule kept here: rows wait for a free slot, never for company. What comes in one turn of the loop goes out together
at its end, when who runs the turn says `send`: so many sockets were readable at once, and a call for each would cost
more than a bid (decision 4). What
expired is dropped before it is sent, a batch goes to one target only, and no member can harm another: each has its own
deadline, and is told once, where somebody still waits. No task, no timer and no future per auction: who asks is called
back, and is the member itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from math import inf
from typing import Protocol

from msgspec import Struct

from bidder.domain import Rows, Scores
from bidder.inference.connection import Connection
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
from bidder.inference.heads import Response
from bidder.inference.limiter import Limiter, Outcome, State
from bidder.inference.payload import MAX_BODY_BYTES
from bidder.inference.pool import Pool
from bidder.inference.sagemaker import Wire
from bidder.inference.stats import SETTLE_EVERY, InferenceStats
from bidder.rounds import fresh_clock

logger = logging.getLogger(__name__)

_SLACK_S = 0.001  # timers of the event loop are that coarse
_HEADER_BYTES = 256  # an NPY header's room in a request body
_NOT_SENT = "the deadline passed before the call"


class Member(Protocol):
    """One auction's rows in the queue or in a batch, and who wants their scores by `deadline_s` (of `loop.time()`).
    Exactly one of the two is called, once, perhaps before asking has returned. `done`: it was told of a failure, or has
    left."""

    @property
    def rows(self) -> Rows: ...
    @property
    def deadline_s(self) -> float: ...

    done: bool

    def scored(self, scores: Scores) -> None: ...

    def failed(self, error: InferenceError) -> None: ...


_CLOSED, _SUCCESS = State.CLOSED, Outcome.SUCCESS


class Waiting:
    """A member that waits with a future."""

    __slots__ = ("deadline_s", "done", "future", "rows")

    def __init__(self, rows: Rows, deadline_s: float) -> None:
        self.rows = rows
        self.deadline_s = deadline_s
        self.done = False
        self.future: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
        self.future.add_done_callback(self._leave)

    def scored(self, scores: Scores) -> None:
        if not self.future.done():
            self.future.set_result(scores)

    def failed(self, error: InferenceError) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def _leave(self, _: object) -> None:
        self.done = True


class Batch(Struct, eq=False):
    """One call: its members' rows in order."""

    batcher: Batcher
    members: list[Member]
    rows: int
    due_s: float  # when the first of those that still wait has to be told
    deadline_s: float  # and the last
    sent_s: float
    head: bytes
    body: bytes
    resent: bool = False
    finished: bool = False
    connection: Connection | None = None

    def answered(self, response: Response) -> bool:
        return self.batcher.answered(self, response)

    def failed(self, error: InferenceError) -> None:
        self.batcher.failed(self, error)

    def finish(self) -> list[Member]:
        """The members, which it holds no longer: what an auction has is let go as soon as it was told."""
        members, self.members = self.members, []
        self.finished, self.head, self.body = True, b"", b""
        return members


class Batcher:
    """Scores rows through one target of one endpoint: a tier of the cascade, `name` being its scores' source. Construct
    inside the running loop.

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
        name: str = "sagemaker",
        max_rows: int = 128,
        max_bytes: int = MAX_BODY_BYTES,
        max_queue: int = 2048,
        patience_s: float = 0.01,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = fresh_clock()  # a call leaves when its turn of the loop has computed for a while
        self._wire = wire
        self._pool = pool
        self._limiter = limiter
        self._max_rows = max_rows
        self._max_bytes = min(max_bytes, MAX_BODY_BYTES) - _HEADER_BYTES
        self._max_queue = max_queue
        self._patience_s = patience_s
        self._queue: deque[Member] = deque()
        self._queue_due_s = inf  # no member that a `send` has left in the queue has an earlier deadline
        self._sent: set[Batch] = set()  # at most as many as there are slots
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._is_due = False
        self._fresh = 0
        self._closed = False
        self._resting = False
        self.name = name
        self.stats = stats
        self.last_error = ""
        pool.on_available = self._send_soon
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
        waiting = Waiting(rows, deadline_s)
        self.ask((waiting,))
        self._send_soon()
        return waiting.future

    def ask(self, members: Sequence[Member]) -> None:
        """Ask for the scores of their rows, which leave with the next `send`: each is told by its deadline, at the
        latest. Setting its `done` withdraws the question."""
        self.stats.submitted += len(members)
        if self._closed:
            self._fail(members, Closed("the inference client has been closed"))
            return
        if self._limiter.state is not _CLOSED and self._limiter.refuses(self._clock()):
            self._fail(members, BreakerOpen(f"the endpoint is given a rest after: {self.last_error}"))
            return
        room = self._max_queue - len(self._queue)
        if len(members) > room:
            self._fail(members[room:], QueueFull(f"{self._max_queue} auctions wait for a free slot"))
            members = members[:room]
        self._queue.extend(members)
        self._fresh += len(members)

    def close(self) -> None:
        """Fail what waits, take nothing more. Calls in flight end with the pool."""
        self._closed = True
        self._flush(Closed("the inference client has been closed"))
        if self._timer is not None:
            self._timer.cancel()

    # -- from queue to call ------------------------------------------------------------------------------------------

    def _send_soon(self) -> None:
        """At the end of this turn of the loop, once: where nobody else says so."""
        if not self._is_due and self._queue:
            self._is_due = True
            self._loop.call_soon(self.send)

    def send(self) -> None:
        """Send while something waits, and a slot and a connection are free."""
        fresh, self._fresh = self._fresh, 0
        self._is_due = False
        while self._queue:
            now = self._clock()
            if not self._limiter.acquire(now):
                break
            connection = self._pool.acquire(len(self._queue))
            if connection is None:  # the pool is opening one and will call again
                self._limiter.release(Outcome.IGNORE, now)
                break
            batch = self._take(now)
            if batch is not None:
                self._start(connection, batch)
            else:
                self._limiter.release(Outcome.IGNORE, now)
                self._pool.put_back(connection)
        if self._queue:
            for member in islice(reversed(self._queue), fresh):  # as far as they were left
                if member.deadline_s < self._queue_due_s:
                    self._queue_due_s = member.deadline_s
            self._watch_queue()
        else:
            self._queue_due_s = inf

    def _take(self, now_s: float) -> Batch | None:
        """The next batch, signed: order is kept, who waits no longer is left out, who is too late is told. None: nobody
        is left, or it could not be signed, and they were told."""
        queue, max_rows, max_bytes = self._queue, self._max_rows, self._max_bytes
        members: list[Member] = []
        bodies: list[bytes] = []
        late: list[Member] = []
        rows = size = 0
        due_s, last_s = inf, 0.0
        while queue:
            member = queue.popleft()
            deadline_s = member.deadline_s
            if member.done or deadline_s <= now_s:
                late.append(member)
                continue
            asked = member.rows
            body = asked.body
            rows += asked.count
            size += len(body)
            if rows > max_rows or size > max_bytes:
                if members:
                    rows -= asked.count
                    queue.appendleft(member)
                    break
                if size > max_bytes:
                    self._fail((member,), TooLarge(f"{size} bytes of rows; one call takes {max_bytes}"))
                    rows = size = 0
                    continue
            members.append(member)
            bodies.append(body)
            if deadline_s < due_s:
                due_s = deadline_s
            if deadline_s > last_s:
                last_s = deadline_s
        if late:
            self._fail(late, Timeout(_NOT_SENT))
        if not members:
            return None
        try:
            head, body = self._wire.request(bodies, rows)
        except InferenceError as error:
            self._fail(members, error)
            return None
        return Batch(self, members, rows, due_s, last_s, now_s, head, body)

    def _start(self, connection: Connection, batch: Batch) -> None:
        self._sent.add(batch)
        if batch.due_s < self._timer_at:
            self._arm(batch.due_s)
        stats = self.stats
        stats.calls += 1
        stats.call_rows += batch.rows
        stats.rows_per_call.observe(batch.rows)
        if not stats.calls % SETTLE_EVERY:
            stats.settle()
        connection.send(batch)

    # -- from answer to members --------------------------------------------------------------------------------------

    def answered(self, batch: Batch, response: Response) -> bool:
        """Give each member its part. False if the answer makes the connection suspect."""
        try:
            values, variant = self._wire.scores(response, batch.rows)
        except InferenceError as error:
            self.failed(batch, error)
            return not isinstance(error, BadResponse)
        now = self._clock()
        members = self._finish(batch)
        self.stats.answered += 1
        self.stats.call_seconds.observe(now - batch.sent_s)
        self._limiter.release(_SUCCESS, now)
        if self._resting and self._limiter.state is _CLOSED:
            self._resting = False
            logger.warning("the endpoint answers again")
        start, name = 0, self.name
        for member in members:
            end = start + member.rows.count
            if not member.done:
                try:
                    member.scored(Scores(values[start:end], name, variant))
                except Exception:  # a member's bug must not reach its neighbours in the batch
                    logger.exception("an auction could not take its scores")
            start = end
        return True

    def failed(self, batch: Batch, error: InferenceError) -> None:
        """The call brought no scores: say so to all that still wait."""
        self.stats.count_call_error(error.kind)
        self._fail(self._finish(batch), error)
        self._drop(error, batch)
        self._send_soon()

    def _fail(self, members: Iterable[Member], error: InferenceError) -> None:
        for member in members:
            if not member.done:
                self.stats.count_error(error.kind)
                member.done = True
                try:
                    member.failed(error)
                except Exception:  # as of scores
                    logger.exception("an auction could not take its failure")

    def _drop(self, error: InferenceError, batch: Batch | None = None) -> None:
        """Tell the limiter of a failure, of `batch` or of a connect; if that opens the breaker, nobody waits for it."""
        self.last_error = f"{type(error).__name__}: {error}"
        outcome = Outcome.DROPPED if error.blames_endpoint else Outcome.IGNORE
        opened = self._limiter.opened
        if batch is None:
            self._limiter.record(outcome, self._clock())
        else:
            self._limiter.release(outcome, self._clock())
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

    def _finish(self, batch: Batch) -> list[Member]:
        self._sent.discard(batch)
        return batch.finish()

    # -- deadlines ---------------------------------------------------------------------------------------------------

    def _watch_queue(self) -> None:
        """Who still waits for a slot is told in time that there was none."""
        if not self._queue:
            self._queue_due_s = inf
        elif self._queue_due_s < self._timer_at:
            self._arm(self._queue_due_s)

    def _arm(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at_s
        self._timer = self._loop.call_at(at_s, self._expire)

    def _expire(self) -> None:
        """Fail the members whose deadline has come. Armed for the earliest only, however many there are."""
        self._timer, self._timer_at = None, inf
        now = self._clock()
        by_s = now + _SLACK_S
        for batch in [batch for batch in self._sent if batch.due_s <= by_s]:
            self._expire_sent(batch, now)
        if self._queue_due_s <= by_s:
            self._expire_queued(by_s)
        self._watch_queue()
        due_s = min([batch.due_s for batch in self._sent], default=inf)
        if due_s < self._timer_at:
            self._arm(due_s)

    def _expire_sent(self, batch: Batch, now_s: float) -> None:
        late = [member for member in batch.members if member.deadline_s <= now_s + _SLACK_S]
        self._fail(late, Timeout("the deadline passed while waiting for the answer"))
        waiting = [member.deadline_s for member in batch.members if not member.done]
        if waiting:
            batch.due_s = min(waiting)
        elif not batch.finished:
            self._abandon(batch, now_s)

    def _expire_queued(self, by_s: float) -> None:
        waiting = [member for member in self._queue if not member.done]
        late = [member for member in waiting if member.deadline_s <= by_s]
        waiting = [member for member in waiting if member.deadline_s > by_s]
        self._queue = deque(waiting)
        self._queue_due_s = min([member.deadline_s for member in waiting], default=inf)
        self._fail(late, Timeout(_NOT_SENT))

    def _abandon(self, batch: Batch, now_s: float) -> None:
        """All members are gone: the answer may drain, the slot is free."""
        self._finish(batch)
        self.stats.abandoned += 1
        self.stats.count_call_error(Timeout.kind)
        if batch.connection is not None:
            batch.connection.abandon()
        waited_s = now_s - batch.sent_s
        if waited_s < self._patience_s:
            self._limiter.release(Outcome.IGNORE, now_s)
        else:
            self._drop(Timeout(f"no answer within {waited_s * 1000:.0f} ms"), batch)
        self._send_soon()
