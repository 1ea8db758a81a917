"""The JSON schemas describe correct messages, for the API documentation."""

import pytest

from openrtb_schemas import NATIVE_REQUEST, NATIVE_RESPONSE, REQUEST, RESPONSE


@pytest.mark.parametrize("message", [REQUEST, RESPONSE, NATIVE_REQUEST, NATIVE_RESPONSE])
def test_a_json_schema_shows_no_tolerance(message):
    """Fields are documented as the specification has them: one type each, no null."""
    text = str(message.json_schema())
    assert "'null'" not in text
    assert "'anyOf'" not in text


def test_the_request_schema_has_every_object_and_what_is_required(table):
    """Every object of a request is described by its section."""
    schema = REQUEST.json_schema(ref_template="#/components/schemas/{model}")
    assert schema["required"] == ["id", "imp"]
    assert schema["properties"]["imp"]["items"] == {"$ref": "#/components/schemas/Imp"}
    assert schema["properties"]["bcat"]["items"] == {"type": "string"}
    assert schema["properties"]["tmax"]["type"] == "integer"
    sections = [entry["section"] for name, entry in table["openrtb"].items() if entry["section"].startswith("3.")]
    assert len(sections) == 35
    assert all(f"OpenRTB 2.6 §{section}: " in str(schema) for section in sections)
