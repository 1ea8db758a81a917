"""What tests of constructs stand on: a stack with a VPC, a key and a bucket, and the template that a stack becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from infra import nag


@dataclass(frozen=True)
class Bare:
    """A stack to put one construct in, and the resources most constructs stand on. They are not what is tested."""

    app: cdk.App
    stack: cdk.Stack
    vpc: ec2.Vpc
    security_group: ec2.SecurityGroup
    key: kms.Key
    bucket: s3.Bucket

    def template(self) -> dict[str, Any]:
        """The template, synthesised: slow (seconds), so take it once a module."""
        return template_of(self.stack)

    def findings(self) -> list[nag.Finding]:
        """What cdk-nag finds beside the suppressed, in what was added to the bare stack."""
        own = ("Bare/BareVpc/", "Bare/BareGroup/", "Bare/BareKey/", "Bare/BareBucket/")
        return [each for each in nag.unsuppressed(nag.findings(self.stack)) if not each.path.startswith(own)]


def bare_stack() -> Bare:
    """A new `Bare`: in us-east-1, three zones, isolated and public subnets."""
    app = cdk.App(analytics_reporting=False, builtin_cloud_formation_validation=False, stack_traces=False)
    stack = cdk.Stack(app, "Bare", env=cdk.Environment(region="us-east-1"))
    vpc = ec2.Vpc(
        stack,
        "BareVpc",
        availability_zones=["us-east-1a", "us-east-1b", "us-east-1c"],
        nat_gateways=0,
        restrict_default_security_group=False,
        subnet_configuration=[
            ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24),
            ec2.SubnetConfiguration(name="private", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=20),
        ],
    )
    group = ec2.SecurityGroup(stack, "BareGroup", vpc=vpc, allow_all_outbound=False)
    key = kms.Key(stack, "BareKey", enable_key_rotation=True)
    bucket = s3.Bucket(
        stack,
        "BareBucket",
        encryption=s3.BucketEncryption.KMS,
        encryption_key=key,
        enforce_ssl=True,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
    )
    return Bare(app=app, stack=stack, vpc=vpc, security_group=group, key=key, bucket=bucket)


def template_of(stack: cdk.Stack) -> dict[str, Any]:
    """What CloudFormation would get for `stack`."""
    return dict(Template.from_stack(stack).to_json())


def resources_of(template: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Logical id → resource, of those whose type is `kind` ("AWS::S3::Bucket")."""
    return {name: found for name, found in template["Resources"].items() if found["Type"] == kind}
