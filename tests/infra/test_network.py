"""The network: three zones, no way out, private ways to what is asked, and rules from group to group."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from infra import endpoints, exposure
from infra.environments import DEV
from infra.network import Network
from infra.statements import Statement, rendered, statements
from tests.infra.stacks import Bare, bare_stack, resources_of

SERVICES = (endpoints.runtime("bidder-endpoint"), *endpoints.COMMON, *endpoints.EKS)


def build(bare: Bare, **changes: Any) -> Network:
    sizes = dataclasses.replace(DEV.network, **changes)
    buckets = "arn:aws:s3:::bidder-dev-*"
    return Network(
        bare.stack, "Network", prefix="bidder-dev", sizes=sizes, services=SERVICES, buckets=buckets, key=bare.key
    )


@pytest.fixture(scope="module")
def template(bare: Bare) -> dict[str, Any]:
    build(bare).allow_services(bare.security_group)
    return without_bare(bare.template())


def without_bare(template: dict[str, Any]) -> dict[str, Any]:
    """Only what the construct made."""
    return {"Resources": {name: each for name, each in template["Resources"].items() if not name.startswith("BareVpc")}}


def interfaces(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name of the service → its endpoint."""
    found = {}
    for endpoint in resources_of(template, "AWS::EC2::VPCEndpoint").values():
        properties = endpoint["Properties"]
        if properties["VpcEndpointType"] == "Interface":
            found[rendered(properties["ServiceName"]).partition("${AWS::Region}.")[2]] = properties
    return found


def bounds(template: dict[str, Any], service: str) -> list[Statement]:
    name = "VpcS3" if service == "s3" else service.title().replace(".", "").replace("-", "")
    return [each for each in statements(template) if each.logical_id.startswith(f"Network{name}")]


def test_three_zones_at_least(template: dict[str, Any]) -> None:
    """A subnet for compute and a public one in each; fewer zones are refused."""
    subnets = resources_of(template, "AWS::EC2::Subnet").values()
    zones = [subnet["Properties"]["AvailabilityZone"] for subnet in subnets]
    assert sorted(zones) == sorted([*DEV.network.zones] * 2)
    assert not any(subnet["Properties"]["MapPublicIpOnLaunch"] for subnet in subnets)
    with pytest.raises(ValueError, match="at least three zones"):
        build(bare_stack(), zones=("us-east-1a", "us-east-1b"))


def test_compute_has_no_way_to_the_internet(template: dict[str, Any]) -> None:
    """No NAT gateway, and the internet gateway's routes are in public subnets only."""
    assert resources_of(template, "AWS::EC2::NatGateway") == {}
    routes = resources_of(template, "AWS::EC2::Route")
    assert len(routes) == 3
    assert all("Public" in name and "GatewayId" in route["Properties"] for name, route in routes.items())


def test_each_service_has_an_interface_in_every_zone(template: dict[str, Any]) -> None:
    """By its public name (private DNS), in the compute subnets, behind the endpoints' group."""
    found = interfaces(template)
    assert set(found) == {service.name for service in SERVICES}
    for properties in found.values():
        assert properties["PrivateDnsEnabled"] is True
        assert len(properties["SubnetIds"]) == 3
        assert all("Compute" in rendered(subnet) for subnet in properties["SubnetIds"])
        assert [rendered(group).partition("Network")[2][:9] for group in properties["SecurityGroupIds"]] == [
            "Endpoints"
        ]


def test_every_service_is_there() -> None:
    """What compute asks AWS for; on EKS that is more."""
    assert {service.name for service in SERVICES if service not in endpoints.EKS} == {
        "sagemaker.runtime",
        "sagemaker.api",
        "ecr.api",
        "ecr.dkr",
        "logs",
        "monitoring",
        "sts",
        "kms",
        "secretsmanager",
        "kinesis-firehose",
    }


def test_the_runtime_answers_for_one_endpoint_only(template: dict[str, Any]) -> None:
    """Of this account and region, to principals of this account, and nothing but InvokeEndpoint."""
    (bound,) = bounds(template, "sagemaker.runtime")
    assert bound.actions == ("sagemaker:InvokeEndpoint",)
    assert bound.resources == (
        "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:endpoint/bidder-endpoint",
    )
    assert bound.conditions == (("StringEquals", "aws:PrincipalAccount", ("${AWS::AccountId}",)),)


def test_every_bound_names_actions_and_this_account(template: dict[str, Any]) -> None:
    """No endpoint passes an action that nobody listed, or another account's principals."""
    for service in SERVICES:
        for bound in bounds(template, service.name):
            assert not any("*" in action for action in bound.actions)
            assert bound.has_condition("aws:PrincipalAccount")


def test_s3_is_the_projects_buckets_and_ecrs_layers(template: dict[str, Any]) -> None:
    """Through a gateway in the route tables of compute and public subnets."""
    own, layers = bounds(template, "s3")
    assert own.resources == ("arn:aws:s3:::bidder-dev-*", "arn:aws:s3:::bidder-dev-*/*")
    assert own.has_condition("aws:ResourceAccount")
    assert layers.actions == ("s3:GetObject",)
    assert layers.resources == ("arn:${AWS::Partition}:s3:::prod-${AWS::Region}-starport-layer-bucket/*",)


def test_groups_let_in_groups(template: dict[str, Any]) -> None:
    """The endpoints take 443 from named groups and nobody else; out go those to the endpoints and to S3's addresses."""
    ingress = resources_of(template, "AWS::EC2::SecurityGroupIngress").values()
    assert len(ingress) == 2
    for rule in ingress:
        assert (rule["Properties"]["FromPort"], rule["Properties"]["ToPort"]) == (443, 443)
        assert "SourceSecurityGroupId" in rule["Properties"]
    for group in resources_of(template, "AWS::EC2::SecurityGroup").values():
        assert "SecurityGroupIngress" not in group["Properties"]
    assert exposure.open_security_groups(template) == []
    assert exposure.open_egress(template) == []


def test_flow_logs_are_kept_encrypted(template: dict[str, Any]) -> None:
    """All traffic, for as long as the environment says; the role writes this log and no other."""
    (log,) = resources_of(template, "AWS::EC2::FlowLog").values()
    assert log["Properties"]["TrafficType"] == "ALL"
    (group,) = resources_of(template, "AWS::Logs::LogGroup").values()
    assert group["Properties"]["RetentionInDays"] == DEV.network.flow_log_days
    assert "KmsKeyId" in group["Properties"]
    (role,) = [each for each in statements(template) if "FlowLogRoleDefaultPolicy" in each.logical_id]
    assert all(resource.startswith("${NetworkFlowLogGroup") for resource in role.resources)


def test_nag_is_content(bare: Bare, template: dict[str, Any]) -> None:
    """Nothing to suppress."""
    assert bare.findings() == []
