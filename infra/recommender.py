"""Inference Recommender: the load test that says which instance type, and what one instance bears.

The rule: it tests a registered model as it would be served, in the same VPC, on endpoints named after the job, which it
deletes afterwards. What it finds (most invocations a minute within the latency) is the measured maximum of the
scaling formulas, and a person's to write into `environments`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Aws
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.environments import RecommenderSizes
from infra.execution_role import ExecutionRole

SAMPLE_KEY = "recommender/sample.tar.gz"  # made by `infra.sample_requests`
LOG_GROUP = "/aws/sagemaker/InferenceRecommendationsJobs"


class Recommender(Construct):
    """The request of a load test, and the `role` that it runs as."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        sizes: RecommenderSizes,
        subnets: Sequence[ec2.ISubnet],
        security_group: ec2.ISecurityGroup,
        key: kms.IKey,
        models: s3.IBucket,
        model_prefix: str,
        repository: ecr.IRepository,
        package_group: str,
    ) -> None:
        """`name` is the environment's; `models` holds the archives, under `model_prefix`, and the sample requests."""
        super().__init__(scope, construct_id)
        self._sizes, self._key = sizes, key
        self.sample_url = models.s3_url_for_object(SAMPLE_KEY)
        self._vpc_config = {
            "SecurityGroupIds": [security_group.security_group_id],
            "Subnets": [subnet.subnet_id for subnet in subnets],
        }
        access = ExecutionRole(
            self,
            "Execution",
            role_name=f"rtb-{name}-recommender",
            description="The load tests of Inference Recommender",
            log_group=LOG_GROUP,
            repository=repository,
            subnets=subnets,
            security_group=security_group,
            key=key,
        )
        access.read(models, f"{model_prefix}*", SAMPLE_KEY)
        here = f"arn:{Aws.PARTITION}:sagemaker:{Aws.REGION}:{Aws.ACCOUNT_ID}"
        access.allow("ReadPackage", ["sagemaker:DescribeModelPackage"], [f"{here}:model-package/{package_group}/*"])
        # What the job makes begins with its name; the live endpoint's name has nothing after the environment's.
        model, configuration, endpoint = (
            f"{here}:{kind}/rtb-{name}-*" for kind in ("model", "endpoint-config", "endpoint")
        )
        for noun, resource in (("Model", model), ("EndpointConfig", configuration), ("Endpoint", endpoint)):
            verbs = ("Create", "Describe", "Delete")
            access.allow(f"Run{noun}s", [f"sagemaker:{verb}{noun}" for verb in verbs], [resource])
        access.allow("StartEndpoints", ["sagemaker:CreateEndpoint"], [configuration])
        access.allow("CallEndpoints", ["sagemaker:InvokeEndpoint"], [endpoint])
        access.allow(
            "PassItself",
            ["iam:PassRole"],
            [access.role.role_arn],
            {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        )
        self.role = access.role

    def job(self, job_name: str, package_arn: str) -> dict[str, Any]:
        """CreateInferenceRecommendationsJob; both arguments are expressions of the state machine."""
        sizes = self._sizes
        return {
            "JobName": job_name,
            "JobType": "Advanced",
            "RoleArn": self.role.role_arn,
            "InputConfig": {
                "ModelPackageVersionArn": package_arn,
                "JobDurationInSeconds": sizes.max_duration_s,
                "EndpointConfigurations": [{"InstanceType": kind} for kind in sizes.instance_types],
                "ResourceLimit": {"MaxNumberOfTests": len(sizes.instance_types), "MaxParallelOfTests": 1},
                "TrafficPattern": {
                    "TrafficType": "STAIRS",
                    "Stairs": {
                        "DurationInSeconds": sizes.step_s,
                        "NumberOfSteps": sizes.steps,
                        "UsersPerStep": sizes.users_a_step,
                    },
                },
                "VolumeKmsKeyId": self._key.key_arn,
                "VpcConfig": self._vpc_config,
            },
            "StoppingConditions": {
                "ModelLatencyThresholds": [{"Percentile": "P95", "ValueInMilliseconds": sizes.latency_p95_ms}],
                "FlatInvocations": "Stop",
            },
        }
