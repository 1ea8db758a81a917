"""What a bid costs: the bidder kept busy for some seconds, its CPU time divided by its answers.

The rule: a closed loop, so the figures are of cost and not of latency under a given load. CPU time is the bidder's
own, read from its /metrics before and after, so that neither this process nor the endpoint's is in it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from loadtest.connection import Connection
from loadtest.exchange import BID_PATH, PATIENCE_S
from loadtest.scrape import Metrics, scrape
from loadtest.stack import running
from loadtest.traffic import Kind, requests
from loadtest.training import trained_model

REQUESTS, SEED = 3_000, 11
WARM_UP_S = 2.0
CONNECTIONS = (4, 16, 64)
_CPU = "process_cpu_seconds_total"


@dataclass(slots=True)
class Run:
    """What came back, while it lasted."""

    statuses: Counter[int] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)
    lasted_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Cost:
    """`cpu_us`: the bidder's CPU time a request, bid or not. Latencies are the client's, in milliseconds."""

    connections: int
    answers: int
    bid_share: float
    per_s: float
    cpu_us: float
    busy: float  # CPU seconds of the bidder a second
    p50_ms: float
    p99_ms: float
    rows_per_call: float


def measure(console: Console, seconds: float) -> int:
    """Starts the demo's stack and prints what its bidder costs at several numbers of connections."""
    bodies = [case.body for case in requests(SEED, REQUESTS) if case.kind is Kind.VALID]
    prepared = trained_model(console)
    table = Table("connections", "requests/s", "bids", "CPU µs a request", "CPU", "p50 ms", "p99 ms", "rows a call")
    with running(prepared.model_dir, environment=prepared.environment()) as stack:
        for connections in CONNECTIONS:
            cost = asyncio.run(saturate(stack.bidder_url, bodies, connections, seconds))
            table.add_row(
                str(cost.connections),
                f"{cost.per_s:,.0f}",
                f"{cost.bid_share:.0%}",
                f"{cost.cpu_us:.0f}",
                f"{cost.busy:.0%}",
                f"{cost.p50_ms:.2f}",
                f"{cost.p99_ms:.2f}",
                f"{cost.rows_per_call:.1f}",
            )
    console.print(f"{len(bodies):,} requests of {median(map(len, bodies)):,.0f} bytes (median), {seconds:g} s each")
    console.print(table)
    return 0


async def saturate(url: str, bodies: list[bytes], connections: int, seconds: float) -> Cost:
    """Keeps `connections` requests under way for `seconds`, after a warm-up. Raises OSError, ConnectionLostError."""
    next_body = cycle(bodies).__next__
    await _run(url, next_body, connections, WARM_UP_S)
    before = await asyncio.to_thread(scrape, url)
    run = await _run(url, next_body, connections, seconds)
    spent = (await asyncio.to_thread(scrape, url)).since(before)
    return _cost(connections, run, spent)


async def _run(url: str, next_body: Callable[[], bytes], connections: int, seconds: float) -> Run:
    run, started_s = Run(), time.monotonic()

    async def lane() -> None:
        connection = Connection(url + BID_PATH)
        try:
            while time.monotonic() < started_s + seconds:
                answer = await connection.post(next_body(), PATIENCE_S)
                run.statuses[answer.status] += 1
                run.took_s.append(answer.took_s)
        finally:
            connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(lane())
    run.lasted_s = time.monotonic() - started_s
    return run


def _cost(connections: int, run: Run, spent: Metrics) -> Cost:
    cpu_s, answers = spent.total(_CPU), len(run.took_s)
    calls = spent.total("bidder_endpoint_rows_per_call_count")
    percentiles = quantiles(run.took_s, n=100)
    return Cost(
        connections,
        answers,
        run.statuses[200] / answers,
        answers / run.lasted_s,
        cpu_s / answers * 1e6,
        cpu_s / run.lasted_s,
        percentiles[49] * 1e3,
        percentiles[98] * 1e3,
        spent.total("bidder_endpoint_rows_per_call_sum") / calls if calls else 0.0,
    )
