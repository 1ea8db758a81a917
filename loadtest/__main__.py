"""The command line: `python -m loadtest demo | run | sweep | bench | serve | traffic | profiles`.

The rule: exit 0 when all went well, 1 when something did not, 2 when the command was not understood; SIGTERM ends
everything as Ctrl-C does, so that no process is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from rich.console import Console

from loadtest import demo, profiles, traffic
from loadtest.bench.command import add_bench
from loadtest.load.command import add_run
from loadtest.load.selftest import add_selftest
from loadtest.load.sweep import add_sweep
from loadtest.pauses import add_pauses

LOG_WIDTH = 100
EPILOG = """\
examples:
  python -m loadtest demo                        2,000 requests against a stack of its own, judged one by one
  python -m loadtest run --rate 1000             a load at a rate, with latencies and a verdict
  python -m loadtest sweep --html sweep.html     the highest rate that holds p99 <= 20 ms
  python -m loadtest bench --quick               what a bid costs, beside the bidder that most would write first
  python -m loadtest serve                       the same stack on ports 8080, 8090 and 8091, until Ctrl-C
  python -m loadtest traffic --count 3 --seed 7  three bid requests, one a line
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns the exit code."""
    options = _parser().parse_args(arguments)
    heed_signals()
    try:
        if options.command == "traffic":
            return _traffic(options)
        if options.command == "profiles":
            return _profiles(options)
        console = _Console(width=None if sys.stdout.isatty() else LOG_WIDTH)
        if "play" in options:
            return int(options.play(console, options))
        if options.command == "serve":
            return demo.serve(console)
        return demo.demo(console, options.requests, options.seed)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        _silence()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest",
        description="An ad exchange that plays against the bidder.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    show = commands.add_parser(
        "demo", help="train a model if needed, start the stack, play an exchange, say how it went"
    )
    show.add_argument("--requests", type=_count, default=2_000, metavar="N", help="requests to play (default 2000)")
    show.add_argument("--seed", type=int, default=1, metavar="S", help="chooses the requests (default 1)")

    add_run(commands)
    add_sweep(commands)
    add_bench(commands)
    add_pauses(commands)
    add_selftest(commands)
    commands.add_parser("serve", help="the stack on fixed ports (bidder 8080, SageMaker 8090, model 8091) until Ctrl-C")

    write = commands.add_parser("traffic", help="write bid requests, one a line")
    write.add_argument("--count", type=_count, required=True, metavar="N", help="how many")
    write.add_argument("--seed", type=int, required=True, metavar="S", help="the same seed gives the same bytes")
    write.add_argument("--out", type=Path, metavar="FILE", help="where to (default: standard output)")
    write.add_argument("--valid-only", action="store_true", help="leave out the malformed ones, which are 2 in 100")

    known = commands.add_parser(
        "profiles", help="write what a bidder may know of the people in the traffic, with raw ids"
    )
    known.add_argument("--catalog", type=Path, required=True, metavar="FILE", help="whose frequency caps to count for")
    known.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON lines for `bidder hash-profiles`")
    return parser


def _traffic(options: argparse.Namespace) -> int:
    cases = traffic.requests(options.seed, options.count, valid_only=options.valid_only)
    if options.out is None:
        sys.stdout.buffer.writelines(case.body + b"\n" for case in cases)
        sys.stdout.buffer.flush()
        return 0
    try:
        with options.out.open("wb") as file:
            file.writelines(case.body + b"\n" for case in cases)
    except OSError as error:
        print(f"loadtest traffic: {options.out}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _profiles(options: argparse.Namespace) -> int:
    try:
        capped = profiles.capped_campaigns(options.catalog)
        with options.out.open("w") as file:
            file.writelines(json.dumps(profile) + "\n" for profile in profiles.profiles(int(time.time()), capped))
    except OSError as error:
        print(f"loadtest profiles: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _count(text: str) -> int:
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no count, expected a whole number above 0")


def heed_signals() -> None:
    """SIGTERM and SIGHUP end as Ctrl-C does, also where a shell started this in the background and ignores SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):  # no SIGHUP on Windows
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """The reader has had enough: the rest is done in silence, and the exit code still tells how it went."""
        self.quiet = True
        _silence()


def _silence() -> None:
    """Standard output to nowhere, or its last flush would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
