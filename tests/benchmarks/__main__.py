"""What the stages of a bid cost, as ratios within one run.

    python -m tests.benchmarks             # the table; exits 1 where something has become dearer
    python -m tests.benchmarks --json      # the same as JSON
    python -m tests.benchmarks --write     # writes reference.json anew: after a change that is meant

The rule: no absolute time decides. A cost is divided by that of a yardstick which is measured in turn with it, the
least of many repeats each. What seems dearer than the reference by more than a quarter is measured again, several
times, before it is called so; on another version of Python than the reference's nothing is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.measure import Cost, Measure
from tests.benchmarks.subjects import subjects

REFERENCE = Path(__file__).with_name("reference.json")
TOLERANCE = 1.25
RETRIES = 6
PYTHON = ".".join(map(str, sys.version_info[:2]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--write", action="store_true", help="write reference.json anew")
    parser.add_argument("only", nargs="*", help="names of subjects; all if none is given")
    arguments = parser.parse_args()
    measure = Measure()
    chosen = {name: run for name, run in subjects().items() if not arguments.only or name in arguments.only}
    costs = {name: measure.cost(run) for name, run in chosen.items()}
    reference = json.loads(REFERENCE.read_bytes()) if REFERENCE.exists() else {"python": PYTHON, "ratios": {}}
    if arguments.write:
        ratios = reference["ratios"] | {name: round(cost.ratio, 3) for name, cost in costs.items()}
        REFERENCE.write_text(json.dumps({"python": PYTHON, "ratios": ratios}, indent=2) + "\n")
        return 0
    dearer = _dearer(chosen, costs, reference["ratios"], measure)
    print(_as_json(costs, dearer) if arguments.json else _as_table(costs, reference["ratios"]))
    for name in dearer:
        said = f"{name}: {costs[name].ratio:.2f} yardsticks, in reference.json {reference['ratios'][name]:.2f}"
        print(said, file=sys.stderr)
    if dearer and reference["python"] != PYTHON:
        print(f"the reference is Python {reference['python']}'s, this is {PYTHON}: not a failure", file=sys.stderr)
        return 0
    return 1 if dearer else 0


def _dearer(
    chosen: Mapping[str, Callable[[], None]],
    costs: dict[str, Cost],
    reference: Mapping[str, float],
    measure: Measure,
) -> list[str]:
    """The subjects that stay dearer than the reference allows, however often they are measured."""
    found = []
    for name, run in chosen.items():
        limit = reference.get(name, float("inf")) * TOLERANCE
        for _ in range(RETRIES):
            if costs[name].ratio <= limit:
                break
            costs[name] = min(costs[name], measure.cost(run), key=lambda cost: cost.ratio)
        else:
            found.append(name)
    return found


def _as_json(costs: Mapping[str, Cost], dearer: list[str]) -> str:
    results = {name: asdict(cost) for name, cost in costs.items()}
    return json.dumps({"python": PYTHON, "results": results, "dearer": dearer}, indent=2)


def _as_table(costs: Mapping[str, Cost], reference: Mapping[str, float]) -> str:
    lines = [f"{'':22} {'µs':>8} {'to loads':>8} {'to yardstick':>12} {'reference':>10}"]
    for name, cost in costs.items():
        known = f"{reference[name]:.2f}" if name in reference else ""
        lines.append(f"{name:22} {cost.us:8.2f} {cost.loads:8.2f} {cost.ratio:12.2f} {known:>10}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
