"""The command line, in processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.traffic import requests

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadtest", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_help_names_the_commands():
    """--help lists what can be done, with examples."""
    done = run("--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("demo", "serve", "traffic", "examples:"))


def test_traffic_goes_to_a_file_line_by_line(tmp_path: Path):
    """The file has the very bodies that the generator makes, one a line."""
    out = tmp_path / "requests.jsonl"
    assert run("traffic", "--count", "30", "--seed", "7", "--valid-only", "--out", str(out)).returncode == 0
    assert out.read_bytes().splitlines() == [case.body for case in requests(7, 30, valid_only=True)]


def test_traffic_goes_to_standard_output():
    """Without --out the requests are printed."""
    done = run("traffic", "--count", "2", "--seed", "7", "--valid-only")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [case.id for case in requests(7, 2)]


def test_a_reader_that_leaves_is_no_error():
    """`traffic | head` ends without a word."""
    command = [sys.executable, "-m", "loadtest", "traffic", "--count", "5000", "--seed", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "status"),
    [((), 2), (("traffic", "--count", "none", "--seed", "1"), 2), (("demo", "--requests", "0"), 2), (("play",), 2)],
)
def test_a_command_that_is_not_understood_ends_with_2(arguments: tuple[str, ...], status: int):
    """What was wrong is on standard error."""
    done = run(*arguments)
    assert done.returncode == status
    assert "usage:" in done.stderr


def test_a_file_that_cannot_be_written_is_named():
    """The path and the reason are on standard error."""
    done = run("traffic", "--count", "1", "--seed", "1", "--out", "/no/such/folder/file")
    assert done.returncode == 1
    assert "/no/such/folder/file: No such file or directory" in done.stderr
