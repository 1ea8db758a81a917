"""cdk-nag's AwsSolutions rules over a tree of constructs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cdk_nag import AwsSolutionsChecks
from constructs import IConstruct

from infra.suppressions import SUPPRESSIONS, Suppression


class Finding(NamedTuple):
    """`rule` with its detail, as in "AwsSolutions-IAM4[Policy::…]"; `path` of the construct, its stack first."""

    rule: str
    path: str
    text: str


def findings(scope: IConstruct) -> list[Finding]:
    """All that AwsSolutions says of `scope`, an app or a stack; but for wildcards, which `identity` judges."""
    report = AwsSolutionsChecks(scope).validate_scope(scope)
    return [
        Finding(violation.rule_name, construct.construct_path or "", violation.description)
        for violation in report.violations
        if not violation.rule_name.startswith("AwsSolutions-IAM5")
        for construct in violation.violating_resources
    ]


def unsuppressed(found: Sequence[Finding], suppressions: Sequence[Suppression] = SUPPRESSIONS) -> list[Finding]:
    """What nothing in `suppressions` is for."""
    return [each for each in found if not any(suppression.covers(each.rule, each.path) for suppression in suppressions)]


def stale(found: Sequence[Finding], suppressions: Sequence[Suppression] = SUPPRESSIONS) -> list[Suppression]:
    """The suppressions that meet none of what was `found`."""
    return [entry for entry in suppressions if not any(entry.covers(each.rule, each.path) for each in found)]
