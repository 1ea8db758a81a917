"""Grants that give nothing are found; those of every kind that the project uses are not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.grants import idle_grants

HERE = "${AWS::Region}:${AWS::AccountId}"


def template(actions: str | list[str], *resources: str, effect: str = "Allow") -> dict[str, Any]:
    """A role's policy of one statement."""
    on = [{"Fn::Sub": resource} for resource in resources]
    statement = {"Effect": effect, "Action": actions, "Resource": on}
    policy = {"PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    return {"Resources": {"Policy": {"Type": "AWS::IAM::Policy", "Properties": policy}}}


@pytest.mark.parametrize(
    ("action", "resource", "complaint"),
    [
        ("sagemaker:CreateModels", "*", "does not exist"),
        ("sagemakr:CreateModel", "*", "does not exist"),
        ("sagemaker:CreateModel", f"arn:aws:sagemaker:{HERE}:endpoint/rtb-dev", "is never asked about"),
        ("ecr:GetAuthorizationToken", f"arn:aws:ecr:{HERE}:repository/rtb-dev/model", "is never asked about"),
        ("kms:Decrypt", "arn:aws:s3:::bucket", "is never asked about"),
    ],
)
def test_what_gives_nothing_is_found(action: str, resource: str, complaint: str) -> None:
    """By the name of the policy, the action and the resource."""
    found, *_ = idle_grants(template(action, resource))
    assert found.startswith(f"Policy: {action} {complaint}")
    assert idle_grants(template(action, resource, effect="Deny")) == []


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("sagemaker:InvokeEndpoint", f"arn:${{AWS::Partition}}:sagemaker:{HERE}:endpoint/rtb-dev"),
        ("sagemaker:CreateEndpoint", f"arn:aws:sagemaker:{HERE}:endpoint-config/rtb-dev-*"),
        ("ecr:GetAuthorizationToken", "*"),
        ("s3:GetObject", "arn:aws:s3:::bucket/models/*"),
        ("s3:GetObject", "${Bucket.Arn}/models/*"),
        ("s3:ListBucket", "arn:aws:s3:::bucket"),
        ("logs:PutLogEvents", f"arn:aws:logs:{HERE}:log-group:/aws/sagemaker/Endpoints/rtb-dev:*"),
        ("ec2:DeleteNetworkInterface", f"arn:aws:ec2:{HERE}:network-interface/*"),
        ("iam:PassRole", "arn:aws:iam::${AWS::AccountId}:role/rtb-dev-training"),
        ("kms:Decrypt", "${Key}"),
    ],
)
def test_what_gives_something_is_not(action: str, resource: str) -> None:
    """In whatever form the resource is written."""
    assert idle_grants(template(action, resource)) == []


MODEL, ENDPOINT = (f"arn:aws:sagemaker:{HERE}:{kind}/rtb-dev" for kind in ("model", "endpoint"))


def test_several_actions_may_share_several_resources() -> None:
    """It is enough that each action is for one of them, and each resource for one action."""
    assert idle_grants(template(["sagemaker:CreateModel", "sagemaker:InvokeEndpoint"], MODEL, ENDPOINT)) == []


def test_a_resource_that_no_action_is_for_is_found() -> None:
    """Though every action has another."""
    assert idle_grants(template(["sagemaker:CreateModel", "sagemaker:DeleteModel"], MODEL, ENDPOINT)) == [
        f"Policy: {ENDPOINT} is never what sagemaker:CreateModel, sagemaker:DeleteModel is asked about"
    ]
