"""Every environment on every platform: synthesised once, and held to everything that templates are held to."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from infra import checks, exposure, identity
from infra.app import COPIED, PLATFORMS, outside_roles
from infra.environments import ENVIRONMENTS
from infra.statements import statements
from infra.synthesis import Composition
from tests.infra.stacks import resources_of


def test_there_are_two_environments_on_two_platforms(compositions: tuple[Composition, ...]) -> None:
    """And each becomes templates without a look-up, or it would not be here."""
    assert {each.name for each in compositions} == {"dev-ecs", "dev-eks", "prod-ecs", "prod-eks"}
    assert len(compositions) == len(ENVIRONMENTS) * len(PLATFORMS)


def test_nothing_is_wrong_with_them(compositions: tuple[Composition, ...]) -> None:
    """cdk-nag, wildcards, invocations, security groups, buckets, policies of resources."""
    assert [problem for each in compositions for problem in checks.problems(each)] == []


def test_cfn_lint_is_content(compositions: tuple[Composition, ...]) -> None:
    """With every template, warnings too. One that is the same in two compositions is read once."""
    assert checks.lint(checks.distinct(compositions)) == []


def test_no_explanation_is_left_over(compositions: tuple[Composition, ...]) -> None:
    """Every explained wildcard and every suppression is still needed somewhere."""
    assert checks.stale(compositions) == []


def test_names_carry_the_environment(compositions: tuple[Composition, ...]) -> None:
    """So that two of them can live in one account."""
    for composition in compositions:
        environment = composition.name.partition("-")[0]
        for template in composition.templates.values():
            for name in _names(template):
                assert environment in name, f"{composition.name}: {name}"


def test_nothing_runs_code_of_ours_while_deploying(compositions: tuple[Composition, ...]) -> None:
    """No custom resource, no function, no asset but the templates themselves."""
    for composition in compositions:
        kinds = {each["Type"] for template in composition.templates.values() for each in template["Resources"].values()}
        assert not {kind for kind in kinds if kind.startswith(("Custom::", "AWS::Lambda::", "AWS::CloudFormation::Cu"))}


def test_services_that_write_from_outside_are_let_into_the_buckets(compositions: tuple[Composition, ...]) -> None:
    """Each role of SageMaker's, Firehose's and S3's is named in the buckets' policies; besides, who deploys."""
    outside = {"sagemaker.amazonaws.com", "firehose.amazonaws.com", "s3.amazonaws.com"}
    for composition in compositions:
        environment = ENVIRONMENTS[composition.name.partition("-")[0]]
        roles = {
            str(each["Properties"]["RoleName"])
            for template in composition.templates.values()
            for each in template["Resources"].values()
            if each["Type"] == "AWS::IAM::Role" and any(name in str(each["Properties"]) for name in outside)
        }
        assert roles | {environment.deployer_role} == set(outside_roles(environment))


def test_only_bidders_and_load_tests_ask_endpoints(compositions: tuple[Composition, ...]) -> None:
    """Nothing else may: not the pipeline, not the collector, not a node."""
    for composition in compositions:
        askers = {
            each.logical_id.partition("DefaultPolicy")[0]
            for template in composition.templates.values()
            for each in statements(template)
            if each.resource_type == "AWS::IAM::Policy" and "sagemaker:InvokeEndpoint" in each.actions
        }
        bidder = "TaskTaskRole" if composition.name.endswith("ecs") else "EksBidderRole"
        assert askers == {bidder, "RecommenderExecutionRole"}


def test_prod_is_copied_and_protected(compositions: tuple[Composition, ...]) -> None:
    """Models and catalogs have a bucket in another Region, which is deployed first, and no stack is deleted by mistake.
    dev has neither."""
    for composition in compositions:
        replica = ENVIRONMENTS[composition.name.partition("-")[0]].storage.replica_region
        first, *_ = composition.templates
        assert first.endswith("-replica") == bool(replica)
        manifest = json.loads((composition.files[first].parent / "manifest.json").read_text())
        protected = [manifest["artifacts"][name]["properties"]["terminationProtection"] for name in composition.files]
        assert set(protected) == {bool(replica)}
        if replica:
            assert composition.regions[first] == replica
            buckets = resources_of(composition.templates[first], "AWS::S3::Bucket").values()
            names = " ".join(str(each["Properties"]["BucketName"]) for each in buckets)
            assert all(f"-{purpose}-" in names for purpose in COPIED)


def test_what_costs_money_says_whose_it_is(compositions: tuple[Composition, ...]) -> None:
    """By tags, which the bill is read by and leftovers are found by."""
    kinds = ("AWS::S3::Bucket", "AWS::KMS::Key", "AWS::SageMaker::Endpoint", "AWS::ElastiCache::ReplicationGroup")
    for composition in compositions:
        environment = composition.name.partition("-")[0]
        wanted = [{"Key": "environment", "Value": environment}, {"Key": "project", "Value": "rtb-bidder"}]
        for template in composition.templates.values():
            for kind in kinds:
                for name, each in resources_of(template, kind).items():
                    assert [tag for tag in each["Properties"]["Tags"] if tag in wanted] == wanted, name


def test_a_permission_boundary_bounds_every_role(with_options: Composition) -> None:
    """An environment that names one; nothing else is wrong with it."""
    assert list(checks.problems(with_options)) == []
    resources = [each for template in with_options.templates.values() for each in template["Resources"].values()]
    roles = [each["Properties"] for each in resources if each["Type"] == "AWS::IAM::Role"]
    assert len(roles) > 10
    assert all("policy/boundary" in str(role.get("PermissionsBoundary")) for role in roles)


@pytest.fixture
def template(compositions: tuple[Composition, ...]) -> dict[str, Any]:
    """A copy of a foundation's, to break."""
    return copy.deepcopy(dict(compositions[0].templates["bidder-dev-foundation"]))


def _first(template: dict[str, Any], kind: str, part: str = "") -> dict[str, Any]:
    found = (each for name, each in template["Resources"].items() if each["Type"] == kind and part in name)
    properties: dict[str, Any] = next(found)["Properties"]
    return properties


def test_an_open_security_group_makes_the_checks_fail(template: dict[str, Any]) -> None:
    """Were the endpoints' group opened by somebody."""
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}
    _first(template, "AWS::EC2::SecurityGroup", "Endpoints")["SecurityGroupIngress"] = [rule]
    assert len(exposure.open_security_groups(template)) == 1


def test_a_bucket_without_its_policy_makes_the_checks_fail(template: dict[str, Any]) -> None:
    """Were the statement about TLS left out."""
    document = _first(template, "AWS::S3::BucketPolicy", "StorageEvents")["PolicyDocument"]
    document["Statement"] = [each for each in document["Statement"] if "SecureTransport" not in str(each)]
    (found,) = exposure.buckets_without_tls(template)
    assert found.startswith("StorageEvents")


def test_invoking_any_endpoint_makes_the_checks_fail(template: dict[str, Any]) -> None:
    """Were the endpoint's policy widened, or a role's."""
    document = _first(template, "AWS::EC2::VPCEndpoint", "SagemakerRuntime")["PolicyDocument"]
    document["Statement"][0]["Resource"] = "*"
    assert len(identity.wide_invocations(template)) == 1


def test_a_new_wildcard_makes_the_checks_fail(template: dict[str, Any]) -> None:
    """Were a role given more than it was explained for."""
    document = _first(template, "AWS::IAM::Policy", "EventLog")["PolicyDocument"]
    document["Statement"].append({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    (found,) = identity.unexplained_wildcards(template)
    assert found.endswith("s3:* on *")


def _names(template: Any) -> set[str]:
    """The physical names in a template, of resources that are one an account or Region."""
    keys = {"BucketName", "RoleName", "FunctionName", "LogGroupName", "AlarmName", "DashboardName", "TopicName",
            "EndpointName", "DeliveryStreamName", "RepositoryName", "AliasName", "ClusterName"}  # fmt: skip
    return {
        str(value)
        for each in template["Resources"].values()
        for key, value in each.get("Properties", {}).items()
        if key in keys and "Ref" not in str(value)[:9]
    }
