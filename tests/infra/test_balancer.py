"""The way in: TLS from exchanges alone, zones apart, nobody's connection closed because a bidder is not ready."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from infra.balancer import Balancer
from infra.environments import DEV, ENVIRONMENTS
from infra.statements import rendered, statements
from infra.stopping import NLB_IDLE_S
from tests.infra.bidders import Built, built
from tests.infra.stacks import Bare, resources_of

V2 = "AWS::ElasticLoadBalancingV2"
KINDS = ("fargate", "instances", "application")
NETWORK = ("fargate", "instances")


def attributes(properties: dict[str, Any], of: str) -> dict[str, Any]:
    return {each["Key"]: each["Value"] for each in properties[of]}


def balancer(each: Built) -> dict[str, Any]:
    return attributes(each.one(f"{V2}::LoadBalancer"), "LoadBalancerAttributes")


def target_group(each: Built) -> dict[str, Any]:
    return attributes(each.one(f"{V2}::TargetGroup"), "TargetGroupAttributes")


@pytest.mark.parametrize("kind", KINDS)
def test_tls_ends_at_the_balancer_and_there_is_no_other_way_in(kind: str) -> None:
    """One listener, port 443, TLS 1.2 at least, a certificate that the deployer names."""
    each = built()[kind]
    listener = each.one(f"{V2}::Listener")
    assert listener["Port"] == 443
    assert listener["Protocol"] == ("HTTPS" if kind == "application" else "TLS")
    assert listener["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-")
    assert listener["Certificates"] == [{"CertificateArn": {"Ref": "CertificateArn"}}]
    parameter = each.template["Parameters"]["CertificateArn"]
    assert parameter["AllowedPattern"].startswith("arn:")
    assert "Default" not in parameter


@pytest.mark.parametrize("kind", NETWORK)
def test_a_network_balancer_keeps_zones_apart_and_the_clients_address(kind: str) -> None:
    """Cross-zone is off for balancer and targets; targets see who calls; HTTP/1.1 is what is agreed on."""
    each = built()[kind]
    assert each.one(f"{V2}::LoadBalancer")["Type"] == "network"
    assert balancer(each)["load_balancing.cross_zone.enabled"] == "false"
    assert target_group(each)["load_balancing.cross_zone.enabled"] == "false"
    assert target_group(each)["preserve_client_ip.enabled"] == "true"
    assert each.one(f"{V2}::TargetGroup")["Protocol"] == "TCP"
    assert each.one(f"{V2}::Listener")["AlpnPolicy"] == ["HTTP1Only"]


@pytest.mark.parametrize("kind", NETWORK)
def test_no_connection_is_closed_for_a_bidder_that_is_not_ready_or_leaves(kind: str) -> None:
    """The bidder closes connections itself, between answers."""
    assert target_group(built()[kind])["target_health_state.unhealthy.connection_termination.enabled"] == "false"
    assert target_group(built()[kind])["deregistration_delay.connection_termination.enabled"] == "false"


@pytest.mark.parametrize("kind", KINDS)
def test_a_bidder_gets_traffic_when_it_is_ready(kind: str) -> None:
    """By /readyz, every few seconds, 200 alone."""
    each = built()[kind]
    group, sizes = each.one(f"{V2}::TargetGroup"), each.environment.balancer
    assert (group["HealthCheckPath"], group["HealthCheckProtocol"], group["TargetType"]) == ("/readyz", "HTTP", "ip")
    assert group["Matcher"] == {"HttpCode": "200"}
    assert group["HealthCheckIntervalSeconds"] == sizes.health_interval_s
    assert group["UnhealthyThresholdCount"] == sizes.unhealthy_count
    assert group["HealthCheckTimeoutSeconds"] < group["HealthCheckIntervalSeconds"]
    assert target_group(each)["deregistration_delay.timeout_seconds"] == str(sizes.deregistration_delay_s)


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=lambda each: each.name)
def test_idle_connections_stay_as_long_as_exchanges_want(environment: Any) -> None:
    """At least 150 s, the strictest 300 s; behind an NLB the bidder is the one that closes."""
    assert 300 <= environment.bidder.keep_alive_s < NLB_IDLE_S
    assert 150 <= environment.balancer.idle_s < environment.bidder.keep_alive_s


def test_an_application_balancer_has_what_its_kind_needs() -> None:
    """Its own idle time, no odd headers, the least busy target; paths beside bids and notices are refused."""
    each = built()["application"]
    assert each.one(f"{V2}::LoadBalancer")["Type"] == "application"
    assert balancer(each)["idle_timeout.timeout_seconds"] == str(each.environment.balancer.idle_s)
    assert balancer(each)["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert balancer(each)["routing.http.desync_mitigation_mode"] == "strictest"
    assert target_group(each)["load_balancing.algorithm.type"] == "least_outstanding_requests"
    assert target_group(each)["load_balancing.cross_zone.enabled"] == "false"
    assert "preserve_client_ip.enabled" not in target_group(each)
    (refusal,) = each.one(f"{V2}::Listener")["DefaultActions"]
    assert refusal["FixedResponseConfig"] == {"StatusCode": "404"}
    rule = each.one(f"{V2}::ListenerRule")
    assert rule["Conditions"] == [{"Field": "path-pattern", "Values": ["/openrtb2/*", "/notice/*"]}]


@pytest.mark.parametrize("kind", KINDS)
def test_exchanges_alone_can_connect(kind: str) -> None:
    """The balancer lets a prefix list in, and out to the bidders alone; bidders let the balancer in, on one port."""
    each = built()[kind]
    groups = resources_of(each.template, "AWS::EC2::SecurityGroup")
    assert not any("CidrIp" in str(group["Properties"].get("SecurityGroupIngress", "")) for group in groups.values())
    ingress = each.all("AWS::EC2::SecurityGroupIngress")
    assert not any({"CidrIp", "CidrIpv6"} & rule.keys() for rule in ingress)
    by_source = {rendered(rule.get("SourcePrefixListId", rule.get("SourceSecurityGroupId"))): rule for rule in ingress}
    (exchanges,) = (rule for source, rule in by_source.items() if "Exchanges" in source)
    assert exchanges["FromPort"] == exchanges["ToPort"] == 443
    assert "Balancer" in rendered(exchanges["GroupId"])
    (bids,) = (rule for source, rule in by_source.items() if "BalancerSecurityGroup" in source)
    assert bids["FromPort"] == bids["ToPort"] == 8080
    assert "ServiceSecurityGroup" in rendered(bids["GroupId"])
    entries = each.one("AWS::EC2::PrefixList")["Entries"]
    assert [entry["Cidr"] for entry in entries] == list(each.environment.balancer.exchange_cidrs)


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "0.0.0.0/1", "96.0.0.0/4"])
def test_a_balancer_that_is_open_to_the_world_is_refused(bare: Bare, cidr: str) -> None:
    """Also where it hides in a prefix list."""
    sizes = replace(DEV.balancer, exchange_cidrs=("198.51.100.0/24", cidr))
    with pytest.raises(ValueError, match=f"narrower addresses than {cidr}"):
        Balancer(
            bare.stack,
            f"Open{cidr.replace('/', '')}",
            name="refused",
            sizes=sizes,
            vpc=bare.vpc,
            subnets=[],
            port=8080,
            log_bucket=bare.bucket,
        )


@pytest.mark.parametrize("kind", KINDS)
def test_who_connected_is_logged(kind: str) -> None:
    """To the log bucket, whose policy lets the delivery service of this account in before the balancer is made."""
    each = built()[kind]
    assert balancer(each)["access_logs.s3.enabled"] == "true"
    assert "BareBucket" in rendered(balancer(each)["access_logs.s3.bucket"])
    prefix = balancer(each)["access_logs.s3.prefix"]
    service = "logdelivery.elasticloadbalancing" if kind == "application" else "delivery.logs"
    (allowed,) = (
        statement
        for statement in statements(built()["bare"].template)
        if statement.actions == ("s3:PutObject",) and any(prefix in resource for resource in statement.resources)
    )
    assert allowed.principals == (f"Service:{service}.amazonaws.com",)
    assert allowed.has_condition("aws:SourceAccount")


def test_only_prod_is_on_the_internet_and_cannot_be_deleted_by_mistake() -> None:
    """Its nodes alone are in public subnets; inside the VPC a caller is answered in its own zone."""
    dev, prod = built()["fargate"], built()["instances"]
    assert dev.one(f"{V2}::LoadBalancer")["Scheme"] == "internal"
    assert balancer(dev)["dns_record.client_routing_policy"] == "availability_zone_affinity"
    assert prod.one(f"{V2}::LoadBalancer")["Scheme"] == "internet-facing"
    assert balancer(prod)["deletion_protection.enabled"] == "true"
    assert all(balancer(each)["zonal_shift.config.enabled"] == "true" for each in (dev, prod))
