"""Grants that give nothing: an action that does not exist, or on a resource that it is never asked about.

A policy with such a statement looks right, deploys, and refuses when it is needed. What belongs together is in the
service authorization reference, as cfn-lint brings it along (which does not tell a bucket from its objects). Pure,
over synthesised templates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from infra.statements import Statement, Template, statements

ROLES = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::Role")


def idle_grants(template: Template) -> list[str]:
    """Actions that none of their statement's resources is for, and the other way round.

    A `*`, in an action or as a resource, and a resource that is but a reference may be anything.
    """
    return [
        f"{statement.logical_id}: {each}"
        for statement in statements(template)
        if statement.allows and not statement.inverted and statement.resource_type in ROLES and statement.resources
        for each in _idle(statement)
    ]


def _idle(statement: Statement) -> Iterator[str]:
    patterns = {action: _patterns(action) for action in statement.actions if "*" not in action}
    plain = [each for each in statement.resources if each != "*" and not each.startswith("${")]
    for action, of_action in patterns.items():
        if of_action is None:
            yield f"{action} does not exist"
        elif len(plain) == len(statement.resources) and not any(_fits(of_action, each) for each in plain):
            yield f"{action} is never asked about {', '.join(plain)}"
    if len(patterns) == len(statement.actions):
        for resource in plain:
            if not any(_fits(of_action or [], resource) for of_action in patterns.values()):
                yield f"{resource} is never what {', '.join(patterns)} is asked about"


def _fits(patterns: Sequence[str], resource: str) -> bool:
    return any(re.fullmatch(pattern, resource) for pattern in patterns)


def _patterns(action: str) -> list[str] | None:
    """Of the ARNs that `action` may be asked about, none if it has no resources; None: it does not exist."""
    service, _, name = action.partition(":")
    known = _reference().get(service, {"Actions": {}, "Resources": {}})
    entry = known["Actions"].get(name.lower())
    if entry is None:
        return None
    arns = {kind.lower(): values["ARNFormats"] for kind, values in known["Resources"].items()}
    return [re.sub(r"\$\{\w+\}", ".*", arn) for kind in entry.get("Resources", []) for arn in arns[kind.lower()]]


@cache
def _reference() -> dict[str, Any]:
    text = files("cfnlint.data.AdditionalSpecs").joinpath("Policies.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
