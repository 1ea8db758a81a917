"""The body of a bid request, read within bounds.

The rule kept here: no request makes the bidder hold or inflate more than the limit. Sections: OpenRTB 2.6 §2.3, §2.4.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MAX_MEMBERS = 64
"""Of one gzip body. Each copies what follows it: 256 KiB of empty ones took 98 ms to read."""

_GZIP = 16 + zlib.MAX_WBITS
_TRAILING = frozenset(b"\0")


class BodyError(Exception):
    """The body cannot be taken; `status` and the message say why. `outcome` is the metrics' word."""

    def __init__(self, status: int, outcome: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.outcome = outcome


class DisconnectedError(Exception):
    """The exchange hung up before the body was complete."""


async def read_body(receive: Receive, limit_bytes: int) -> bytes:
    """The whole body as sent. Raises `BodyError` (413) above the limit."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):  # the usual case: one piece
        body: bytes = message["body"]
        _check(len(body), limit_bytes)
        return body
    parts: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        parts.append(message["body"])
        size += len(message["body"])
        _check(size, limit_bytes)
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()
    raise DisconnectedError


def inflate(body: bytes, limit_bytes: int) -> bytes:
    """A gzip body (one or several members, RFC 1952) inflated within the limit. Raises `BodyError`: 413 or 400."""
    parts: list[bytes] = []
    left = limit_bytes
    rest = body
    for _ in range(MAX_MEMBERS):
        stream = zlib.decompressobj(_GZIP)
        try:
            part = stream.decompress(rest, left + 1)
        except zlib.error as error:
            raise BodyError(400, "malformed", f"the body is not gzip data, as Content-Encoding says: {error}") from None
        if len(part) > left:
            raise too_large(limit_bytes)
        if not stream.eof:
            raise BodyError(400, "malformed", "the gzip body ends before its last member does")
        parts.append(part)
        left -= len(part)
        rest = stream.unused_data
        if not rest or _TRAILING.issuperset(rest):
            return b"".join(parts)
    raise BodyError(400, "malformed", f"the gzip body has more than {MAX_MEMBERS} members")


def too_large(limit_bytes: int) -> BodyError:
    return BodyError(413, "too_large", f"the body is larger than {limit_bytes} bytes")


def _check(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise too_large(limit_bytes)
