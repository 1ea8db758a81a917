"""How many instances a variant has: target tracking, schedules, and the arithmetic of both.

The rule: a target is derived from what one instance was measured to bear, never typed in.

    requests an instance bears      = measured maximum x safety                  a second
    target, invocations             = that x 60                                  a minute and instance
    target, concurrent requests     = that x measured latency (Little's law)     at once and instance
    instances for a load            = load / that, rounded up
"""

from __future__ import annotations

import math

from aws_cdk import aws_applicationautoscaling as autoscaling
from constructs import Construct

from infra.environments import ScalingSizes, Variant

PREDEFINED = {
    "concurrency": "SageMakerVariantConcurrentRequestsPerModelHighResolution",
    "invocations": "SageMakerVariantInvocationsPerInstance",
}


def sustained_rps(measured_max_rps: float, safety: float) -> float:
    """Requests a second that one instance is asked to bear. Raises ValueError unless 0 < safety <= 1."""
    if not measured_max_rps > 0 or not 0 < safety <= 1:
        raise ValueError(f"expected a rate above 0 and a safety in 0..1, got {measured_max_rps:g} and {safety:g}")
    return measured_max_rps * safety


def target_invocations(measured_max_rps: float, safety: float) -> float:
    """Invocations a minute and instance."""
    return sustained_rps(measured_max_rps, safety) * 60


def target_concurrency(measured_max_rps: float, safety: float, latency_ms: float) -> float:
    """Requests at once and instance, at least 1: below it a lone request would look like load."""
    return max(1.0, sustained_rps(measured_max_rps, safety) * latency_ms / 1000)


def instances_for(load_rps: float, measured_max_rps: float, safety: float) -> int:
    """Instances that bear `load_rps`, at least one."""
    return max(1, math.ceil(load_rps / sustained_rps(measured_max_rps, safety)))


def target(sizes: ScalingSizes) -> float:
    """The value that the chosen metric is kept at."""
    if sizes.metric == "invocations":
        return target_invocations(sizes.measured_max_rps, sizes.safety)
    return target_concurrency(sizes.measured_max_rps, sizes.safety, sizes.measured_latency_ms)


class VariantScaling(Construct):
    """Scales one production variant of an endpoint. SageMaker's service-linked role does the work."""

    def __init__(
        self, scope: Construct, construct_id: str, *, endpoint_name: str, variant: Variant, sizes: ScalingSizes
    ) -> None:
        super().__init__(scope, construct_id)
        self.target = autoscaling.CfnScalableTarget(
            self,
            "Target",
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=f"endpoint/{endpoint_name}/variant/{variant.name}",
            min_capacity=variant.min_instances,
            max_capacity=variant.max_instances,
            scheduled_actions=[
                autoscaling.CfnScalableTarget.ScheduledActionProperty(
                    scheduled_action_name=schedule.name,
                    schedule=f"cron({schedule.cron})",
                    timezone="UTC",
                    scalable_target_action=autoscaling.CfnScalableTarget.ScalableTargetActionProperty(
                        min_capacity=schedule.min_instances, max_capacity=schedule.max_instances
                    ),
                )
                for schedule in variant.schedules
            ],
        )
        autoscaling.CfnScalingPolicy(
            self,
            "Policy",
            policy_name=f"{endpoint_name}-{variant.name}-{sizes.metric}",
            policy_type="TargetTrackingScaling",
            scaling_target_id=self.target.ref,
            target_tracking_scaling_policy_configuration=(
                autoscaling.CfnScalingPolicy.TargetTrackingScalingPolicyConfigurationProperty(
                    target_value=target(sizes),
                    predefined_metric_specification=autoscaling.CfnScalingPolicy.PredefinedMetricSpecificationProperty(
                        predefined_metric_type=PREDEFINED[sizes.metric]
                    ),
                    scale_out_cooldown=sizes.scale_out_cooldown_s,
                    scale_in_cooldown=sizes.scale_in_cooldown_s,
                )
            ),
        )
