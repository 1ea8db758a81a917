"""Every command of every program says how it is used."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

PROGRAMS = ("bidder", "loadtest", "model", "sagemaker_local")


def help_of(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words, "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage:"), done.stdout
    return done.stdout


def commands(said: str) -> list[str]:
    """Those that a program's help lists, each on a line of its own."""
    _, _, listed = said.partition("COMMAND\n")
    return re.findall(r"^ {4}([a-z][a-z-]+)(?: |$)", listed, re.MULTILINE)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_has_help(program: str) -> None:
    listed = commands(help_of(program))
    assert listed
    for command in listed:
        assert f"{program} {command}" in help_of(program, command)
