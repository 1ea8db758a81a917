"""One worker's share of the exchange: sends what is due, when it is due, and tells what became of it.

The rule: in an open run the schedule alone decides when a request is due, and its latency starts then, whether the
generator was late, no connection was free or the server was slow. A request that finds no free connection waits for
one until its tmax. In a closed run the next request is due when an answer has come.
"""

from __future__ import annotations

import asyncio
import pickle
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from loadtest.sending.alarm import Alarm
from loadtest.sending.lane import Lane, Sent
from loadtest.sending.message import Message
from loadtest.sending.tally import LATE_SEND_US, Outcome, Tally

SENDS_AT_ONCE = 64  # then answers are read first
HOUSEKEEPING_S = 0.05
RECONNECT_S = 0.02
CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Share:
    """What one worker does."""

    url: str
    messages: Sequence[Message]
    worker: int
    workers: int
    connections: int
    pipelining: int
    in_flight: int  # in a closed run, what arrives at its start; 0: an open run
    warm_up_s: float
    duration_s: float
    interval_s: float
    linger_s: float
    check_share: float
    first_tag: int
    seed: int
    spool: Path  # answers that are to be judged: pickled tuples, see `judged`


class Sender:
    def __init__(self, share: Share, arrivals: Iterator[float]) -> None:
        self._share, self._arrivals = share, arrivals
        self._host, self._port = urlsplit(share.url).hostname or "", urlsplit(share.url).port or 80
        self._loop = asyncio.get_running_loop()
        self._alarm = Alarm(self._loop, self._send_due)
        self._lanes: set[Lane] = set()
        self._free: deque[Lane] = deque()  # a lane stands here once for each request that it can take
        self._waiting: deque[Sent] = deque()  # for a free lane
        self._connecting: set[asyncio.Task[None]] = set()
        self._chosen = Random(f"{share.seed}/{share.worker}")
        self._spool = share.spool.open("wb", buffering=1 << 20)
        self._sent = 0
        self._next_s = inf
        self._start_s = self._counted_from_s = self._end_s = inf
        self._done = asyncio.Event()
        self._ended = False
        self.outcomes: Counter[Outcome] = Counter()  # so far, with the warm-up's
        self.strays = 0  # answers that nobody had asked for
        self.warm_up = Tally()
        self.intervals = [Tally() for _ in range(int(share.duration_s / share.interval_s + 0.999))]

    async def connect(self) -> None:
        """Opens all connections. Raises OSError and TimeoutError."""
        async with asyncio.timeout(CONNECT_S):
            for _ in range(self._share.connections):
                await self._open()

    async def play(self, start_s: float) -> None:
        """Sends from `start_s` on until the end, then waits for the last answers."""
        share = self._share
        self._start_s, self._counted_from_s = start_s, start_s + share.warm_up_s
        self._end_s = self._counted_from_s + share.duration_s
        self._advance()
        self._alarm.set(self._next_s)
        keeper = self._loop.create_task(self._keep_house())
        await self._done.wait()
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper

    async def close(self) -> None:
        self._ended = True
        self._alarm.close()
        for lane in self._lanes:
            lane.close()
        for task in self._connecting:  # not cancelled: a cancelled connect can cost another its socket
            with suppress(OSError):
                await task
        self._spool.close()

    # -- sending -----------------------------------------------------------------------------------------------------

    def _send_due(self) -> None:
        """Called by the alarm."""
        now_s = time.monotonic()
        for _ in range(SENDS_AT_ONCE):
            if self._next_s > now_s:
                break
            intended_s = self._next_s
            lag_us = int((now_s - intended_s) * 1e6)
            tally = self._tally(intended_s)
            tally.send_lag_us.record(lag_us)
            if lag_us > LATE_SEND_US:
                tally.late_sends += 1
            sent = self._request(intended_s)
            if lag_us > sent.message.tmax_s * 1e6:
                self._count(tally, Outcome.DROPPED_BEHIND)
            else:
                self._waiting.append(sent)
            self._advance()
        self._send_waiting(now_s)
        if self._next_s < inf:
            self._alarm.set(self._next_s)

    def _advance(self) -> None:
        self._next_s = self._start_s + next(self._arrivals, inf)

    def _request(self, intended_s: float) -> Sent:
        share = self._share
        turn = self._sent * share.workers + share.worker
        self._sent += 1
        number = turn % len(share.messages)
        return Sent(intended_s, b"%012x" % (share.first_tag + turn), number, share.messages[number])

    def _send_waiting(self, now_s: float) -> None:
        waiting = self._waiting
        while waiting:
            sent = waiting[0]
            if now_s - sent.intended_s > sent.message.tmax_s:
                waiting.popleft()
                self._count(self._tally(sent.intended_s), Outcome.DROPPED_NO_CONNECTION)
                continue
            lane = self._free_lane()
            if lane is None:
                return
            waiting.popleft()
            lane.send(sent)

    def _free_lane(self) -> Lane | None:
        free = self._free
        while free:
            lane = free.popleft()
            if not lane.closing:
                return lane
        return None

    def _send_next(self) -> None:
        """In a closed run: another request, due now."""
        now_s = time.monotonic()
        if now_s < self._end_s:
            self._waiting.append(self._request(now_s))
            self._send_waiting(now_s)

    # -- what became of it -------------------------------------------------------------------------------------------

    def answered(self, lane: Lane, sent: Sent, status: int, head: bytes, body: bytes, now_s: float) -> None:
        share, (intended_s, tag, number, message) = self._share, sent
        tally = self._tally(intended_s)
        took_s = now_s - intended_s
        tally.latency_us.record(int(took_s * 1e6))
        tally.answered_bytes += len(head) + len(body) + 2
        outcome = message.outcome(tag, status, body)
        if outcome is Outcome.BAD_STATUS:
            tally.statuses[status] += 1
        elif outcome is Outcome.BID:
            tally.bid_latency_us.record(int(took_s * 1e6))
        if took_s > message.tmax_s and outcome is not Outcome.WRONG_ID:
            outcome = Outcome.TIMED_OUT
        self._count(tally, outcome)
        if share.check_share and intended_s >= self._counted_from_s and self._chosen.random() < share.check_share:
            pickle.dump((number, tag, status, head, body), self._spool)
        self._free.append(lane)
        if share.in_flight:
            self._send_next()
        elif self._waiting:
            self._send_waiting(now_s)

    def stray(self, lane: Lane) -> None:
        self.strays += 1

    def lost(self, lane: Lane, unanswered: list[Sent]) -> None:
        now_s = time.monotonic()
        self._lanes.discard(lane)
        for sent in unanswered:
            tally, took_s = self._tally(sent.intended_s), now_s - sent.intended_s
            tally.latency_us.record(int(took_s * 1e6))
            late = took_s > sent.message.tmax_s
            self._count(tally, Outcome.TIMED_OUT if late else Outcome.CONNECTION_ERROR)
        if not self._ended:
            task = self._loop.create_task(self._reopen(len(unanswered)))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    def _count(self, tally: Tally, outcome: Outcome) -> None:
        tally.outcomes[outcome] += 1
        self.outcomes[outcome] += 1

    def _tally(self, intended_s: float) -> Tally:
        since_s = intended_s - self._counted_from_s
        if since_s < 0:
            return self.warm_up
        return self.intervals[min(int(since_s / self._share.interval_s), len(self.intervals) - 1)]

    # -- connections -------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        _, lane = await self._loop.create_connection(lambda: Lane(self), self._host, self._port)
        self._lanes.add(lane)
        self._free.extend([lane] * self._share.pipelining)

    async def _reopen(self, freed: int) -> None:
        while not self._ended:
            try:
                await self._open()
                break
            except OSError:
                await asyncio.sleep(RECONNECT_S)
        if self._share.in_flight:
            for _ in range(freed):
                self._send_next()
        self._send_waiting(time.monotonic())

    async def _keep_house(self) -> None:
        """Gives up what will not come, and says when all is over."""
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            now_s = time.monotonic()
            for lane in list(self._lanes):
                if lane.pending:
                    oldest = lane.pending[0]
                    if now_s - oldest.intended_s > oldest.message.tmax_s + self._share.linger_s:
                        lane.close()
            self._send_waiting(now_s)
            under_way = self._waiting or any(lane.pending for lane in self._lanes)
            if now_s > self._end_s and self._next_s == inf and not under_way:
                self._done.set()
