"""The two ways of reading a request: what the quick one reads is what the schema reads, each value and its type.

Where the quick way refuses, the schema reads: so nothing else needs to be compared.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import orjson
import pytest
from msgspec import DecodeError, Raw
from msgspec.json import Decoder
from msgspec.structs import fields
from pydantic import ValidationError

from bidder.stages.decode import MalformedError, begin, decode, read_auction
from bidder.stages.privacy import Policy
from bidder.stages.request import BidRequest, Native, Object
from bidder.stages.supply import SupplyPolicy
from bidder.stages.wire import NotJsonError, read, read_to_the_letter, read_tolerantly
from loadtest.traffic import requests
from tests.exemplars.cases import exemplars
from tests.exemplars.mutations import Mutator

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT.parent / "shared" / "openrtb"
MUTATIONS = int(os.environ.get("MUTATIONS", "10000"))
BOUNDS = ("recursion limit exceeded", "number out of range")
VENDOR = Policy(755)
STRICT = SupplyPolicy(authorised={"news.example": frozenset()}, authorisation_required=True)


@pytest.fixture(scope="module")
def mutator() -> Mutator:
    return Mutator()


def bodies() -> Iterator[bytes]:
    """The exemplars', those of a simulated exchange and, where it exists, those of the reference data."""
    yield from (exemplar.body for exemplar in exemplars())
    yield from (case.body for case in requests(5, 300))
    yield from (path.read_bytes() for path in sorted(REFERENCE.rglob("*.json")))
    if (corpus := REFERENCE / "requests.jsonl.gz").exists():
        for line in gzip.decompress(corpus.read_bytes()).splitlines():
            yield orjson.dumps(orjson.loads(line)["body"])


def to_the_letter(body: bytes) -> Any:
    """None: it is the schema that reads it."""
    try:
        request = read_to_the_letter(body)
        begin(request)
        return request
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None


def seen(value: Any) -> Any:
    """A value with its types, so that 1, 1.0 and True differ, and 0.0 and -0.0."""
    if isinstance(value, Object):
        return type(value), [seen(whole(value, name)) for name in value.__struct_fields__]
    if isinstance(value, dict):
        return [(name, seen(each)) for name, each in value.items()]
    if isinstance(value, list):
        return [seen(each) for each in value]
    if isinstance(value, frozenset):
        return frozenset, sorted(repr(each) for each in value)
    return type(value), repr(value)


def whole(value: Object, name: str) -> Any:
    """A field of an object, decoded if it was left as bytes. An object that asks for a native ad is the same as its
    text, which the schema's way hands on."""
    found = getattr(value, name)
    if isinstance(value, Native) and name == "request" and isinstance(found, dict):
        return json.dumps(found)
    if isinstance(found, Raw):
        return Decoder(plain(hints_of(type(value))[name]) | None).decode(found) if bytes(found) else None
    return found


def plain(kind: Any) -> Any:
    """The type of what is left as bytes; any other as it is."""
    return kind.__metadata__[0] if get_origin(kind) is Annotated and kind.__origin__ is Raw else kind


def compare(body: bytes) -> bool:
    """Whether the quick way reads `body`; if so it must read what the schema reads. What is left out: JSON beyond the
    bounds of the schema's parser in fields that nobody reads, see below."""
    quick = to_the_letter(body)
    if quick is None:
        return False
    try:
        slow = read_tolerantly(body)
    except (ValidationError, NotJsonError) as error:
        if not any(bound in str(error) for bound in BOUNDS):
            raise AssertionError(f"read, and the schema refuses it: {error}\n{body[:2000]!r}") from None
        assert_json(body)
        return False
    assert seen(quick) == seen(slow), body[:2000]
    return True


def assert_json(body: bytes) -> None:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:  # more than 1,024 levels: from Python 3.12 on, some readers go deeper
        json.loads(body)


def test_both_ways_read_the_same() -> None:
    """Of what is sent to the bidder in other tests."""
    assert sum(compare(body) for body in bodies()) > 300


def test_both_ways_read_the_same_of_damaged_requests(mutator: Mutator) -> None:
    """MUTATIONS of them, the same each time; a good share is typed to the letter all the same."""
    quick = sum(compare(mutator.body(number)) for number in range(MUTATIONS))
    print(f"{MUTATIONS} mutations: {quick} are read the quick way")
    assert quick > 0.2 * MUTATIONS


PLAIN = r"""
null true false "1" "" "x" "1.0" "NaN" "null" "true" 0 1 -1 -0 2 1.0 1.5 -0.0 1e2 1E0 1e400 -1e400 1e-400 NaN Infinity
9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 18446744073709551615
18446744073709551616 1000000000000000000000000000000 [] {} [1] ["x"] [null] [[]] [{}] [1,"x"] [1.0] [true] ["1"] [1,1]
["x","x"] {"id":"x"} {"id":1} {"id":null} [{"id":"x"},{"id":[]}] {"a":{"b":[1,{"c":null}]}} {"":0}
{"ver":"1.0","complete":1,"nodes":[{"asi":"a","sid":"b"}]} [{"source":"s","uids":[{"id":"i"}]}]
"\ud83d\ude00" "\ud800" "\udc00\ud800" "\ud800-and-more-text" "\u0000" "\q" "\/" "\u12" "\u12zz"
[1,] {"a":1,} 01 -01 1. .5 - +1 1e nul nulx 'x' // a
"""
BLANK = [b"", b'" 1"', b'"a, b"', b'"\n"', b'"\t"', b'"\x00"', b'"\x7f"', b"[1 2]", b"1 1"]
RAW = [b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b"\xef\xbb\xbf1", '"é\u2028\U0001f600"'.encode()]
ODD = [*PLAIN.encode().split(), *BLANK, *RAW, b"1" + b"0" * 400]
DEEP = [b"[" * 150 + b"]" * 150, b"[" * 2000 + b"]" * 2000, b'{"a":' * 2000 + b"1" + b"}" * 2000, b"[" * 2000]
HUGE = b"9" * 5000


def sample(kind: Any) -> bytes:
    """A value of a type of the objects, as JSON; of an object its required fields."""
    if get_origin(kind := plain(kind)) in (UnionType, Union, Annotated):
        return sample(get_args(kind)[0])
    if get_origin(kind) in (list, frozenset):
        return b"[%b]" % sample(get_args(kind)[0])
    if isinstance(kind, type) and issubclass(kind, Object):
        return in_braces({name: sample(each) for name, each in hints_of(kind).items() if name in required_of(kind)})
    return {str: b'"s"', int: b"7", float: b"0.25"}.get(kind, b"1")


@cache
def hints_of(kind: type[Object]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


@cache
def required_of(kind: type[Object]) -> set[str]:
    return {field.name for field in fields(kind) if field.required}


def in_braces(values: dict[str, bytes]) -> bytes:
    return b"{%b}" % b", ".join(b'"%b": %b' % (name.encode(), value) for name, value in values.items())


def objects(kind: type[Object], before: bytes = b"", after: bytes = b"") -> Iterator[tuple[type[Object], bytes, bytes]]:
    """Every object that is read, in each of its places, with the request's bytes before and after it."""
    yield kind, before, after
    for name, hint in hints_of(kind).items():
        below, opening, closing = held(hint)
        if isinstance(below, type) and issubclass(below, Object):
            head, tail = in_braces({name: b"HERE"} | required_but(kind, name)).split(b"HERE")
            yield from objects(below, before + head + opening, closing + tail + after)


def held(hint: Any) -> tuple[Any, bytes, bytes]:
    """What a field holds, itself or in an array, and the array's brackets."""
    if get_origin(hint := plain(hint)) in (UnionType, Union, Annotated):
        return held(get_args(hint)[0])
    return (get_args(hint)[0], b"[", b"]") if get_origin(hint) is list else (hint, b"", b"")


def required_but(kind: type[Object], name: str) -> dict[str, bytes]:
    hints = hints_of(kind).items()
    return {other: sample(each) for other, each in hints if other != name and other in required_of(kind)}


def test_both_ways_read_the_same_whatever_stands_in_a_field() -> None:
    """In each field of each object, and as an item of each list, everything odd."""
    quick = total = 0
    for kind, before, after in objects(BidRequest):
        whole = {name: sample(each) for name, each in hints_of(kind).items()}
        assert compare(before + in_braces(whole) + after)
        for name, value in whole.items():
            for odd in ODD + DEEP + [HUGE]:
                for each in [odd, b"[%b, %b]" % (value[1:-1], odd)] if value[:1] == b"[" else [odd]:
                    quick += compare(before + in_braces(whole | {name: each}) + after)
                    total += 1
    print(f"{total} requests, {quick} read the quick way")
    assert quick > 0.1 * total


def test_both_ways_read_the_same_whatever_stands_in_a_field_that_is_not_read() -> None:
    """In each object: what is skipped must be JSON all the same, its name included."""
    for kind, before, after in objects(BidRequest):
        whole = sample(kind)[:-1] + b", " * (sample(kind) != b"{}")
        for odd in ODD + DEEP:
            compare(before + whole + b'"unheard": %b}' % odd + after)
        for name in (*ODD, b'"\\u0069d"', b'"i\\u0064"'):
            compare(before + whole + b"%b: 1}" % name + after)


def test_both_ways_read_the_same_where_a_field_stands_twice() -> None:
    """The last one counts, whatever the first one was."""
    for kind, before, after in objects(BidRequest):
        for name, hint in hints_of(kind).items():
            value = sample(hint)
            for first, last in ((b"null", value), (value, b"null"), (b"{}", value), (value, b"{}"), (value, value)):
                rest = in_braces(required_but(kind, name) | {name: last})[1:]
                compare(before + b'{"%b": %b, ' % (name.encode(), first) + rest + after)


def test_both_ways_read_the_same_numbers() -> None:
    """As exact as their text, however it is written."""
    rng = Random(7)
    quick = 0
    for _ in range(3000):
        number = rng.choice(NUMBERS)(rng)
        quick += compare(b'{"id":"1","imp":[{"id":"1","bidfloor":%b,"exp":%b}]}' % (number.encode(), number.encode()))
        quick += compare(b'{"id":"1","imp":[{"id":"1","bidfloor":%b}]}' % number.encode())
        quick += compare(b'{"id":"1","imp":[{"id":"1"}],"ext":{"schain":%b}}' % number.encode())
    assert quick > 3000


NUMBERS: list[Callable[[Random], str]] = [
    lambda rng: repr(rng.random() * 10 ** rng.randrange(-320, 308)),
    lambda rng: f"{rng.randrange(10**17, 10**18)}.{rng.randrange(10**25)}e{rng.randrange(-340, 300)}",
    lambda rng: str(rng.randrange(-(10 ** rng.randrange(1, 400)), 10 ** rng.randrange(1, 400))),
    lambda rng: str(rng.randrange(2**53 - 5, 2**53 + 50) << rng.randrange(0, 12)),
    lambda rng: f"{rng.randrange(100)}E+{rng.randrange(25)}",
    lambda rng: f"-{rng.randrange(10)}.{'0' * rng.randrange(1, 800)}{rng.randrange(10)}",
]


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 300 + "]" * 300])
def test_what_nobody_reads_need_not_keep_to_the_schemas_bounds(value: str) -> None:
    """The one difference: its parser takes 200 levels and 4,300 digits; JSON has no such bounds, and it is skipped."""
    body = f'{{"id":"1","imp":[{{"id":"1"}}],"unheard":{value}}}'.encode()
    assert read(body, begin)[0].id == "1"
    with pytest.raises(ValidationError):
        read_tolerantly(body)


def test_an_auction_is_the_same_in_both_ways() -> None:
    """Also the no-bid, and whether it is a request at all."""
    for body in bodies():
        try:
            request = read_tolerantly(body)
            expected = read_auction(request, begin(request), VENDOR, STRICT)
        except (ValidationError, NotJsonError):
            expected = None
        try:
            decoded = decode(body, VENDOR, STRICT)
        except MalformedError:
            assert expected is None
            continue
        assert expected is None or decoded == expected
