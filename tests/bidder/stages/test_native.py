"""Native requests: read to the letter or else by the schema, with the same outcome."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

import orjson
import pytest
from msgspec import ValidationError, convert
from msgspec.structs import fields
from typing_extensions import get_type_hints

import openrtb_schemas
from bidder.stages import native
from bidder.stages.native import NativeMarkupRequest, native_offer, read_markup
from bidder.stages.request import Native, Object
from loadtest.traffic import requests
from openrtb_schemas import NATIVE_REQUEST

KINDS = {
    name: kind
    for name, kind in vars(native).items()
    if isinstance(kind, type) and issubclass(kind, Object) and kind.__module__ == native.__name__
}
WHOLE: dict[str, Any] = {
    "ver": "1.2",
    "privacy": 1,
    "eventtrackers": [{"event": 1, "methods": [1, 2]}],
    "assets": [
        {"id": 1, "required": 1, "title": {"len": 50}},
        {"id": 2, "img": {"type": 3, "w": 300, "wmin": 200, "h": 250, "hmin": 150, "mimes": ["image/png"]}},
        {"id": 3, "data": {"type": 2, "len": 90}},
        {"id": 4, "video": {"mimes": ["video/mp4"], "minduration": 5, "maxduration": 30, "protocols": [2, 3]}},
    ],
}
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.0, 1.5, "", "1", "x", [], {}, [None], [1, "x"], ["1"], [True], [{}], {"id": 1}),
    *(2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 1e300),
]


def test_what_is_read_is_in_the_schema() -> None:
    """By the names of its objects and fields; required is what it requires."""
    assert len(KINDS) == 7
    for name, kind in KINDS.items():
        schema = getattr(openrtb_schemas, name)
        assert set(kind.__struct_fields__) <= get_type_hints(schema).keys()
        assert {field.name for field in fields(kind) if field.required} == schema.__required_keys__


def places(value: Any) -> list[Any]:
    """The objects and arrays in it."""
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(place for each in below for place in places(each))] if isinstance(value, dict | list) else []


def damaged(rng: Random) -> dict[str, Any]:
    """One or two values replaced or left out; one in four is wrapped as in Native 1.0."""
    request = copy.deepcopy(WHOLE)
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.choice([each for each in places(request) if each])
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if rng.random() < 0.1:
            del place[key]
        else:
            place[key] = copy.deepcopy(rng.choice(ODD))
    return {"native": request} if rng.random() < 0.25 else request


def by_the_schema(parsed: Any) -> NativeMarkupRequest | None:
    try:
        return convert(NATIVE_REQUEST.validate_python(parsed), NativeMarkupRequest)
    except ValueError:
        return None


def test_both_ways_read_the_same() -> None:
    """Of damaged requests, and of those of a simulated exchange; a good share needs no schema."""
    rng = Random(5)
    made = [json.loads(case.body)["imp"] for case in requests(5, 300, valid_only=True)]
    texts = [imp["native"]["request"] for imps in made for imp in imps if isinstance(imp, dict) and "native" in imp]
    sent = [json.loads(text) if isinstance(text, str) else text for text in texts]
    quick = 0
    both: Any = {"native": WHOLE, "assets": []}, {"native": WHOLE, "assets": 7}
    for parsed in [WHOLE, {"native": WHOLE}, *both, *sent, *(damaged(rng) for _ in range(5000))]:
        for request in (parsed, json.dumps(parsed), json.dumps(parsed, separators=(",", ":"))):
            expected = by_the_schema(orjson.loads(request) if isinstance(request, str) else request)
            try:
                read, is_wrapped = read_markup(request)
            except ValueError:
                read, is_wrapped = None, False
            assert repr(read) == repr(expected), request
            assert is_wrapped is (read is not None and "assets" not in parsed)
        try:
            convert(parsed.get("native", parsed), NativeMarkupRequest)
        except ValidationError:
            continue
        quick += 1
    assert quick > 500


@pytest.mark.parametrize("request_", ["", "[]", "7", '"x"', "null", '{"native":7}', '{"assets":[]}', '{"native":[]}'])
def test_a_request_that_asks_for_nothing_offers_nothing(request_: str) -> None:
    """Nor does one that cannot be read."""
    assert native_offer(Native(request_)) is None


@pytest.mark.parametrize("number", ["1e999", "9" * 5000])
def test_a_number_of_any_size_is_passed_by_where_nobody_reads_it(number: str) -> None:
    """It is JSON; where it is read, it is too large."""
    whole = json.dumps(WHOLE)
    assert native_offer(Native(f'{whole[:-1]}, "ext": {{"n": {number}}}}}')) == native_offer(Native(whole))
    assert native_offer(Native(f'{{"assets": [{{"id": {number}, "title": {{"len": 5}}}}]}}')) is None
