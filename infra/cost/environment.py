"""What an environment is expected to cost: its sizes, under the load that it is meant for.

The rule kept here: every size comes from `infra.environments`; the load that nobody has seen yet is named here, once,
and docs/deployment.md sizes `prod` for it.
"""

from __future__ import annotations

from infra.cost.bill import Bill, bill
from infra.cost.prices import load as load_prices
from infra.cost.workload import Workload, WorkloadError
from infra.environments import Environment, InferenceSizes, InstanceCapacity, Variant

QPS = {"dev": 20.0, "prod": 10_000.0}
"""Bid requests a second, on average over the month."""


def expected_bill(environment: Environment, platform: str = "ecs") -> Bill:
    """The month's bill, on demand, without Savings Plans. `platform`: ecs or eks."""
    return bill(workload(environment, platform), load_prices(environment.region), bought_as(environment))


def bought_as(environment: Environment) -> str:
    """The platform of its tasks, as `compute` calls it."""
    capacity = environment.service.capacity
    if isinstance(capacity, InstanceCapacity):
        return f"ec2-{capacity.instance_type}"
    return "fargate-arm" if environment.service.architecture == "ARM64" else "fargate-x86"


def workload(environment: Environment, platform: str = "ecs") -> Workload:
    """The environment's sizes under its load. Raises WorkloadError where they do not go together."""
    service, balancer, inference = environment.service, environment.balancer, environment.inference
    zones = environment.network.availability_zones
    capacity = service.capacity
    return Workload(
        qps=QPS[environment.name],
        zones=zones,
        cores_per_task=service.cpu / 1024,
        task_gb=service.memory_mib / 1024,
        min_tasks=service.min_tasks,
        tasks_each=capacity.tasks_each if isinstance(capacity, InstanceCapacity) else 0,
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
        log_months=max(service.log_days, environment.network.flow_log_days) / 30,
        eks=int(platform == "eks"),
    )


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
