"""From event log to registered model: a state machine that calls SageMaker itself, without a line of code between.

    Name ─▶ tune? ─▶ Tune ─▶ Train ─▶ Judge ─▶ Register ─▶ recommend? ─▶ Recommend ─▶ Wait ⇄ Ask ─▶ Done
              └────────────────▲        └▶ Refused             └──────────────────────────────────────▲

The rule: what is registered has passed the gate, and waits for a person: SageMaker deploys a version of the registry
only when it is approved. A metric that is missing counts against the model. The input is
`{"tune": true, "recommend": true}`; both are false by default.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from infra.environments import QualityGate, TrainingSizes
from infra.recommender import Recommender
from infra.training import Training
from infra.training_contract import HYPERPARAMETERS

POLL_S = 60  # Step Functions has no way to wait for a recommendation job
SYNC_RULES = (
    "StepFunctionsGetEventsForSageMakerTrainingJobsRule",
    "StepFunctionsGetEventsForSageMakerTuningJobsRule",
)


def package_group(environment: str) -> str:
    """The model package group's name, which the endpoint needs before it is there."""
    return f"rtb-{environment}"


class TrainingPipeline(Construct):
    """The state machine, the registry's model package group and, where one is wanted, the schedule.

    For others: `state_machine`, `state_machine_arn`, `role`, `package_group`, `failures` (a metric).
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        sizes: TrainingSizes,
        training: Training,
        recommender: Recommender,
        key: kms.IKey,
    ) -> None:
        """`name` is the environment's; `key` encrypts the log."""
        super().__init__(scope, construct_id)
        self._name, self._training, self._recommender = name, training, recommender
        self.package_group = sagemaker.CfnModelPackageGroup(
            self,
            "Registry",
            model_package_group_name=package_group(name),
            model_package_group_description="Models that have passed the training pipeline's gate",
        )
        log = logs.CfnLogGroup(
            self,
            "Log",
            log_group_name=f"/aws/vendedlogs/states/rtb-{name}-training",
            retention_in_days=sizes.log_days,
            kms_key_id=key.key_arn,
        )
        log.apply_removal_policy(RemovalPolicy.DESTROY)
        self.role = self._role()
        self.state_machine_arn = (
            f"arn:{Aws.PARTITION}:states:{Aws.REGION}:{Aws.ACCOUNT_ID}:stateMachine:rtb-{name}-training"
        )
        self.state_machine = stepfunctions.CfnStateMachine(
            self,
            "StateMachine",
            state_machine_name=f"rtb-{name}-training",
            state_machine_type="STANDARD",
            role_arn=self.role.role_arn,
            definition=self.definition(sizes),
            logging_configuration=stepfunctions.CfnStateMachine.LoggingConfigurationProperty(
                level="ALL",
                include_execution_data=True,
                destinations=[
                    stepfunctions.CfnStateMachine.LogDestinationProperty(
                        cloud_watch_logs_log_group=stepfunctions.CfnStateMachine.CloudWatchLogsLogGroupProperty(
                            log_group_arn=log.attr_arn
                        )
                    )
                ],
            ),
        )
        if self._policy is not None:
            self.state_machine.node.add_dependency(self._policy)  # Step Functions tries the rights to the log
        self.failures = cloudwatch.Metric(
            namespace="AWS/States",
            metric_name="ExecutionsFailed",
            dimensions_map={"StateMachineArn": self.state_machine_arn},
            statistic="Sum",
        )
        if sizes.schedule:
            self._schedule(sizes.schedule)

    def definition(self, sizes: TrainingSizes) -> dict[str, Any]:
        """The state machine in Amazon States Language, with JSONata as its query language."""
        job = f"{{% $states.context.Execution.StartTime ~> $toMillis() ~> $fromMillis('{self._names()}') %}}"
        spot_or_run_s = max(sizes.max_runtime_s, sizes.spot_wait_s)
        states: dict[str, Any] = {
            "Name": {
                "Type": "Pass",
                "Assign": {
                    "job": job,
                    "hyperparameters": dict(HYPERPARAMETERS),
                    "tune": "{% $states.input.tune = true %}",
                    "recommend": "{% $states.input.recommend = true %}",
                    "recommendations": [],
                },
                "Next": "TuneOrTrain",
            },
            "TuneOrTrain": _choice("$tune", "Tune", "Train"),
            "Tune": {
                **_task("sagemaker:createHyperParameterTuningJob.sync", self._training.tuning_job("{% $job %}")),
                "TimeoutSeconds": sizes.tuning.max_duration_s + 3600,
                "Assign": {
                    "hyperparameters": (
                        "{% $merge([$hyperparameters, $states.result.BestTrainingJob.TunedHyperParameters]) %}"
                    )
                },
                "Next": "Train",
            },
            "Train": {
                **_task(
                    "sagemaker:createTrainingJob.sync",
                    self._training.training_job("$job", "$hyperparameters"),
                ),
                "TimeoutSeconds": spot_or_run_s + 3600,
                "Assign": {
                    "archive": "{% $states.result.ModelArtifacts.S3ModelArtifacts %}",
                    "metrics": "{% $merge($states.result.FinalMetricDataList.{MetricName: Value}) %}",
                },
                "Next": "Judge",
            },
            "Judge": _choice(passes(sizes.gate), "Register", "Refused"),
            "Refused": {
                "Type": "Fail",
                "Error": "ModelRefused",
                "Cause": "{% 'the model does not pass the gate: ' & $string($metrics) %}",
            },
            "Register": {
                **_task("aws-sdk:sagemaker:createModelPackage", self._package()),
                "Assign": {"package": "{% $states.result.ModelPackageArn %}"},
                "Next": "RecommendOrDone",
            },
            "RecommendOrDone": _choice("$recommend", "Recommend", "Done"),
            "Recommend": {
                **_task(
                    "aws-sdk:sagemaker:createInferenceRecommendationsJob",
                    self._recommender.job("{% $job %}", "{% $package %}"),
                ),
                "Next": "Wait",
            },
            "Wait": {"Type": "Wait", "Seconds": POLL_S, "Next": "Ask"},
            "Ask": {
                **_task("aws-sdk:sagemaker:describeInferenceRecommendationsJob", {"JobName": "{% $job %}"}),
                "Assign": {
                    "status": "{% $states.result.Status %}",
                    "recommendations": "{% [$states.result.InferenceRecommendations.{"
                    "'type': EndpointConfiguration.InstanceType, 'invocations': Metrics.MaxInvocations, "
                    "'latency': Metrics.ModelLatency}] %}",
                },
                "Next": "RecommendedOrWait",
            },
            "RecommendedOrWait": {
                "Type": "Choice",
                "Choices": [
                    {"Condition": "{% $status = 'COMPLETED' %}", "Next": "Done"},
                    {"Condition": "{% $status in ['FAILED', 'STOPPED'] %}", "Next": "NotRecommended"},
                ],
                "Default": "Wait",
            },
            "NotRecommended": {
                "Type": "Fail",
                "Error": "RecommendationFailed",
                "Cause": "{% 'the load test of ' & $package & ' is ' & $status %}",
            },
            "Done": {
                "Type": "Succeed",
                "Output": {
                    "package": "{% $package %}",
                    "metrics": "{% $metrics %}",
                    "hyperparameters": "{% $hyperparameters %}",
                    "recommendations": "{% $recommendations %}",
                },
            },
        }
        return {
            "Comment": "Event log to registered model",
            "QueryLanguage": "JSONata",
            "StartAt": "Name",
            "TimeoutSeconds": sizes.tuning.max_duration_s + spot_or_run_s + sizes.recommender.max_duration_s + 4 * 3600,
            "States": states,
        }

    def _names(self) -> str:
        """A picture of the start time that is the jobs' name: 32 characters at most, as tuning jobs want it."""
        return f"rtb-{self._name}-[Y0001][M01][D01]-[H01][m01][s01]"

    def _package(self) -> dict[str, Any]:
        return {
            "ModelPackageGroupName": self.package_group.model_package_group_name,
            "ModelPackageDescription": "{% 'of training job ' & $job %}",
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [
                    {
                        "Image": self._training.image,
                        "ModelDataUrl": "{% $archive %}",
                        "Framework": "XGBOOST",
                        "NearestModelName": "xgboost",
                    }
                ],
                "SupportedContentTypes": ["text/csv", "application/x-npy"],
                "SupportedResponseMIMETypes": ["text/csv", "application/x-npy", "application/json"],
            },
            "Domain": "MACHINE_LEARNING",
            "Task": "CLASSIFICATION",
            "SamplePayloadUrl": self._recommender.sample_url,
            "CustomerMetadataProperties": {
                name: f"{{% $string($metrics.{name}) %}}"
                for name in ("auc", "auc_prior", "logloss", "calibration_error")
            },
        }

    def _role(self) -> iam.Role:
        here = f"{Aws.REGION}:{Aws.ACCOUNT_ID}"
        of_sagemaker = f"arn:{Aws.PARTITION}:sagemaker:{here}"
        jobs = f"rtb-{self._name}-*"
        role = iam.Role(
            self,
            "Role",
            role_name=f"rtb-{self._name}-training-pipeline",
            description="The state machine from event log to registered model",
            assumed_by=iam.ServicePrincipal(
                "states.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        for sid, verbs, noun, kind in (
            ("RunTraining", ("Create", "Describe", "Stop"), "TrainingJob", "training-job"),
            ("RunTuning", ("Create", "Describe", "Stop"), "HyperParameterTuningJob", "hyper-parameter-tuning-job"),
            ("RunLoadTest", ("Create", "Describe"), "InferenceRecommendationsJob", "inference-recommendations-job"),
        ):
            role.add_to_policy(
                iam.PolicyStatement(
                    sid=sid,
                    actions=[f"sagemaker:{verb}{noun}" for verb in verbs],
                    resources=[f"{of_sagemaker}:{kind}/{jobs}"],
                )
            )
        for statement in (
            iam.PolicyStatement(
                sid="TagJobs",  # Step Functions marks the jobs that it waits for
                actions=["sagemaker:AddTags"],
                resources=[
                    f"{of_sagemaker}:training-job/{jobs}",
                    f"{of_sagemaker}:hyper-parameter-tuning-job/{jobs}",
                ],
            ),
            iam.PolicyStatement(
                sid="WaitForJobs",
                actions=["events:DescribeRule", "events:PutRule", "events:PutTargets"],
                resources=[f"arn:{Aws.PARTITION}:events:{here}:rule/{rule}" for rule in SYNC_RULES],
            ),
            iam.PolicyStatement(
                sid="Register",
                actions=["sagemaker:CreateModelPackage"],
                resources=[
                    f"{of_sagemaker}:model-package-group/{package_group(self._name)}",
                    f"{of_sagemaker}:model-package/{package_group(self._name)}/*",
                ],
            ),
            iam.PolicyStatement(
                sid="PassRoles",
                actions=["iam:PassRole"],
                resources=[
                    self._training.training_role.role_arn,
                    self._training.tuning_role.role_arn,
                    self._recommender.role.role_arn,
                ],
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            ),
            iam.PolicyStatement(
                sid="DeliverLog",
                actions=[
                    "logs:CreateLogDelivery",
                    "logs:DeleteLogDelivery",
                    "logs:DescribeLogGroups",
                    "logs:DescribeResourcePolicies",
                    "logs:GetLogDelivery",
                    "logs:ListLogDeliveries",
                    "logs:PutResourcePolicy",
                    "logs:UpdateLogDelivery",
                ],
                resources=["*"],
            ),
        ):
            self._policy = role.add_to_principal_policy(statement).policy_dependable
        return role

    def _schedule(self, cron: str) -> None:
        role = iam.Role(
            self,
            "ScheduleRole",
            role_name=f"rtb-{self._name}-training-schedule",
            description="Starts the training pipeline",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        role.add_to_policy(
            iam.PolicyStatement(sid="Start", actions=["states:StartExecution"], resources=[self.state_machine_arn])
        )
        scheduler.CfnSchedule(
            self,
            "Schedule",
            name=f"rtb-{self._name}-training",
            schedule_expression=cron,
            schedule_expression_timezone="UTC",
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=self.state_machine_arn,
                role_arn=role.role_arn,
                input="{}",
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(maximum_retry_attempts=2),
            ),
        )


def passes(gate: QualityGate) -> str:
    """The gate as a JSONata condition over `$metrics`; a comparison with what is missing is not true."""
    return " and ".join(
        (
            f"$metrics.auc >= {gate.min_auc}",
            f"$metrics.auc - $metrics.auc_prior >= {gate.min_auc_gain}",
            "$metrics.logloss < $metrics.logloss_prior",
            f"$metrics.held_out_positives >= {gate.min_held_out_positives}",
            f"$metrics.calibration_error <= {gate.max_calibration_error_share}"
            " * $metrics.held_out_positives / $metrics.held_out_rows",
        )
    )


def _choice(condition: str, then: str, otherwise: str) -> dict[str, Any]:
    return {
        "Type": "Choice",
        "Choices": [{"Condition": f"{{% {condition} %}}", "Next": then}],
        "Default": otherwise,
    }


def _task(resource: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A call of SageMaker, tried again when it was asked too often; what a job itself says is not asked again."""
    return {
        "Type": "Task",
        "Resource": f"arn:{Aws.PARTITION}:states:::{resource}",
        "Arguments": arguments,
        "Retry": [
            {
                "ErrorEquals": ["SageMaker.AmazonSageMakerException", "SageMaker.ThrottlingException"],
                "IntervalSeconds": 30,
                "MaxAttempts": 4,
                "BackoffRate": 2,
            }
        ],
    }
