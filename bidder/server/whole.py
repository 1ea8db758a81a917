"""Bids that come whole, in one block of bytes, and plainly headed: read without the parser.

The rule kept here: what is read here the parser would have read alike, and what it would not is left to it, unseen. So
a head is taken if it is typed to the letter, and if none of its fields but Content-Length says how the message is
framed or what becomes of the connection (RFC 9112 §6, §9). The heads of one connection are alike: the last is kept to
be compared, and of a new one only lines that were not seen before are looked into. It halves what HTTP costs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from bidder.server.body import BodyError
from bidder.server.headers import READ, Asked, read_headers
from bidder.server.lane import Stop

MAX_HEAD_BYTES = 2_048
"""Of a head that is read here: a connection keeps its last one."""
MAX_SEEN = 1_024
"""Lines that are remembered."""

_LINE = re.compile(rb"[\w-]+: [!-~][ -~]*")
_LENGTH = b"Content-Length: "
_OF_THE_PARSER = frozenset(
    (b"connection", b"content-length", b"expect", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_KEPT = b"connection: keep-alive"  # as it is without

Field = tuple[bytes, bytes]
_SILENT: Field = (b"", b"")
_ODD: Field = (b"", b"odd")
_SEEN: dict[bytes, Field] = {}


class Known:
    """A head that was read: its lines, with `%d` for its length, whose it is, and what it asks."""

    __slots__ = ("asked", "lines", "stop")

    def __init__(self, lines: bytes, stop: Stop, asked: Asked) -> None:
        self.lines = lines
        self.stop = stop
        self.asked = asked


def read_head(head: bytes, body_bytes: int, stops: Mapping[bytes, Stop], max_headers: int) -> Known | None:
    """`head` without the empty line that ends it, before a body of so many bytes. None: it is the parser's. `stops` are
    by request line."""
    first, *lines = head.split(b"\r\n")
    stop = stops.get(first)
    if stop is None or len(lines) > max_headers:
        return None
    length = b"%b%d" % (_LENGTH, body_bytes)
    if length not in lines:
        length = length.lower()
        if length not in lines:
            return None
    lines.remove(length)
    asked = _asked(tuple([field for line in lines if (field := _SEEN.get(line) or _field(line)) is not _SILENT]))
    if asked is None:
        return None
    before, _, after = head.replace(b"%", b"%%").partition(b"\r\n" + length)
    return Known(b"%b\r\n%b%%d%b" % (before, length[: len(_LENGTH)], after), stop, asked)


def _field(line: bytes) -> Field:
    """What a line says; _SILENT: nothing that is read, _ODD: it is the parser's."""
    name, _, value = line.partition(b": ")
    name = name.lower()
    if not _LINE.fullmatch(line) or (name in _OF_THE_PARSER and line.lower() != _KEPT):
        return _ODD
    if len(_SEEN) >= MAX_SEEN:
        _SEEN.clear()
    _SEEN[line] = field = (name, value) if name in READ else _SILENT
    return field


@lru_cache(maxsize=64)
def _asked(fields: tuple[Field, ...]) -> Asked | None:
    """None: the head is the parser's, which may have to be refused."""
    try:
        return None if _ODD in fields else read_headers(fields, 0)
    except BodyError:
        return None
