"""The service on ECS: spread over zones, rolled back when it does not get well, as many tasks as two measures want."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from infra.bidder_metrics import COLLECTED
from infra.ecs_service import MAXIMUM_PERCENT, crowding
from infra.environments import ENVIRONMENTS, PROD, Environment, InstanceCapacity
from infra.statements import rendered
from tests.infra.bidders import built
from tests.infra.stacks import resources_of

KINDS = ("fargate", "instances", "application")


def service(kind: str) -> dict[str, Any]:
    return built()[kind].one("AWS::ECS::Service")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_that_cdk_nag_finds(kind: str) -> None:
    """Beside what is suppressed with its reason."""
    assert built()[kind].findings == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_deployment_that_does_not_get_well_is_rolled_back(kind: str) -> None:
    """By the circuit breaker, and by alarms where they are given; none is taken down for it."""
    deployment = service(kind)["DeploymentConfiguration"]
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (100, MAXIMUM_PERCENT)
    if kind == "application":
        assert deployment["Alarms"] == {"AlarmNames": ["deadline-misses"], "Enable": True, "Rollback": True}
    else:
        assert "Alarms" not in deployment


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_gets_a_shell_in_a_task(kind: str) -> None:
    """ECS Exec is off, and no role could open its channels."""
    assert service(kind)["EnableExecuteCommand"] is False
    assert "ssmmessages" not in str(built()[kind].template)


@pytest.mark.parametrize("kind", KINDS)
def test_tasks_are_in_every_zone_and_on_no_public_address(kind: str) -> None:
    """Private subnets, and zones are evened out."""
    network = service(kind)["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert len(network["Subnets"]) == 3
    assert all("private" in rendered(subnet) for subnet in network["Subnets"])
    assert network.get("AssignPublicIp", "DISABLED") == "DISABLED"
    assert service(kind)["AvailabilityZoneRebalancing"] == "ENABLED"
    assert service(kind)["DeploymentConfiguration"]["MaximumPercent"] > 100  # which evening out needs


def test_instances_are_filled_zone_by_zone() -> None:
    """Fargate does so by itself and takes no strategy."""
    fields = [each["Field"] for each in service("instances")["PlacementStrategies"]]
    assert fields == ["attribute:ecs.availability-zone", "instanceId"]
    assert "PlacementStrategies" not in service("fargate")


def test_capacity_is_what_the_environment_says() -> None:
    """Fargate on demand; with Spot beside it; or the instances."""
    assert service("fargate")["CapacityProviderStrategy"] == [{"Base": 3, "CapacityProvider": "FARGATE", "Weight": 1}]
    spot = service("application")["CapacityProviderStrategy"][1]
    assert spot == {"CapacityProvider": "FARGATE_SPOT", "Weight": 2}
    (instances,) = service("instances")["CapacityProviderStrategy"]
    assert instances["CapacityProvider"]["Ref"].startswith("ServiceInstancesProvider")


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_has_time_before_the_balancer_counts(kind: str) -> None:
    """For the catalog, and for an endpoint that is slow to answer; the listener is there before the service."""
    assert service(kind)["HealthCheckGracePeriodSeconds"] == built()[kind].environment.service.health_grace_s
    (each,) = resources_of(built()[kind].template, "AWS::ECS::Service").values()
    assert any(name.startswith("BalancerTls") for name in each["DependsOn"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_tasks_is_the_scalings(kind: str) -> None:
    """Within the environment's bounds; a deployment does not put it back."""
    assert "DesiredCount" not in service(kind)
    target, sizes = built()[kind].one("AWS::ApplicationAutoScaling::ScalableTarget"), built()[kind].environment.service
    assert (target["MinCapacity"], target["MaxCapacity"]) == (sizes.min_tasks, sizes.max_tasks)
    assert target["ScalableDimension"] == "ecs:service:DesiredCount"
    assert rendered(target["ResourceId"]).startswith("service/${ServiceCluster")


@pytest.mark.parametrize("kind", KINDS)
def test_tasks_follow_the_cpu_and_the_bids_in_flight(kind: str) -> None:
    """Fast out, slow in; in flight is the average over tasks, as the metric does not say which task it is of."""
    sizes = built()[kind].environment.service
    policies = {
        each["PolicyName"].rpartition("-")[2]: each["TargetTrackingScalingPolicyConfiguration"]
        for each in built()[kind].all("AWS::ApplicationAutoScaling::ScalingPolicy")
    }
    assert policies.keys() == {"cpu", "inflight"}
    cpu, in_flight = policies["cpu"], policies["inflight"]
    predefined = cpu["PredefinedMetricSpecification"]["PredefinedMetricType"]
    assert (predefined, cpu["TargetValue"]) == ("ECSServiceAverageCPUUtilization", sizes.cpu_target_percent)
    assert in_flight["CustomizedMetricSpecification"] == {
        "Namespace": f"Bidder/{built()[kind].environment.name}",
        "MetricName": "bidder_in_flight",
        "Dimensions": [{"Name": "Service", "Value": f"bidder-{built()[kind].environment.name}"}],
        "Statistic": "Average",
    }
    assert any(series.name == "bidder_in_flight" and () in series.dimensions for series in COLLECTED)
    assert in_flight["TargetValue"] == sizes.in_flight_target
    assert all(each["ScaleOutCooldown"] < each["ScaleInCooldown"] for each in policies.values())


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=lambda each: each.name)
def test_scaling_aims_below_what_a_task_refuses(environment: Environment) -> None:
    """Bids in flight at the target are a fraction of BIDDER_MAX_IN_FLIGHT; a task can be lost in each zone."""
    sizes = environment.service
    assert sizes.in_flight_target == round(sizes.bids_a_second * sizes.safety * sizes.bid_ms / 1000, 1)
    assert 0 < sizes.in_flight_target <= environment.bidder.max_in_flight / 2
    assert sizes.min_tasks >= 3
    assert crowding(sizes) == []


def test_a_deployment_without_room_is_refused() -> None:
    """Both figures are said."""
    assert isinstance(PROD.service.capacity, InstanceCapacity)
    few = replace(PROD.service, capacity=replace(PROD.service.capacity, max_instances=20))
    assert crowding(few) == ["instances have room for 60 tasks, a deployment needs it for 90"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_cluster_is_observed(kind: str) -> None:
    """Container Insights, to the task."""
    (settings,) = built()[kind].one("AWS::ECS::Cluster")["ClusterSettings"]
    assert settings == {"Name": "containerInsights", "Value": "enhanced"}
