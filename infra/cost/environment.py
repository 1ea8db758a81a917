"""What an environment is expected to cost: its sizes, under the load that it is meant for.

The rule kept here: every size comes from `infra.environments`; the load that nobody has seen yet is named here, once,
and docs/deployment.md sizes `prod` for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.cost.bill import Bill, bill
from infra.cost.compute import EC2_VCPUS
from infra.cost.prices import load as load_prices
from infra.cost.workload import Workload, WorkloadError
from infra.environments import Environment, InferenceSizes, InstanceCapacity, NodeSizes, Variant

QPS = {"dev": 20.0, "prod": 10_000.0}
"""Bid requests a second, on average over the month."""


@dataclass(frozen=True, slots=True)
class Made:
    """What the templates of a composition have of each: interface endpoints, KMS keys, secrets, alarms."""

    endpoints: int
    keys: int
    secrets: int
    alarms: int


MADE = {
    ("dev", "ecs"): Made(endpoints=10, keys=5, secrets=6, alarms=22),
    ("dev", "eks"): Made(endpoints=14, keys=5, secrets=5, alarms=22),
    ("prod", "ecs"): Made(endpoints=13, keys=6, secrets=5, alarms=28),
    ("prod", "eks"): Made(endpoints=14, keys=6, secrets=5, alarms=28),
}
"""Counted, as the bill needs no CDK; a test counts again in what is synthesised."""


def expected_bill(environment: Environment, platform: str = "ecs") -> Bill:
    """The month's bill, on demand, without Savings Plans. `platform`: ecs or eks."""
    return bill(workload(environment, platform), load_prices(environment.region), bought_as(environment, platform))


def bought_as(environment: Environment, platform: str = "ecs") -> str:
    """What its tasks run on, as `compute` calls it; nodes that EKS chooses are priced as those of production."""
    if platform == "eks":
        nodes = environment.eks.compute
        return f"ec2-{nodes.instance_types[0]}" if isinstance(nodes, NodeSizes) else "ec2-c7g.xlarge"
    capacity = environment.service.capacity
    if isinstance(capacity, InstanceCapacity):
        return f"ec2-{capacity.instance_type}"
    return "fargate-arm" if environment.service.architecture == "ARM64" else "fargate-x86"


def workload(environment: Environment, platform: str = "ecs") -> Workload:
    """The environment's sizes under its load. Raises WorkloadError where they do not go together."""
    service, balancer, inference = environment.service, environment.balancer, environment.inference
    zones = environment.network.availability_zones
    made = MADE[environment.name, platform]
    return Workload(
        qps=QPS[environment.name],
        zones=zones,
        cores_per_task=service.cpu / 1024,
        task_gb=service.memory_mib / 1024,
        min_tasks=service.min_tasks,
        tasks_each=_tasks_each(environment, platform),
        utilisation=service.cpu_target_percent / 100,
        instance=_instance(inference),
        instance_rps=inference.scaling.measured_max_rps,
        safety=inference.scaling.safety,
        min_instances=sum(map(_most_asked_for, inference.variants)),
        training_instance=environment.training.instance_type,
        training_hours=30.0 if environment.training.schedule else 5.0,
        balancer="nlb" if balancer.kind == "network" else "alb",
        public_addresses=zones if balancer.internet_facing else 0,
        internet_share=1.0 if balancer.internet_facing else 0.0,
        cache_node=environment.cache.node_type,
        cache_nodes=environment.cache.nodes,
        event_months=environment.storage.event_days / 30,
        log_months=max(service.log_days, environment.network.flow_log_days) / 30,
        interface_endpoints=made.endpoints,
        keys=made.keys,
        secrets=made.secrets,
        alarms=made.alarms,
        eks=int(platform == "eks"),
    )


def _tasks_each(environment: Environment, platform: str) -> int:
    """The tasks that a machine has room for beside its own affairs; 0: as many as its cores hold."""
    capacity, nodes = environment.service.capacity, environment.eks.compute
    if platform == "eks" and isinstance(nodes, NodeSizes) and nodes.static_cpus:
        return EC2_VCPUS[nodes.instance_types[0].partition(".")[2]] - 1
    return capacity.tasks_each if platform == "ecs" and isinstance(capacity, InstanceCapacity) else 0


def _most_asked_for(variant: Variant) -> int:
    """The instances that a variant keeps when its schedule asks for most."""
    return max([variant.min_instances, *(schedule.min_instances for schedule in variant.schedules)])


def _instance(inference: InferenceSizes) -> str:
    types = {variant.instance_type for variant in inference.variants}
    if len(types) != 1:
        raise WorkloadError(
            f"variants on {len(types)} types of instances ({', '.join(sorted(types))}): price them apart"
        )
    return types.pop()
