"""The micro-benchmarks can be run. What they find depends on the machine, so it decides nothing here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_subject_is_measured_beside_the_yardsticks() -> None:
    """In a process of its own, as `make microbench` does; by name, so that it is quick."""
    command = [sys.executable, "-m", "tests.benchmarks", "--json", "scores, 10 times", "price"]
    measured = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert measured.returncode in (0, 1), measured.stderr
    results = json.loads(measured.stdout)["results"]
    assert results.keys() == {"scores, 10 times", "price"}
    assert all(value > 0 for each in results.values() for value in each.values())
    reference = json.loads((ROOT / "tests" / "benchmarks" / "reference.json").read_bytes())
    assert results.keys() <= reference["ratios"].keys()
