"""`python -m loadtest selftest`: what the generator itself costs, against a server that costs nearly nothing.

The rule: CPU time of the worker, never time on the clock, and beside it a yardstick measured in the same minute: what
parsing the same requests with orjson costs. The ratio says more than the figures, as it moves less with the machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
from rich.console import Console

from loadtest import traffic
from loadtest.engine import Plan, RunError, run
from loadtest.program import Program, ProgramError

IN_FLIGHT = 64
READY_S = 20.0


def add_selftest(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("selftest")  # without help it is not listed
    parser.add_argument("--duration", type=float, default=5.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.set_defaults(play=play)


def play(console: Console, options: argparse.Namespace) -> int:
    cases = list(traffic.requests(1, 2_000, valid_only=True))
    try:
        with trivial_server() as (url, pid):
            plan = Plan(
                url=f"{url}/openrtb2/bid",
                cases=cases,
                in_flight=IN_FLIGHT * options.workers,
                workers=options.workers,
                duration_s=options.duration,
                warm_up_s=1.0,
                watch={"server": pid},
            )
            result = run(plan)
    except (RunError, ProgramError) as error:
        console.print(f"the self-test could not be done: {error}", style="bold red", markup=False, soft_wrap=True)
        return 1
    yardstick_us = _yardstick_us([case.body for case in cases])
    cpu_s = sum(worker.cores for worker in result.workers) * plan.duration_s
    cost_us = cpu_s / result.tally.sent * 1e6
    console.print(
        f"{result.tally.sent:,} requests in {plan.duration_s:g} s, {result.tally.errors:,} errors\n"
        f"{1e6 / cost_us:,.0f} requests a CPU second of the generator: {cost_us:.1f} µs each\n"
        f"{cost_us / yardstick_us:.1f} times orjson.loads of the same requests ({yardstick_us:.1f} µs)",
        highlight=False,
    )
    return 1 if result.tally.errors else 0


@contextmanager
def trivial_server() -> Iterator[tuple[str, int]]:
    """Its address and process id."""
    program = Program("trivial server", [sys.executable, "-m", "loadtest.trivial"], os.environ)
    try:
        yield program.wait_until_ready("/", time.monotonic() + READY_S), program.process.pid
    finally:
        program.stop(5.0)


def _yardstick_us(bodies: list[bytes], rounds: int = 5) -> float:
    spent = []
    for _ in range(rounds):
        began_s = time.process_time()
        for body in bodies:
            orjson.loads(body)
        spent.append((time.process_time() - began_s) / len(bodies) * 1e6)
    return sorted(spent)[rounds // 2]
