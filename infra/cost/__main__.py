"""The command line: `python -m infra.cost`.

The rule: every input of the bill is an option, with its default in the help; exit 0 with a bill, 2 with a sentence that
says what was wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import MISSING, Field, fields
from typing import Any

from infra.cost.bill import bill
from infra.cost.compute import PURCHASES, ways_to_bid, ways_to_score
from infra.cost.prices import PriceError, load
from infra.cost.report import document, table
from infra.cost.workload import Workload, WorkloadError

KINDS = {"int": int, "float": float, "str": str}


def main(arguments: list[str] | None = None) -> int:
    """Prints a bill and returns the exit code."""
    options = vars(_parser().parse_args(arguments))
    as_json, region = options.pop("json"), options.pop("region")
    bought = {name: options.pop(name) for name in ("platform", "purchase", "endpoint_purchase")}
    try:
        prices = load(region)
        workload = Workload(**{name: value for name, value in options.items() if value is not None})
        made = bill(workload, prices, **bought)
        show: Any = document if as_json else table
        shown = show(made, list(ways_to_bid(workload, prices)), list(ways_to_score(workload, prices)), prices)
    except (PriceError, WorkloadError) as error:
        print(f"python -m infra.cost: {error}", file=sys.stderr)
        return 2
    print(json.dumps(shown, indent=2) if as_json else shown, end="\n" if as_json else "")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.cost", description=__doc__.partition("\n")[0])
    parser.add_argument("--region", default="us-east-1", help="which price file (default: us-east-1)")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--platform", default="fargate-arm", help="fargate-arm, fargate-x86 or ec2-TYPE (fargate-arm)")
    parser.add_argument("--purchase", default="on-demand", choices=PURCHASES, help="of the bidder's compute")
    parser.add_argument(
        "--endpoint-purchase",
        default="on-demand",
        choices=[it for it in PURCHASES if it != "spot"],
        help="of the endpoint",
    )
    for item in fields(Workload):
        text = item.metadata["help"].replace("%", "%%")
        kind = KINDS[str(item.type)]
        parser.add_argument(f"--{item.name.replace('_', '-')}", type=kind, help=f"{text} ({_default(item)})")
    return parser


def _default(item: Field[Any]) -> str:
    return "as measured there" if item.default is MISSING else f"{item.default}"


if __name__ == "__main__":
    sys.exit(main())
