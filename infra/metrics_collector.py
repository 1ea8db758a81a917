"""The side-car that brings the bidder's counters and gauges to CloudWatch: AWS's distribution of the OpenTelemetry
collector, with the configuration in collector/collector.yaml.

Its image comes from a repository of the account, as a VPC without a way out reaches no public one. The configuration
is in the container's environment: a parameter in Systems Manager would need one more endpoint of the VPC and one more
permission, for something that holds no secret. The rule kept here: bids do not depend on it. It is not essential, has
a bound on memory, and is started anew by ECS when it ends.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import yaml
from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.bidder_metrics import namespace_of, service_of
from infra.environments import CollectorSizes

CONFIGURATION = Path(__file__).parent / "collector" / "collector.yaml"
NAME = "collector"
USER = "4317"  # as in the collector's own image


def configuration() -> str:
    """The file as the collector gets it: without its comments, in YAML's form that is JSON."""
    return json.dumps(yaml.safe_load(CONFIGURATION.read_text()), separators=(",", ":"))


def variables(name: str, region: str, exchanges: Sequence[str], log_group: str) -> dict[str, str]:
    """What the file's `${env:…}` stand for, wherever the collector runs."""
    return {
        "AWS_REGION": region,
        "BIDDER_NAMESPACE": namespace_of(name),
        "BIDDER_SERVICE": service_of(name),
        "BIDDER_EXCHANGES": "|".join(exchanges),
        "BIDDER_METRICS_LOG_GROUP": log_group,
    }


def log_group_of(name: str) -> str:
    """Where the collector's lines go, which CloudWatch makes metrics of."""
    return f"/{service_of(name)}/metrics"


class MetricsCollector(Construct):
    """`container` goes into a task definition; its roles are then given to `let_publish` and `let_start`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        sizes: CollectorSizes,
        exchanges: Sequence[str],
        repository: ecr.IRepository,
        key: kms.IKey,
        on_instances: bool = False,
    ) -> None:
        """`repository` has the collector's image; `exchanges` are those with metrics of their own. `on_instances`: on
        EC2, where containers can be kept from new privileges; Fargate has no such option."""
        super().__init__(scope, construct_id)
        self._repository = repository
        self.log_group = logs.CfnLogGroup(
            self,
            "Lines",
            log_group_name=log_group_of(name),
            retention_in_days=sizes.log_days,
            kms_key_id=key.key_arn,
        )
        self.log_group.apply_removal_policy(RemovalPolicy.DESTROY)
        region = Stack.of(self).region
        environment = variables(name, region, exchanges, log_group_of(name)) | {"AOT_CONFIG_CONTENT": configuration()}
        task = ecs.CfnTaskDefinition
        self.container = task.ContainerDefinitionProperty(
            name=NAME,
            image=repository.repository_uri_for_tag(sizes.image_tag),
            essential=False,
            user=USER,
            readonly_root_filesystem=True,
            privileged=False,
            docker_security_options=["no-new-privileges"] if on_instances else None,
            cpu=sizes.cpu,
            memory=sizes.memory_mib,
            linux_parameters=task.LinuxParametersProperty(capabilities=task.KernelCapabilitiesProperty(drop=["ALL"])),
            restart_policy=task.RestartPolicyProperty(enabled=True, restart_attempt_period=60),
            environment=[
                task.KeyValuePairProperty(name=key, value=value) for key, value in sorted(environment.items())
            ],
            log_configuration=task.LogConfigurationProperty(
                log_driver="awslogs",
                options={
                    "awslogs-group": self.log_group.ref,
                    "awslogs-region": region,
                    "awslogs-stream-prefix": NAME,
                    "mode": "non-blocking",
                },
            ),
        )

    def let_publish(self, task_role: iam.Role) -> None:
        """What the collector may do: write lines to its log group. CloudWatch makes the metrics of them, so that no
        right to put metrics is needed."""
        task_role.add_to_policy(self._write("PublishMetrics"))

    def let_start(self, execution_role: iam.Role) -> None:
        """What starts it may pull its image and write its own log."""
        execution_role.add_to_policy(self._write("WriteTheCollectorsLog"))
        execution_role.add_to_policy(
            iam.PolicyStatement(
                sid="PullTheCollector",
                actions=["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"],
                resources=[self._repository.repository_arn],
            )
        )

    def _write(self, sid: str) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            sid=sid, actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[self.log_group.attr_arn]
        )
