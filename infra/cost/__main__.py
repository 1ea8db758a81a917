"""The command line: `python -m infra.cost`.

The rule: every input of the bill is an option, with its default in the help; exit 0 with a bill, 2 with a sentence that
says what was wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import MISSING, Field, fields, replace
from typing import Any

from infra.cost.bill import bill
from infra.cost.compute import PURCHASES, ways_to_bid, ways_to_score
from infra.cost.environment import bought_as, workload
from infra.cost.prices import PriceError, load
from infra.cost.report import document, table
from infra.cost.workload import Workload, WorkloadError
from infra.environments import ENVIRONMENTS

KINDS = {"int": int, "float": float, "str": str}


def main(arguments: list[str] | None = None) -> int:
    """Prints a bill and returns the exit code."""
    options = vars(_parser().parse_args(arguments))
    as_json, region, name = options.pop("json"), options.pop("region"), options.pop("environment")
    bought = {option: options.pop(option) for option in ("platform", "purchase", "endpoint_purchase")}
    given = {option: value for option, value in options.items() if value is not None}
    try:
        prices = load(region or (ENVIRONMENTS[name].region if name else "us-east-1"))
        demand = replace(workload(ENVIRONMENTS[name]), **given) if name else Workload(**given)
        bought["platform"] = bought["platform"] or (bought_as(ENVIRONMENTS[name]) if name else "fargate-arm")
        made = bill(demand, prices, **bought)
        show: Any = document if as_json else table
        shown = show(made, list(ways_to_bid(demand, prices)), list(ways_to_score(demand, prices)), prices)
    except (PriceError, WorkloadError) as error:
        print(f"python -m infra.cost: {error}", file=sys.stderr)
        return 2
    print(json.dumps(shown, indent=2) if as_json else shown, end="\n" if as_json else "")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.cost", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--environment", choices=ENVIRONMENTS, help="start from its sizes in place of the defaults below"
    )
    parser.add_argument("--region", help="which price file (the environment's, or us-east-1)")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--platform", help="fargate-arm, fargate-x86 or ec2-TYPE (the environment's, or fargate-arm)")
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
