"""The policy statements of a synthesised template, as plain text.

Pure: a template is the dict that CloudFormation would read. References stay visible as `${LogicalId}`, attributes as
`${LogicalId.Arn}` and pseudo parameters as `${AWS::Partition}`, so that a rule can be written as a pattern over text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Template = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of one policy. `inverted`: it says NotAction, NotResource or NotPrincipal."""

    logical_id: str
    resource_type: str
    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]
    inverted: bool

    def has_condition(self, key: str) -> bool:
        """Whether some condition is on `key`, in any operator; keys are compared without case, as IAM does."""
        return any(name.lower() == key.lower() for _, name, _ in self.conditions)


def statements(template: Template) -> Iterator[Statement]:
    """Each statement of each policy in `template`: inline, managed, of resources, of trust; those in JSON text, too."""
    for logical_id, resource in template.get("Resources", {}).items():
        for document in _documents(resource.get("Properties", {})):
            for statement in _as_list(document["Statement"]):
                yield _statement(logical_id, resource["Type"], statement)


def rendered(value: Any) -> str:
    """`value` of a template as text, with what only CloudFormation knows as `${…}`, dotted where it is an attribute."""
    if not isinstance(value, dict):
        return str(value)
    (name, argument), *_ = value.items()
    if name == "Ref":
        return f"${{{argument}}}"
    if name == "Fn::GetAtt":
        return f"${{{argument if isinstance(argument, str) else '.'.join(map(rendered, argument))}}}"
    if name == "Fn::Join":
        return str(argument[0]).join(rendered(part) for part in argument[1])
    if name == "Fn::Sub":
        return str(argument if isinstance(argument, str) else argument[0])
    if name == "Fn::ImportValue":
        return f"${{{rendered(argument)}}}"
    return f"${{{name}}}"


def _documents(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        if "Statement" in value:
            yield value
        elif set(value) == {"Fn::Join"}:
            yield from _documents(rendered(value))
        else:
            for part in value.values():
                yield from _documents(part)
    elif isinstance(value, list):
        for part in value:
            yield from _documents(part)
    elif isinstance(value, str) and value.lstrip().startswith("{") and '"Statement"' in value:
        yield json.loads(value)


def _statement(logical_id: str, resource_type: str, statement: Mapping[str, Any]) -> Statement:
    return Statement(
        logical_id=logical_id,
        resource_type=resource_type,
        allows=statement["Effect"] == "Allow",
        actions=_texts(statement.get("Action", statement.get("NotAction", []))),
        resources=_texts(statement.get("Resource", statement.get("NotResource", []))),
        principals=tuple(_principals(statement.get("Principal", statement.get("NotPrincipal", {})))),
        conditions=tuple(
            (operator, key, _texts(wanted))
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        ),
        inverted=not {"NotAction", "NotResource", "NotPrincipal"}.isdisjoint(statement),
    )


def _principals(principal: Any) -> Iterator[str]:
    if isinstance(principal, dict):
        for kind, names in principal.items():
            for name in _texts(names):
                yield "*" if name == "*" else f"{kind}:{name}"
    else:
        yield str(principal)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(rendered(item) for item in _as_list(value))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
