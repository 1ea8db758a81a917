"""Complete messages survive being read, field by field."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openrtb_schemas import NATIVE_REQUEST, NATIVE_RESPONSE, REQUEST, RESPONSE


@pytest.mark.parametrize(
    ("message", "document", "kind"),
    [
        pytest.param(REQUEST, "openrtb", "BidRequest", id="request"),
        pytest.param(RESPONSE, "openrtb", "BidResponse", id="response"),
        pytest.param(NATIVE_REQUEST, "native", "NativeMarkupRequest", id="native-request"),
        pytest.param(NATIVE_RESPONSE, "native", "NativeMarkupResponse", id="native-response"),
    ],
)
def test_a_message_with_every_field_comes_back_unchanged(table, complete, message, document, kind):
    """What is right is read as it stands, every field of every object."""
    body = complete(table[document], kind)
    assert message.validate_json(json.dumps(body)) == body


@pytest.mark.parametrize(("parent", "field"), [("banner", "wmin"), ("banner", "hmax"), ("video", "protocol")])
def test_a_field_that_26_removed_is_read(parent, field):
    """Fields of 2.5 that live traffic still has are read."""
    imp = {"id": "1", parent: {"mimes": ["video/mp4"], field: 3}}
    assert REQUEST.validate_python({"id": "1", "imp": [imp]})["imp"][0][parent][field] == 3


def fields_in(objects: dict[str, Any], kind: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every (object, field) of the table that a message holds."""
    for item in value if isinstance(value, list) else [value]:
        for name, inner in item.items():
            field = objects[kind]["fields"].get(name)
            if field is not None:
                yield kind, name
                bare = field.rstrip("[]!")
                if bare in objects:
                    yield from fields_in(objects, bare, inner)


def reference_messages(reference: Path) -> Iterator[tuple[Path, str]]:
    """Every complete message of the reference data, and whether it is a request or a response."""
    kinds = {entry["file"]: entry["kind"] for entry in json.loads((reference / "iab" / "index.json").read_text())}
    for path in sorted([*reference.glob("iab/complete/*.json"), *reference.glob("iab/repaired/*.json")]):
        yield path, kinds[f"{path.parent.name}/{path.name}"]
    for path in sorted(reference.glob("synthetic/*.json")):
        yield path, "request" if "request" in path.name else "response"


# Responses of the documents that break their own tables: an empty no-bid, and fields that Bid lacks or must have.
NO_RESPONSES = {
    "26impl_00_7_1_no_bid_signaling.json": "id",
    "26impl_14_7_9_6_2_banner_bid_response.json": "banner",
    "26impl_12_7_6_pod_bidding_for_video_and_audio.json": "podid",
    "ext_dsa_transparency_1.json": "impid",
}


def test_the_reference_messages_are_read_and_lose_no_field(table, reference):
    """Each message keeps every field of the tables that it has, and together they have all 417."""
    objects, seen = table["openrtb"], set()
    for path, kind in reference_messages(reference):
        body = json.loads(path.read_bytes())
        if path.name in NO_RESPONSES:
            with pytest.raises(ValueError, match=NO_RESPONSES[path.name]):
                RESPONSE.validate_json(path.read_bytes())
            continue
        message, root = (REQUEST, "BidRequest") if kind == "request" else (RESPONSE, "BidResponse")
        kept = list(fields_in(objects, root, message.validate_json(path.read_bytes())))
        assert sorted(kept) == sorted(fields_in(objects, root, body)), path.name
        seen.update(kept)
    assert seen == {(name, field) for name, entry in objects.items() for field in entry["fields"]}
    assert len(seen) == 417


def test_the_native_fragments_of_the_reference_data_are_read(reference):
    """The examples of Native 1.2 pass, requests and responses."""
    paths = sorted(reference.glob("iab/fragments/native12_*.json"))
    assert paths
    for path in paths:
        message = NATIVE_REQUEST if path.stem.endswith("request") else NATIVE_RESPONSE
        assert message.validate_json(path.read_bytes())
