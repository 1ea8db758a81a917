"""What observes the bidder, synthesised once for all test modules: production sizes on ECS, the smallest on EKS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs

from infra import nag
from infra.alarms import Watched
from infra.audit import Audit
from infra.budget import Budget
from infra.environments import DEV, PROD, Environment
from infra.metrics_collector import MetricsCollector
from infra.observability import Observability
from tests.infra.stacks import Bare, bare_stack, resources_of, template_of

WATCHED = Watched(
    endpoint_name="bidder-endpoint",
    variant_names=("champion", "challenger"),
    balancer="net/bidder/0123456789abcdef",
    target_group="targetgroup/bidder/0123456789abcdef",
    cache_nodes=("bidder-001", "bidder-002", "bidder-003"),
)
ALONE = Watched(endpoint_name="bidder-endpoint", variant_names=("champion",))


@dataclass(frozen=True)
class Observed:
    """An environment and the template of what observes it."""

    environment: Environment
    template: dict[str, Any]
    findings: list[nag.Finding]

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of every resource of `kind`, by logical id."""
        return {name: found["Properties"] for name, found in resources_of(self.template, kind).items()}

    def one(self, kind: str) -> dict[str, Any]:
        (found,) = self.all(kind).values()
        return found

    def named(self, kind: str, part: str) -> dict[str, Any]:
        """The properties of the resource of `kind` whose logical id begins with `part`."""
        (found,) = (properties for name, properties in self.all(kind).items() if name.startswith(part))
        return found

    def alarms(self) -> dict[str, dict[str, Any]]:
        """Alarms of both kinds, by their names without the service's."""
        found = {**self.all("AWS::CloudWatch::Alarm"), **self.all("AWS::CloudWatch::CompositeAlarm")}
        return {alarm["AlarmName"].removeprefix(f"bidder-{self.environment.name}-"): alarm for alarm in found.values()}


@cache
def observed() -> dict[str, Observed]:
    """By platform: "ecs" is production, "eks" is dev with nothing around it."""
    found = {}
    for platform, environment, watched in (("ecs", PROD, WATCHED), ("eks", DEV, ALONE)):
        bare = bare_stack()
        _build(bare, platform, environment, watched)
        found[platform] = Observed(environment, template_of(bare.stack), bare.findings())
    return found


def _build(bare: Bare, platform: str, environment: Environment, watched: Watched) -> None:
    stack, name, sizes = bare.stack, environment.name, environment.observability
    seen = Observability(
        stack,
        "Observability",
        name=name,
        region=environment.region,
        sizes=sizes,
        watched=watched,
        log_group=logs.CfnLogGroup(stack, "BareLogs", log_group_name=f"/bidder-{name}/service"),
        ecs=(f"bidder-{name}", f"bidder-{name}") if platform == "ecs" else None,
        eks_cluster=f"bidder-{name}" if platform == "eks" else None,
    )
    Audit(stack, "Audit", name=name, sizes=environment.audit, models=bare.bucket, access_log_bucket=bare.bucket)
    Budget(stack, "Budget", name=name, sizes=environment.budget, topic=seen.topic)
    collector = MetricsCollector(
        stack,
        "Collector",
        name=name,
        sizes=sizes.collector,
        exchanges=sizes.exchanges,
        repository=ecr.Repository.from_repository_name(stack, "Images", f"rtb-{name}/collector"),
        key=bare.key,
        on_instances=platform == "ecs",
    )
    task = ecs.CfnTaskDefinition(
        stack,
        "BareTask",
        container_definitions=[collector.container],
        family="bare",
        network_mode="awsvpc",
        requires_compatibilities=["EC2" if platform == "ecs" else "FARGATE"],
    )
    task.node.add_dependency(collector)
    tasks = iam.ServicePrincipal("ecs-tasks.amazonaws.com")
    collector.let_publish(iam.Role(stack, "BareTaskRole", assumed_by=tasks))
    collector.let_start(iam.Role(stack, "BareExecutionRole", assumed_by=tasks))


def metrics_of(found: Any) -> Iterator[dict[str, Any]]:
    """Every metric in a template's alarms: namespace, name, dimensions and statistic, by their names there."""
    if isinstance(found, dict):
        if "MetricName" in found and "Namespace" in found:
            yield found
        for value in found.values():
            yield from metrics_of(value)
    elif isinstance(found, list):
        for value in found:
            yield from metrics_of(value)
