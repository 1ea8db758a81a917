"""The findings of cdk-nag that are meant, each with its reason.

`AwsSolutions-IAM5` (wildcards) is not here: `identity.EXPLAINED_WILDCARDS` judges each statement, which is stricter.
Fix before you suppress. A suppression that meets no finding any more fails the checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Suppression:
    """Findings of `rule` ("AwsSolutions-S1") on constructs whose path below the stack matches the glob `path`."""

    rule: str
    path: str
    reason: str

    def covers(self, rule: str, construct_path: str) -> bool:
        """`construct_path` is the whole path, as in "bidder-dev-storage/Storage/Logs/Resource"."""
        return rule.partition("[")[0] == self.rule and fnmatchcase(construct_path.partition("/")[2], self.path)


# Grouped by construct.
SUPPRESSIONS: tuple[Suppression, ...] = (
    # network
    # storage
    # inference, training
    Suppression(
        "AwsSolutions-SF2",
        "*/StateMachine",
        "X-Ray is off by default in this project; the execution's history and its log of every event tell the same",
    ),
    # service on ECS, balancer, cache
    Suppression(
        "AwsSolutions-SMG4",
        "*Cache/*",
        "Rotated by deployment: a second generation of the password beside the first, then without it (infra/cache.py)."
        " A rotating function would need the right to change users and to restart the service.",
    ),
    Suppression(
        "AwsSolutions-SMG4",
        "*/PriceKeys",
        "An exchange gives these keys out; nothing here can make new ones. docs/secrets.md says how they are replaced.",
    ),
    Suppression(
        "AwsSolutions-SMG4",
        "*Task/ExplainToken/*",
        "A debugging token for dev, read by nothing that could follow a rotation; docs/secrets.md replaces it by hand.",
    ),
    Suppression(
        "AwsSolutions-AEC6",
        "*Cache/Profiles",
        "Callers are users with passwords and rights of their own (RBAC), not holders of the one AUTH token meant.",
    ),
    Suppression(
        "AwsSolutions-ECS2",
        "*Task/Definition",
        "The environment holds settings, which may be read; a test holds that secrets come from Secrets Manager.",
    ),
    Suppression(
        "AwsSolutions-AS3",
        "*Service/Instances/Group",
        "ECS counts these instances as tasks need them; Container Insights shows them, and nobody acts on one of them.",
    ),
    # service on EKS
    Suppression(
        rule="AwsSolutions-IAM4",
        path="*Eks/Role/Resource",
        reason="what a control plane needs changes with its versions: the EKS guide asks for this policy",
    ),
    # observability, audit, budget
)
