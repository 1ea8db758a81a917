"""Runs a plan: starts the workers, gives them one start, watches the server meanwhile, adds up what they saw.

The rule: workers share a clock and a profile, and nothing else; what each saw is merged at the end. No process is left
behind.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

from loadtest.engine.judged import judged
from loadtest.engine.plan import Plan
from loadtest.engine.result import Progress, Result, WorkerUsage
from loadtest.engine.usage import Sample, Usage, machine, sample
from loadtest.scrape import Metrics, scrape
from loadtest.sending.arrivals import Profile, segments
from loadtest.sending.message import Message, messages
from loadtest.sending.sender import Share
from loadtest.sending.tally import Outcome, merged
from loadtest.sending.worker import Assignment, Done, Failed, News, Ready, work
from loadtest.training import ROOT
from loadtest.verify import Judge, Rates

RATES = ROOT / "bidder" / "data" / "rates.json"
START_S = 0.2  # from the word to the start
TICK_S = 0.5
PATIENCE_S = 30.0  # for a worker that says nothing


class RunError(Exception):
    """A run could not be done; the text says why."""


def run(plan: Plan, on_progress: Callable[[Progress], None] = lambda progress: None) -> Result:
    """Blocks until the plan is done. Raises RunError."""
    prepared = messages(plan.cases, plan.url, plan.tmax_ms)
    with tempfile.TemporaryDirectory(prefix="loadtest-") as folder:
        spools = [Path(folder) / f"worker-{worker}" for worker in range(plan.workers)]
        with _started(plan, prepared, spools) as crew:
            watch = _Watch(plan, on_progress)
            done = watch.until_done(crew)
        found = judged(spools, plan.cases, prepared, Judge(Rates.load(RATES)))
    done.sort(key=lambda each: each.worker)
    intervals = [merged(list(same)) for same in zip(*(each.intervals for each in done), strict=True)]
    pages = watch.pages()
    return Result(
        plan,
        watch.started_at,
        machine(),
        intervals,
        merged([each.warm_up for each in done]),
        [_usage(plan, each) for each in done],
        watch.usage(),
        found,
        sum(each.strays for each in done),
        pages[1].since(pages[0]) if pages else None,
        pages[1] if pages else None,
        watch.problems,
    )


class _Line(NamedTuple):
    """To one worker."""

    hear: Connection
    tell: Connection


class _Watch:
    """The parent's side of a run."""

    def __init__(self, plan: Plan, on_progress: Callable[[Progress], None]) -> None:
        self._plan, self._on_progress = plan, on_progress
        self._samples: dict[str, list[Sample]] = {name: [] for name in plan.watch}
        self._news: dict[int, News] = {}
        self._reader = ThreadPoolExecutor(1)  # a server that is slow to tell its metrics must not keep workers waiting
        self._pages: list[Future[Metrics]] = []
        self.problems: list[str] = []
        self.started_at = ""

    def until_done(self, crew: list[_Line]) -> list[Done]:
        for line in crew:
            if not isinstance(_receive(line.hear), Ready):
                raise RunError("a worker did not get ready")
        self.started_at = datetime.now(UTC).isoformat(timespec="seconds")
        start_s = time.monotonic() + START_S
        for line in crew:
            line.tell.send(start_s)
        plan, done = self._plan, []
        counted_s = start_s + plan.warm_up_s
        end_s = counted_s + plan.duration_s
        stops = self._stops(counted_s, end_s)
        stop_s, waiting = next(stops), [line.hear for line in crew]
        heard_s = time.monotonic()
        while waiting or stop_s < math.inf:  # a busy machine may let the workers end before the last look
            now_s = time.monotonic()
            if now_s >= stop_s:
                self._look(now_s, start_s, counted_s, end_s)
                stop_s = next(stops, math.inf)
            for ready in wait(waiting, min(max(0.0, stop_s - now_s), TICK_S)):
                assert isinstance(ready, Connection)
                heard_s = now_s
                message = _receive(ready)
                if isinstance(message, News):
                    self._news[message.worker] = message
                elif isinstance(message, Done):
                    done.append(message)
                    waiting.remove(ready)
            if now_s - heard_s > PATIENCE_S:
                raise RunError(f"{len(waiting)} workers have not been heard of for {PATIENCE_S:g} s")
        return done

    def pages(self) -> list[Metrics]:
        """The server's metrics as they were when counting began and when it ended; fewer where it did not tell."""
        found = []
        for page in self._pages:
            try:
                found.append(page.result())
            except OSError as error:
                self.problems.append(f"no metrics: {error}")
        self._reader.shutdown()
        return [found[0], found[-1]] if len(found) > 1 else []

    def usage(self) -> dict[str, Usage]:
        return {name: Usage(tuple(samples)) for name, samples in self._samples.items() if len(samples) > 1}

    def _stops(self, counted_s: float, end_s: float) -> Iterator[float]:
        """When to look: exactly where counting begins and ends, and at every interval between."""
        yield counted_s
        step = 1
        while counted_s + (step + 0.5) * self._plan.interval_s < end_s:
            yield counted_s + step * self._plan.interval_s
            step += 1
        yield end_s

    def _look(self, now_s: float, start_s: float, counted_s: float, end_s: float) -> None:
        for name, pid in self._plan.watch.items():
            if (seen := sample(pid)) is not None:
                self._samples[name].append(seen)
        if self._plan.metrics_url is not None and (not self._pages or now_s >= end_s):
            self._pages.append(self._reader.submit(scrape, self._plan.metrics_url))
        outcomes: Counter[Outcome] = Counter()
        for news in self._news.values():
            outcomes.update(news.outcomes)
        latest = merged([news.latest for news in self._news.values()])
        self._on_progress(Progress(now_s - start_s, end_s - start_s, outcomes, latest, self.usage()))


@contextmanager
def _started(plan: Plan, prepared: list[Message], spools: list[Path]) -> Iterator[list[_Line]]:
    """The worker processes, as the parent's ends of their pipes."""
    spawn = multiprocessing.get_context("spawn")
    shape = [] if plan.in_flight else segments(plan.profile, plan.rate, plan.duration_s, plan.warm_up_s)
    first_tag = int.from_bytes(os.urandom(2)) << 32
    processes, crew = [], []
    try:
        for worker, spool in enumerate(spools):
            assignment = Assignment(_share(plan, prepared, worker, first_tag, spool), shape, _is_random(plan))
            word, tell = spawn.Pipe(duplex=False)
            hear, told = spawn.Pipe(duplex=False)
            arguments = (assignment, word, told)
            process = spawn.Process(target=work, args=arguments, name=f"load worker {worker}", daemon=True)
            process.start()
            word.close()
            told.close()
            processes.append(process)
            crew.append(_Line(hear, tell))
        yield crew
    finally:
        for line in crew:
            line.tell.close()  # a worker that still runs ends by this
            line.hear.close()
        for process in processes:
            process.join(5)
            process.kill()
            process.join()
            process.close()


def _share(plan: Plan, prepared: list[Message], worker: int, first_tag: int, spool: Path) -> Share:
    in_flight = plan.in_flight // plan.workers + (worker < plan.in_flight % plan.workers)
    return Share(
        url=plan.url,
        messages=prepared,
        worker=worker,
        workers=plan.workers,
        connections=-(-in_flight // plan.pipelining) or plan.connections,
        pipelining=plan.pipelining,
        in_flight=in_flight,
        warm_up_s=plan.warm_up_s,
        duration_s=plan.duration_s,
        interval_s=plan.interval_s,
        linger_s=plan.linger_s,
        check_share=plan.check_share,
        first_tag=first_tag,
        seed=plan.seed,
        spool=spool,
    )


def _is_random(plan: Plan) -> bool:
    return plan.profile is Profile.POISSON


def _receive(parent: Connection) -> object:
    try:
        message = parent.recv()
    except EOFError as error:
        raise RunError("a worker ended before it was done") from error
    if isinstance(message, Failed):
        raise RunError(message.reason)
    return message


def _usage(plan: Plan, done: Done) -> WorkerUsage:
    lag_us = math.nan if plan.in_flight else merged(done.intervals).send_lag_us.percentile(99)
    return WorkerUsage(done.cpu_s / plan.duration_s, done.peak_bytes, lag_us)
