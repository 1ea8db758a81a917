"""Hostile bytes end in a ValidationError or in a message without them, never in another exception."""

import math

import pytest
from pydantic import ValidationError

from openrtb_schemas import REQUEST, unreadable_restrictions

HEAD = b'{"id":"r","imp":[{"id":"i"'


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HEAD, id="truncated"),
        pytest.param(HEAD + b"}]} {}", id="a second value"),
        pytest.param(HEAD + b'}],"user":{"id":"\xff\xfe"}}', id="bad UTF-8"),
        pytest.param(HEAD + b'}],"x":"\xc0\x80"}', id="overlong UTF-8 in an unknown field"),
        pytest.param(HEAD + b'}],"user":{"id":"\\ud800"}}', id="a lone surrogate"),
        pytest.param(HEAD + b'}],"user":{"id":"\\udc00\\ud800"}}', id="surrogates in the wrong order"),
        pytest.param(HEAD + b'}],"tmax":' + b"9" * 5000 + b"}", id="5,000 digits"),
        pytest.param(HEAD + b'}],"x":' + b"9" * 5000 + b"}", id="5,000 digits in an unknown field"),
        pytest.param(HEAD + b'}],"x":' + b"[" * 100_000 + b"}", id="100,000 arrays, unclosed"),
        pytest.param(HEAD + b'}],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="100,000 arrays"),
        pytest.param(HEAD + b'}],"ext":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, id="100,000 objects in ext"),
    ],
)
def test_what_is_no_json_fails_cleanly(body):
    """Bytes that are no JSON, or too deep, are one error of type json_invalid."""
    with pytest.raises(ValidationError) as raised:
        REQUEST.validate_json(body)
    assert [detail["type"] for detail in raised.value.errors()] == ["json_invalid"]
    assert unreadable_restrictions(raised.value) == []


NUMBERS = [b"NaN", b"Infinity", b"-Infinity", b"1e400", b'"NaN"', b'"inf"', b'"1e400"', b"1" + b"0" * 400]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("field", [b'"bidfloor":%b', b'"pmp":{"deals":[{"id":"d","bidfloor":%b}]}'])
def test_a_floor_that_is_no_finite_number_fails_closed(field, number):
    """NaN, infinity and what overflows into it are never a price."""
    with pytest.raises(ValidationError) as raised:
        REQUEST.validate_json(HEAD + b"," + field % number + b"}]}")
    assert unreadable_restrictions(raised.value)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_time_that_is_no_int_of_64_bits_fails_closed(number):
    """The same numbers are never a time budget."""
    with pytest.raises(ValidationError) as raised:
        REQUEST.validate_json(HEAD + b'}],"tmax":' + number + b"}")
    assert unreadable_restrictions(raised.value) == ["tmax"]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_hint_that_is_no_finite_number_counts_as_absent(number):
    """The same numbers in hints cost the hint only."""
    body = HEAD + b'}],"device":{"w":%b,"geo":{"lat":%b}}}' % (number, number)
    assert REQUEST.validate_json(body)["device"] == {"geo": {}}


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1])
def test_an_int_may_fill_64_bits(value):
    """The largest and smallest int of 64 bits are read."""
    assert REQUEST.validate_python({"id": "r", "imp": [{"id": "i", "exp": value}]})["imp"][0]["exp"] == value


def test_below_ext_stands_what_was_sent():
    """ext is not looked into: NaN and long integers reach the reader of an extension."""
    ext = REQUEST.validate_json(HEAD + b'}],"ext":{"a":NaN,"b":' + b"9" * 4000 + b"}}")["ext"]
    assert math.isnan(ext["a"])
    assert ext["b"] == 10**4000 - 1


def test_one_broken_impression_is_enough():
    """The error of a request with many broken impressions is that of the first, so a refusal stays cheap."""
    with pytest.raises(ValidationError) as raised:
        REQUEST.validate_python({"id": "r", "imp": [{"id": "i"}] + [{}] * 5000})
    assert [detail["loc"] for detail in raised.value.errors()] == [("imp", 1, "id")]


def test_one_broken_item_is_enough():
    """A restriction with many broken items is one error."""
    with pytest.raises(ValidationError) as raised:
        REQUEST.validate_python({"id": "r", "imp": [{"id": "i"}], "bcat": [[]] * 50_000})
    assert [detail["loc"] for detail in raised.value.errors()] == [("bcat",)]
