"""What is open is found, in templates broken on purpose; what is closed passes."""

from __future__ import annotations

from typing import Any

import pytest

from infra import exposure

GROUP = "AWS::EC2::SecurityGroup"
BALANCER = {
    "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "Properties": {"SecurityGroups": [{"Fn::GetAtt": ["Group", "GroupId"]}]},
}


def group(*ingress: dict[str, Any], **others: Any) -> dict[str, Any]:
    properties = {"SecurityGroupIngress": list(ingress), "SecurityGroupEgress": []}
    return {"Resources": {"Group": {"Type": GROUP, "Properties": properties}, **others}}


def rule(port: int, **peer: str) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **peer}


def bucket(*statements: dict[str, Any], blocked: bool = True) -> dict[str, Any]:
    blocks = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    return {
        "Resources": {
            "Logs": {
                "Type": "AWS::S3::Bucket",
                "Properties": {"PublicAccessBlockConfiguration": dict.fromkeys(blocks, blocked)},
            },
            "Policy": {
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {"Bucket": {"Ref": "Logs"}, "PolicyDocument": {"Statement": list(statements)}},
            },
        }
    }


def tls_only(**changes: Any) -> dict[str, Any]:
    arn = {"Fn::GetAtt": ["Logs", "Arn"]}
    return {
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "s3:*",
        "Resource": [arn, {"Fn::Join": ["", [arn, "/*"]]}],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    } | changes


@pytest.mark.parametrize("peer", [{"CidrIp": "0.0.0.0/0"}, {"CidrIpv6": "::/0"}])
def test_a_security_group_open_to_anybody_is_found(peer: dict[str, str]) -> None:
    """Inline and as a rule of its own, in either address family."""
    assert exposure.open_security_groups(group(rule(8080, **peer))) == [
        "Group: anybody may connect to ports 8080 to 8080"
    ]
    apart = {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {**rule(22, **peer), "GroupId": {"Ref": "Group"}}}
    assert exposure.open_security_groups(group(Rule=apart)) == ["Rule: anybody may connect to ports 22 to 22"]


def test_only_a_balancer_may_be_open_and_on_its_listener_only() -> None:
    """Port 443 of the group that the balancer has; neither another port, nor a range around it, nor another group."""
    assert exposure.open_security_groups(group(rule(443, CidrIp="0.0.0.0/0"), Balancer=BALANCER)) == []
    assert exposure.open_security_groups(group(rule(443, CidrIp="0.0.0.0/0")))
    assert exposure.open_security_groups(group(rule(8080, CidrIp="0.0.0.0/0"), Balancer=BALANCER))
    wide = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 444, "CidrIp": "0.0.0.0/0"}
    assert exposure.open_security_groups(group(wide, Balancer=BALANCER))
    assert exposure.open_security_groups(group({"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}, Balancer=BALANCER)) == [
        "Group: anybody may connect to any port"
    ]


def test_groups_and_narrow_addresses_pass() -> None:
    """What the rule is there for."""
    assert (
        exposure.open_security_groups(group(rule(8080, CidrIp="10.0.0.0/16"), rule(1, SourceSecurityGroupId="x"))) == []
    )


def test_a_way_out_to_anybody_is_found() -> None:
    """Said, or not said, which is CloudFormation's default; or as a rule of its own."""
    template = group()
    assert exposure.open_egress(template) == []
    properties = template["Resources"]["Group"]["Properties"]
    properties["SecurityGroupEgress"] = [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}]
    assert exposure.open_egress(template) == ["Group: may connect to any port of anybody"]
    del properties["SecurityGroupEgress"]
    assert exposure.open_egress(template)
    narrow = {"Type": "AWS::EC2::SecurityGroupEgress", "Properties": {"GroupId": {"Ref": "Group"}, **rule(443)}}
    template["Resources"]["Narrow"] = narrow
    assert exposure.open_egress(template) == []
    wide = {"Type": "AWS::EC2::SecurityGroupEgress", "Properties": rule(443, CidrIp="0.0.0.0/0")}
    assert exposure.open_egress(group(Rule=wide)) == ["Rule: may connect to ports 443 to 443 of anybody"]


def test_a_bucket_that_answers_without_tls_is_found() -> None:
    """Without a policy, or with one that leaves out the objects, some actions, somebody, or the point."""
    assert exposure.buckets_without_tls(bucket(tls_only())) == []
    for broken in (
        bucket(),
        bucket(tls_only(Effect="Allow")),
        bucket(tls_only(Resource={"Fn::GetAtt": ["Logs", "Arn"]})),
        bucket(tls_only(Action="s3:GetObject")),
        bucket(tls_only(Principal={"AWS": "arn:aws:iam::111122223333:root"})),
        bucket(tls_only(Condition={"Bool": {"aws:SecureTransport": "true"}})),
    ):
        assert exposure.buckets_without_tls(broken) == ["Logs"]


def test_a_public_bucket_is_found() -> None:
    """All four blocks have to be there."""
    assert exposure.public_buckets(bucket()) == []
    assert exposure.public_buckets(bucket(blocked=False)) == ["Logs"]
    assert exposure.public_buckets({"Resources": {"Logs": {"Type": "AWS::S3::Bucket"}}}) == ["Logs"]


def test_a_policy_open_to_anybody_is_found() -> None:
    """Without a condition; with one it is for whoever wrote the condition to answer for."""
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "x"}
    assert exposure.open_resources(bucket(allow)) == ["Policy: anybody may s3:GetObject"]
    assert exposure.open_resources(bucket(allow | {"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}})) == []
    assert exposure.open_resources(bucket(tls_only())) == []
