"""A bench of a second or so, with all its processes: its counts fit together. Nothing is asserted of speed."""

from __future__ import annotations

import json
import os
import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from loadtest.bench.command import bench, can_capture
from loadtest.bench.contest import Effort
from loadtest.bench.cores import Cores, CoresError, at_work, cpu_s, on_cores, yardstick_us
from loadtest.bench.figures import SYSTEMS, Scenario

linux = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be kept on a core here")
two_cores = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="this machine has one core"
)


@linux
@two_cores
def test_a_small_bench_adds_up(tmp_path: Path):
    """Both systems answer with bids, without a failure, and the figures follow from the counts."""
    effort = Effort(pairs=2, seconds=0.6, warm_up_s=0.2, requests=150, in_flight=4, model_ms=1)
    kept, table, said = tmp_path / "bench.json", tmp_path / "bench.md", StringIO()
    before = os.sched_getaffinity(0)
    chosen = [Scenario(60), Scenario(60, 8), Scenario(60, bids_only=True)]
    code = bench(Console(file=said, width=120), chosen, effort, kept, table)
    assert code == 0, said.getvalue()
    assert os.sched_getaffinity(0) == before
    document = json.loads(kept.read_bytes())
    assert [contest["scenario"]["imps"] for contest in document["contests"]] == [None, 8, None]
    for contest in document["contests"]:
        assert len(contest["pairs"]) == 2
        for pair in contest["pairs"]:
            for system in SYSTEMS:
                turn = pair[system]
                assert turn["system"] == system
                assert 0 < turn["bids"] <= turn["answers"]
                assert turn["failures"] == {}
                assert turn["half_rate"] == pytest.approx(turn["per_s"] / 2)
                assert turn["answers"] >= turn["per_s"] * effort.seconds
                assert 0 < turn["model_p50_ms"] < turn["p50_ms"] <= turn["p99_ms"]
                assert turn["model_p50_ms"] <= turn["model_p99_ms"]
                assert turn["yardstick_us"] > 0
            per_answer = {system: pair[system]["cpu_s"] / pair[system]["answers"] for system in SYSTEMS}
            assert pair["ratio"] == pytest.approx(per_answer["baseline"] / per_answer["bidder"])
    assert document["contests"][1]["median_bytes"] > document["contests"][0]["median_bytes"]
    assert all(pair["bidder"]["bids"] == pair["bidder"]["answers"] for pair in document["contests"][2]["pairs"])
    assert table.read_text().count("bidder") == 3


@linux
@two_cores
def test_a_tap_sees_what_the_generator_sees(tmp_path: Path):
    """Every bid of the half load, in less time than the generator saw pass, and a call within it."""
    effort = Effort(pairs=1, seconds=0.6, warm_up_s=0.2, requests=150, in_flight=4, model_ms=1, tap=True)
    kept, said = tmp_path / "bench.json", StringIO()
    assert bench(Console(file=said, width=120), [Scenario(60)], effort, kept, None) == 0, said.getvalue()
    if "without a tap" in said.getvalue():
        pytest.skip(said.getvalue())
    (pair,) = json.loads(kept.read_bytes())["contests"][0]["pairs"]
    for system in SYSTEMS:
        turn = pair[system]
        tap = turn["tap"]
        assert tap["bids"] == pytest.approx(
            turn["half_rate"] * effort.seconds * turn["bids"] / turn["answers"], rel=0.5
        )
        assert 0 < tap["inner_p50_ms"] < tap["outer_p50_ms"] < turn["p50_ms"]
        assert 0 < tap["least_p50_ms"] <= tap["most_p50_ms"] < tap["outer_p50_ms"]
        assert tap["alone"] == 0


def test_the_tap_is_asked_for_and_does_without(monkeypatch: pytest.MonkeyPatch):
    """Where nothing can be captured the reason is said, before anything is measured."""
    monkeypatch.setenv("PATH", "/nowhere")
    said = StringIO()
    assert not can_capture(Console(file=said, width=120))
    assert "no tap: tcpdump cannot be started: No such file or directory" in said.getvalue()


def test_one_core_is_not_enough():
    """The reason is said."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("processes cannot be kept on a core here")
    with on_cores(frozenset({min(os.sched_getaffinity(0))})), pytest.raises(CoresError, match="two cores"):
        Cores.choose()


@linux
def test_cpu_time_is_that_of_the_process():
    """The kernel's clock of this process runs with the interpreter's own."""
    first, now_s, last = cpu_s(os.getpid()), time.process_time(), cpu_s(os.getpid())
    assert first <= now_s <= last


@linux
@two_cores
def test_the_yardstick_is_of_all_bodies_and_leaves_the_core_again():
    """Longer bodies take more time; afterwards this process may run where it could before."""
    before = os.sched_getaffinity(0)
    short, long = [b'{"a":1}'] * 50, [b"[" + b",".join([b'{"a":1}'] * 400) + b"]"] * 50
    cores = Cores.choose()
    assert yardstick_us(short, cores) < yardstick_us(long, cores)
    assert os.sched_getaffinity(0) == before


@linux
def test_neighbours_work_while_the_yardstick_is_taken_and_not_after():
    """A process for each core that is to be busy spends CPU time there, and is gone at the end."""
    core = min(os.sched_getaffinity(0))
    with at_work(frozenset({core})) as (child,):
        assert os.sched_getaffinity(child) == {core}
        before_s = cpu_s(child)
        until_s = time.monotonic() + 30
        while cpu_s(child) <= before_s and time.monotonic() < until_s:
            time.sleep(0.01)
        assert cpu_s(child) > before_s
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
