"""Bytes → the request as `request` has it, in one of two ways.

The rule kept here: the quick way reads only what is typed to the letter, and reads it as the schema would; the schema
reads everything else: numbers in strings, 1.0 for 1, single values for arrays, what can't be read. Both end in the same
objects, and a test holds the two against each other.

The quick way is msgspec's decoder: it builds nothing that is not asked for. It takes 0.85 times `orjson.loads`
where the schema, asked for the same fields, takes 2.7 and hands on dicts.
"""

from __future__ import annotations

from collections.abc import Callable
from json import dumps
from typing import Any, TypeVar, get_type_hints

import orjson
from msgspec import DecodeError, Raw, convert
from msgspec.json import Decoder, encode

from bidder.stages import request
from bidder.stages.request import BidRequest, Imp, Object
from bidder.stages.unchecked import bring_into_shape
from openrtb_schemas import BidRequest as RequestSchema
from openrtb_schemas import Message

T = TypeVar("T")


class NotJsonError(ValueError):
    """The body is no JSON, though the schema would read it: it has NaN or Infinity for a number."""


def _schema_name(kind: type[Object]) -> str:
    """`SiteExt` is what the schema calls Site.ext."""
    name = kind.__name__
    return f"{name.removesuffix('Ext')}.ext" if name.endswith("Ext") else name


def _kinds() -> dict[str, type[Object]]:
    found = [kind for kind in vars(request).values() if isinstance(kind, type) and issubclass(kind, Object)]
    return {_schema_name(kind): kind for kind in found if not kind.__subclasses__()}


KINDS = _kinds()
"""The schema's name of an object, or of the `ext` of one → how it is read."""

SCHEMA: Message[RequestSchema] = Message(
    RequestSchema, {name: " ".join(kind.__struct_fields__) for name, kind in KINDS.items()}
)

PARTS, PARTS_OF_IMP = (
    {name for name, kind in get_type_hints(owner).items() if kind is Raw} for owner in (BidRequest, Imp)
)
"""Names of what is left as bytes, for `parts`."""

MAX_NESTING = 4096
"""Levels of what nobody reads that are passed by, if the interpreter does not stop before (CPython 3.11 does at 1,000;
from 3.12 on the stack alone bounds it)."""

_decode = Decoder(BidRequest).decode


def read(body: bytes, begin: Callable[[BidRequest], T]) -> tuple[BidRequest, T]:
    """The request and what `begin` makes of the parts that it has as bytes, which may deviate as well. Raises
    `pydantic.ValidationError` as the schema does, and `NotJsonError`."""
    try:
        request = read_to_the_letter(body)
        return request, begin(request)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        request = read_tolerantly(body)
        return request, begin(request)


def read_to_the_letter(body: bytes) -> BidRequest:
    """The quick way. Raises `msgspec.DecodeError`, `UnicodeDecodeError` or `RecursionError`: it is for the schema."""
    if not body.isascii():
        body.decode()  # for the decoder does not look at the UTF-8 of what it skips
    # Each level takes two bytes, so that the brackets of a usual request need not be counted.
    if len(body) > 2 * MAX_NESTING and body.count(b"[") + body.count(b"{") > MAX_NESTING:
        raise RecursionError
    return _decode(body)


def read_tolerantly(body: bytes) -> BidRequest:
    """The same by way of the schema, which reads what deviates."""
    found = SCHEMA.validate_json(body)
    if b"NaN" in body or b"Infinity" in body:
        _insist_on_json(body)
    bring_into_shape(found)
    _write_parts(found)
    return convert(found, BidRequest)


def _write_parts(found: Any) -> None:
    """What `request` has as bytes is written anew, to the letter."""
    for imp in found["imp"]:
        if isinstance(asked := imp.get("native", {}).get("request"), dict):
            imp["native"]["request"] = dumps(asked)  # which writes integers of any size
        for name in PARTS_OF_IMP & imp.keys():
            imp[name] = Raw(encode(imp[name]))
    for name in PARTS & found.keys():
        found[name] = Raw(encode(found[name]))


def _insist_on_json(body: bytes) -> None:
    """pydantic-core takes NaN and Infinity for numbers; JSON knows neither. As text they are welcome."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotJsonError(str(error)) from None
