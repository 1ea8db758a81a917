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
    # service on ECS, balancer, cache
    # service on EKS
    # observability, audit, budget
)
