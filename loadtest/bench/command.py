"""`python -m loadtest bench`: chooses what to measure, shows it, keeps it.

The rule: exit 0 only if every answer was right and in time, as a figure of wrong answers is worth nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from loadtest.bench.capture import CaptureError, captured
from loadtest.bench.contest import BenchError, Effort, contests
from loadtest.bench.cores import Cores, CoresError
from loadtest.bench.figures import Contest, Scenario
from loadtest.bench.table import markdown, table
from loadtest.engine import RunError
from loadtest.engine.usage import machine
from loadtest.load.command import count
from loadtest.program import ProgramError

CAMPAIGNS = (100, 10_000, 100_000)
QUICK_CAMPAIGNS = (100, 10_000)
IMPS = (1, 8)
IMPS_AT_MOST = 10_000  # campaigns, in the scenarios of one and eight impressions
FULL = Effort(pairs=5, seconds=3.0, warm_up_s=0.5, requests=20_000, warming_s=10.0)
QUICK = Effort(pairs=3, seconds=1.0, warm_up_s=0.3, requests=1_500, warming_s=3.0)


def add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("bench", help="what a bid costs, beside the baseline, in turns on one core")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter turns: four minutes, not twenty")
    sizes = ",".join(map(str, CAMPAIGNS))
    parser.add_argument("--campaigns", type=_counts, metavar="N,N", help=f"sizes of the catalog (default {sizes})")
    parser.add_argument("--pairs", type=count, metavar="N", help=f"turns of each system (default {FULL.pairs})")
    parser.add_argument(
        "--tap", action="store_true", help="what passes its sockets at half load, too (needs tcpdump, as root)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    parser.set_defaults(play=play)


def play(console: Console, options: argparse.Namespace) -> int:
    effort = QUICK if options.quick else FULL
    if options.pairs:
        effort = replace(effort, pairs=options.pairs)
    if options.tap:
        effort = replace(effort, tap=can_capture(console))
    sizes = options.campaigns or (QUICK_CAMPAIGNS if options.quick else CAMPAIGNS)
    return bench(console, scenarios(sizes), effort, options.json, options.markdown)


def can_capture(console: Console) -> bool:
    """Tried once, before twenty minutes are spent; says why not."""
    try:
        with captured((1,)):
            return True
    except CaptureError as error:
        console.print(f"there will be no tap: {error}", style="bold yellow", markup=False, highlight=False)
        return False


def _counts(text: str) -> list[int]:
    return [count(part) for part in text.split(",")]


def scenarios(campaigns: Sequence[int]) -> list[Scenario]:
    """All sizes with requests as they come; one size that is not too large with one and with eight impressions; and the
    smallest and the largest with requests that get a bid."""
    made = [Scenario(count) for count in campaigns]
    small = [count for count in campaigns if count <= IMPS_AT_MOST] or campaigns
    made += [Scenario(max(small), imps) for imps in IMPS]
    ends = {min(campaigns), max(campaigns)} if len(campaigns) > 1 else ()
    return made + [Scenario(count, bids_only=True) for count in sorted(ends)]


def bench(
    console: Console, chosen: Sequence[Scenario], effort: Effort, json_path: Path | None, markdown_path: Path | None
) -> int:
    """Measures, prints, writes; returns the exit code."""
    done: list[Contest] = []
    started_at = datetime.now(UTC).isoformat(timespec="seconds")

    def tell(line: str) -> None:
        console.print(line, highlight=False)

    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            done.extend(contests(chosen, effort, Cores.choose(), Path(folder), tell))
    except (BenchError, CoresError, ProgramError, RunError, OSError) as error:
        console.print(f"the bench could not run: {error}", style="bold red", markup=False, highlight=False)
        return 1
    console.print(table(done))
    noise = max(contest.noise for contest in done)
    tell(f"{machine()}; the yardstick changed by up to {noise:.0%} within a scenario")
    if json_path is not None:
        json_path.write_bytes(orjson.dumps(document(done, effort, started_at), option=orjson.OPT_INDENT_2))
    if markdown_path is not None:
        markdown_path.write_text(markdown(done), encoding="utf-8")
    return _conclude(console, done)


def document(done: Sequence[Contest], effort: Effort, started_at: str) -> dict[str, Any]:
    """All that was measured, for JSON."""
    return {
        "format": "bench/1",
        "started_at": started_at,
        "machine": machine(),
        "effort": asdict(effort),
        "contests": [contest.document() for contest in done],
    }


def _conclude(console: Console, done: Sequence[Contest]) -> int:
    failures = {contest.scenario.name: contest.failures for contest in done if contest.failures}
    for name, counts in failures.items():
        said = ", ".join(f"{count} of {what}" for what, count in sorted(counts.items()))
        console.print(f"{name}: requests went wrong: {said}", style="bold red", highlight=False)
    return 1 if failures else 0
