"""A state machine of JSONata run on the desk: SageMaker's answers are given, the way and what is asked are found.

Strict where Step Functions is: an expression that gives nothing is an error.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonata
from botocore.model import ServiceModel, Shape
from botocore.session import Session
from botocore.validate import validate_parameters

KNOWN = {
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
}
STARTED = "2026-11-25T03:00:07.123Z"


@dataclass
class Execution:
    """`way`: the states passed; `asked`: state → arguments; `end`: Succeed's output, or Fail's error and cause."""

    way: list[str] = field(default_factory=list)
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    end: Any = None


class EvaluationError(ValueError):
    """An expression that gives nothing."""


def run(definition: Mapping[str, Any], given: Mapping[str, Any], answers: Mapping[str, Sequence[Any]]) -> Execution:
    """Runs `definition` (intrinsics resolved) on the input `given`; `answers` are those of each task, in order."""
    execution, variables = Execution(), dict[str, Any]()
    left = {name: list(each) for name, each in answers.items()}
    name: str | None = definition["StartAt"]
    while name is not None:
        state = definition["States"][name]
        execution.way.append(name)
        context: dict[str, Any] = {"input": given, "context": {"Execution": {"StartTime": STARTED}}}
        if state["Type"] == "Task":
            execution.asked[name] = evaluated(state["Arguments"], context, variables)
            context["result"] = left[name].pop(0)
        following = state.get("Next")
        if state["Type"] == "Choice":
            taken = [each for each in state["Choices"] if evaluated(each["Condition"], context, variables) is True]
            following = taken[0]["Next"] if taken else state["Default"]
        if state["Type"] == "Succeed":
            execution.end = evaluated(state["Output"], context, variables)
        if state["Type"] == "Fail":
            execution.end = {name: evaluated(state[name], context, variables) for name in ("Error", "Cause")}
        variables |= evaluated(state.get("Assign", {}), context, variables)
        name = following
    return execution


def evaluated(value: Any, states: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """`value` with every `{% … %}` in it evaluated. Raises EvaluationError."""
    if isinstance(value, dict):
        return {name: evaluated(each, states, variables) for name, each in value.items()}
    if isinstance(value, list):
        return [evaluated(each, states, variables) for each in value]
    if not isinstance(value, str) or not (found := re.fullmatch(r"\{%(.*)%\}", value, re.DOTALL)):
        return value
    expression = jsonata.Jsonata(found[1])
    frame = expression.create_frame()
    for name, bound in {**variables, "states": states}.items():
        frame.bind(name, bound)
    result = expression.evaluate(None, frame)
    if result is None:
        raise EvaluationError(found[1].strip())
    return result


def resolved(value: Any, template: Mapping[str, Any]) -> Any:
    """`value` of a template with its intrinsics resolved to texts that look like what they will be."""
    if isinstance(value, list):
        return [resolved(each, template) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((name, argument),) = value.items()
        if name == "Ref":
            return KNOWN.get(argument) or _reference(argument, template)
        if name == "Fn::GetAtt":
            return _attribute(argument[0], argument[1], template)
        if name == "Fn::Join":
            return argument[0].join(str(resolved(each, template)) for each in argument[1])
        if name == "Fn::Select":
            return resolved(argument[1], template)[int(argument[0])]
        if name == "Fn::Split":
            return resolved(argument[1], template).split(argument[0])
    return {name: resolved(each, template) for name, each in value.items()}


def refused(operation: str, arguments: Mapping[str, Any]) -> list[str]:
    """What SageMaker's API would refuse in `arguments`, as far as its model says: names, types, values, patterns."""
    model = ServiceModel(Session().get_data("sagemaker/2017-07-24/service-2"), "sagemaker")
    shape = model.operation_model(operation).input_shape
    assert shape is not None
    try:
        validate_parameters(dict(arguments), shape)
    except Exception as error:  # botocore's own, which is not part of its interface
        return [str(error)]
    return list(_values(arguments, shape, operation))


def _values(value: Any, shape: Shape, path: str) -> Any:
    if shape.type_name == "structure":
        for name, each in value.items():
            yield from _values(each, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for each in value:
            yield from _values(each, shape.member, path)
    elif shape.type_name == "map":
        for each in value.values():
            yield from _values(each, shape.value, path)
    elif shape.type_name == "string":
        pattern = shape.metadata.get("pattern", ".*")
        if shape.enum and value not in shape.enum:
            yield f"{path}: {value!r} is none of {shape.enum}"
        elif r"\p" not in pattern and re.fullmatch(pattern, value, re.DOTALL) is None:
            yield f"{path}: {value!r} is not of the form {pattern}"
        elif len(value) > shape.metadata.get("max", len(value)):
            yield f"{path}: {value!r} is longer than {shape.metadata['max']}"


def _reference(logical_id: str, template: Mapping[str, Any]) -> str:
    resource = template["Resources"][logical_id]
    if resource["Type"] == "AWS::ECR::Repository":
        return str(resource["Properties"]["RepositoryName"])
    prefix = {"AWS::EC2::Subnet": "subnet-", "AWS::EC2::SecurityGroup": "sg-"}.get(resource["Type"], "")
    return f"{prefix}{zlib.crc32(logical_id.encode()):08x}" if prefix else logical_id.lower()


def _attribute(logical_id: str, attribute: str, template: Mapping[str, Any]) -> str:
    resource = template["Resources"][logical_id]
    account = "us-east-1:123456789012"
    if attribute == "GroupId":
        return _reference(logical_id, template)
    arns = {
        "AWS::IAM::Role": f"arn:aws:iam::123456789012:role/{logical_id}",
        "AWS::KMS::Key": f"arn:aws:kms:{account}:key/{logical_id}",
        "AWS::ECR::Repository": f"arn:aws:ecr:{account}:repository/x",
        "AWS::Logs::LogGroup": f"arn:aws:logs:{account}:log-group:{resource['Properties'].get('LogGroupName')}",
        "AWS::S3::Bucket": f"arn:aws:s3:::{logical_id.lower()}",
    }
    return arns.get(resource["Type"], logical_id)
