"""RTB Fabric: where bids go, how health is asked for, and that no exchange sees an error of ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_eks as eks
from botocore.stub import Stubber

from infra.environments import DEV, FabricSizes
from infra.fabric_links import carry_out, changes, main
from infra.identity import EXPLAINED_WILDCARDS, unexplained_wildcards
from infra.rtb_fabric import INSTANCES_WILDCARDS, KUBERNETES_USER, Domain, Instances, Pods, RtbFabric, Target, masking
from infra.statements import statements
from infra.synthesis import Composition
from tests.infra.stacks import Bare, bare_stack, resources_of

GATEWAY, PEER, STRANGER = "rtb-gw-ours", "rtb-gw-exchange", "rtb-gw-stranger"
TIME = "2026-11-25T00:00:00Z"
ENDPOINT = {
    "autoScalingGroups": {"autoScalingGroupNames": ["a"], "roleArn": "arn:aws:iam::111122223333:role/rtb-fabric"}
}
SIZES = FabricSizes(timeout_ms=300, peers=(PEER,), external=True, logged_refusals_percent=2.5)


def build(make_target: Any, sizes: FabricSizes = SIZES) -> tuple[Bare, dict[str, Any]]:
    bare = bare_stack()
    bidders = ec2.SecurityGroup(bare.stack, "Bidders", vpc=bare.vpc, allow_all_outbound=False)
    target: Target = make_target(bare, bidders)
    RtbFabric(
        bare.stack,
        "Fabric",
        environment_name="prod",
        sizes=sizes,
        vpc=bare.vpc,
        subnets=bare.vpc.isolated_subnets,
        target=target,
    )
    return bare, bare.template()


def pods(bare: Bare, bidders: ec2.SecurityGroup) -> Pods:
    cluster = eks.CfnCluster(
        bare.stack,
        "Cluster",
        name="bidder-prod",
        role_arn="arn:aws:iam::111122223333:role/cluster",
        resources_vpc_config=eks.CfnCluster.ResourcesVpcConfigProperty(subnet_ids=["subnet-1"]),
    )
    return Pods(cluster, "bidder", "bidder", bare.security_group, bidders, 8080)


@pytest.fixture(scope="module")
def on_pods() -> tuple[Bare, dict[str, Any]]:
    return build(pods)


@pytest.fixture(scope="module")
def on_instances() -> dict[str, Any]:
    return build(lambda bare, bidders: Instances(("bidders-a", "bidders-b"), bidders, 8080), replace(SIZES, peers=()))[
        1
    ]


@pytest.fixture(scope="module")
def on_a_domain() -> dict[str, Any]:
    sizes = FabricSizes(timeout_ms=300)
    return build(lambda bare, bidders: Domain("bids.example.com", bidders, ca_certificates="LS0tLS1C"), sizes)[1]


def gateway(template: dict[str, Any]) -> dict[str, Any]:
    (found,) = resources_of(template, "AWS::RTBFabric::ResponderGateway").values()
    return dict(found["Properties"])


def test_pods_are_found_by_their_services_addresses(on_pods: tuple[Bare, dict[str, Any]]) -> None:
    """Of the chart's Service, in the cluster that the stack knows."""
    properties = gateway(on_pods[1])
    found = properties["ManagedEndpointConfiguration"]["EksEndpointsConfiguration"]
    assert found["EndpointsResourceName"] == found["EndpointsResourceNamespace"] == "bidder"
    assert found["ClusterApiServerEndpointUri"] == {"Fn::GetAtt": ["Cluster", "Endpoint"]}
    assert found["ClusterApiServerCaCertificateChain"] == {"Fn::GetAtt": ["Cluster", "CertificateAuthorityData"]}
    assert (properties["Port"], properties["Protocol"]) == (8080, "HTTP")
    assert len(properties["SubnetIds"]) == 3
    assert properties["ListenerConfig"] == {"Protocols": ["HTTPS"]}


def test_the_cluster_knows_rtb_fabric_as_the_charts_user(on_pods: tuple[Bare, dict[str, Any]]) -> None:
    """And gives it no policy: what the user may read is the chart's Role."""
    (entry,) = resources_of(on_pods[1], "AWS::EKS::AccessEntry").values()
    assert entry["Properties"]["Username"] == KUBERNETES_USER
    assert "AccessPolicies" not in entry["Properties"]
    assert not resources_of(on_pods[1], "AWS::IAM::Policy")


def test_the_role_is_rtb_fabrics_and_tagged_as_it_wants(on_pods: tuple[Bare, dict[str, Any]]) -> None:
    """Both of its services, and nobody else."""
    (role,) = resources_of(on_pods[1], "AWS::IAM::Role").values()
    assert {"Key": "RTBFabricManagedEndpoint", "Value": "true"} in role["Properties"]["Tags"]
    trusted = {p for each in statements(on_pods[1]) if each.resource_type == "AWS::IAM::Role" for p in each.principals}
    assert trusted == {"Service:rtbfabric.amazonaws.com", "Service:rtbfabric-endpoints.amazonaws.com"}


def test_the_gateway_reaches_bidders_and_nobody_reaches_it(on_pods: tuple[Bare, dict[str, Any]]) -> None:
    """From group to group: bids to their port, and addresses from the cluster's API."""
    rules = resources_of(on_pods[1], "AWS::EC2::SecurityGroupEgress")
    ports = {each["Properties"]["FromPort"] for name, each in rules.items() if name.startswith("Fabric")}
    assert ports == {443, 8080}
    inward = resources_of(on_pods[1], "AWS::EC2::SecurityGroupIngress")
    assert not [name for name in inward if name.startswith("Fabric")]


def test_instances_are_asked_for_readyz(on_instances: dict[str, Any]) -> None:
    """A booting or draining instance gets no bids."""
    found = gateway(on_instances)["ManagedEndpointConfiguration"]["AutoScalingGroupsConfiguration"]
    assert found["AutoScalingGroupNameList"] == ["bidders-a", "bidders-b"]
    assert found["HealthCheckConfig"] == {
        "Path": "/readyz",
        "Port": 8080,
        "Protocol": "HTTP",
        "StatusCodeMatcher": "200",
        "IntervalSeconds": 5,
        "TimeoutMs": 1000,
        "HealthyThresholdCount": 2,
        "UnhealthyThresholdCount": 2,
    }


def test_a_domain_is_held_against_its_certificates(on_a_domain: dict[str, Any]) -> None:
    """Over TLS, without a role: there is nothing to look up."""
    properties = gateway(on_a_domain)
    assert properties["DomainName"] == "bids.example.com"
    assert (properties["Port"], properties["Protocol"]) == (443, "HTTPS")
    assert properties["TrustStoreConfiguration"] == {"CertificateAuthorityCertificates": ["LS0tLS1C"]}
    assert properties["GatewayType"] == "INTERNAL"
    assert not resources_of(on_a_domain, "AWS::IAM::Role")
    assert not resources_of(on_a_domain, "AWS::RTBFabric::InboundExternalLink")


@pytest.mark.parametrize("kind", ["AWS::RTBFabric::Link", "AWS::RTBFabric::InboundExternalLink"])
def test_exchanges_see_no_bid_for_every_error(kind: str, on_pods: tuple[Bare, dict[str, Any]]) -> None:
    """Of each class, and those of no class; each is counted, and refusals are logged in part."""
    (link,) = resources_of(on_pods[1], kind).values()
    masked = {each["HttpCode"]: each for each in link["Properties"]["LinkAttributes"]["ResponderErrorMasking"]}
    assert set(masked) == {"4XX", "5XX", "DEFAULT"}
    assert all(each["Action"] == "NO_BID" and "METRIC" in each["LoggingTypes"] for each in masked.values())
    assert masked["4XX"]["ResponseLoggingPercentage"] == 2.5
    sampling = link["Properties"]["LinkLogSettings"]["ApplicationLogs"]["LinkApplicationLogSampling"]
    assert sampling == {"ErrorLog": 1.0, "FilterLog": 0.0}


def test_links_are_asked_of_named_exchanges(on_pods: tuple[Bare, dict[str, Any]]) -> None:
    """Plain HTTP on the last hop is within the VPC, and said to the exchange."""
    (link,) = resources_of(on_pods[1], "AWS::RTBFabric::Link").values()
    assert link["Properties"]["PeerGatewayId"] == PEER
    assert link["Properties"]["HttpResponderAllowed"] is True
    assert gateway(on_pods[1])["GatewayType"] == "EXTERNAL"


def test_wildcards_are_explained(on_pods: tuple[Bare, dict[str, Any]], on_instances: dict[str, Any]) -> None:
    """None for pods; for instances what RTB Fabric looks addresses up with."""
    own = ("BareKey", "BareBucket")
    explained = (*EXPLAINED_WILDCARDS, *INSTANCES_WILDCARDS)
    assert [each for each in unexplained_wildcards(on_pods[1]) if not each.startswith(own)] == []
    assert [each for each in unexplained_wildcards(on_instances, explained) if not each.startswith(own)] == []
    assert [each for each in unexplained_wildcards(on_instances) if "autoscaling:" in each]


def test_cdk_nag_has_nothing_to_say(on_pods: tuple[Bare, dict[str, Any]]) -> None:
    """Of what is RTB Fabric's."""
    assert [each for each in on_pods[0].findings() if "/Fabric/" in each.path] == []


def test_the_composition_attaches_the_bidder_on_eks(with_options: Composition) -> None:
    """Where an environment has `fabric`; its pods are the target, and the stack's own cluster tells their addresses."""
    template = dict(with_options.templates["bidder-dev-service"])
    found = gateway(template)["ManagedEndpointConfiguration"]["EksEndpointsConfiguration"]
    (cluster,) = resources_of(template, "AWS::EKS::Cluster")
    assert found["ClusterName"] == {"Ref": cluster}
    assert found["EndpointsResourceName"] == DEV.eks.service
    ports = {
        each["Properties"]["FromPort"]
        for name, each in resources_of(template, "AWS::EC2::SecurityGroupEgress").items()
        if name.startswith("Fabric")
    }
    assert ports == {443, 8080}
    assert not [each for each in unexplained_wildcards(template) if "Fabric" in each]


# -- what CloudFormation has no property for --------------------------------------------------------------------------


@pytest.fixture
def stubbed() -> Iterator[tuple[Any, Stubber]]:
    """The real client with its own model of the API, which checks each call, and answers given beforehand."""
    client = boto3.client(
        "rtbfabric", region_name="us-east-1", aws_access_key_id="AKIDLOCAL", aws_secret_access_key="local"
    )
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()


def answers(stub: Stubber, *links: dict[str, Any], routing: str = "ANY_AVAILABILITY_ZONE") -> None:
    stub.add_response(
        "get_responder_gateway",
        {
            "gatewayId": GATEWAY,
            "vpcId": "vpc-01234567",
            "subnetIds": ["subnet-01234567"],
            "securityGroupIds": ["sg-01234567"],
            "status": "ACTIVE",
            "port": 8080,
            "protocol": "HTTP",
            "managedEndpointConfiguration": ENDPOINT,
            "clientRoutingPolicy": routing,
        },
        {"gatewayId": GATEWAY},
    )
    filled = [{"gatewayId": GATEWAY, "createdAt": TIME, "updatedAt": TIME} | link for link in links]
    stub.add_response("list_links", {"links": filled}, {"gatewayId": GATEWAY})


def test_a_named_exchange_is_accepted_with_masking_and_time_out(stubbed: tuple[Any, Stubber]) -> None:
    """And a stranger is not. The arguments are such that the API takes them."""
    client, stub = stubbed
    answers(
        stub,
        {"linkId": "link-1", "peerGatewayId": PEER, "status": "REQUESTED"},
        {"linkId": "link-2", "peerGatewayId": STRANGER, "status": "REQUESTED"},
        routing="AVAILABILITY_ZONE_AFFINITY",
    )
    (change,) = made = list(changes(client, GATEWAY, SIZES, [PEER]))
    assert change.method == "accept_link"
    assert change.arguments["attributes"] == {"responderErrorMasking": masking(SIZES)}
    assert change.arguments["timeoutInMillis"] == 300
    accepted = {"gatewayId": GATEWAY, "peerGatewayId": PEER, "linkId": "link-1", "status": "ACCEPTED"}
    stub.add_response("accept_link", accepted | {"createdAt": TIME, "updatedAt": TIME}, change.arguments)
    carry_out(client, made, apply=True)


def test_links_in_use_get_their_time_out_and_zones_are_kept(stubbed: tuple[Any, Stubber]) -> None:
    """By calls that the API takes."""
    client, stub = stubbed
    answers(stub, {"linkId": "link-1", "peerGatewayId": PEER, "status": "ACTIVE"})
    zones, wait = made = list(changes(client, GATEWAY, SIZES, []))
    assert (zones.method, wait.method) == ("update_responder_gateway", "update_link")
    assert zones.arguments["clientRoutingPolicy"] == "AVAILABILITY_ZONE_AFFINITY"
    assert zones.arguments["managedEndpointConfiguration"] == ENDPOINT
    assert wait.arguments["timeoutInMillis"] == 300
    updating = {"status": "PENDING_UPDATE", "updateId": "update-1"}
    stub.add_response(zones.method, {"gatewayId": GATEWAY} | updating, zones.arguments)
    stub.add_response(wait.method, {"linkId": "link-1"} | updating, wait.arguments)
    carry_out(client, made, apply=True)


def test_nothing_is_done_without_apply(stubbed: tuple[Any, Stubber], capsys: pytest.CaptureFixture[str]) -> None:
    """It says what would be: the stub answers two questions, and no change."""
    client, stub = stubbed
    answers(stub, {"linkId": "link-1", "peerGatewayId": PEER, "status": "ACTIVE"})
    carry_out(client, changes(client, GATEWAY, SIZES, []), apply=False)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2
    assert all(line.startswith("would be done: ") for line in said)


def test_links_that_are_neither_asked_for_nor_in_use_are_left_alone(stubbed: tuple[Any, Stubber]) -> None:
    """Rejected, failed, on their way."""
    client, stub = stubbed
    others = [
        {"linkId": f"link-{status.lower().replace('_', '-')}", "peerGatewayId": PEER, "status": status}
        for status in ("REJECTED", "FAILED", "PENDING_CREATION", "DELETED")
    ]
    answers(stub, *others, routing="AVAILABILITY_ZONE_AFFINITY")
    assert list(changes(client, GATEWAY, SIZES, [PEER])) == []


def test_an_environment_without_rtb_fabric_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is asked of AWS."""
    with pytest.raises(SystemExit) as ended:
        main(["dev", GATEWAY])
    assert ended.value.code == 2
    assert "dev is not on RTB Fabric" in capsys.readouterr().err
