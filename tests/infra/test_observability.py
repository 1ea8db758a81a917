"""Alarms, dashboard, log filters, the audit trail and the budget, as CloudFormation would get them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_logs as logs

from infra import nag
from infra.alarms import Watched
from infra.audit import Audit
from infra.budget import Budget
from infra.environments import PROD
from infra.metrics_collector import MetricsCollector
from infra.observability import Observability
from tests.infra.stacks import Bare, resources_of

WATCHED = Watched(
    endpoint_name="bidder-endpoint",
    variant_names=("champion", "challenger"),
    balancer="net/bidder-prod/0123456789abcdef",
    target_group="targetgroup/bidder-prod/0123456789abcdef",
    cache_nodes=("bidder-prod-001", "bidder-prod-002"),
)


@dataclass(frozen=True)
class Seen:
    """The production sizes in a bare stack."""

    template: dict[str, Any]
    findings: list[nag.Finding]
    alarm_names: dict[str, str]

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: found["Properties"] for name, found in resources_of(self.template, kind).items()}

    def one(self, kind: str) -> dict[str, Any]:
        (found,) = self.all(kind).values()
        return found


@pytest.fixture(scope="module")
def seen(bare: Bare) -> Seen:
    stack = bare.stack
    log_group = logs.CfnLogGroup(stack, "BareLogs", log_group_name="/bidder-prod/service")
    observed = Observability(
        stack,
        "Observability",
        name="prod",
        region=PROD.region,
        sizes=PROD.observability,
        watched=WATCHED,
        log_group=log_group,
        ecs=("bidder-prod", "bidder-prod"),
    )
    Audit(stack, "Audit", name="prod", sizes=PROD.audit, models=bare.bucket, access_log_bucket=bare.bucket)
    Budget(stack, "Budget", name="prod", sizes=PROD.budget, topic=observed.topic)
    MetricsCollector(
        stack,
        "Collector",
        name="prod",
        sizes=PROD.observability.collector,
        exchanges=PROD.observability.exchanges,
        repository=ecr.Repository.from_repository_name(stack, "Images", "rtb-prod/collector"),
        key=bare.key,
    )
    return Seen(bare.template(), bare.findings(), {})


def test_nothing_is_left_that_cdk_nag_finds(seen: Seen) -> None:
    """AwsSolutions over all of it."""
    assert seen.findings == []
