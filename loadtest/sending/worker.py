"""A worker process: an event loop with a sender in it, told by its parent when to start.

The rule: nothing but sending and receiving happens while the clock runs; what is told to the parent meanwhile is a
few numbers a second. A worker whose parent is gone ends.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from multiprocessing.connection import Connection
from typing import Any

from loadtest.sending.arrivals import Segment, arrivals
from loadtest.sending.sender import Sender, Share
from loadtest.sending.tally import Outcome, Tally

TELL_S = 0.5


@dataclass(frozen=True, slots=True)
class Assignment:
    share: Share
    shape: list[Segment]
    poisson: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """All connections are open."""


@dataclass(frozen=True, slots=True)
class News:
    """Where a worker stands. `outcomes` are of all so far, with the warm-up's; `latest` is the last whole interval."""

    worker: int
    outcomes: Counter[Outcome]
    latest: Tally


@dataclass(frozen=True, slots=True)
class Done:
    worker: int
    warm_up: Tally
    intervals: list[Tally]
    cpu_s: float  # of this process while it was counted
    peak_bytes: int
    strays: int


@dataclass(frozen=True, slots=True)
class Failed:
    reason: str


class _CannotConnectError(Exception):
    pass


def work(assignment: Assignment, word: Connection, parent: Connection) -> None:
    """The process's main function. The start comes by `word`; Ready, News and at last Done or Failed go to `parent`.

    They are two pipes, as the loop makes the one that it reads non-blocking, which no long message survives.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            runner.run(_work(assignment, word, parent))
        except _CannotConnectError as error:
            parent.send(Failed(str(error)))


async def _work(assignment: Assignment, word: Connection, parent: Connection) -> None:
    share, loop = assignment.share, asyncio.get_running_loop()
    loop.set_exception_handler(_end_at_once)
    sender = Sender(share, _due(assignment))
    try:
        try:
            await sender.connect()
        except (OSError, TimeoutError) as error:
            raise _CannotConnectError(f"cannot connect to {share.url}: {error or type(error).__name__}") from error
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        start = loop.create_future()
        loop.add_reader(word.fileno(), _hear, word, start)
        parent.send(Ready())
        start_s = await start
        telling = loop.create_task(_tell(sender, share, start_s, parent))
        spent: list[float] = []
        for at_s in (start_s + share.warm_up_s, start_s + share.warm_up_s + share.duration_s):
            loop.call_later(at_s - time.monotonic(), lambda: spent.append(time.process_time()))
        await sender.play(start_s)
        telling.cancel()
        loop.remove_reader(word.fileno())
    finally:
        await sender.close()
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    parent.send(Done(share.worker, sender.warm_up, sender.intervals, spent[1] - spent[0], peak_bytes, sender.strays))


def _due(assignment: Assignment) -> Iterator[float]:
    share = assignment.share
    if share.in_flight:
        return repeat(0.0, share.in_flight)
    random = assignment.poisson
    return arrivals(assignment.shape, poisson=random, seed=share.seed, worker=share.worker, workers=share.workers)


def _end_at_once(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A callback that failed may have lost a request; figures without it would be wrong."""
    loop.default_exception_handler(context)
    os._exit(1)


def _hear(word: Connection, start: asyncio.Future[float]) -> None:
    """The start; afterwards only the end of the pipe can come."""
    try:
        start.set_result(word.recv())
    except (EOFError, OSError):
        os._exit(1)


async def _tell(sender: Sender, share: Share, start_s: float, parent: Connection) -> None:
    while True:
        await asyncio.sleep(TELL_S)
        last = int((time.monotonic() - start_s - share.warm_up_s) / share.interval_s) - 1
        latest = sender.intervals[min(last, len(sender.intervals) - 1)] if last >= 0 else sender.warm_up
        parent.send(News(share.worker, sender.outcomes, latest))


def _loop_factory() -> Callable[[], Any] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
