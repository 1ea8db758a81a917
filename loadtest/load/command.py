"""`python -m loadtest run`: a load at a rate, with a verdict.

The rule: exit 0 if every threshold held, 1 if one did not or the test could not be done, 2 if it was not understood.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from loadtest import traffic
from loadtest.engine import Plan, Profile, RunError, run
from loadtest.load import page
from loadtest.load.display import progress, verdict
from loadtest.load.document import document
from loadtest.load.target import Target, add_options, target
from loadtest.load.thresholds import Threshold
from loadtest.program import ProgramError
from loadtest.training import TrainingError

Json = dict[str, Any]
TMAX_MS = 100
FAILURES = (RunError, ProgramError, TrainingError, OSError, ValueError)


def add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("run", help="load at a rate, whatever the answers; latency from the moment due")
    load = parser.add_argument_group("the load")
    load.add_argument("--rate", type=positive, default=500, metavar="R", help="requests a second (default 500)")
    load.add_argument(
        "--profile", type=Profile, choices=list(Profile), default=Profile.CONSTANT, help="default constant"
    )
    load.add_argument("--duration", type=positive, default=20, metavar="S", help="seconds that count (default 20)")
    add_load_options(parser, load)
    parser.add_argument(
        "--threshold",
        type=threshold,
        action="append",
        default=[],
        metavar="T",
        help="p99<20ms, errors<0.1%% …",
    )
    parser.set_defaults(play=play)


def add_load_options(parser: argparse.ArgumentParser, load: argparse._ArgumentGroup) -> None:
    """What `run` and `sweep` share."""
    load.add_argument("--warm-up", type=not_negative, default=3, metavar="S", help="seconds before (default 3)")
    load.add_argument("--workers", type=count, default=1, metavar="N", help="processes that send (default 1)")
    load.add_argument("--connections", type=count, default=64, metavar="N", help="of each worker (default 64)")
    load.add_argument("--pipelining", type=count, default=1, metavar="N", help="requests a connection (default 1)")
    load.add_argument("--tmax-ms", type=count, default=TMAX_MS, metavar="MS", help="sent and held (default 100)")
    load.add_argument("--requests", type=count, default=5_000, metavar="N", help="different ones (default 5000)")
    load.add_argument("--seed", type=int, default=1, metavar="S", help="chooses the requests (default 1)")
    load.add_argument("--check-share", type=share, default=0.05, metavar="P", help="of answers judged by all rules")
    add_options(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the report: one page, nothing to load")


def play(console: Console, options: argparse.Namespace) -> int:
    try:
        with target(options, console) as aim:
            plan = plan_of(options, aim, options.rate, options.duration, options.profile)
            with progress(console, f"{options.profile.value}, {options.rate:g} requests/s") as show:
                result = run(plan, show)
        made = document(result, options.threshold, settings(options, plan))
        verdict(console, made)
        write(console, options, made, page.render)
    except FAILURES as error:
        return refuse(console, error)
    return 0 if made["passed"] else 1


def plan_of(
    options: argparse.Namespace, aim: Target, rate: float, duration_s: float, profile: Profile = Profile.CONSTANT
) -> Plan:
    return Plan(
        url=aim.url,
        cases=list(traffic.requests(options.seed, options.requests)),
        rate=rate,
        profile=profile,
        duration_s=duration_s,
        warm_up_s=options.warm_up,
        workers=options.workers,
        connections=options.connections,
        pipelining=options.pipelining,
        tmax_ms=options.tmax_ms,
        check_share=options.check_share,
        seed=options.seed,
        watch=aim.watch,
        metrics_url=aim.metrics_url,
    )


def settings(options: argparse.Namespace, plan: Plan) -> Json:
    sizes = sorted(len(case.body) for case in plan.cases)
    return {
        "url": options.url or "a stack started for the test",
        "campaigns": options.campaigns or ("not known" if options.url else "the demo catalog"),
        "profile": plan.profile.value,
        "rate": plan.rate,
        "duration_s": plan.duration_s,
        "warm_up_s": plan.warm_up_s,
        "workers": plan.workers,
        "connections": plan.workers * plan.connections,
        "pipelining": plan.pipelining,
        "tmax_ms": plan.tmax_ms,
        "different_requests": len(plan.cases),
        "median_request_bytes": sizes[len(sizes) // 2],
        "seed": plan.seed,
        "check_share": plan.check_share,
    }


def write(console: Console, options: argparse.Namespace, made: Json, render: Callable[[Json], str]) -> None:
    """The files that were asked for. Raises OSError."""
    for path, text in ((options.json, partial(json.dumps, made, indent=1)), (options.html, partial(render, made))):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text())
            console.print(f"written: {path}", highlight=False, soft_wrap=True)


def refuse(console: Console, error: Exception) -> int:
    said = f"the test could not be done: {error}"
    console.print(said, style="bold red", markup=False, highlight=False, soft_wrap=True)
    return 1


def threshold(text: str) -> Threshold:
    try:
        return Threshold.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ms"


def count(text: str) -> int:
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no count, expected a whole number above 0")


def not_negative(text: str) -> float:
    return _number(text, 0.0, float("inf"))


def positive(text: str) -> float:
    return _number(text, 1e-9, float("inf"))


def share(text: str) -> float:
    return _number(text, 0.0, 1.0)


def _number(text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most or value == float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least:g} to {most:g}")
    return value
