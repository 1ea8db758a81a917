"""The endpoint: its models and variants, what they may reach, and how a new fleet takes over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecr as ecr
from botocore.model import ServiceModel
from botocore.session import Session

from infra.environments import (
    DEV,
    ENVIRONMENTS,
    PROD,
    ArchivedModel,
    Environment,
    InferenceSizes,
    RegisteredModel,
    Variant,
)
from infra.identity import unexplained_wildcards
from infra.inference import Inference
from infra.statements import statements
from tests.infra.execution import refused, resolved
from tests.infra.stacks import Bare, bare_stack, resources_of

SHADOW = Variant("candidate", ArchivedModel("models/candidate/model.tar.gz"), 0.25, "ml.c7i.large", 2, 2)
each_environment = pytest.mark.parametrize(
    "environment", ENVIRONMENTS.values(), ids=lambda environment: environment.name
)


def build(bare: Bare, name: str, sizes: InferenceSizes, **more: Any) -> Inference:
    repository = ecr.Repository.from_repository_name(bare.stack, f"Repository-{name}", f"rtb-{name}/model")
    return Inference(
        bare.stack,
        name.capitalize(),
        name=name,
        sizes=sizes,
        subnets=bare.vpc.isolated_subnets,
        security_group=bare.security_group,
        key=bare.key,
        models=bare.bucket,
        repository=repository,
        package_group=f"rtb-{name}",
        **more,
    )


@pytest.fixture(scope="module")
def endpoints(bare: Bare) -> dict[str, Inference]:
    """Prod; dev, with another's alarm; and one with a shadow and captured calls."""
    alarm = cloudwatch.Alarm.from_alarm_arn(
        bare.stack, "Theirs", "arn:aws:cloudwatch:us-east-1:123456789012:alarm:fallbacks"
    )
    alone = replace(PROD.inference, variants=PROD.inference.variants[:1], shadow=SHADOW, capture_percent=5)
    return {
        "prod": build(bare, "prod", PROD.inference),
        "dev": build(bare, "dev", DEV.inference, alarms=[alarm]),
        "shadowed": build(bare, "shadowed", alone, capture=bare.bucket),
    }


@pytest.fixture(scope="module")
def template(bare: Bare, endpoints: dict[str, Inference]) -> dict[str, Any]:
    return bare.template()


def of(template: Mapping[str, Any], kind: str, name: str) -> list[dict[str, Any]]:
    """Properties of the resources of a kind that belong to the endpoint of `name`, intrinsics resolved."""
    return [
        resolved(each["Properties"], template)
        for logical_id, each in resources_of(template, kind).items()
        if logical_id.startswith(name.capitalize())
    ]


def configuration(template: Mapping[str, Any], name: str) -> dict[str, Any]:
    (found,) = of(template, "AWS::SageMaker::EndpointConfig", name)
    return found


def endpoint(template: Mapping[str, Any], name: str) -> dict[str, Any]:
    (found,) = of(template, "AWS::SageMaker::Endpoint", name)
    return found


@pytest.mark.parametrize("name", ["prod", "dev"])
def test_two_variants_share_the_traffic(template: dict[str, Any], name: str) -> None:
    """By weight, and each asks the instance that has least to do."""
    variants = configuration(template, name)["ProductionVariants"]
    wanted = ENVIRONMENTS[name].inference.variants
    assert [(each["VariantName"], each["InitialVariantWeight"]) for each in variants] == [
        (variant.name, variant.weight) for variant in wanted
    ]
    assert len(variants) >= 2
    for each in variants:
        assert each["RoutingConfig"] == {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}
        assert each["EnableSSMAccess"] is False


def test_calls_are_captured_only_where_that_is_asked_for(template: dict[str, Any]) -> None:
    """A sample, encrypted with the project's key; and then the role may write there."""
    assert "DataCaptureConfig" not in configuration(template, "prod")
    capture = configuration(template, "shadowed")["DataCaptureConfig"]
    assert (capture["EnableCapture"], capture["InitialSamplingPercentage"]) == (True, 5)
    assert capture["DestinationS3Uri"].endswith("/capture/rtb-shadowed")
    assert capture["KmsKeyId"].startswith("arn:aws:kms:")
    assert {each["CaptureMode"] for each in capture["CaptureOptions"]} == {"Input", "Output"}
    writers = {each.logical_id[:4] for each in statements(template) if "s3:PutObject" in each.actions}
    assert writers == {"Shad"}


def test_capturing_needs_a_bucket() -> None:
    """Which is said before anything is deployed."""
    with pytest.raises(ValueError, match="a bucket for captured calls is needed"):
        build(bare_stack(), "dev", replace(DEV.inference, capture_percent=1))


def test_containers_reach_nothing(template: dict[str, Any]) -> None:
    """No network of their own; SageMaker's interfaces stand in the private subnets of three zones."""
    models = [each for name in ("prod", "dev", "shadowed") for each in of(template, "AWS::SageMaker::Model", name)]
    assert len(models) == 6
    zones = {
        resolved({"Ref": logical_id}, template): each["Properties"]["AvailabilityZone"]
        for logical_id, each in resources_of(template, "AWS::EC2::Subnet").items()
        if "private" in logical_id
    }
    for model in models:
        assert model["EnableNetworkIsolation"] is True
        assert {zones[subnet] for subnet in model["VpcConfig"]["Subnets"]} == {f"us-east-1{zone}" for zone in "abc"}
        assert len(model["VpcConfig"]["SecurityGroupIds"]) == 1


def test_volumes_are_encrypted(template: dict[str, Any]) -> None:
    """With the project's key."""
    for name in ("prod", "dev", "shadowed"):
        assert configuration(template, name)["KmsKeyId"].startswith("arn:aws:kms:")


def test_an_archived_model_is_our_image_and_its_archive(template: dict[str, Any]) -> None:
    """By a tag that cannot move."""
    for model in of(template, "AWS::SageMaker::Model", "dev"):
        container = model["PrimaryContainer"]
        assert container["Image"].endswith(f".amazonaws.com/rtb-dev/model:{DEV.inference.image_tag}")
        assert container["ModelDataUrl"].endswith("/models/first/model.tar.gz")


def test_a_registered_model_comes_from_the_registry(template: dict[str, Any]) -> None:
    """So that SageMaker refuses to deploy it before it is approved; prod has no other."""
    for model in of(template, "AWS::SageMaker::Model", "prod"):
        assert set(model["PrimaryContainer"]) == {"ModelPackageName"}
        assert model["PrimaryContainer"]["ModelPackageName"].endswith(":model-package/rtb-prod/1")
    assert all(isinstance(variant.model, RegisteredModel) for variant in PROD.inference.variants)


def test_a_shadow_gets_copies_and_answers_nobody(template: dict[str, Any]) -> None:
    """It is no production variant, and nothing scales or rolls back by it."""
    found = configuration(template, "shadowed")
    assert [each["VariantName"] for each in found["ProductionVariants"]] == ["champion"]
    (shadow,) = found["ShadowProductionVariants"]
    assert (shadow["VariantName"], shadow["InitialVariantWeight"]) == ("candidate", 0.25)
    scaled = [each["ResourceId"] for each in of(template, "AWS::ApplicationAutoScaling::ScalableTarget", "shadowed")]
    assert scaled == ["endpoint/rtb-shadowed/variant/champion"]
    assert not [each for each in of(template, "AWS::CloudWatch::Alarm", "shadowed") if "candidate" in each["AlarmName"]]


@pytest.mark.parametrize(
    ("count", "shadow", "complaint"),
    [(2, SHADOW, "exactly 1 variant, got 2"), (1, None, "2 to 10 variants, got 1"), (0, SHADOW, "got 0")],
)
def test_variants_and_shadow_are_such_as_sagemaker_takes(count: int, shadow: Variant | None, complaint: str) -> None:
    """One production variant beside a shadow, two or more without."""
    with pytest.raises(ValueError, match=complaint):
        replace(PROD.inference, variants=PROD.inference.variants[:count], shadow=shadow)


@pytest.mark.parametrize(("name", "kind", "size"), [("prod", "LINEAR", "Linear"), ("dev", "CANARY", "Canary")])
def test_a_new_fleet_takes_over_in_parts(template: dict[str, Any], name: str, kind: str, size: str) -> None:
    """Blue/green, a share of the capacity at a time."""
    shift = ENVIRONMENTS[name].inference.shift
    update = endpoint(template, name)["DeploymentConfig"]["BlueGreenUpdatePolicy"]
    routing = update["TrafficRoutingConfiguration"]
    assert routing["Type"] == kind
    key = {"Linear": "LinearStepSize", "Canary": "CanarySize"}[size]
    assert routing[key] == {"Type": "CAPACITY_PERCENT", "Value": shift.percent}
    assert routing["WaitIntervalInSeconds"] == shift.wait_s
    assert update["TerminationWaitInSeconds"] == shift.termination_wait_s
    assert update["MaximumExecutionTimeoutInSeconds"] == shift.max_duration_s


@pytest.mark.parametrize("name", ["prod", "dev"])
def test_alarms_undo_a_deployment(template: dict[str, Any], name: str) -> None:
    """p99 of the model's latency and the share of 5xx, of each variant; in the units of the metrics."""
    limits = ENVIRONMENTS[name].inference.rollback
    alarms = {each["AlarmName"]: each for each in of(template, "AWS::CloudWatch::Alarm", name)}
    for variant in ENVIRONMENTS[name].inference.variants:
        latency = alarms[f"rtb-{name}-{variant.name}-model-latency-p99"]
        errors = alarms[f"rtb-{name}-{variant.name}-server-errors"]
        assert (latency["MetricName"], latency["ExtendedStatistic"]) == ("ModelLatency", "p99")
        assert latency["Threshold"] == limits.model_latency_p99_ms * 1000
        assert (errors["MetricName"], errors["Statistic"]) == ("Invocation5XXErrors", "Average")
        assert errors["Threshold"] == limits.server_error_share
        for alarm in (latency, errors):
            assert {each["Name"]: each["Value"] for each in alarm["Dimensions"]} == {
                "EndpointName": f"rtb-{name}",
                "VariantName": variant.name,
            }
            assert (alarm["Period"], alarm["EvaluationPeriods"]) == (60, limits.minutes)
            assert alarm["TreatMissingData"] == "notBreaching"
    (found,) = [
        each["Properties"]["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
        for logical_id, each in resources_of(template, "AWS::SageMaker::Endpoint").items()
        if logical_id.startswith(name.capitalize())
    ]
    theirs = [{"AlarmName": "fallbacks"}] if name == "dev" else []
    assert len(found) == len(alarms) + len(theirs)
    assert all(each in found for each in theirs)


def test_too_many_alarms_are_refused() -> None:
    """SageMaker watches ten."""
    bare = bare_stack()
    arn = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:a"
    alarms = [cloudwatch.Alarm.from_alarm_arn(bare.stack, f"A{i}", f"{arn}{i}") for i in range(7)]
    with pytest.raises(ValueError, match="11 alarms would roll back, SageMaker watches 10"):
        build(bare, "prod", PROD.inference, alarms=alarms)


def test_a_deployment_keeps_the_instances_that_scaling_chose(template: dict[str, Any]) -> None:
    """But for weights and capture, which are the code's."""
    found = endpoint(template, "prod")
    assert found["RetainAllVariantProperties"] is True
    assert {each["VariantPropertyType"] for each in found["ExcludeRetainedVariantProperties"]} == {
        "DesiredWeight",
        "DataCaptureConfig",
    }


def test_production_survives_a_zone() -> None:
    """Three instances or more of the variant that answers most, and at least two of any."""
    counts = [variant.min_instances for variant in PROD.inference.variants]
    assert max(counts) >= PROD.network.availability_zones
    assert min(counts) >= 2


@each_environment
def test_a_deployment_ends_before_sagemaker_gives_up(environment: Environment) -> None:
    """All steps and waits, and half an hour for the instances to start, are within the time allowed."""
    shift = environment.inference.shift
    steps = 100 // shift.percent if shift.kind == "LINEAR" else 1
    assert steps * shift.wait_s + shift.termination_wait_s + 1800 <= shift.max_duration_s
    assert 600 <= shift.max_duration_s <= 28_800  # MaximumExecutionTimeoutInSeconds
    assert (10 if shift.kind == "LINEAR" else 1) <= shift.percent <= 50


@each_environment
def test_instance_types_exist_and_have_volumes_that_can_be_encrypted(environment: Environment) -> None:
    """By SageMaker's API; types with a local disk (a `d` after the generation) refuse a key."""
    model = ServiceModel(Session().get_data("sagemaker/2017-07-24/service-2"), "sagemaker")
    served = {variant.instance_type for variant in environment.inference.variants}
    served |= set(environment.training.recommender.instance_types)
    assert served <= set(model.shape_for("ProductionVariantInstanceType").enum)
    assert environment.training.instance_type in model.shape_for("TrainingInstanceType").enum
    for each in served | {environment.training.instance_type}:
        assert re.fullmatch(r"ml\.[a-z]+\d[a-z]*\.\w+", each)
        assert "d" not in each.split(".")[1].lstrip("abcdefghijklmnopqrstuvwxyz")


@pytest.mark.parametrize("name", ["prod", "dev", "shadowed"])
def test_sagemaker_would_take_endpoint_and_configuration(template: dict[str, Any], name: str) -> None:
    """By its own API model; CloudFormation hands the properties on by the same names."""
    assert refused("CreateEndpointConfig", {"EndpointConfigName": "given", **configuration(template, name)}) == []
    assert refused("UpdateEndpoint", endpoint(template, name)) == []
    for model in of(template, "AWS::SageMaker::Model", name):
        assert refused("CreateModel", {"ModelName": "given", **model}) == []


def test_the_role_reads_models_and_no_more(template: dict[str, Any]) -> None:
    """Nothing is written, listed beyond the prefix, or invoked."""
    mine = [each for each in statements(template) if each.logical_id.startswith("ProdExecutionRole")]
    actions = {action for each in mine for action in each.actions}
    assert {action for action in actions if action.startswith("s3:")} == {"s3:GetObject", "s3:ListBucket"}
    assert not {action for action in actions if action.startswith(("sagemaker:", "iam:"))}
    (listing,) = [each for each in mine if "s3:ListBucket" in each.actions]
    assert listing.conditions == (("StringLike", "s3:prefix", ("models/*",)),)


def test_sagemaker_alone_assumes_the_role_for_this_account(template: dict[str, Any]) -> None:
    """The confused deputy's way is closed."""
    (trust,) = [
        each
        for each in statements(template)
        if each.logical_id.startswith("ProdExecutionRole") and each.resource_type == "AWS::IAM::Role"
    ]
    assert trust.principals == ("Service:sagemaker.amazonaws.com",)
    assert trust.has_condition("aws:SourceAccount")


def test_every_wildcard_is_explained(template: dict[str, Any]) -> None:
    """A specific action on a specific ARN, or a reason."""
    assert [each for each in unexplained_wildcards(template) if not each.startswith("Bare")] == []


def test_cdk_nag_is_content(bare: Bare, template: dict[str, Any]) -> None:
    """AwsSolutions, but for what is suppressed with a reason."""
    assert bare.findings() == []


def test_the_log_is_there_before_the_endpoint(template: dict[str, Any]) -> None:
    """Encrypted and for a bounded time; SageMaker's own would be neither."""
    (log,) = of(template, "AWS::Logs::LogGroup", "prod")
    assert log["LogGroupName"] == "/aws/sagemaker/Endpoints/rtb-prod"
    assert log["RetentionInDays"] == PROD.inference.log_days
    assert log["KmsKeyId"].startswith("arn:aws:kms:")
    (found,) = [
        each
        for logical_id, each in resources_of(template, "AWS::SageMaker::Endpoint").items()
        if logical_id.startswith("Prod")
    ]
    assert any(each.startswith("ProdLog") for each in found["DependsOn"])


def test_others_can_name_what_they_watch(endpoints: dict[str, Inference]) -> None:
    """Names, keys and dimensions are plain values."""
    assert endpoints["prod"].endpoint_name == "rtb-prod"
    assert endpoints["prod"].variant_names == ["champion", "challenger"]
    assert endpoints["prod"].endpoint_arn.endswith(":endpoint/rtb-prod")
    assert endpoints["prod"].dimensions("champion") == {"EndpointName": "rtb-prod", "VariantName": "champion"}
    assert endpoints["shadowed"].model_keys == {"candidate": "models/candidate/model.tar.gz"}
