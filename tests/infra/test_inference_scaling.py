"""How many instances a variant has: the arithmetic, and what Application Auto Scaling is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from infra.environments import ENVIRONMENTS, PROD, SERVING, Environment
from infra.inference_scaling import (
    VariantScaling,
    instances_for,
    sustained_rps,
    target,
    target_concurrency,
    target_invocations,
)
from tests.infra.stacks import Bare, resources_of

CHAMPION = PROD.inference.variants[0]


def test_invocations_are_maximum_times_safety_times_sixty() -> None:
    """A minute's worth of what one instance was measured to bear, less the safety."""
    assert target_invocations(500, 0.5) == 15_000
    assert target(replace(SERVING, metric="invocations")) == SERVING.measured_max_rps * SERVING.safety * 60


def test_concurrency_is_rate_times_latency() -> None:
    """Little's law: 250 a second of 20 ms each are 5 at once."""
    assert target_concurrency(500, 0.5, 20) == 5.0


def test_one_request_at_once_is_no_reason_to_grow() -> None:
    """However fast the model answers."""
    assert target_concurrency(100, 0.5, 2) == 1.0


@pytest.mark.parametrize(("load_rps", "instances"), [(0, 1), (199, 1), (200, 1), (201, 2), (24_000, 120)])
def test_instances_are_rounded_up(load_rps: float, instances: int) -> None:
    """And there is always one."""
    assert instances_for(load_rps, 400, 0.5) == instances


@pytest.mark.parametrize(("rate", "safety"), [(0, 0.5), (-1, 0.5), (400, 0), (400, 1.1), (float("nan"), 0.5)])
def test_a_rate_or_safety_out_of_reason_is_refused(rate: float, safety: float) -> None:
    """Rather than a target that nothing reaches."""
    with pytest.raises(ValueError, match="expected a rate above 0"):
        sustained_rps(rate, safety)


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=lambda environment: environment.name)
def test_bounds_are_in_order(environment: Environment) -> None:
    """Of each variant and of each of its schedules, which stay within the variant's."""
    for variant in environment.inference.variants:
        assert 1 <= variant.min_instances <= variant.max_instances
        for schedule in variant.schedules:
            assert variant.min_instances <= schedule.min_instances
            assert schedule.min_instances <= schedule.max_instances <= variant.max_instances


@pytest.fixture(scope="module")
def template(bare: Bare) -> dict[str, Any]:
    """Prod's champion twice: on concurrent requests, and on invocations."""
    for metric in ("concurrency", "invocations"):
        sizes = replace(SERVING, metric=metric)
        VariantScaling(bare.stack, metric, endpoint_name="rtb-prod", variant=CHAMPION, sizes=sizes)
    return bare.template()


@pytest.mark.parametrize(
    ("construct", "metric"),
    [
        ("concurrency", "SageMakerVariantConcurrentRequestsPerModelHighResolution"),
        ("invocations", "SageMakerVariantInvocationsPerInstance"),
    ],
)
def test_the_target_is_tracked_with_cooldowns(template: dict[str, Any], construct: str, metric: str) -> None:
    """Out quickly, in slowly."""
    (policy,) = [
        each["Properties"]["TargetTrackingScalingPolicyConfiguration"]
        for name, each in resources_of(template, "AWS::ApplicationAutoScaling::ScalingPolicy").items()
        if name.startswith(construct)
    ]
    assert policy == {
        "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
        "TargetValue": target(replace(SERVING, metric=construct)),  # type: ignore[arg-type]
        "ScaleOutCooldown": SERVING.scale_out_cooldown_s,
        "ScaleInCooldown": SERVING.scale_in_cooldown_s,
    }
    assert SERVING.scale_out_cooldown_s < SERVING.scale_in_cooldown_s


def test_capacity_also_goes_by_the_clock(template: dict[str, Any]) -> None:
    """Each schedule of the variant, in UTC, on the variant's own count of instances."""
    for each in resources_of(template, "AWS::ApplicationAutoScaling::ScalableTarget").values():
        found = each["Properties"]
        assert found["ResourceId"] == "endpoint/rtb-prod/variant/champion"
        assert found["ScalableDimension"] == "sagemaker:variant:DesiredInstanceCount"
        assert (found["MinCapacity"], found["MaxCapacity"]) == (CHAMPION.min_instances, CHAMPION.max_instances)
        actions = [
            (action["ScheduledActionName"], action["Schedule"], action["ScalableTargetAction"]["MinCapacity"])
            for action in found["ScheduledActions"]
        ]
        assert actions == [(s.name, f"cron({s.cron})", s.min_instances) for s in CHAMPION.schedules]
        assert {action["Timezone"] for action in found["ScheduledActions"]} == {"UTC"}
