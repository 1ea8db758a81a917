"""A model that is none: as many scores as there are rows, each 0.5, after a fixed time. For measuring callers.

Rule: it costs next to nothing, so that what is measured is not it; a body whose rows it cannot count is refused as a
model container would refuse it. Written `canned:MS` where the address of a container stands, or `canned:MS,ATTRIBUTES`
with what each answer's X-Amzn-SageMaker-Custom-Attributes shall say.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from .containers import Answer, State

SCHEME: Final = "canned:"
SCORE: Final = 0.5

_CSV: Final = b"text/csv"
_NPY: Final = b"application/x-npy"
_FORM: Final = re.compile(r"canned:(\d{1,5}(?:\.\d{1,3})?)(?:,([\x21-\x7e]{1,1024}))?")
_SHAPE: Final = re.compile(rb"'shape':\s*\((\d{1,7}),")


def parse(address: str) -> tuple[float, bytes]:
    """The delay in seconds and the custom attributes. Raises ValueError."""
    match = _FORM.fullmatch(address)
    if match is None:
        raise ValueError(f"{address!r} is no canned model; write canned:MS or canned:MS,ATTRIBUTES, as in canned:3")
    return float(match[1]) / 1000, (match[2] or "").encode()


class CannedInstance:
    """Stands where a container does; always ready."""

    def __init__(self, address: str) -> None:
        self.url = address
        self.state = State.READY
        self.outstanding = 0
        self._delay_s, attributes = parse(address)
        self._headers = {b"x-amzn-sagemaker-custom-attributes": attributes} if attributes else {}

    async def invoke(self, headers: Sequence[tuple[bytes, bytes]], body: bytes, timeout_s: float) -> Answer:
        """An answer of the kind asked for, else of the request's. `timeout_s` is a container's, and not needed."""
        self.outstanding += 1
        try:
            await asyncio.sleep(self._delay_s)
        finally:
            self.outstanding -= 1
        named = dict(headers)
        kind = named.get(b"content-type", b"")
        rows = _rows(kind, body)
        if not rows:
            return Answer(415, {}, b"rows are counted in text/csv and application/x-npy")
        accepted = named.get(b"accept", kind)
        answered = accepted if accepted in (_CSV, _NPY) else kind
        return Answer(200, {b"content-type": answered, **self._headers}, _scores(answered, rows))

    async def ping(self) -> None:
        """It is ready."""

    async def watch(self) -> None:
        """It stays ready."""

    def close(self) -> None:
        """There is nothing to close."""


def _rows(kind: bytes, body: bytes) -> int:
    """How many rows a body has; 0: it cannot be told."""
    if kind == _CSV:
        return body.count(b"\n") + (not body.endswith(b"\n")) if body else 0
    if kind == _NPY and (shape := _SHAPE.search(body, 0, 256)):
        return int(shape[1])
    return 0


@lru_cache(maxsize=1024)
def _scores(kind: bytes, rows: int) -> bytes:
    if kind == _CSV:
        return b"%g\n" % SCORE * rows
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows},), }}".encode()
    header = header.ljust(-(len(header) + 11) % 64 + len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + struct.pack("<f", SCORE) * rows
