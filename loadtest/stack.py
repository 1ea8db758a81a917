"""The three processes of the system on one machine: model container, SageMaker Runtime, bidder.

The rule: on loopback only, started in the order in which they need each other, ended in the reverse order in every
case: the end of the `with` block, an exception, Ctrl-C. A `kill -9` of this process is covered on Linux only; see
`loadtest.leash`.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtest.program import Program, ProgramError

HOST = "127.0.0.1"
ENDPOINT_NAME = "rtb-demo"
REGION = "us-east-1"
NOTICE_URL = "https://bidder.example"
"""Where the demo's ads report to. Secure slots take addresses by HTTPS alone, and nobody calls these."""

READY_S = 60.0
GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Ports:
    """0 takes any free one."""

    bidder: int = 0
    sagemaker_local: int = 0
    model: int = 0


FIXED_PORTS = Ports(bidder=8080, sagemaker_local=8090, model=8091)


@dataclass(frozen=True, slots=True)
class Commands:
    """How each program is started, before its arguments."""

    model: Sequence[str] = (sys.executable, "-m", "model", "serve")
    sagemaker_local: Sequence[str] = (sys.executable, "-m", "sagemaker_local", "serve")
    bidder: Sequence[str] = (sys.executable, "-m", "bidder", "serve")


@dataclass(frozen=True, slots=True)
class Stack:
    """The running programs; `programs` in the order of their start."""

    model_url: str
    sagemaker_url: str
    bidder_url: str
    programs: tuple[Program, ...]


@contextmanager
def running(
    model_dir: Path,
    *,
    ports: Ports = Ports(),
    commands: Commands = Commands(),
    environment: Mapping[str, str] | None = None,
    show: Callable[[str, str], None] | None = None,
    ready_s: float = READY_S,
    grace_s: float = GRACE_S,
) -> Iterator[Stack]:
    """The stack, ready to bid.

    `environment` (default: this process's) is laid under the stack's own settings; `show` is given every line that a
    program prints. Raises ProgramError when a program does not become ready within `ready_s` in all.
    """
    _check_free(ports)
    deadline_s = time.monotonic() + ready_s
    inherited = _without_aws(os.environ if environment is None else environment)
    programs: list[Program] = []
    try:
        model = Program(
            "model",
            [*commands.model, "--model-dir", str(model_dir), "--host", HOST, "--port", str(ports.model)],
            inherited,
            show,
        )
        programs.append(model)
        model_url = model.wait_until_ready("/ping", deadline_s)

        local = Program(
            "sagemaker_local",
            [
                *commands.sagemaker_local,
                "--port",
                str(ports.sagemaker_local),
                "--endpoint",
                f"{ENDPOINT_NAME}={model_url}",
            ],
            inherited,
            show,
        )
        programs.append(local)
        sagemaker_url = local.wait_until_ready("/_local/ready", deadline_s)

        settings = bidder_settings(sagemaker_url, ports.bidder)
        bidder = Program("bidder", list(commands.bidder), {**inherited, **settings}, show)
        programs.append(bidder)
        bidder_url = bidder.wait_until_ready("/readyz", deadline_s)
        yield Stack(model_url, sagemaker_url, bidder_url, tuple(programs))
    finally:
        _stop_all(programs, grace_s)


def bidder_settings(sagemaker_url: str, port: int) -> dict[str, str]:
    """The bidder's environment. The credentials are those that sagemaker_local accepts, and open nothing else."""
    return {
        "BIDDER_HOST": HOST,
        "BIDDER_PORT": str(port),
        "BIDDER_ENDPOINT_NAME": ENDPOINT_NAME,
        "BIDDER_ENDPOINT_URL": sagemaker_url,
        "BIDDER_AWS_REGION": REGION,
        "BIDDER_NOTICE_URL": NOTICE_URL,
        "BIDDER_DRAIN_S": "0",  # no load balancer has to notice the end
        "AWS_ACCESS_KEY_ID": "AKIDLOCAL",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """The caller's AWS profile and credentials are none of the demo's business. Output of Python comes at once."""
    kept = {name: value for name, value in environment.items() if not name.startswith("AWS_")}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def _check_free(ports: Ports) -> None:
    for program, port in (("bidder", ports.bidder), ("sagemaker_local", ports.sagemaker_local), ("model", ports.model)):
        if not port:
            continue
        with socket.socket() as probe:
            probe.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # as servers do: closing connections do not count
            try:
                probe.bind((HOST, port))
            except OSError as error:
                raise ProgramError(
                    f"port {port} on {HOST}, which {program} would take, cannot be had ({error.strerror}); "
                    "end the program that listens there (`ss -ltnp` lists them)"
                ) from error


def _stop_all(programs: list[Program], grace_s: float) -> None:
    """In reverse order, so that the bidder does not see its endpoint go. A second Ctrl-C kills what is left."""
    interrupted: BaseException | None = None
    for program in reversed(programs):
        try:
            program.stop(0.0 if interrupted else grace_s)
        except KeyboardInterrupt as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted
