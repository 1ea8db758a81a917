"""What a task is: the bidder's own settings, secrets by reference, a narrow role, and time to stop."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from infra.identity import unexplained_wildcards, wide_invocations
from infra.statements import Statement, rendered, statements
from infra.task import CACHE_DIR, PORT, SCRATCH, USER
from tests.infra.bidders import EVENTS, SIDE_CAR, built

KINDS = ("fargate", "instances", "application")
ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def settings_of_the_bidder() -> set[str]:
    """The variables that bidder/config.py reads, told from its source: nothing here imports the bidder."""
    module = ast.parse((ROOT / "bidder/config.py").read_text())
    (settings,) = (node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "Settings")
    fields = [node.target for node in settings.body if isinstance(node, ast.AnnAssign)]
    return {f"BIDDER_{target.id.upper()}" for target in fields if isinstance(target, ast.Name)}


def task(kind: str) -> dict[str, Any]:
    return built()[kind].one("AWS::ECS::TaskDefinition")


def bidder(kind: str) -> dict[str, Any]:
    (container,) = (each for each in task(kind)["ContainerDefinitions"] if each["Name"] == "bidder")
    return dict(container)


def environment(kind: str) -> dict[str, str]:
    return {each["Name"]: rendered(each["Value"]) for each in bidder(kind)["Environment"]}


def secrets(kind: str) -> set[str]:
    return {each["Name"] for each in bidder(kind)["Secrets"]}


def allowed(kind: str, role: str) -> dict[tuple[str, ...], Statement]:
    """What `role` may do, by actions."""
    return {
        each.actions: each
        for each in statements(built()[kind].template)
        if each.logical_id.startswith(role) and each.resources
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_variable_is_a_setting_of_the_bidder(kind: str) -> None:
    """In the environment and among the secrets; what is misspelt would be ignored without a word."""
    names = environment(kind).keys() | secrets(kind)
    assert {name for name in names if name.startswith("BIDDER_")} <= settings_of_the_bidder()
    assert all(name.startswith("BIDDER_") for name in names)


@pytest.mark.parametrize("kind", KINDS)
def test_the_settings_are_the_typed_ones(kind: str) -> None:
    """And what the deployment alone knows: endpoint, region, documents in S3, the directory for compiled catalogs."""
    found, sizes = environment(kind), built()[kind].environment.service
    assert found["BIDDER_DRAIN_S"] == str(built()[kind].environment.bidder.drain_s)
    assert found["BIDDER_MAX_IN_FLIGHT"] == str(built()[kind].environment.bidder.max_in_flight)
    assert found["BIDDER_ENDPOINT_NAME"] == "Bidder-Endpoint"
    assert found["BIDDER_CATALOG_CACHE_DIR"] == CACHE_DIR
    for setting, key in sizes.documents:
        assert re.fullmatch(rf"s3://\$\{{.+\}}/{key}", found[f"BIDDER_{setting.upper()}"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_endpoint_is_asked_by_the_regions_name(kind: str) -> None:
    """Its private answer is the caller's zone's own; another URL would be one zone's or leave the VPC."""
    assert "BIDDER_ENDPOINT_URL" not in environment(kind)
    assert environment(kind)["BIDDER_AWS_REGION"] == "us-east-1"


def test_what_is_secret_comes_from_secrets_manager() -> None:
    """The store's URL and exchanges' keys always; the token that opens explaining in dev alone."""
    assert secrets("fargate") == {"BIDDER_STATE_URL", "BIDDER_PRICE_KEYS", "BIDDER_EXPLAIN_TOKEN"}
    assert secrets("instances") == {"BIDDER_STATE_URL", "BIDDER_PRICE_KEYS"}
    for secret in built()["fargate"].all("AWS::SecretsManager::Secret"):
        assert "BareKey" in rendered(secret["KmsKeyId"])


def test_the_place_for_price_keys_holds_none() -> None:
    """A comma is what the bidder reads as no keys: it skips what is empty between commas."""
    (place,) = (each for each in built()["fargate"].all("AWS::SecretsManager::Secret") if "price" in each["Name"])
    assert place["SecretString"] == ","
    assert 'filter(None, text.split(","))' in (ROOT / "bidder/stages/winning_price.py").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_the_task_is_what_the_image_is(kind: str) -> None:
    """User, port, health check and the place to write are the Dockerfile's; a file for each connection."""
    container, sizes = bidder(kind), built()[kind].environment
    assert f"USER {USER}\n" in DOCKERFILE
    assert f"EXPOSE {PORT}\n" in DOCKERFILE
    assert f"VOLUME {SCRATCH}\n" in DOCKERFILE
    assert "/app/healthcheck.py" in DOCKERFILE
    assert container["User"] == USER
    assert container["PortMappings"] == [{"ContainerPort": PORT, "Name": "bids", "Protocol": "tcp"}]
    (files,) = container["Ulimits"]
    assert files["SoftLimit"] == files["HardLimit"] > sizes.bidder.max_connections
    assert container["LinuxParameters"]["InitProcessEnabled"] is True
    assert rendered(container["Image"]).endswith(f":{sizes.service.image_tag}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_is_ended_when_it_does_not_answer_and_not_when_it_is_not_ready(kind: str) -> None:
    """/healthz ends it, after the time that it may take to start; /readyz is the balancer's."""
    check = bidder(kind)["HealthCheck"]
    assert check["Command"] == ["CMD", "python", "-IS", "/app/healthcheck.py", str(PORT), "/healthz"]
    assert check["StartPeriod"] == built()[kind].environment.service.health_grace_s <= 300


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_has_the_time_that_it_takes_to_stop(kind: str) -> None:
    """As it was told: longer than drain and stop, shorter than the balancer's patience, within what Fargate gives."""
    told, stop_s = environment(kind), bidder(kind)["StopTimeout"]
    stopping_s = float(told["BIDDER_DRAIN_S"]) + float(told["BIDDER_STOP_S"])
    assert stopping_s < stop_s <= 120
    assert stopping_s <= built()[kind].environment.balancer.deregistration_delay_s


def test_compiled_catalogs_are_written_to_memory_or_to_a_volume() -> None:
    """A tmpfs on instances, where no program can be started from; a volume on Fargate, which has no tmpfs."""
    assert CACHE_DIR.startswith(f"{SCRATCH}/")
    (memory,) = bidder("instances")["LinuxParameters"]["Tmpfs"]
    assert memory["ContainerPath"] == SCRATCH
    assert {"noexec", "nosuid", "nodev"} == set(memory["MountOptions"])
    assert memory["Size"] < int(task("instances")["Memory"])
    assert "Tmpfs" not in bidder("fargate")["LinuxParameters"]
    assert bidder("fargate")["MountPoints"] == [
        {"ContainerPath": SCRATCH, "ReadOnly": False, "SourceVolume": "scratch"}
    ]
    assert task("fargate")["Volumes"] == [{"Name": "scratch"}]


def test_a_task_is_for_its_capacity_and_graviton() -> None:
    """An address of its own in either case."""
    for kind, capacity in (("fargate", "FARGATE"), ("instances", "EC2")):
        assert task(kind)["RequiresCompatibilities"] == [capacity]
        assert task(kind)["RuntimePlatform"] == {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"}
        assert task(kind)["NetworkMode"] == "awsvpc"


def test_a_side_car_stands_beside_the_bidder() -> None:
    """As it was given; the bidder alone is essential."""
    names = [each["Name"] for each in task("instances")["ContainerDefinitions"]]
    assert names == ["bidder", SIDE_CAR.name]
    assert bidder("instances")["Essential"] is True


@pytest.mark.parametrize("kind", KINDS)
def test_logs_do_not_hold_up_bids(kind: str) -> None:
    """What CloudWatch does not take in time is dropped; logs are encrypted and kept for so long."""
    options = bidder(kind)["LogConfiguration"]["Options"]
    assert options["mode"] == "non-blocking"
    (group,) = (each for each in built()[kind].all("AWS::Logs::LogGroup") if each["LogGroupName"].endswith("/bidder"))
    assert group["RetentionInDays"] == built()[kind].environment.service.log_days
    assert "BareKey" in rendered(group["KmsKeyId"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_bidder_asks_one_endpoint_and_reads_its_own_documents(kind: str) -> None:
    """And decrypts what S3 holds with one key; with a stream it writes events to that."""
    may = allowed(kind, "TaskTaskRole")
    events = {("firehose:PutRecordBatch",)} if kind == "application" else set()
    assert may.keys() == {("sagemaker:InvokeEndpoint",), ("s3:GetObject",), ("kms:Decrypt",)} | events
    (endpoint,) = may[("sagemaker:InvokeEndpoint",)].resources
    assert endpoint.endswith(":sagemaker:us-east-1:${AWS::AccountId}:endpoint/bidder-endpoint")  # in small letters
    assert {resource.rpartition("}/")[2] for resource in may[("s3:GetObject",)].resources} == {
        key for _, key in built()[kind].environment.service.documents
    }
    assert ("StringEquals", "kms:ViaService", ("s3.us-east-1.amazonaws.com",)) in may[("kms:Decrypt",)].conditions
    if events:
        assert may[("firehose:PutRecordBatch",)].resources == (EVENTS,)


@pytest.mark.parametrize("kind", KINDS)
def test_what_starts_a_task_may_do_just_that(kind: str) -> None:
    """Pull one image, read the task's own secrets, write one log."""
    may = allowed(kind, "TaskExecutionRole")
    (log,) = may[("logs:CreateLogStream", "logs:PutLogEvents")].resources
    assert log.startswith("${TaskLogs")
    (image,) = may[("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage")].resources
    assert image.endswith(":repository/rtb/bidder")
    wanted = {rendered(each["ValueFrom"]) for each in bidder(kind)["Secrets"]}
    assert set(may[("secretsmanager:GetSecretValue",)].resources) == wanted
    key = may[("kms:Decrypt",)]
    assert ("StringEquals", "kms:ViaService", ("secretsmanager.us-east-1.amazonaws.com",)) in key.conditions
    assert len(may) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_roles_are_ecs_s_for_this_account(kind: str) -> None:
    """A task of another account cannot have them assumed."""
    trusts = [
        each for each in statements(built()[kind].template) if each.principals == ("Service:ecs-tasks.amazonaws.com",)
    ]
    assert len(trusts) == 2
    assert all(each.has_condition("aws:SourceAccount") and each.has_condition("aws:SourceArn") for each in trusts)


@pytest.mark.parametrize("kind", KINDS)
def test_wildcards_are_explained(kind: str) -> None:
    """Those of the balancer's logs and of the instances, too."""
    assert unexplained_wildcards(built()[kind].template) == []
    assert wide_invocations(built()[kind].template) == []
