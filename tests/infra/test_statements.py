"""Statements are read out of templates as CloudFormation would take them."""

from __future__ import annotations

from infra.statements import rendered, statements


def template(**properties: object) -> dict[str, object]:
    return {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}}}


def test_references_stay_visible() -> None:
    """What only CloudFormation knows is written `${…}`."""
    assert rendered("plain") == "plain"
    assert rendered({"Ref": "AWS::Region"}) == "${AWS::Region}"
    assert rendered({"Fn::GetAtt": ["Logs", "Arn"]}) == "${Logs.Arn}"
    assert rendered({"Fn::Sub": "arn:${AWS::Partition}:x"}) == "arn:${AWS::Partition}:x"
    assert rendered({"Fn::ImportValue": "storage:Logs"}) == "${storage:Logs}"
    assert rendered({"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":s3:::", {"Ref": "Logs"}, "/*"]]}) == (
        "arn:${AWS::Partition}:s3:::${Logs}/*"
    )
    assert rendered({"Fn::Select": [0, "a"]}) == "${Fn::Select}"


def test_statements_are_found_wherever_they_stand() -> None:
    """Inline, in trust, as JSON text, and as joined JSON text."""
    text = '{"Statement": {"Effect": "Deny", "Action": "logs:PutLogEvents", "Resource": "*", "Principal": "*"}}'
    found = list(
        statements(
            template(
                Policies=[{"PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": ["a:B"], "Resource": "c"}]}}],
                AssumeRolePolicyDocument={"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]},
                Text=text,
                Joined={"Fn::Join": ["", [text.replace("*", "x")]]},
            )
        )
    )
    assert [(each.allows, each.actions, each.resources) for each in found] == [
        (True, ("a:B",), ("c",)),
        (True, ("sts:AssumeRole",), ()),
        (False, ("logs:PutLogEvents",), ("*",)),
        (False, ("logs:PutLogEvents",), ("x",)),
    ]
    assert found[2].principals == ("*",)


def test_conditions_and_principals() -> None:
    """Keys of conditions are found without regard to case; principals keep their kind."""
    (found,) = statements(
        template(
            PolicyDocument={
                "Statement": {
                    "Effect": "Allow",
                    "NotAction": "a:B",
                    "Resource": "c",
                    "Principal": {"AWS": ["*", "arn:x"], "Service": "s3.amazonaws.com"},
                    "Condition": {"StringEquals": {"aws:SourceVpce": ["vpce-1"]}},
                }
            }
        )
    )
    assert found.has_condition("AWS:SourceVPCE")
    assert not found.has_condition("aws:SourceVpc")
    assert found.principals == ("*", "AWS:arn:x", "Service:s3.amazonaws.com")
    assert found.inverted
