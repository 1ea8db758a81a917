"""The training pipeline: a state machine that calls SageMaker itself, without a line of code between, and its role.

The rule: it may start, look at and stop jobs of its own names, hand them three roles, and register what they made; it
reads and writes no data, and deploys nothing. Its states are in `training_states`.
"""

from __future__ import annotations

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from infra.environments import TrainingSizes
from infra.recommender import Recommender
from infra.training import Training
from infra.training_states import definition

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
            definition=definition(name, sizes, training, recommender, self.package_group.model_package_group_name),
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
                resources=[f"{of_sagemaker}:model-package/{package_group(self._name)}/*"],
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
