"""What is put under load: a bidder that runs already, or a stack of our own.

The rule: a stack of our own is started for the test alone and ended after it; of a bidder elsewhere we know what it
tells, and its process only if we are told which it is.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from loadtest.exchange import BID_PATH
from loadtest.stack import READY_S, running
from loadtest.training import TrainingError, trained_model

CATALOG_SEED = 1
CAMPAIGNS_PER_S = 1_000  # how many a busy machine loads in a second, at the least


@dataclass(frozen=True, slots=True)
class Target:
    url: str  # with the path that bid requests go to
    metrics_url: str | None
    watch: Mapping[str, int]  # name and pid of the processes


def add_options(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("what is tested")
    where.add_argument("--url", metavar="URL", help="a bidder that runs (default: a stack started for the test)")
    where.add_argument("--server-pid", type=int, metavar="PID", help="its process, if it is on this machine")
    where.add_argument("--campaigns", type=int, metavar="N", help="size of the started stack's catalog (default: demo)")


@contextmanager
def target(options: argparse.Namespace, console: Console) -> Iterator[Target]:
    """Raises ProgramError, TrainingError, OSError where a stack cannot be started, ValueError for a URL."""
    if options.url:
        parts = urlsplit(options.url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{options.url}: expected http://HOST:PORT, with a path if it is not {BID_PATH}")
        base = f"http://{parts.netloc}"
        url = options.url if parts.path.strip("/") else base + BID_PATH
        yield Target(url, base, {"bidder": options.server_pid} if options.server_pid else {})
        return
    prepared = trained_model(console)
    with tempfile.TemporaryDirectory(prefix="loadtest-") as folder:
        environment, ready_s = prepared.environment(), READY_S
        if options.campaigns:
            environment["BIDDER_CATALOG_URI"] = _catalog(Path(folder), options.campaigns)
            ready_s += options.campaigns / CAMPAIGNS_PER_S
        console.print("starting model container, SageMaker Runtime and bidder", highlight=False)
        with running(prepared.model_dir, environment=environment, ready_s=ready_s) as stack:
            watch = {program.name: program.process.pid for program in reversed(stack.programs)}
            yield Target(stack.bidder_url + BID_PATH, stack.bidder_url, watch)


def _catalog(folder: Path, campaigns: int) -> str:
    path = str(folder / "catalog.json.gz")
    command = [sys.executable, "-m", "bidder", "generate-catalog", path]
    made = subprocess.run(
        [*command, "--campaigns", str(campaigns), "--seed", str(CATALOG_SEED)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise TrainingError(f"no catalog of {campaigns} campaigns: {made.stderr.strip()[-500:]}")
    return path
