"""The bidder's stacks for tests: on Fargate, on instances, and behind an ALB; synthesised once for all test modules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs

from infra import nag
from infra.balancer import Balancer
from infra.cache import Cache
from infra.ecs_service import EcsService
from infra.environments import DEV, PROD, Environment, FargateCapacity
from infra.task import PORT, BidderTask
from tests.infra.stacks import Bare, bare_stack

FARGATE = DEV
INSTANCES = PROD
APPLICATION = replace(
    DEV,
    name="application",
    balancer=replace(DEV.balancer, kind="application"),
    service=replace(DEV.service, capacity=FargateCapacity(on_demand_tasks=3, spot_weight=2)),
    cache=replace(DEV.cache, passwords=(1, 2)),
)
SIDE_CAR = ecs.CfnTaskDefinition.ContainerDefinitionProperty(
    name="collector",
    image="collector:1",
    essential=False,
    user="10001",
    readonly_root_filesystem=True,
    linux_parameters=ecs.CfnTaskDefinition.LinuxParametersProperty(
        capabilities=ecs.CfnTaskDefinition.KernelCapabilitiesProperty(drop=["ALL"])
    ),
    log_configuration=ecs.CfnTaskDefinition.LogConfigurationProperty(
        log_driver="awslogs", options={"awslogs-group": "collector", "awslogs-region": "us-east-1"}
    ),
)
EVENTS = "arn:aws:firehose:us-east-1:123456789012:deliverystream/events"


@dataclass(frozen=True)
class Built:
    """An environment, its template, and what cdk-nag finds beside the suppressed."""

    environment: Environment
    template: dict[str, Any]
    findings: list[nag.Finding]

    def all(self, kind: str) -> list[dict[str, Any]]:
        """The properties of every resource of `kind`."""
        return [found.get("Properties", {}) for found in self.template["Resources"].values() if found["Type"] == kind]

    def one(self, kind: str) -> dict[str, Any]:
        """The properties of the only resource of `kind`."""
        (found,) = self.all(kind)
        return found


@cache
def built() -> dict[str, Built]:
    """By what is special: "fargate" (dev), "instances" (prod), "application"; and "bare", which they stand on."""
    environments = {"fargate": FARGATE, "instances": INSTANCES, "application": APPLICATION}
    bare = bare_stack()
    stacks = {kind: _stack(bare, kind, environment) for kind, environment in environments.items()}
    assembly = bare.app.synth()
    of_kind = {
        kind: Built(
            environment=environments[kind],
            template=assembly.get_stack_by_name(stack.stack_name).template,
            findings=nag.unsuppressed(nag.findings(stack)),
        )
        for kind, stack in stacks.items()
    }
    return {**of_kind, "bare": Built(DEV, assembly.get_stack_by_name(bare.stack.stack_name).template, [])}


def _stack(bare: Bare, kind: str, environment: Environment) -> cdk.Stack:
    stack = cdk.Stack(bare.app, f"Bidder-{kind}", env=cdk.Environment(region="us-east-1"))
    shared = Cache(
        stack,
        "Cache",
        name=environment.name,
        sizes=environment.cache,
        vpc=bare.vpc,
        subnets=bare.vpc.isolated_subnets,
        key=bare.key,
    )
    balancer = Balancer(
        stack,
        "Balancer",
        name=environment.name,
        sizes=environment.balancer,
        vpc=bare.vpc,
        subnets=bare.vpc.public_subnets,
        port=PORT,
        log_bucket=bare.bucket,
    )
    task = BidderTask(
        stack,
        "Task",
        name=environment.name,
        sizes=environment.service,
        settings=environment.bidder,
        repository=ecr.Repository.from_repository_name(stack, "Images", "rtb/bidder"),
        key=bare.key,
        endpoint_name="Bidder-Endpoint",
        documents_bucket=bare.bucket,
        state_url=shared.reader_url,
        event_stream_arn=EVENTS if kind == "application" else "",
        side_cars=[SIDE_CAR] if kind == "instances" else [],
    )
    service = EcsService(
        stack,
        "Service",
        name=environment.name,
        sizes=environment.service,
        settings=environment.bidder,
        vpc=bare.vpc,
        subnets=bare.vpc.isolated_subnets,
        endpoint_security_group=bare.security_group,
        task=task,
        balancer=balancer,
        key=bare.key,
        rollback_alarms=["deadline-misses"] if kind == "application" else [],
    )
    shared.allow_from(service.security_group)
    return stack
