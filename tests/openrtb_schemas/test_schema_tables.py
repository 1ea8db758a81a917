"""The schemas say what the specifications' tables say: objects, fields in order, types, sections, values."""

import json
from enum import IntEnum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Required, get_args, get_origin

import pytest
from typing_extensions import get_type_hints, is_typeddict

import openrtb_schemas
from openrtb_schemas import enums

SCALARS = {str: "string", int: "integer", float: "float"}
ENUMS = json.loads((Path(__file__).parent / "enums.json").read_text())


def written_type(annotation: Any) -> str:
    """A field's annotation as the tables write it, such as ``Imp[]!``."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return written_type(args[0])
    if origin is Required:
        return written_type(args[0]) + "!"
    if origin is list:
        return written_type(args[0]) + "[]"
    if origin is dict:
        return "object"
    if origin is UnionType:  # the native request: a string, but an object is read too
        return written_type(args[0])
    return SCALARS.get(annotation) or annotation.__name__


def described(message: Any) -> dict[str, str]:
    hints = get_type_hints(message, include_extras=True)
    return {name: written_type(annotation) for name, annotation in hints.items()}


def public_objects() -> dict[str, Any]:
    types = {name: getattr(openrtb_schemas, name) for name in openrtb_schemas.__all__}
    return {name: kind for name, kind in types.items() if is_typeddict(kind)}


def flat(table: dict[str, Any]) -> dict[str, Any]:
    return table["openrtb"] | table["native"]


def test_every_object_of_both_documents_is_exported_and_no_other(table):
    """38 objects of OpenRTB and 15 of Native are public, and nothing else is."""
    assert len(table["openrtb"]) == 38
    assert public_objects().keys() == flat(table).keys()


def test_every_field_has_its_type_and_place(table):
    """417 fields and those of Native agree in name, type, required flag and order; 2.5's own come after them."""
    assert sum(len(entry["fields"]) for entry in table["openrtb"].values()) == 417
    for name, message in public_objects().items():
        fields = list(described(message).items())
        removed = [key for key, _ in fields if key in table["removed_in_26"].get(name, [])]
        assert sorted(removed) == table["removed_in_26"].get(name, []), name
        assert fields[: len(fields) - len(removed)] == list(flat(table)[name]["fields"].items()), name


def test_every_docstring_names_its_section(table):
    """The docstring of an object opens with its document and section."""
    for name, message in public_objects().items():
        document = "OpenRTB 2.6" if name in table["openrtb"] else "Native 1.2"
        assert message.__doc__.startswith(f"{document} §{flat(table)[name]['section']}: "), name


@pytest.mark.parametrize("name", ENUMS)
def test_an_enumeration_has_the_values_of_its_list(name):
    """Each enumeration has exactly the values of its list."""
    assert sorted(getattr(enums, name)) == ENUMS[name]["values"]


def test_every_enumeration_is_in_the_table():
    """There is no enumeration that the table does not know."""
    declared = {name for name, kind in vars(enums).items() if isinstance(kind, type) and issubclass(kind, IntEnum)}
    assert declared - {"IntEnum"} == ENUMS.keys()


def reference_type(field: dict[str, Any]) -> str:
    many = field["type"] == "array"
    item = field["items"] if many else field
    kind = item if isinstance(item, str) else item.get("object") or item["type"]
    return kind.replace("Ext", "object") + "[]" * many + "!" * field["required"]


def test_the_openrtb_table_agrees_with_the_reference_data(table, reference):
    """The project's table of OpenRTB is the reference data's, in both directions."""
    objects = json.loads((reference / "openrtb26_fields.json").read_text())["objects"]
    assert table["openrtb"] == {
        name: {"section": entry["section"], "fields": {f["name"]: reference_type(f) for f in entry["fields"]}}
        for name, entry in objects.items()
    }
    legacy = {name: sorted(entry["proto_only_legacy_fields"]) for name, entry in objects.items()}
    assert table["removed_in_26"] == {name: fields for name, fields in legacy.items() if fields}


def test_the_native_table_agrees_with_the_reference_data(table, reference):
    """The project's table of Native is the reference data's, which does not name the objects."""
    objects = json.loads((reference / "native12_fields.json").read_text())["objects"]

    def unnamed(kind: str) -> str:
        bare = kind.rstrip("[]!")
        return kind.replace(bare, "object") if bare in objects else kind

    ours = {
        name: {"section": entry["section"], "fields": {key: unnamed(kind) for key, kind in entry["fields"].items()}}
        for name, entry in table["native"].items()
    }
    assert ours == {
        name: {"section": entry["section"], "fields": {f["name"]: reference_type(f) for f in entry["fields"]}}
        for name, entry in objects.items()
    }


def test_the_enumerations_agree_with_the_reference_data(reference):
    """Every list that a field refers to is an enumeration with the same values."""
    lists = json.loads((reference / "openrtb26_lists.json").read_text())["lists"]
    by_list = {entry["list"]: entry["values"] for entry in ENUMS.values()}
    referred = {name for name, entry in lists.items() if entry.get("used_by")}
    assert referred <= by_list.keys()
    assert by_list == {name: sorted(value["value"] for value in lists[name]["values"]) for name in by_list}
