"""The demo: trains a model if there is none, starts the stack, plays an exchange against it and says how it went.

The rule: it proves what it shows. The exit code is 0 only if there were bids, every answer was as expected, and no
answer broke a rule of OpenRTB or a term of its auction. No process is left behind.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import AbstractContextManager

from rich.console import Console

from loadtest import traffic
from loadtest.exchange import play
from loadtest.present import progress, show_example, summary
from loadtest.program import ProgramError
from loadtest.report import Report
from loadtest.stack import ENDPOINT_NAME, FIXED_PORTS, HOST, Stack, running
from loadtest.training import CACHE, ROOT, Prepared, TrainingError, trained_model
from loadtest.verify import Judge, Rates

RATES = ROOT / "bidder" / "data" / "rates.json"
EXAMPLE_REQUEST = CACHE / "request.json"


def demo(console: Console, requests: int, seed: int) -> int:
    """Plays `requests` requests of `seed` and returns the exit code."""
    try:
        prepared = trained_model(console)
        with _starting(console, prepared) as stack:
            report = _play(console, stack, requests, seed)
    except (TrainingError, ProgramError, OSError) as error:
        console.print(
            f"the demo could not run: {error}", style="bold red", markup=False, highlight=False, soft_wrap=True
        )
        return 1
    show_example(console, report)
    console.rule("How it went", align="left")
    console.print(summary(report))
    console.rule("To try it yourself: make serve", align="left")
    _print(console, _addresses(f"http://{HOST}:{FIXED_PORTS.bidder}"))
    console.rule()
    return _conclude(console, report)


def serve(console: Console) -> int:
    """The same set-up on fixed ports, until Ctrl-C."""
    try:
        prepared = trained_model(console)
        with _starting(console, prepared, fixed=True) as stack:
            return _watch(console, stack)
    except (TrainingError, ProgramError, OSError) as error:
        console.print(f"could not serve: {error}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        return 1


def _starting(console: Console, prepared: Prepared, fixed: bool = False) -> AbstractContextManager[Stack]:
    console.print("starting model container, SageMaker Runtime and bidder", highlight=False)
    if not fixed:
        return running(prepared.model_dir, environment=prepared.environment())

    def show(name: str, line: str) -> None:
        console.print(f"{name:<16}│ {line}", markup=False, highlight=False, soft_wrap=True)

    return running(prepared.model_dir, ports=FIXED_PORTS, environment=prepared.environment(), show=show)


def _play(console: Console, stack: Stack, requests: int, seed: int) -> Report:
    judge = Judge(Rates.load(RATES))
    with progress(console, "playing", requests) as advance:
        return asyncio.run(play(stack.bidder_url, traffic.requests(seed, requests), judge, advance=advance))


def _conclude(console: Console, report: Report) -> int:
    failures = report.failures()
    if not failures:
        console.print(
            f"passed: {report.bids:,} bids in {report.requests:,} requests, no violation",
            style="bold green",
            highlight=False,
        )
        return 0
    console.print("failed:", style="bold red")
    for failure in failures:
        console.print(f"  {failure}", markup=False, highlight=False, soft_wrap=True)
    return 1


def _watch(console: Console, stack: Stack) -> int:
    """Until Ctrl-C (0), or until a program ends by itself (1)."""
    request = next(case for case in traffic.requests(1, 10_000) if _easy(case))
    EXAMPLE_REQUEST.write_bytes(request.body)
    console.rule("serving; Ctrl-C ends it")
    _print(
        console,
        f"{_addresses(stack.bidder_url)}\n"
        f"SageMaker  {stack.sagemaker_url} (endpoint {ENDPOINT_NAME})\n"
        f"model      {stack.model_url}\n\n"
        f"curl -i {stack.bidder_url}/openrtb2/bid -H 'Content-Type: application/json' --data-binary @{EXAMPLE_REQUEST}",
    )
    console.rule()
    pause = threading.Event()
    try:
        while not pause.wait(0.5):
            ended = [program for program in stack.programs if program.process.poll() is not None]
            if ended:
                console.print(f"{ended[0].name} ended with exit code {ended[0].process.returncode}", style="bold red")
                return 1
    except KeyboardInterrupt:
        console.print("ending")
    return 0


def _easy(case: traffic.BidRequestCase) -> bool:
    """Short, and likely to get a bid: one banner of the commonest size, in the country with most campaigns."""
    request = case.request or {}
    if case.kind is not traffic.Kind.VALID or len(case.body) > 2_000 or len(request["imp"]) > 1:
        return False
    size = {"w": 300, "h": 250}.items()
    at_home = request.get("device", {}).get("geo", {}).get("country") == "USA"
    return at_home and size <= request["imp"][0].get("banner", {}).items() and "wseat" not in request


def _addresses(base: str) -> str:
    return (
        f"bids       POST {base}/openrtb2/bid\n"
        f"health     {base}/readyz\n"
        f"metrics    {base}/metrics\n"
        f"API        {base}/docs"
    )


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
