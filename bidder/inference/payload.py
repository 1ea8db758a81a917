"""Rows to request bodies, response bodies to probabilities.

The rule kept here: a body is read only as what its Content-Type says, and every number read is finite, within [0, 1],
and one a row; anything else is a `BadResponse`. Formats: CSV, NPY (version 1 and 2, float32 and float64) and, as an
answer, a JSON list. No numpy.

Sources: SageMaker "Common data formats for inference"; NumPy Enhancement Proposal 1.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import isfinite

import orjson

from bidder.inference.errors import BadResponse

CSV = "text/csv"
NPY = "application/x-npy"
JSON = "application/json"
MAX_BODY_BYTES = 6_291_456  # of InvokeEndpoint, each way

_MAGIC = b"\x93NUMPY"
_DESCR = re.compile(rb"'descr':\s*'([<>|=]?)f([48])'")
_SHAPE = re.compile(rb"'shape':\s*\((\d{1,9}),\s*(?:1,?)?\s*\)")
_FLOAT = {b"4": "f", b"8": "d"}
_BELOW_HALF = bytes(range(0x3F))  # the upper byte of a float32 from 0 to less than 0.5: 0.5 is 0x3F000000


def encode(content_type: str, bodies: Sequence[bytes], rows: int) -> bytes:
    """Join the row blocks of several auctions into one request body of `rows` rows."""
    if content_type == NPY:
        size = sum(map(len, bodies))
        return b"".join((_npy_header(rows, size // (4 * rows)), *bodies))
    return bodies[0] if len(bodies) == 1 else b"".join(bodies)


def zero_row(content_type: str, width: int) -> bytes:
    """One row of `width` zeros: what a probe asks about."""
    if content_type == NPY:
        return bytes(4 * width)
    return b",".join([b"0"] * width) + b"\n"


@lru_cache(maxsize=1024)
def _npy_header(rows: int, width: int) -> bytes:
    """NPY version 1.0: magic, version, header length, a dict literal padded so that the data starts at 64 bytes."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}".encode()
    text = text.ljust(-(len(text) + 11) % 64 + len(text)) + b"\n"
    return _MAGIC + b"\x01\x00" + struct.pack("<H", len(text)) + text


def decode(content_type: bytes, body: bytes, rows: int) -> Sequence[float]:
    """The probabilities in `body`, one for each of `rows` rows. Raises BadResponse."""
    parse = _PARSERS.get(content_type) or _parser(content_type)
    if parse is None:
        raise BadResponse(f"the answer's Content-Type is {content_type[:60]!r}, not one of {', '.join(_NAMES)}")
    try:
        values = parse(body)
        if len(values) != rows:
            raise BadResponse(f"the answer has {len(values)} scores for {rows} rows")
    except (ValueError, TypeError, OverflowError, IndexError, struct.error) as error:
        kind = content_type[:60].decode("latin-1")
        raise BadResponse(f"the answer cannot be read as {kind}: {error}") from None
    return values


def _probabilities(values: Sequence[float]) -> Sequence[float]:
    """The same values, each of which is a number from 0 to 1. Raises BadResponse."""
    ordered = sorted(values)  # two thirds of what min() and max() cost
    # A NaN makes the sum NaN; from an order it can hide.
    if not (ordered[0] >= 0.0 and ordered[-1] <= 1.0 and isfinite(sum(values))):
        raise BadResponse("the answer has scores that are no probabilities: each must be a number from 0 to 1")
    return values


@lru_cache(maxsize=64)
def _parser(content_type: bytes) -> Callable[[bytes], Sequence[float]] | None:
    """The parser for a Content-Type, its parameters aside. An endpoint always sends the same: remembered."""
    return _PARSERS.get(content_type.partition(b";")[0].strip().lower())


def _parse_csv(body: bytes) -> Sequence[float]:
    """One score a line, or all in one line; separators at the end are tolerated, empty fields are not."""
    if b"_" in body:  # float() reads 0_1 as 1
        raise ValueError("an underscore in a number")
    text = body.strip(b" \t\r\n,")
    return _probabilities([float(field) for field in text.replace(b"\n", b",").split(b",")])


def _parse_npy(body: bytes) -> Sequence[float]:
    if body[:6] != _MAGIC or len(body) < 12:
        raise ValueError("no NPY magic")
    start = 10 + body[8] + (body[9] << 8) if body[6] == 1 else 12 + int.from_bytes(body[8:12], "little")
    layout, is_float32 = _npy_layout(body[8 : min(start, 4096)])
    if len(body) != start + layout.size:
        raise ValueError(f"{len(body)} bytes do not hold numbers of {layout.size} bytes")
    values = layout.unpack_from(body, start)
    # Of a little-endian float32 the last byte tells whether it is from 0 to less than a half, as what is predicted
    # mostly is. To look at these bytes alone costs an eighth of what looking at the numbers does.
    if is_float32 and not body[start + 3 :: 4].translate(None, _BELOW_HALF):
        return values
    return _probabilities(values)


@lru_cache(maxsize=256)
def _npy_layout(header: bytes) -> tuple[struct.Struct, bool]:
    """How the numbers after a header lie, and whether they are little-endian float32. As many kinds of header come as
    there are numbers of rows: remembered."""
    descr, shape = _DESCR.search(header), _SHAPE.search(header)
    if descr is None or shape is None:
        raise ValueError("not an array of float32 or float64 with shape (rows,) or (rows, 1)")
    order, kind = ">" if descr[1] == b">" else "<", _FLOAT[descr[2]]
    return struct.Struct(f"{order}{int(shape[1])}{kind}"), order + kind == "<f"


def _parse_json(body: bytes) -> Sequence[float]:
    """`[0.1, 0.2]`, or `[[0.1], [0.2]]`."""
    values = orjson.loads(body)
    if type(values) is not list:
        raise ValueError("not a list of numbers")
    if values and type(values[0]) is list:
        values = [value for (value,) in values]
    if not all(type(value) is float or type(value) is int for value in values):
        raise ValueError("not a list of numbers")
    return _probabilities(list(map(float, values)))


_PARSERS: dict[bytes, Callable[[bytes], Sequence[float]]] = {
    CSV.encode(): _parse_csv,
    NPY.encode(): _parse_npy,
    JSON.encode(): _parse_json,
}
_NAMES = sorted(name.decode() for name in _PARSERS)
