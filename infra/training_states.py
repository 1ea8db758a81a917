"""The states of the training pipeline, in Amazon States Language with JSONata as its query language.

    Name ─▶ tune? ─▶ Tune ─▶ Train ─▶ Judge ─▶ Register ─▶ recommend? ─▶ Recommend ─▶ Wait ⇄ Ask ─▶ Done
              └────────────────▲        └▶ Refused             └──────────────────────────────────────▲

The rule: what is registered has passed the gate, and waits for a person: SageMaker deploys a version of the registry
only when it is approved. A metric that is missing counts against the model. The input is
`{"tune": true, "recommend": true}`; both are false by default.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import Aws

from infra.environments import QualityGate, TrainingSizes
from infra.recommender import Recommender
from infra.training import Training
from infra.training_contract import HYPERPARAMETERS

POLL_S = 60  # Step Functions has no way to wait for a recommendation job


def definition(
    name: str, sizes: TrainingSizes, training: Training, recommender: Recommender, package_group: str
) -> dict[str, Any]:
    """The state machine in Amazon States Language. `name` is the environment's, with which every job's name begins.

    Jobs are named after the start, in 32 characters at most, as tuning jobs want it.
    """
    picture = f"rtb-{name}-[Y0001][M01][D01]-[H01][m01][s01]"
    job = f"{{% $states.context.Execution.StartTime ~> $toMillis() ~> $fromMillis('{picture}') %}}"
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
            **_task("sagemaker:createHyperParameterTuningJob.sync", training.tuning_job("{% $job %}")),
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
                training.training_job("$job", "$hyperparameters"),
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
            **_task("aws-sdk:sagemaker:createModelPackage", _package(training, recommender, package_group)),
            "Assign": {"package": "{% $states.result.ModelPackageArn %}"},
            "Next": "RecommendOrDone",
        },
        "RecommendOrDone": _choice("$recommend", "Recommend", "Done"),
        "Recommend": {
            **_task(
                "aws-sdk:sagemaker:createInferenceRecommendationsJob",
                recommender.job("{% $job %}", "{% $package %}"),
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
                {"Condition": "{% $status in ['FAILED', 'STOPPED', 'DELETED'] %}", "Next": "NotRecommended"},
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


def _package(training: Training, recommender: Recommender, group: str) -> dict[str, Any]:
    return {
        "ModelPackageGroupName": group,
        "ModelPackageDescription": "{% 'of training job ' & $job %}",
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [
                {
                    "Image": training.image,
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
        "SamplePayloadUrl": recommender.sample_url,
        "CustomerMetadataProperties": {
            name: f"{{% $string($metrics.{name}) %}}" for name in ("auc", "auc_prior", "logloss", "calibration_error")
        },
    }


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
