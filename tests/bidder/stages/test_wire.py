"""What is read of a request: the fields that decoding looks up, each as the schema has it, the same in both ways."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Required, Union, get_args, get_origin

import pytest
from msgspec import Meta, Raw
from msgspec.structs import fields
from pydantic import ValidationError
from typing_extensions import get_type_hints, is_typeddict

import openrtb_schemas
from bidder.stages import wire
from bidder.stages.request import ABSENT, EID, Int, SupplyChain
from bidder.stages.supply import SupplyPolicy
from bidder.stages.wire import KINDS, MAX_NESTING, read, read_to_the_letter
from loadtest.traffic import requests
from openrtb_schemas.reading import _Hint
from tests.exemplars.cases import BASES, exemplars

ROOT = Path(__file__).parents[3]
BOUNDS = get_args(openrtb_schemas.reading.Int)[1]


@pytest.fixture(scope="module")
def pages() -> Any:
    """The program that observes which fields the bidder looks up."""
    spec = spec_from_file_location("make_openrtb", ROOT / "docs" / "make_openrtb.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def bodies(pages: Any) -> Iterator[bytes]:
    """The exemplars', some with every field of the tables, and those of a simulated exchange."""
    yield from (exemplar.body for exemplar in exemplars())
    yield from (json.dumps(request).encode() for request in pages.rich_requests(BASES))
    yield from (case.body for case in requests(5, 300))
    native = {"ver": "1.1", "request": {"assets": [{"id": 1, "title": {"len": 90}}]}}  # says its version outside only
    yield json.dumps({"id": "1", "imp": [{"id": "1", "native": native}]}).encode()


# -- the fields --------------------------------------------------------------------------------------------------------


def test_every_hint_that_is_read_is_looked_up(pages: Any) -> None:
    """One that is read in vain costs. That none is looked up which is not read, the type checker sees."""
    pages.Noting.noted.clear()
    for body in bodies(pages):
        pages.note_lookups(body, SupplyPolicy(), pages.STRICT)
    named = {(owner, name) for owner, kind in KINDS.items() for name in kind.__struct_fields__}
    assert {(owner, name) for owner, name in named - pages.Noting.noted if is_hint(owner, name)} == set()


def schema_of(owner: str) -> dict[str, Any]:
    return get_type_hints(getattr(openrtb_schemas, owner), include_extras=True)


def is_hint(owner: str, name: str) -> bool:
    """So is all that stands in an `ext`."""
    if owner.endswith(".ext"):
        return True
    return any(isinstance(note, _Hint) for note in getattr(schema_of(owner)[name], "__metadata__", ()))


@pytest.mark.parametrize("owner", [name for name in KINDS if not name.endswith(".ext")])
def test_an_object_has_every_field_that_can_refuse_a_request(owner: str) -> None:
    """Restrictions, parts and required fields, looked up or not; and no field that the schema has not."""
    names = set(KINDS[owner].__struct_fields__)
    assert {name for name in schema_of(owner) if not is_hint(owner, name)} <= names
    assert names <= schema_of(owner).keys()


PLACES_OF_2_6 = {"schain": SupplyChain | None, "eids": list[EID] | None}
"""What has the type of 2.6's place in an `ext` too; all else there is anything."""

FIELDS = [(owner, field) for owner, kind in KINDS.items() for field in fields(kind)]


@pytest.mark.parametrize(("owner", "field"), [pytest.param(*each, id=f"{each[0]}.{each[1].name}") for each in FIELDS])
def test_a_field_has_the_type_of_the_schema(owner: str, field: Any) -> None:
    """Or is a set where the schema has a list; optional is None, and nothing but required fields is not."""
    kind = get_type_hints(KINDS[owner], include_extras=True)[field.name]
    if owner.endswith(".ext"):
        assert (kind, field.default) == (PLACES_OF_2_6.get(field.name, Any), None)
        return
    schema = schema_of(owner)[field.name]
    required = get_origin(schema) is Required
    if get_origin(kind) is Annotated and get_args(kind)[0] is Raw:
        assert field.default is ABSENT
        kind = kind.__metadata__[0] | None
    elif not required:
        assert field.default is None
    if not required:
        kind = without_none(kind)
    assert field.required is required
    assert in_lists(kind) == of_schema(schema, f"{owner}.{field.name}")


def without_none(kind: Any) -> Any:
    assert get_origin(kind) in (UnionType, Union)
    left = [each for each in get_args(kind) if each is not type(None)]
    assert len(left) == len(get_args(kind)) - 1
    return left[0] if len(left) == 1 else Union[tuple(left)]  # noqa: UP007 - made at run time


def in_lists(kind: Any) -> Any:
    """A type of the objects, with lists for sets."""
    if get_origin(kind) is Annotated and kind != Int:
        assert kind.__metadata__ == (Meta(min_length=1),)
        return in_lists(get_args(kind)[0])
    if get_origin(kind) in (list, frozenset):
        return list[in_lists(get_args(kind)[0])]  # type: ignore[misc]
    return kind


def of_schema(kind: Any, place: str) -> Any:
    """A type of the schema without its notes, with the bidder's objects for the schema's."""
    if get_origin(kind) in (Annotated, Required):
        (inner, *notes) = get_args(kind)
        return Int if inner is int and BOUNDS in notes else of_schema(inner, place)
    if get_origin(kind) is list:
        return list[of_schema(get_args(kind)[0], place)]  # type: ignore[misc]
    if is_typeddict(kind):
        return KINDS[kind.__name__]
    if kind == dict[str, Any]:
        return KINDS[place]
    return kind


@pytest.mark.parametrize("names", [{"Sight": "id"}, {"Site": "idd"}])
def test_a_name_that_no_schema_has_is_refused(names: dict[str, str]) -> None:
    """At start-up, not at the first request."""
    with pytest.raises(LookupError):
        wire.Message(openrtb_schemas.BidRequest, names)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_is_bounded_where_nobody_reads(make_body: Callable[..., bytes], opening: bytes, closing: bytes) -> None:
    """Whatever the interpreter would bear: the schema's parser refuses what is deeper."""
    deep = opening * (MAX_NESTING + 1) + b"1" + closing * (MAX_NESTING + 1)
    with pytest.raises(RecursionError):
        read_to_the_letter(make_body()[:-1] + b',"deep":%b}' % deep)
    with pytest.raises(ValidationError, match="recursion limit exceeded"):
        read(make_body()[:-1] + b',"deep":%b}' % deep, lambda request: request)


def test_many_brackets_beside_each_other_are_not_nested(make_body: Callable[..., bytes]) -> None:
    beside = b"[%b]" % b",".join([b"[]"] * MAX_NESTING)
    request, _ = read(make_body()[:-1] + b',"wide":%b}' % beside, lambda request: request)
    assert request.id == "auction-1"
