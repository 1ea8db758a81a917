"""Answers whose head is known but for what differs from one call to the next: read without HTTP's parser.

The rule kept here: only a head that the parser has read is known, and an answer that has the same one, is there as a
whole and has nothing after it, is what the parser would make of it. Free are the values of two headers that nobody
reads, as long as they are one line.
"""

from __future__ import annotations

from msgspec import Struct

_FREE = (b"date", b"x-amzn-requestid")
_LENGTH = b"content-length"
_LF = 0x0A  # as a number it is found in a tenth of the time: bytes are tried as one first


class Response(Struct, gc=False):
    """A whole answer. Header names are in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Head:
    """The head of `block`, a whole answer with status 200 in which the parser found `headers` (names in lower case).
    Raises ValueError where its length stands elsewhere than in a header of its own."""

    __slots__ = ("_free", "_headers", "_length", "_length_at", "_lines")

    def __init__(self, block: bytes, headers: dict[bytes, bytes]) -> None:
        lines = block.partition(b"\r\n\r\n")[0].split(b"\r\n")
        names = [line.partition(b":")[0].lower() for line in lines]
        if len(lines) != len(headers) + 1 or b"transfer-encoding" in headers:
            raise ValueError("a header stands there twice, or in several lines, or the body is in chunks")
        self._length_at = names.index(_LENGTH)
        self._length = lines[self._length_at][: len(_LENGTH)] + b": "
        self._free = [
            (at, line[: len(name)] + b": ")
            for at, (name, line) in enumerate(zip(names, lines, strict=True))
            if name in _FREE
        ]
        self._headers = {name: value for name, value in headers.items() if name not in (*_FREE, _LENGTH)}
        for at, start in (*self._free, (self._length_at, b"")):
            lines[at] = start
        self._lines = lines

    def read(self, block: bytes) -> Response | None:
        """With the headers that answers have in common; None: the parser has to see it."""
        head, _, body = block.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        if len(lines) != len(self._lines) or lines[self._length_at] != self._length + str(len(body)).encode():
            return None
        lines[self._length_at] = b""
        for at, start in self._free:
            line = lines[at]
            if not line.startswith(start) or _LF in line:
                return None
            lines[at] = start
        return Response(200, self._headers, body) if lines == self._lines else None
