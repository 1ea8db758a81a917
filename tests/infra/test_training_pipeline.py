"""From event log to registered model: what the state machine asks of SageMaker, and which way it goes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from infra.environments import DEV, PROD
from infra.identity import unexplained_wildcards
from infra.images import Images
from infra.recommender import Recommender
from infra.statements import Statement, statements
from infra.training import Training
from infra.training_contract import METRICS
from infra.training_pipeline import TrainingPipeline, package_group
from tests.infra.execution import EvaluationError, Execution, refused, resolved, run
from tests.infra.stacks import Bare, resources_of

GOOD = {
    "auc": 0.72,
    "auc_prior": 0.68,
    "logloss": 0.31,
    "logloss_prior": 0.33,
    "calibration_error": 0.004,
    "held_out_rows": 40_000.0,
    "held_out_positives": 4_000.0,
}
EVENTS_KEY = "arn:aws:kms:us-east-1:123456789012:key/events"
PACKAGE = "arn:aws:sagemaker:us-east-1:123456789012:model-package/rtb-prod/7"
ARCHIVE = "s3://models/models/rtb-prod-20261125-030007/output/model.tar.gz"


def build(bare: Bare, name: str, construct_id: str, **changed: Any) -> TrainingPipeline:
    """The pipeline of prod under `name`, with `changed` sizes."""
    sizes = replace(PROD.training, **changed)
    stack = bare.stack
    image = Images(stack, f"Images{construct_id}", name=name, sizes=PROD.images, key=bare.key).model
    place: dict[str, Any] = {
        "name": name,
        "subnets": bare.vpc.isolated_subnets,
        "security_group": bare.security_group,
        "key": bare.key,
        "models": bare.bucket,
        "repository": image,
    }
    key = kms.Key.from_key_arn(stack, f"EventsKey{construct_id}", EVENTS_KEY)
    events = s3.Bucket.from_bucket_attributes(
        stack, f"Events{construct_id}", bucket_name="rtb-events", encryption_key=key
    )
    training = Training(stack, f"Training{construct_id}", sizes=sizes, events=events, **place)
    recommender = Recommender(
        stack,
        f"Recommender{construct_id}",
        sizes=sizes.recommender,
        model_prefix="models/",
        package_group=package_group(name),
        **place,
    )
    return TrainingPipeline(
        stack,
        f"Pipeline{construct_id}",
        name=name,
        sizes=sizes,
        training=training,
        recommender=recommender,
        key=bare.key,
    )


@pytest.fixture(scope="module")
def template(bare: Bare) -> dict[str, Any]:
    """Prod's pipeline, and one without schedule and Spot under the name `plain`."""
    build(bare, "prod", "")
    build(bare, "plain", "Plain", schedule=None, spot_wait_s=0)
    return bare.template()


@pytest.fixture(scope="module")
def definition(template: dict[str, Any]) -> dict[str, Any]:
    return definition_of(template, "prod")


def definition_of(template: dict[str, Any], name: str) -> dict[str, Any]:
    (machine,) = [
        each["Properties"]
        for each in resources_of(template, "AWS::StepFunctions::StateMachine").values()
        if each["Properties"]["StateMachineName"] == f"rtb-{name}-training"
    ]
    found: dict[str, Any] = resolved(machine["Definition"], template)
    return found


def trained(metrics: dict[str, float]) -> dict[str, Any]:
    """What DescribeTrainingJob says of a job that reported `metrics`."""
    return {
        "TrainingJobStatus": "Completed",
        "ModelArtifacts": {"S3ModelArtifacts": ARCHIVE},
        "FinalMetricDataList": [{"MetricName": name, "Value": value} for name, value in metrics.items()],
    }


def recommended(status: str) -> dict[str, Any]:
    found = {
        "EndpointConfiguration": {"InstanceType": "ml.c7i.large"},
        "Metrics": {"MaxInvocations": 24_000, "ModelLatency": 8},
    }
    return {"Status": status, **({"InferenceRecommendations": [found]} if status == "COMPLETED" else {})}


def executed(definition: dict[str, Any], given: dict[str, Any] | None = None, **answers: list[Any]) -> Execution:
    """A run in which training gives a good model, unless `answers` say otherwise."""
    usual = {
        "Tune": [{"BestTrainingJob": {"TunedHyperParameters": {"eta": "0.05", "max_depth": "6"}}}],
        "Train": [trained(GOOD)],
        "Register": [{"ModelPackageArn": PACKAGE}],
        "Recommend": [{"JobArn": "…"}],
        "Ask": [recommended("IN_PROGRESS"), recommended("COMPLETED")],
    }
    return run(definition, given or {}, {**usual, **answers})


def test_a_good_model_is_registered(definition: dict[str, Any]) -> None:
    """Without tuning and load test unless they are asked for; and the output says what came of it."""
    execution = executed(definition)
    assert execution.way == ["Name", "TuneOrTrain", "Train", "Judge", "Register", "RecommendOrDone", "Done"]
    assert execution.end["package"] == PACKAGE
    assert execution.end["metrics"] == GOOD


def test_the_registered_model_waits_for_a_person(definition: dict[str, Any]) -> None:
    """The approval is what SageMaker asks for before it deploys a version."""
    asked = executed(definition).asked["Register"]
    assert asked["ModelApprovalStatus"] == "PendingManualApproval"
    assert asked["ModelPackageGroupName"] == "rtb-prod"
    (container,) = asked["InferenceSpecification"]["Containers"]
    assert container["ModelDataUrl"] == ARCHIVE
    assert container["Image"].endswith(f"/rtb-prod/model:{PROD.training.image_tag}")
    assert asked["CustomerMetadataProperties"]["auc"] == "0.72"


@pytest.mark.parametrize(
    "worse",
    [
        {"auc": 0.59, "auc_prior": 0.5},
        {"auc_prior": 0.7199},
        {"logloss": 0.34},
        {"calibration_error": 0.03},
        {"held_out_positives": 900.0, "calibration_error": 0.0},
    ],
    ids=lambda worse: next(iter(worse)),
)
def test_a_model_that_misses_one_limit_is_refused(definition: dict[str, Any], worse: dict[str, float]) -> None:
    """With its figures in the cause; nothing is registered."""
    execution = executed(definition, Train=[trained({**GOOD, **worse})])
    assert execution.way[-2:] == ["Judge", "Refused"]
    assert execution.end["Error"] == "ModelRefused"
    assert json.loads(execution.end["Cause"].partition(": ")[2]) == {**GOOD, **worse}


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_a_metric_that_is_missing_refuses_the_model(definition: dict[str, Any], missing: str) -> None:
    """The gate fails closed."""
    kept = {name: value for name, value in GOOD.items() if name != missing}
    try:
        execution = executed(definition, Train=[trained(kept)])
    except EvaluationError:
        return  # Step Functions ends the execution there, before anything is registered
    assert execution.way[-1] == "Refused"


def test_the_gate_asks_for_metrics_that_the_job_reports() -> None:
    """The names of the gate's inputs are those of the training job's contract."""
    assert set(GOOD) <= set(METRICS)


def test_tuning_goes_before_training(definition: dict[str, Any]) -> None:
    """The best job's hyperparameters go to the final job, beside the fixed ones."""
    execution = executed(definition, {"tune": True})
    assert execution.way[:4] == ["Name", "TuneOrTrain", "Tune", "Train"]
    given = execution.asked["Train"]["HyperParameters"]
    assert (given["eta"], given["max_depth"], given["seed"]) == ("0.05", "6", "1")


def test_the_load_test_is_waited_for(definition: dict[str, Any]) -> None:
    """Asked again while it runs; the finding is in the output."""
    execution = executed(definition, {"recommend": True})
    assert execution.way[-8:] == [
        *("Recommend", "Wait", "Ask", "RecommendedOrWait"),
        *("Wait", "Ask", "RecommendedOrWait", "Done"),
    ]
    assert execution.asked["Recommend"]["InputConfig"]["ModelPackageVersionArn"] == PACKAGE
    assert execution.end["recommendations"] == [{"type": "ml.c7i.large", "invocations": 24_000, "latency": 8}]


def test_a_load_test_that_fails_ends_the_execution(definition: dict[str, Any]) -> None:
    """The model stays registered, and what failed is said."""
    execution = executed(definition, {"recommend": True}, Ask=[recommended("FAILED")])
    assert execution.end["Error"] == "RecommendationFailed"


@pytest.mark.parametrize("name", ["prod", "plain"])
def test_sagemaker_would_take_every_request(template: dict[str, Any], name: str) -> None:
    """By its own API model: names, types, values, forms and lengths."""
    asked = executed(definition_of(template, name), {"tune": True, "recommend": True}).asked
    operations = {
        "Tune": "CreateHyperParameterTuningJob",
        "Train": "CreateTrainingJob",
        "Register": "CreateModelPackage",
        "Recommend": "CreateInferenceRecommendationsJob",
        "Ask": "DescribeInferenceRecommendationsJob",
    }
    assert set(asked) == set(operations)
    assert [problem for state, operation in operations.items() for problem in refused(operation, asked[state])] == []


def test_a_wrong_request_is_found() -> None:
    """The check above can fail: a name that does not exist, a value that is none of those allowed, a form."""
    assert refused("DescribeInferenceRecommendationsJob", {"JobName": "rtb", "Name": "x"})
    assert refused("DescribeInferenceRecommendationsJob", {"JobName": "rtb_prod"})
    assert refused("CreateModelPackage", {"ModelApprovalStatus": "Perhaps"})


def jobs(definition: dict[str, Any]) -> list[dict[str, Any]]:
    """The definitions of the training job and of the tuning job's training jobs."""
    asked = executed(definition, {"tune": True}).asked
    return [asked["Train"], asked["Tune"]["TrainingJobDefinition"]]


def test_training_containers_have_no_network(template: dict[str, Any], definition: dict[str, Any]) -> None:
    """And SageMaker moves their data through the VPC's private subnets, encrypted with the project's key."""
    private = [
        resolved({"Ref": each}, template)
        for each in template["Resources"]
        if re.fullmatch(r"BareVpcprivate\w+Subnet[0-9A-F]{8}", each)
    ]
    assert len(private) == 3
    for job in jobs(definition):
        assert job["EnableNetworkIsolation"] is True
        assert job["EnableInterContainerTrafficEncryption"] is True
        assert sorted(job["VpcConfig"]["Subnets"]) == sorted(private)
        for key in (job["OutputDataConfig"]["KmsKeyId"], job["ResourceConfig"]["VolumeKmsKeyId"]):
            assert key.startswith("arn:aws:kms:")


def test_spot_is_an_option(template: dict[str, Any]) -> None:
    """With it a job may wait for capacity, longer than it may run; without it none of this is sent."""
    for job in jobs(definition_of(template, "prod")):
        assert job["EnableManagedSpotTraining"] is True
        assert job["StoppingCondition"]["MaxWaitTimeInSeconds"] >= job["StoppingCondition"]["MaxRuntimeInSeconds"]
    for job in jobs(definition_of(template, "plain")):
        assert job["EnableManagedSpotTraining"] is False
        assert "MaxWaitTimeInSeconds" not in job["StoppingCondition"]
        assert "CheckpointConfig" not in job


def test_a_job_on_spot_keeps_checkpoints_of_its_own(template: dict[str, Any]) -> None:
    """Under its name in the models' bucket, where its role, and no other, may write and read them."""
    training, trial = jobs(definition_of(template, "prod"))
    bucket = training["OutputDataConfig"]["S3OutputPath"].split("/")[2]
    assert training["CheckpointConfig"]["S3Uri"] == f"s3://{bucket}/checkpoints/{training['TrainingJobName']}"
    assert "CheckpointConfig" not in trial
    keeping = [each for each in statements(template) if any("/checkpoints/" in name for name in each.resources)]
    assert [(each.logical_id[:17], set(each.actions)) for each in keeping] == [
        ("TrainingTrainRole", {"s3:GetObject", "s3:PutObject"})
    ]


def test_each_kind_of_job_has_a_role_of_its_own(definition: dict[str, Any]) -> None:
    """Training, tuning and load test run as three."""
    asked = executed(definition, {"tune": True, "recommend": True}).asked
    roles = {
        asked["Train"]["RoleArn"],
        asked["Tune"]["TrainingJobDefinition"]["RoleArn"],
        asked["Recommend"]["RoleArn"],
    }
    assert len(roles) == 3


def of_role(template: dict[str, Any], logical_id: str) -> list[Statement]:
    """The statements of the policies of the role whose logical id begins so."""
    return [each for each in statements(template) if each.logical_id.startswith(f"{logical_id}Role")]


def test_jobs_read_the_log_and_write_models_and_no_more(template: dict[str, Any]) -> None:
    """Of S3 a role has one prefix to read and one to write, but for checkpoints."""
    for role in ("TrainingPlainTrain", "TrainingTune"):
        s3_of = {
            action: each.resources
            for each in of_role(template, role)
            for action in each.actions
            if action.startswith("s3:")
        }
        assert set(s3_of) == {"s3:ListBucket", "s3:GetObject", "s3:PutObject"}
        assert [each.rpartition(":::")[2] for each in s3_of["s3:GetObject"]] == ["rtb-events/training/*"]
        assert all(each.endswith("/models/*") for each in s3_of["s3:PutObject"])


def test_jobs_decrypt_the_log_with_its_own_key(template: dict[str, Any]) -> None:
    """And encrypt nothing with it: what they write has the models' key."""
    for role in ("TrainingTrain", "TrainingTune"):
        by_action = [(action, each.resources) for each in of_role(template, role) for action in each.actions]
        assert [action for action, resources in by_action if EVENTS_KEY in resources] == ["kms:Decrypt"]
        (written,) = [resources for action, resources in by_action if action == "kms:GenerateDataKey"]
        assert written[0].startswith("${BareKey")


def test_load_tests_stay_away_from_the_live_endpoint(template: dict[str, Any]) -> None:
    """They make, call and delete endpoints that begin with its name and a dash: never itself."""
    live = "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:endpoint/rtb-prod"
    touched = {
        resource
        for each in of_role(template, "RecommenderExecution")
        for resource in each.resources
        if ":endpoint/" in resource
    }
    assert touched == {f"{live}-*"}


def test_the_pipeline_passes_its_jobs_roles_to_sagemaker_alone(template: dict[str, Any]) -> None:
    """Three roles, one service."""
    (passing,) = [each for each in of_role(template, "Pipeline") if "iam:PassRole" in each.actions]
    assert len(passing.resources) == 3
    assert passing.conditions == (("StringEquals", "iam:PassedToService", ("sagemaker.amazonaws.com",)),)


def test_the_pipeline_may_call_what_it_calls(template: dict[str, Any], definition: dict[str, Any]) -> None:
    """Each task's action is allowed, and no other action of SageMaker but those that waiting needs."""
    allowed = {action for each in of_role(template, "Pipeline") for action in each.actions if "sagemaker:" in action}
    called = {
        f"sagemaker:{call[0].upper()}{call[1:]}"
        for state in definition["States"].values()
        if state["Type"] == "Task"
        for call in [state["Resource"].rpartition(":")[2].removesuffix(".sync")]
    }
    waiting = {
        f"sagemaker:{verb}{noun}"
        for verb in ("Describe", "Stop")
        for noun in ("TrainingJob", "HyperParameterTuningJob")
    }
    assert allowed == called | waiting | {"sagemaker:AddTags"}


def test_every_wildcard_is_explained(template: dict[str, Any]) -> None:
    """A specific action on a specific ARN, or a reason."""
    assert [each for each in unexplained_wildcards(template) if not each.startswith("Bare")] == []


def test_cdk_nag_is_content(bare: Bare, template: dict[str, Any]) -> None:
    """AwsSolutions, but for what is suppressed with a reason."""
    assert bare.findings() == []


def test_the_schedule_is_an_option(template: dict[str, Any]) -> None:
    """Prod's starts the state machine in UTC, as a role that may do nothing else; without one there is no such role."""
    (schedule,) = resources_of(template, "AWS::Scheduler::Schedule").values()
    assert schedule["Properties"]["ScheduleExpression"] == PROD.training.schedule
    assert schedule["Properties"]["ScheduleExpressionTimezone"] == "UTC"
    (start,) = [each for each in statements(template) if "states:StartExecution" in each.actions]
    assert start.actions == ("states:StartExecution",)
    assert [each.rpartition(":")[2] for each in start.resources] == ["rtb-prod-training"]
    assert DEV.training.schedule is None


def test_every_step_is_logged(template: dict[str, Any]) -> None:
    """All events, encrypted, for a bounded time."""
    for machine in resources_of(template, "AWS::StepFunctions::StateMachine").values():
        assert machine["Properties"]["LoggingConfiguration"]["Level"] == "ALL"
    for log in resources_of(template, "AWS::Logs::LogGroup").values():
        assert log["Properties"]["RetentionInDays"] == PROD.training.log_days
        assert "KmsKeyId" in log["Properties"]
