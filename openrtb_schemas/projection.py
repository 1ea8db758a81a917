"""A message's schema without the hints that a reader does not use: less to look up and to build, the same outcome.

The rule: only hints go. What is required, a restriction or a part can refuse a message, so it stays, asked for or not.
What a reader asks for is named by object and field, and of an ``ext`` field by field, as in ``{"Regs.ext": "gpc"}``.
"""

from collections.abc import Mapping
from typing import Any

from pydantic_core import CoreSchema, SchemaValidator, core_schema

Fields = Mapping[str, str]
"""Object → the names of its hints that are read, with blanks between. Of an object that is not here: all of them."""


def projected(schema: CoreSchema, read: Fields) -> SchemaValidator:
    """The validator for what is left of ``schema``. LookupError: a name in ``read`` that no object has."""
    projection = _Projection(read)
    left = projection.of(schema)
    if unknown := read.keys() - projection.found:
        raise LookupError(f"no such object: {', '.join(sorted(unknown))}")
    # Texts differ from request to request: remembering them, as pydantic-core does if not told, costs 6 % of reading.
    return SchemaValidator(left, core_schema.CoreConfig(cache_strings=False))


class _Projection:
    def __init__(self, read: Fields) -> None:
        self._read = {owner: names.split() for owner, names in read.items()}
        self.found: set[str] = set()

    def of(self, node: Any) -> Any:
        """A schema, or any part of one, with its objects cut down."""
        if isinstance(node, list | tuple):
            return type(node)(map(self.of, node))
        if not isinstance(node, dict):
            return node
        if node.get("type") == "typed-dict":
            return {**node, "fields": self._fields(node["cls"].__name__, node["fields"])}
        return {key: part if key == "metadata" else self.of(part) for key, part in node.items()}

    def _fields(self, owner: str, fields: dict[str, Any]) -> dict[str, Any]:
        self.found.add(owner)
        wanted = self._read.get(owner, list(fields))
        if unknown := set(wanted) - fields.keys():
            raise LookupError(f"{owner} has no {', '.join(sorted(unknown))}")
        left = {name: self.of(field) for name, field in fields.items() if name in wanted or not _is_hint(field)}
        if names := self._read.get(extension := f"{owner}.ext"):
            self.found.add(extension)
            left["ext"] = {**fields["ext"], "schema": _extension(names)}
        return left


def _is_hint(field: Any) -> bool:
    return bool(field["schema"]["type"] == "default" and field["schema"].get("on_error") == "omit")


def _extension(names: list[str]) -> CoreSchema:
    """An object with these fields of any value; what is no object counts as absent."""
    anything = core_schema.typed_dict_field(core_schema.any_schema(), required=False)
    some = core_schema.typed_dict_schema(dict.fromkeys(names, anything))
    return core_schema.with_default_schema(some, on_error="omit")
