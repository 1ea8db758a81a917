"""`python -m loadtest sweep`: the highest rate that holds what is asked for, and latency against load.

The rule: a rate holds if every threshold does, in one of two tries: what else a machine does can spoil a try, but
nothing can make one too good. Each try has a warm-up of its own. Where the generator was the limit, the answer says so.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from loadtest.engine import run
from loadtest.load import command, sweep_page
from loadtest.load.display import progress
from loadtest.load.document import document
from loadtest.load.search import Found, highest
from loadtest.load.target import Target, target
from loadtest.load.thresholds import ALWAYS, Threshold

Json = dict[str, Any]
TRIES = 2
DEFAULT = ("p99<=20ms", "errors<0.1%", "shed<0.1%")


def add_sweep(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("sweep", help="the highest rate that holds p99 <= 20 ms, errors and shed < 0.1 %%")
    load = parser.add_argument_group("the load")
    load.add_argument("--start-rate", type=command.positive, default=200, metavar="R", help="first rate (default 200)")
    load.add_argument("--max-rate", type=command.positive, default=50_000, metavar="R", help="default 50000")
    load.add_argument("--precision", type=command.share, default=0.1, metavar="P", help="of the answer (default 0.1)")
    load.add_argument("--duration", type=command.positive, default=8, metavar="S", help="of each try (default 8)")
    command.add_load_options(parser, load)
    default = " ".join(DEFAULT).replace("%", "%%")
    parser.add_argument("--threshold", type=command.threshold, action="append", metavar="T", help=f"default {default}")
    parser.set_defaults(play=play)


@dataclass(slots=True)
class _Sweep:
    console: Console
    options: argparse.Namespace
    aim: Target
    thresholds: tuple[Threshold, ...]
    steps: list[Json] = field(default_factory=list)  # documents of runs

    def holds(self, rate: float) -> bool:
        return any(self._try(rate, attempt) for attempt in range(TRIES))

    def _try(self, rate: float, attempt: int) -> bool:
        plan = command.plan_of(self.options, self.aim, rate, self.options.duration)
        what = f"{rate:,.0f} requests/s" + (", again" if attempt else "")
        with progress(self.console, what, in_log=False) as show:
            made = document(run(plan, show), self.thresholds, command.settings(self.options, plan))
        self.steps.append(made)
        latency = made["summary"]["latency_ms"]
        broken = ", ".join(f"{each['text']}: {each['value']}" for each in made["thresholds"] if not each["held"])
        self.console.print(
            f"{what}: p50 {command.ms(latency['p50'])}, p99 {command.ms(latency['p99'])}, "
            f"errors {made['summary']['error_share']:.2%}: {f'broken ({broken})' if broken else 'held'}",
            highlight=False,
        )
        return bool(made["passed"])


def play(console: Console, options: argparse.Namespace) -> int:
    thresholds = tuple(options.threshold or map(Threshold.parse, DEFAULT))
    try:
        with target(options, console) as aim:
            sweep = _Sweep(console, options, aim, thresholds)
            found = highest(sweep.holds, options.start_rate, most=options.max_rate, precision=options.precision)
        made = sweep_document(sweep.steps, found, [threshold.text for threshold in thresholds])
        _show(console, made)
        command.write(console, options, made, sweep_page.render)
    except command.FAILURES as error:
        return command.refuse(console, error)
    return 0 if made["passed"] else 1


def sweep_document(steps: list[Json], found: Found, thresholds: list[str]) -> Json:
    """`steps` in the order of their trying. It passes if some rate holds and no answer was mixed up at any."""
    first = steps[0]
    at_best = next((step for step in steps if step["passed"] and step["settings"]["rate"] == found.holds), None)
    unexcused = {threshold.text for threshold in ALWAYS}
    mixed_up = [each for step in steps for each in step["thresholds"] if each["text"] in unexcused and not each["held"]]
    return {
        "kind": "sweep",
        "started_at": first["started_at"],
        "machine": first["machine"],
        "settings": {name: value for name, value in first["settings"].items() if name != "rate"},
        "passed": found.holds > 0 and not mixed_up,
        "thresholds": thresholds,
        "holds": found.holds,
        "breaks": found.breaks,
        "limits": _limits(steps, found),
        "at_best": at_best,
        "steps": steps,
    }


def _limits(steps: list[Json], found: Found) -> list[str]:
    """Of the lowest rate that broke: there it is decided whose limit was found."""
    deciding = [step for step in steps if step["settings"]["rate"] == found.breaks]
    return [f"at {found.breaks:,.0f}/s: {limit}" for limit in (deciding[-1]["limits"] if deciding else [])]


def _show(console: Console, made: Json) -> None:
    table = Table("requests/s", "right answers/s", "p50 ms", "p99 ms", "errors", "bidder's CPU µs", "")
    for step in sorted(made["steps"], key=lambda step: step["settings"]["rate"]):
        summary, cost = step["summary"], sweep_page.cost_us(step)
        table.add_row(
            f"{step['settings']['rate']:,.0f}",
            f"{summary['answers_per_s']:,.0f}",
            f"{summary['latency_ms']['p50'] or 0:.2f}",
            f"{summary['latency_ms']['p99'] or 0:.2f}",
            f"{summary['error_share']:.2%}",
            "-" if cost is None else f"{cost:,.0f}",
            "held" if step["passed"] else "broken",
            style="green" if step["passed"] else "red",
        )
    console.print(table)
    until = f", {made['breaks']:,.0f} does not" if made["breaks"] else ", which is the most that was tried"
    console.print(f"{made['holds']:,.0f} requests/s hold {' and '.join(made['thresholds'])}{until}", style="bold")
    for limit in made["limits"]:
        console.print(f"THE GENERATOR WAS A LIMIT {limit}", style="bold red", soft_wrap=True)
