"""A `*` that nobody explained is found, whatever it hides in; an explained one only where it was explained for."""

from __future__ import annotations

from typing import Any

from infra.identity import (
    EVERYTHING,
    EXPLAINED_WILDCARDS,
    Wildcard,
    stale_wildcards,
    unexplained_wildcards,
    wide_invocations,
)

ARN = "arn:aws:sagemaker:us-east-1:111122223333:endpoint/bidder-dev"


def policy(kind: str = "AWS::IAM::Policy", name: str = "PolicyDocument", **statement: Any) -> dict[str, Any]:
    document = {"Statement": [{"Effect": "Allow", **statement}]}
    return {"Resources": {"P": {"Type": kind, "Properties": {name: document}}}}


def test_specific_actions_on_specific_arns_pass() -> None:
    """The rule itself."""
    assert unexplained_wildcards(policy(Action="sagemaker:InvokeEndpoint", Resource=ARN), ()) == []


def test_wildcards_are_named() -> None:
    """In the action, in the resource, in both, and inside a longer text."""
    assert unexplained_wildcards(policy(Action="s3:Get*", Resource="arn:x"), ()) == ["P: s3:Get* on arn:x"]
    assert unexplained_wildcards(policy(Action="s3:GetObject", Resource="*"), ()) == ["P: s3:GetObject on *"]
    assert unexplained_wildcards(policy(Action="*", Resource="*"), ()) == ["P: * on *"]
    assert unexplained_wildcards(policy(Action="s3:GetObject", Resource="arn:b?"), ()) == ["P: s3:GetObject on arn:b?"]
    join = {"Fn::Join": ["", [{"Fn::GetAtt": ["Bucket", "Arn"]}, "/*"]]}
    assert unexplained_wildcards(policy(Action=["s3:GetObject", "s3:PutObject"], Resource=join), ()) == [
        "P: s3:GetObject on ${Bucket.Arn}/*",
        "P: s3:PutObject on ${Bucket.Arn}/*",
    ]


def test_all_but_is_never_allowed() -> None:
    """NotAction and NotResource grant what nobody listed."""
    assert unexplained_wildcards(policy(NotAction="iam:PassRole", Resource=ARN), ())
    assert unexplained_wildcards(policy(Action="iam:PassRole", NotResource=ARN), ())


def test_denials_may_be_wide() -> None:
    """A bucket policy refuses everything without TLS."""
    denial = {"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}]}
    template = {"Resources": {"B": {"Type": "AWS::S3::BucketPolicy", "Properties": {"PolicyDocument": denial}}}}
    assert unexplained_wildcards(template, ()) == []


def test_keys_speak_of_themselves() -> None:
    """In a key policy the resource `*` is the key; a `*` among its actions is one like any other."""
    assert unexplained_wildcards(policy("AWS::KMS::Key", "KeyPolicy", Action="kms:Decrypt", Resource="*"), ()) == []
    assert unexplained_wildcards(policy("AWS::KMS::Key", "KeyPolicy", Action="kms:*", Resource="*"), ()) == [
        "P: kms:* on this key"
    ]


def test_an_explanation_is_for_its_own_case_only() -> None:
    """Another action, another resource or a condition left out is not explained by it."""
    explained = (Wildcard(("cloudwatch:PutMetricData",), EVERYTHING, "no ARNs", condition="cloudwatch:namespace"),)
    condition = {"StringEquals": {"cloudwatch:namespace": "bidder"}}
    meant = policy(Action="cloudwatch:PutMetricData", Resource="*", Condition=condition)
    assert unexplained_wildcards(meant, explained) == []
    assert unexplained_wildcards(policy(Action="cloudwatch:PutMetricData", Resource="*"), explained)
    assert unexplained_wildcards(policy(Action="s3:GetObject", Resource="*", Condition=condition), explained)
    assert unexplained_wildcards(
        policy(Action="cloudwatch:PutMetricData", Resource="a*", Condition=condition), explained
    )


def test_stale_explanations_are_found() -> None:
    """What explains nothing any more has to go."""
    used = Wildcard(("a:B",), EVERYTHING, "…")
    unused = Wildcard(("a:C",), EVERYTHING, "…")
    assert stale_wildcards([policy(Action="a:B", Resource="*")], (used, unused)) == [unused]


def test_every_explanation_says_something() -> None:
    """A reason is a sentence, not a word."""
    assert [each for each in EXPLAINED_WILDCARDS if len(each.reason.split()) < 5] == []


def test_invoking_any_endpoint_is_found() -> None:
    """On `*`, on any endpoint, through a wide action, in a policy of a VPC endpoint too."""
    for resource in ("*", "arn:aws:sagemaker:us-east-1:111122223333:endpoint/*", "arn:aws:sagemaker:*:*:endpoint/x"):
        assert wide_invocations(policy(Action="sagemaker:InvokeEndpoint", Resource=resource))
    for action in ("sagemaker:*", "*", "sagemaker:Invoke*"):
        assert wide_invocations(policy("AWS::EC2::VPCEndpoint", Action=action, Resource="*", Principal="*"))
    for resource in (ARN, ARN + "-*"):
        assert wide_invocations(policy(Action="sagemaker:InvokeEndpoint", Resource=resource)) == []
    own = "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:endpoint/bidder-dev"
    assert wide_invocations(policy(Action="sagemaker:InvokeEndpoint", Resource={"Fn::Sub": own})) == []
    assert wide_invocations(policy(Action="sagemaker:InvokeEndpoint", Resource={"Ref": "Endpoint"})) == []
