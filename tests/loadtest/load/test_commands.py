"""The commands, in processes of their own, against a server that costs nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.load.selftest import trivial_server

ROOT = Path(__file__).resolve().parents[3]
SHORT = ("--duration", "0.5", "--warm-up", "0.1", "--requests", "50", "--connections", "4", "--tmax-ms", "30000")


@pytest.fixture
def url() -> Iterator[str]:
    with trivial_server() as (address, _):
        yield address


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "loadtest", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_run_writes_what_it_measured(url: str, tmp_path: Path):
    """JSON and page have the same figures; every request that was due is in them."""
    files = ("--json", str(tmp_path / "made/r.json"), "--html", str(tmp_path / "r.html"))
    done = run("run", "--url", url, "--rate", "100", *SHORT, "--check-share", "0", *files)
    made = json.loads((tmp_path / "made/r.json").read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    assert (made["summary"]["due"], made["summary"]["no_bid"], made["settings"]["connections"]) == (50, 50, 4)
    assert made["summary"]["latency_ms"]["p99"] > 0
    assert "Load test: 100 requests/s, constant" in (tmp_path / "r.html").read_text()
    assert made["processes"] == {}  # the server has no metrics, and its process was not named


def test_a_broken_threshold_is_exit_code_1(url: str):
    """And named."""
    done = run("run", "--url", url, "--rate", "50", *SHORT, "--check-share", "0", "--threshold", "p50<0us")
    assert done.returncode == 1
    assert "BROKEN p50<0us" in done.stdout


def test_answers_that_break_rules_fail_a_run(url: str):
    """A broken request that gets a no-bid, where it was to be refused: found, as all answers are judged."""
    done = run("run", "--url", url, "--rate", "400", *SHORT, "--requests", "200", "--check-share", "1")
    assert done.returncode == 1
    assert "BROKEN violations==0" in done.stdout
    assert "expected refused" in " ".join(done.stdout.split())


def test_a_sweep_finds_a_rate_and_draws_it(url: str, tmp_path: Path):
    """With thresholds that every rate holds, the highest is the most that may be tried."""
    limits = ("--start-rate", "50", "--max-rate", "100", "--threshold", "errors<=100%", "--check-share", "0")
    files = ("--json", str(tmp_path / "s.json"), "--html", str(tmp_path / "s.html"))
    done = run("sweep", "--url", url, *SHORT, *limits, *files)
    made = json.loads((tmp_path / "s.json").read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    assert (made["holds"], made["breaks"], len(made["steps"])) == (100, None, 2)
    assert "Highest rate that holds: 100 requests/s" in (tmp_path / "s.html").read_text()


def test_the_self_test_tells_what_the_generator_costs():
    """Requests a CPU second and a ratio to a yardstick; how many is no matter of a test."""
    done = run("selftest", "--duration", "0.5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "requests a CPU second of the generator" in done.stdout
    assert "times orjson.loads" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--threshold", "p99"), "is no threshold"),
        (("--rate", "0"), "is not a number from"),
        (("--rate", "nan"), "is not a number from"),
        (("--profile", "steep"), "invalid"),
        (("--check-share", "2"), "is not a number from 0 to 1"),
    ],
)
def test_options_that_are_not_understood_end_with_2(arguments: tuple[str, ...], said: str):
    """What was wrong is on standard error."""
    done = run("run", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("address", "said"), [("http://127.0.0.1:1", "cannot connect"), ("https://bidder.example", "expected http://HOST")]
)
def test_a_bidder_that_cannot_be_reached_is_said(address: str, said: str):
    """In a sentence, with exit code 1."""
    done = run("run", "--url", address, *SHORT)
    assert done.returncode == 1
    assert said in " ".join(done.stdout.split())
    assert "Traceback" not in done.stderr
