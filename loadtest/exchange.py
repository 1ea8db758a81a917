"""Plays an exchange: sends requests over kept-alive connections, holds tmax, judges every answer.

The rule: while the clock runs, nothing but sending and receiving happens. Requests are made before a round, answers
judged after it, so that the exchange's own work is in no latency. Rounds bound what is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from loadtest.connection import Answer, Connection, ConnectionLostError
from loadtest.report import Report
from loadtest.scrape import scrape
from loadtest.traffic import BidRequestCase
from loadtest.verify import Judge

BID_PATH = "/openrtb2/bid"
DEFAULT_TMAX_MS = 100  # where the request says nothing
PATIENCE_S = 10.0  # a late answer counts as late; one later than this, as lost
ROUND = 500

Outcome = Answer | str  # an answer, or why there is none


async def play(
    base_url: str,
    cases: Iterable[BidRequestCase],
    judge: Judge,
    *,
    connections: int = 4,
    advance: Callable[[int], None] = lambda count: None,
) -> Report:
    """Plays `cases` in a closed loop: each connection sends its next request when the last is answered.

    `advance` is told of every few requests played. Raises OSError where the bidder's /metrics cannot be read.
    """
    report = Report()
    lanes = [Connection(base_url + BID_PATH) for _ in range(connections)]
    before = await asyncio.to_thread(scrape, base_url)
    try:
        stream = iter(cases)
        while batch := list(islice(stream, ROUND)):
            outcomes = await _round(lanes, batch, advance)
            for case, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, str):
                    report.lost(case, outcome)
                else:
                    verdict = judge.verdict(case, outcome.status, outcome.headers, outcome.body)
                    report.add(case, outcome, verdict, tmax_s(case))
    finally:
        for lane in lanes:
            lane.close()
    report.account = (await asyncio.to_thread(scrape, base_url)).since(before)
    return report


def tmax_s(case: BidRequestCase) -> float:
    """How long the exchange waits, from its own side (§3.2.1)."""
    tmax_ms = case.request.get("tmax") if case.request else None
    return (tmax_ms if isinstance(tmax_ms, int) and tmax_ms > 0 else DEFAULT_TMAX_MS) / 1000


async def _round(lanes: list[Connection], batch: list[BidRequestCase], advance: Callable[[int], None]) -> list[Outcome]:
    outcomes: list[Outcome] = ["not sent"] * len(batch)
    turns = iter(range(len(batch)))
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(_lane(lane, batch, turns, outcomes, advance))
    return outcomes


async def _lane(
    lane: Connection,
    batch: list[BidRequestCase],
    turns: Iterator[int],
    outcomes: list[Outcome],
    advance: Callable[[int], None],
) -> None:
    pending = 0
    for turn in turns:
        try:
            outcomes[turn] = await lane.post(batch[turn].body, PATIENCE_S)
        except ConnectionLostError as error:
            outcomes[turn] = str(error)
        except TimeoutError:
            outcomes[turn] = f"no answer within {PATIENCE_S:g} s"
        pending += 1
        if pending == 16:
            advance(pending)
            pending = 0
    advance(pending)
