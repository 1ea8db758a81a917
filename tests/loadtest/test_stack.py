"""Starting and ending the processes: ready in order, clear when one fails, none left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from loadtest.program import Program, ProgramError
from loadtest.scrape import get
from loadtest.stack import Commands, Ports, running

PATIENCE_S = 60.0
ROOT = Path(__file__).resolve().parents[2]


def until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {PATIENCE_S:g} s in vain: {what}"
        time.sleep(0.02)


def listens(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def seen_by(url: str) -> tuple[list[str], dict[str, str]]:
    """The arguments and the environment that a stand-in was started with."""
    facts = json.loads(get(url + "/")[1])
    return facts["arguments"], facts["environment"]


@pytest.fixture
def commands(stand_ins) -> Commands:
    return Commands(stand_ins.server(), stand_ins.server(), stand_ins.server())


def test_each_program_is_told_of_the_one_before(commands: Commands, tmp_path: Path):
    """The model gets its folder, SageMaker the model's address, the bidder SageMaker's and the local credentials."""
    with running(tmp_path / "model", commands=commands) as stack:
        arguments, _ = seen_by(stack.model_url)
        assert arguments == ["--model-dir", str(tmp_path / "model"), "--host", "127.0.0.1", "--port", "0"]
        arguments, _ = seen_by(stack.sagemaker_url)
        assert arguments == ["--port", "0", "--endpoint", f"rtb-demo={stack.model_url}"]
        _, environment = seen_by(stack.bidder_url)
        assert environment["BIDDER_ENDPOINT_URL"] == stack.sagemaker_url
        assert environment["BIDDER_PORT"] == "0"
        assert environment["AWS_ACCESS_KEY_ID"] == "AKIDLOCAL"


def test_the_callers_aws_settings_stay_outside(commands: Commands, tmp_path: Path):
    """No profile, token or endpoint of the caller's reaches a program; other variables do."""
    environment = {**os.environ, "AWS_PROFILE": "prod", "AWS_SESSION_TOKEN": "t", "BIDDER_LOG_LEVEL": "debug"}
    with running(tmp_path, commands=commands, environment=environment) as stack:
        _, seen = seen_by(stack.bidder_url)
        assert "AWS_PROFILE" not in seen
        assert "AWS_SESSION_TOKEN" not in seen
        assert seen["BIDDER_LOG_LEVEL"] == "debug"


def test_all_programs_end_with_the_block(commands: Commands, tmp_path: Path):
    """After the block every program has exited, and none was killed."""
    with running(tmp_path, commands=commands) as stack:
        assert all(program.process.poll() is None for program in stack.programs)
    assert [program.process.returncode for program in stack.programs] == [0, 0, 0]


def test_all_programs_end_with_an_exception(commands: Commands, tmp_path: Path):
    """An exception inside the block ends the programs and goes on."""
    with pytest.raises(RuntimeError, match="on purpose"), running(tmp_path, commands=commands) as stack:
        raise RuntimeError("on purpose")
    assert all(program.process.returncode == 0 for program in stack.programs)


def test_a_program_that_dies_at_once_is_named_with_its_last_words(stand_ins, tmp_path: Path):
    """The error has the program's name, exit code and output; the programs before it are ended."""
    dying = stand_ins.script("import sys; print('catalog.json: not there', file=sys.stderr); sys.exit(3)")
    commands = Commands(stand_ins.server(), stand_ins.server(), dying)
    with pytest.raises(ProgramError, match="exit code 3") as caught, running(tmp_path, commands=commands):
        pass
    assert str(caught.value).startswith("bidder ended")
    assert "| catalog.json: not there" in str(caught.value)
    assert len(stand_ins.pids) == 2
    for pid in stand_ins.pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_program_that_does_not_exist_is_named(tmp_path: Path):
    """A command that cannot be run says so."""
    program = Program("model", ["/no/such/program"], os.environ)
    try:
        with pytest.raises(ProgramError, match="/no/such/program: No such file"):
            program.wait_until_ready("/ping", time.monotonic() + PATIENCE_S)
    finally:
        program.stop(PATIENCE_S)


def test_a_program_that_is_not_ready_in_time_is_named_with_its_answer(stand_ins):
    """The error has what the readiness page last answered."""
    program = Program("bidder", stand_ins.server(ready=503), os.environ)
    try:
        until(lambda: program.url != "", "the stand-in says where it listens")
        with pytest.raises(ProgramError, match="GET /readyz answered 503"):
            program.wait_until_ready("/readyz", time.monotonic() + 0.3)
    finally:
        program.stop(PATIENCE_S)


def test_a_program_that_never_listens_is_named(stand_ins):
    """A program that runs but does not say where it listens is given up at the deadline."""
    program = Program("model", stand_ins.script("import time; time.sleep(600)"), os.environ)
    try:
        with pytest.raises(ProgramError, match="did not say where it listens"):
            program.wait_until_ready("/ping", time.monotonic() + 0.1)
    finally:
        program.stop(PATIENCE_S)


def test_a_program_that_ignores_sigterm_is_killed(stand_ins):
    """After the grace it is killed."""
    program = Program("bidder", stand_ins.server(stubborn=True), os.environ)
    program.wait_until_ready("/readyz", time.monotonic() + PATIENCE_S)
    program.stop(grace_s=0.05)
    assert program.process.returncode == -signal.SIGKILL


def test_every_line_is_shown(stand_ins):
    """What a program prints goes to `show`, with its name."""
    lines: list[tuple[str, str]] = []
    program = Program("model", stand_ins.server(), os.environ, lambda *line: lines.append(line))
    program.wait_until_ready("/ping", time.monotonic() + PATIENCE_S)
    program.stop(PATIENCE_S)
    assert lines[0] == ("model", "some news first")


def test_a_taken_port_is_said_before_anything_starts(commands: Commands, stand_ins, tmp_path: Path):
    """The message has the port and the program that wanted it; nothing was started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(ProgramError, match=f"port {port} on 127.0.0.1, which sagemaker_local would take"),
            running(tmp_path, commands=commands, ports=Ports(sagemaker_local=port)),
        ):
            pass
    assert stand_ins.pids == []


PARENT = """
import pathlib, sys, time
from loadtest.__main__ import heed_signals
from loadtest.stack import Commands, running
heed_signals()
with running(pathlib.Path("."), commands=Commands({model}, {sagemaker}, {bidder})) as stack:
    print(stack.model_url, stack.sagemaker_url, stack.bidder_url, flush=True)
    while True:  # not one long sleep: a signal just before it would be heeded after it
        time.sleep(0.1)
"""


def start_parent(commands: Commands) -> tuple[subprocess.Popen[str], Sequence[str]]:
    """Another process with a stack of its own, and the three addresses."""
    source = PARENT.format(model=commands.model, sagemaker=commands.sagemaker_local, bidder=commands.bidder)
    parent = subprocess.Popen(
        [sys.executable, "-c", source], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    return parent, parent.stdout.readline().split()


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        signal.SIGTERM,
        pytest.param(
            signal.SIGKILL,
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death"),
        ),
    ],
)
def test_no_program_outlives_its_parent(commands: Commands, number: signal.Signals):
    """After Ctrl-C and SIGTERM, and on Linux after kill -9, nothing listens any more."""
    parent, urls = start_parent(commands)
    try:
        assert len(urls) == 3
        assert all(listens(url) for url in urls)
        parent.send_signal(number)
        parent.wait(PATIENCE_S)
        until(lambda: not any(listens(url) for url in urls), "all three programs end")
    finally:
        parent.kill()
        parent.wait()
        assert parent.stdout is not None
        parent.stdout.close()
