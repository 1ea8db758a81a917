"""How fields are read: the annotations every other module of this package is written in.

The rule: what only helps to bid better never costs a bid, what limits a bid is never overlooked.

- ``Required[X]``     missing or unreadable: the message is malformed.
- ``Restriction[X]``  optional; limits what may be answered, or the use of personal data. Unreadable: an error of type
                      ``restriction``, upon which the bidder must not bid.
- ``Hint[X]``         optional. Unreadable counts as absent.
- ``Part[X]``         an optional object that holds restrictions. Errors inside it keep their own place and type.

``Restrictions``, ``Hints`` and ``Parts`` are arrays of those. Unreadable items of ``Hints`` are left out. A single
value where an array is meant is read as an array of one (but for ``Parts``). An explicit null counts as absent, and
**an absent field is not in the dict**. An unknown field is dropped; an unknown value of an enumeration stays, as an int
(2.6 §2.6).

Numbers arrive as strings and strings as numbers, 1.0 as an int, true as 1: all of that is read. An int fits into 64
bits, a float is finite. ``ext`` is checked no further than being an object: below it stands any JSON value, also NaN,
Infinity and integers of up to 4,300 digits.

All of this happens inside pydantic-core; only a value that deviates costs a Python call.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, Required, TypeVar, get_args, get_origin

from pydantic import (
    ConfigDict,
    FailFast,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
    with_config,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict, get_type_hints, is_typeddict

T = TypeVar("T")

RESTRICTION = "restriction"
"""The type of a validation error at a restriction that could not be read."""


@with_config(ConfigDict(coerce_numbers_to_str=True, allow_inf_nan=False))
class Tolerant(TypedDict):
    """The base of what is received."""


@with_config(ConfigDict(strict=True, allow_inf_nan=False, extra="forbid"))
class Strict(TypedDict):
    """The base of what is sent: exact types, no null, no unknown field."""


class Reading(ABC):
    """The base of an annotation that changes how a value is read, and documents it in the specification's own form."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return self.read(handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(_as_specified(schema))

    @abstractmethod
    def read(self, schema: CoreSchema) -> CoreSchema: ...


class _OneOrMore(Reading):
    """An array, or the single item it should hold."""

    def read(self, schema: CoreSchema) -> CoreSchema:
        assert schema["type"] == "list"
        # 80,000 broken nodes of a supply chain take 77 ms to refuse without fail_fast, and 9 ms with it.
        array = core_schema.list_schema(schema["items_schema"], fail_fast=True)
        one = core_schema.no_info_after_validator_function(_in_a_list, schema["items_schema"])
        return core_schema.union_schema(
            [array, one],
            mode="left_to_right",
            custom_error_type="array",
            custom_error_message="Input should be an array of valid items, or one such item",
        )


class _TextOrObject(Reading):
    """JSON in a string, or the object itself; kept as it came."""

    def read(self, schema: CoreSchema) -> CoreSchema:
        return core_schema.union_schema(
            [core_schema.str_schema(), core_schema.dict_schema()],
            mode="left_to_right",
            custom_error_type="text_or_object",
            custom_error_message="Input should be a string of JSON, or an object",
        )


class _Hint(Reading):
    """Unreadable, and null, count as absent."""

    def read(self, schema: CoreSchema) -> CoreSchema:
        return core_schema.with_default_schema(schema, on_error="omit")


class _Part(Reading):
    """Null counts as absent; errors pass."""

    def read(self, schema: CoreSchema) -> CoreSchema:
        kind = list if schema["type"] == "list" else dict
        omit_none = core_schema.with_default_schema(core_schema.is_instance_schema(kind), on_error="omit")
        return core_schema.chain_schema([core_schema.nullable_schema(schema), omit_none])


class _Restriction(Reading):
    """Null counts as absent; every other error becomes one error of type ``restriction``."""

    def read(self, schema: CoreSchema) -> CoreSchema:
        expected = _NAMES.get(schema["type"], "an object")
        return core_schema.union_schema(
            [schema, _OMIT_NULL],
            mode="left_to_right",
            custom_error_type=RESTRICTION,
            custom_error_message=f"Input limits the bid and should be readable: expected {expected}",
        )


# Null passes the first step and not the second, whose failure makes the field absent. All else fails at the first.
_OMIT_NULL = core_schema.chain_schema(
    [core_schema.none_schema(), core_schema.with_default_schema(core_schema.int_schema(), on_error="omit")]
)
_NAMES = {"str": "a string", "int": "an integer", "float": "a number", "union": "an array"}


def _in_a_list(item: T) -> list[T]:
    return [item]


def _as_specified(schema: CoreSchema) -> CoreSchema:
    """The schema without the tolerance: what a correct sender writes."""
    if schema["type"] == "chain":
        return _as_specified(schema["steps"][0])
    if schema["type"] == "union":
        first = schema["choices"][0]
        return _as_specified(first[0] if isinstance(first, tuple) else first)
    if schema["type"] in ("default", "nullable"):
        return _as_specified(schema["schema"])
    return schema


Int = Annotated[int, Field(ge=-(2**63), le=2**63 - 1), WithJsonSchema({"type": "integer"})]

Array = Annotated[list[T], _OneOrMore()]
TextOrObject = Annotated[str | dict[str, Any], _TextOrObject()]

Hint = Annotated[T, _Hint()]
Hints = Annotated[list[Annotated[T, _Hint()]], _OneOrMore(), _Hint()]

Restriction = Annotated[T, _Restriction()]
Restrictions = Annotated[list[T], _OneOrMore(), _Restriction()]

Part = Annotated[T, _Part()]
Parts = Annotated[list[T], FailFast(), _Part()]

Ext = Annotated[dict[str, Any], _Hint()]


def unreadable_restrictions(error: ValidationError) -> list[str]:
    """The places in a bid request, as in ``imp[0].banner.battr``, of the restrictions that could not be read.

    They include the parts that are no objects. None of them: the message is malformed.
    """
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [_place(detail["loc"]) for detail in details if _fails_closed(detail["type"], detail["loc"])]


def _fails_closed(kind: str, loc: tuple[int | str, ...]) -> bool:
    if kind in ("dict_type", "list_type"):  # the message, its impressions, or a part
        return len(loc) > 2 or loc[:1] not in ((), ("imp",))
    return kind == RESTRICTION


def _place(loc: tuple[int | str, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).lstrip(".")


def restriction_paths(message: Any, prefix: str = "") -> Iterator[str]:
    """Every restriction of a message type and of the objects in it, as in ``imp[].banner.battr``."""
    for name, annotation in get_type_hints(message, include_extras=True).items():
        if any(isinstance(note, _Restriction) for note in getattr(annotation, "__metadata__", ())):
            yield prefix + name
            continue
        kind, array = _inner(annotation)
        if is_typeddict(kind):
            yield from restriction_paths(kind, f"{prefix}{name}{'[]' * array}.")


def _inner(annotation: Any) -> tuple[Any, bool]:
    """The type below the annotations, and whether it stands in an array."""
    origin = get_origin(annotation)
    if origin in (Annotated, Required):
        return _inner(get_args(annotation)[0])
    if origin is list:
        return _inner(get_args(annotation)[0])[0], True
    return annotation, False
