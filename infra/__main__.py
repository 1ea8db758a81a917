"""Every environment on every platform, written and checked without an account.

python -m infra synth [DIRECTORY]    templates, in DIRECTORY/dev-ecs and so on (cdk.out)
python -m infra check                what is wrong with them, a line each; status 1 if anything is
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from infra import checks
from infra.synthesis import Composition, synthesise_all


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra", description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    synth = commands.add_parser("synth", help="write the templates")
    synth.add_argument("directory", nargs="?", type=Path, default=Path("cdk.out"))
    commands.add_parser("check", help="say what is wrong with them")
    options = parser.parse_args(arguments)
    if options.command == "synth":
        for composition in synthesise_all(options.directory):
            print(summary(composition))
        return 0
    with tempfile.TemporaryDirectory() as directory:
        return check(Path(directory))


def check(directory: Path) -> int:
    """Synthesises into `directory`, says what is wrong, and returns the exit status."""
    compositions = list(synthesise_all(directory))
    found = [problem for composition in compositions for problem in checks.problems(composition)]
    found += [f"not needed any more: {entry}" for entry in checks.stale(compositions)]
    found += checks.lint(checks.distinct(compositions))
    for composition in compositions:
        print(summary(composition))
    for problem in found:
        print(problem)
    return 1 if found else 0


def summary(composition: Composition) -> str:
    """One line: the stacks, and how many resources each has."""
    stacks = (f"{name} {len(template['Resources'])}" for name, template in composition.templates.items())
    return f"{composition.name}: {', '.join(stacks)} resources"


if __name__ == "__main__":
    sys.exit(main())
