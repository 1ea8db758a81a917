"""The alarms that undo a deployment of the endpoint.

The rule: they look at what the caller would feel, per variant, and are silent where nothing was asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.environments import RollbackLimits


class RollbackAlarms(Construct):
    """`alarms`, two a variant: the model's p99 latency, and its share of 5xx answers."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint_name: str,
        variant_names: Sequence[str],
        limits: RollbackLimits,
    ) -> None:
        super().__init__(scope, construct_id)
        self._limits = limits
        self.alarms: list[cloudwatch.Alarm] = []
        for variant in variant_names:
            dimensions = {"EndpointName": endpoint_name, "VariantName": variant}
            self._watch(
                f"{variant}-latency",
                f"{endpoint_name}-{variant}-model-latency-p99",
                cloudwatch.Metric(
                    namespace="AWS/SageMaker",
                    metric_name="ModelLatency",
                    dimensions_map=dimensions,
                    statistic="p99",
                    period=Duration.minutes(1),
                ),
                limits.model_latency_p99_ms * 1000,  # the metric is in microseconds
            )
            self._watch(
                f"{variant}-errors",
                f"{endpoint_name}-{variant}-server-errors",
                cloudwatch.Metric(
                    namespace="AWS/SageMaker",
                    metric_name="Invocation5XXErrors",
                    dimensions_map=dimensions,
                    statistic="Average",  # 0 or 1 an invocation, so the share that failed
                    period=Duration.minutes(1),
                ),
                limits.server_error_share,
            )

    def _watch(self, construct_id: str, name: str, metric: cloudwatch.Metric, threshold: float) -> None:
        self.alarms.append(
            cloudwatch.Alarm(
                self,
                construct_id,
                alarm_name=name,
                alarm_description="A deployment of the endpoint is rolled back while this is in alarm",
                metric=metric,
                threshold=threshold,
                evaluation_periods=self._limits.minutes,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            )
        )
