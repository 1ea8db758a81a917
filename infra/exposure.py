"""What can be reached from where it should not be: security groups, buckets, the public.

Pure functions over synthesised templates, which name what they find; an empty list is what is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

from infra.statements import Statement, Template, rendered, statements

ANYWHERE = {"0.0.0.0/0", "::/0"}


def open_security_groups(template: Template, listener_ports: Set[int] = frozenset({443})) -> list[str]:
    """Rules that let anybody in, but for a balancer's listener, on one of `listener_ports` alone.

    A balancer's group is one that a load balancer of the template has.
    """
    balancers = _balancer_groups(template)
    return [
        f"{name}: anybody may connect to {_ports(rule)}"
        for name, group, rule in _ingress(template)
        if ANYWHERE & {str(rule.get("CidrIp")), str(rule.get("CidrIpv6"))}
        and not (group in balancers and rule.get("FromPort") == rule.get("ToPort") in listener_ports)
    ]


def open_egress(template: Template) -> list[str]:
    """Rules that let members connect to anything. A group without any rule gets one from AWS, which does."""
    apart = _of_type(template, "AWS::EC2::SecurityGroupEgress")
    ruled = {_logical_id(rule.get("GroupId")) for rule in apart.values()}
    rules = list(apart.items())
    for name, properties in _of_type(template, "AWS::EC2::SecurityGroup").items():
        default = [] if name in ruled else [{"CidrIp": "0.0.0.0/0"}]
        rules += [(name, rule) for rule in properties.get("SecurityGroupEgress", default)]
    return [
        f"{name}: may connect to {_ports(rule)} of anybody"
        for name, rule in rules
        if ANYWHERE & {str(rule.get("CidrIp")), str(rule.get("CidrIpv6"))}
    ]


def buckets_without_tls(template: Template) -> list[str]:
    """Buckets that nothing refuses requests without TLS to."""
    refusing = {
        resource for statement in statements(template) if _refuses_plain(statement) for resource in statement.resources
    }
    return [
        name
        for name in _of_type(template, "AWS::S3::Bucket")
        if not {f"${{{name}.Arn}}", f"${{{name}.Arn}}/*"} <= refusing
    ]


def public_buckets(template: Template) -> list[str]:
    """Buckets without all four blocks against public access."""
    blocks = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    return [
        name
        for name, properties in _of_type(template, "AWS::S3::Bucket").items()
        if not all(properties.get("PublicAccessBlockConfiguration", {}).get(block) is True for block in blocks)
    ]


def open_resources(template: Template) -> list[str]:
    """Policies of resources that let anybody in without any condition. A VPC endpoint's is judged by `identity`."""
    return [
        f"{statement.logical_id}: anybody may {', '.join(statement.actions)}"
        for statement in statements(template)
        if statement.allows and "*" in statement.principals and not statement.conditions
        if statement.resource_type != "AWS::EC2::VPCEndpoint"
    ]


def _refuses_plain(statement: Statement) -> bool:
    return (
        not statement.allows
        and "*" in statement.principals
        and {"s3:*", "*"} & set(statement.actions) != set()
        and ("Bool", "aws:SecureTransport", ("false",)) in statement.conditions
    )


def _ingress(template: Template) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """The rule's own name, its group's, and the rule."""
    for name, properties in _of_type(template, "AWS::EC2::SecurityGroup").items():
        for rule in properties.get("SecurityGroupIngress", []):
            yield name, name, rule
    for name, properties in _of_type(template, "AWS::EC2::SecurityGroupIngress").items():
        yield name, _logical_id(properties.get("GroupId")), properties


def _balancer_groups(template: Template) -> set[str]:
    return {
        _logical_id(group)
        for properties in _of_type(template, "AWS::ElasticLoadBalancingV2::LoadBalancer").values()
        for group in properties.get("SecurityGroups", [])
    }


def _logical_id(reference: Any) -> str:
    return rendered(reference).removeprefix("${").removesuffix("}").partition(".")[0]


def _of_type(template: Template, kind: str) -> dict[str, Mapping[str, Any]]:
    return {name: each.get("Properties", {}) for name, each in template["Resources"].items() if each["Type"] == kind}


def _ports(rule: Mapping[str, Any]) -> str:
    if "FromPort" not in rule:
        return "any port"
    return f"ports {rule['FromPort']} to {rule['ToPort']}"
