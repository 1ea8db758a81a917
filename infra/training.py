"""The training and tuning jobs: what SageMaker is asked to run, and as whom.

The rule: the container has no network at all; SageMaker brings the log and takes the model, through the VPC, encrypted
with the project's key. Requests are plain dictionaries in the API's own words, which a state machine sends. A job on
Spot that loses its instance goes on from its last checkpoint; a tuning job's trials, which are many, start anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.environments import TrainingSizes
from infra.execution_role import ExecutionRole
from infra.training_contract import (
    CHANNEL,
    METRICS,
    OBJECTIVE,
    RANGES,
    TUNING_HYPERPARAMETERS,
    Range,
    pattern,
)

LOG_PREFIX = "training/"  # labelled logs, in the event log's bucket
OUTPUT_PREFIX = "models/"
CHECKPOINT_PREFIX = "checkpoints/"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"  # SageMaker's own choice, one an account


class Training(Construct):
    """The requests of both jobs, and `training_role` and `tuning_role` that they run as."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        sizes: TrainingSizes,
        subnets: Sequence[ec2.ISubnet],
        security_group: ec2.ISecurityGroup,
        key: kms.IKey,
        events: s3.IBucket,
        models: s3.IBucket,
        repository: ecr.IRepository,
    ) -> None:
        """`name` is the environment's; `events` holds the labelled logs, `models` takes what is learned."""
        super().__init__(scope, construct_id)
        self._sizes, self._key, self._events, self._models = sizes, key, events, models
        self.image = f"{repository.repository_uri}:{sizes.image_tag}"
        self.vpc_config = {
            "SecurityGroupIds": [security_group.security_group_id],
            "Subnets": [subnet.subnet_id for subnet in subnets],
        }
        roles = [
            ExecutionRole(
                self,
                construct_id,
                role_name=f"rtb-{name}-{job}",
                description=f"The containers of {job} jobs",
                log_group=LOG_GROUP,
                repository=repository,
                subnets=subnets,
                security_group=security_group,
                key=key,
            )
            for construct_id, job in (("Train", "training"), ("Tune", "tuning"))
        ]
        for role in roles:
            role.read(events, f"{LOG_PREFIX}*")
            role.write(models, f"{OUTPUT_PREFIX}*")
        if sizes.spot_wait_s:
            roles[0].exchange(models, f"{CHECKPOINT_PREFIX}*")
        self.training_role, self.tuning_role = (role.role for role in roles)

    def training_job(self, job_name: str, hyperparameters: str) -> dict[str, Any]:
        """CreateTrainingJob. `job_name` and `hyperparameters` are expressions of the state machine, in JSONata."""
        return {
            "TrainingJobName": f"{{% {job_name} %}}",
            "HyperParameters": f"{{% {hyperparameters} %}}",
            "ResourceConfig": self._resources(),
            **self._definition(self.training_role.role_arn),
            **self._checkpoints(job_name),
        }

    def tuning_job(self, job_name: str) -> dict[str, Any]:
        """CreateHyperParameterTuningJob, by Bayesian search."""
        tuning = self._sizes.tuning
        whole, continuous = ([each for each in RANGES if each.whole is kind] for kind in (True, False))
        return {
            "HyperParameterTuningJobName": job_name,
            "HyperParameterTuningJobConfig": {
                "Strategy": "Bayesian",
                "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": OBJECTIVE},
                "ResourceLimits": {
                    "MaxNumberOfTrainingJobs": tuning.max_jobs,
                    "MaxParallelTrainingJobs": tuning.max_parallel_jobs,
                    "MaxRuntimeInSeconds": tuning.max_duration_s,
                },
                "ParameterRanges": {
                    "IntegerParameterRanges": [_range(each) for each in whole],
                    "ContinuousParameterRanges": [_range(each) for each in continuous],
                },
            },
            "TrainingJobDefinition": {
                "StaticHyperParameters": dict(TUNING_HYPERPARAMETERS),
                "ResourceConfig": self._resources(),
                **self._definition(self.tuning_role.role_arn),
            },
        }

    def _definition(self, role_arn: str) -> dict[str, Any]:
        spot = self._sizes.spot_wait_s > 0
        return {
            "AlgorithmSpecification": {
                "TrainingImage": self.image,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": name, "Regex": pattern(name)} for name in METRICS],
            },
            "RoleArn": role_arn,
            "InputDataConfig": [
                {
                    "ChannelName": CHANNEL,
                    "ContentType": "text/csv",
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": self._events.s3_url_for_object(LOG_PREFIX),
                            "S3DataDistributionType": "FullyReplicated",
                        }
                    },
                }
            ],
            "OutputDataConfig": {
                "S3OutputPath": self._models.s3_url_for_object(OUTPUT_PREFIX.rstrip("/")),
                "KmsKeyId": self._key.key_arn,
            },
            "VpcConfig": self.vpc_config,
            "EnableNetworkIsolation": True,
            "EnableInterContainerTrafficEncryption": True,
            "EnableManagedSpotTraining": spot,
            "StoppingCondition": {
                "MaxRuntimeInSeconds": self._sizes.max_runtime_s,
                **({"MaxWaitTimeInSeconds": self._sizes.spot_wait_s} if spot else {}),
            },
        }

    def _checkpoints(self, job_name: str) -> dict[str, Any]:
        if not self._sizes.spot_wait_s:
            return {}
        prefix = self._models.s3_url_for_object(CHECKPOINT_PREFIX)
        return {"CheckpointConfig": {"S3Uri": f"{{% '{prefix}' & {job_name} %}}"}}

    def _resources(self) -> dict[str, Any]:
        return {
            "InstanceType": self._sizes.instance_type,
            "InstanceCount": 1,  # one process learns
            "VolumeSizeInGB": self._sizes.volume_gb,
            "VolumeKmsKeyId": self._key.key_arn,
        }


def _range(values: Range) -> dict[str, str]:
    return {
        "Name": values.name,
        "MinValue": f"{values.low:g}",
        "MaxValue": f"{values.high:g}",
        "ScalingType": "Logarithmic" if values.logarithmic else "Linear",
    }
