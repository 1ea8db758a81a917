"""The command line: `python -m infra.leftovers ENVIRONMENT [--region REGION ...]`.

The rule: exit 0 when nothing is left but what goes by itself, 1 when something is, 2 when the options were not
understood or there are no credentials, 3 when something could not be looked at: that is not clean.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

import boto3
from botocore.exceptions import BotoCoreError, ProfileNotFound

from infra.environments import ENVIRONMENTS
from infra.leftovers.search import Found, Search

PROJECT = "rtb-bidder"
NAMES = ("bidder", "rtb")  # what names of the project's resources begin with, before the environment's
CLEAN, LEFT, MISUNDERSTOOD, UNSEEN = 0, 1, 2, 3
MOST_SHOWN = 20  # of a kind


def main(arguments: list[str] | None = None) -> int:
    """Looks, prints what is left, and returns the exit code."""
    options = _parser().parse_args(arguments)
    regions = options.region or [ENVIRONMENTS[options.environment].region]
    try:
        session = boto3.Session(profile_name=options.profile)
        if session.get_credentials() is None:
            print("python -m infra.leftovers: no AWS credentials; see --profile", file=sys.stderr)
            return MISUNDERSTOOD
        tags = {"project": PROJECT, "environment": options.environment}
        search = Search(session, [f"{name}-{options.environment}" for name in NAMES], tags)
        search.look(regions)
    except (ProfileNotFound, BotoCoreError) as error:
        print(f"python -m infra.leftovers: {error}", file=sys.stderr)
        return MISUNDERSTOOD
    print(_json(search) if options.json else _table(search))
    if search.unseen:
        return UNSEEN
    return LEFT if any(not found.gone for found in search.found) else CLEAN


def _json(search: Search) -> str:
    return json.dumps({"found": [asdict(it) for it in search.found], "unseen": [asdict(it) for it in search.unseen]})


def _table(search: Search) -> str:
    lines = [f"{'region':<12}{'kind':<20}{'costs':<22}what"]
    by_kind: dict[tuple[str, str], list[Found]] = {}
    for found in search.found:
        by_kind.setdefault((found.region, found.kind), []).append(found)
    for (region, kind), all_found in by_kind.items():
        for found in all_found[:MOST_SHOWN]:
            cost = f"gone on {found.gone}" if found.gone else found.cost
            lines.append(f"{region:<12}{kind:<20}{cost:<22}{found.id}")
        if len(all_found) > MOST_SHOWN:
            lines.append(f"{region:<12}{kind:<20}{'':<22}and {len(all_found) - MOST_SHOWN} more")
    lines += [f"{it.region:<12}{it.kind:<20}{'NOT LOOKED AT':<22}{it.why}" for it in search.unseen]
    going = sum(bool(found.gone) for found in search.found)
    lines.append(f"{len(search.found) - going} left, {going} going by themselves, {len(search.unseen)} not looked at")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.leftovers", description="What a deployment left behind.")
    parser.add_argument("environment", choices=sorted(ENVIRONMENTS))
    parser.add_argument("--region", action="append", help="any number of them; default: the environment's own")
    parser.add_argument("--profile", help="of the AWS configuration; default: the usual chain")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
