"""The headers of the bid path: what a request's say, and what an answer's say back.

The rule kept here: every answer says how long it is, but for a 204, which has no length (RFC 9110 §8.6); all else that
an answer's headers say is made once. Sections: OpenRTB 2.6 §2.3 (content types), §2.4 (compression), §2.5 (version).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from bidder.domain import Exchange
from bidder.pipeline import Answer
from bidder.server.body import BodyError, too_large

Header = tuple[bytes, bytes]
Headers = Iterable[Header]

MIN_GZIP_BYTES = 1024
"""A shorter answer fits into one packet as it is."""

# An answer of the demo has 3.5 KB (median); 0.8 KB are left of it, for 23 µs of CPU. zlib's usual memory level 8 costs
# 55 µs more, for 256 KB that it sets up; level 6 in place of 1 saves 3 % of the bytes.
GZIP_LEVEL = 1
GZIP_MEMORY = 5

_JSON = (b"content-type", b"application/json")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_GZIPPED = (b"content-encoding", b"gzip")
_VARY = (b"vary", b"Accept-Encoding")
ALLOW: Header = (b"allow", b"POST, OPTIONS")
_VERSION = b"x-openrtb-version"
_VERSIONS = {b"2.%d" % minor: (_VERSION, b"2.%d" % minor) for minor in range(7)}
# A profile's word for compression → what the request must say of gzip: yes, or nothing at all. A no is always obeyed.
_COMPRESSES: dict[str, tuple[bool | None, ...]] = {
    "none": (),
    "accepted": (True,),
    "wanted": (True, None),
    "required": (True, None),
}
_GZIP_NAMES = ("gzip", "x-gzip", "*")


@dataclass(slots=True)
class Asked:
    """What a request's headers say. `accepts_gzip` is None and `version` empty where they say nothing; `known_version`
    is empty also where it is none that is known. `expects`: it sends its body only after a 100 Continue (RFC 9110
    §10.1.1)."""

    gzipped: bool = False
    accepts_gzip: bool | None = None
    version: bytes = b""
    expects: bool = False
    known_version: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.known_version = version_of(self.version)


READ = frozenset((b"content-length", b"content-type", b"content-encoding", b"accept-encoding", _VERSION, b"expect"))
"""Headers of a request that are looked at."""


def read_headers(headers: Headers, max_body_bytes: int) -> Asked:
    """Raises `BodyError` (413, 415) where the body cannot be taken."""
    gzipped, accepts, version, expects = False, None, b"", False
    for name, value in headers:
        if name not in READ:
            continue
        if name == b"content-length":
            if int(value) > max_body_bytes:
                raise too_large(max_body_bytes)
        elif name == b"content-type":
            if value != b"application/json":  # as nearly all say it
                _check_type(value)
        elif name == b"accept-encoding":
            accepts = accepts_gzip(value)
        elif name == _VERSION:
            version = value
        elif name == b"content-encoding":
            gzipped = _is_gzip(value)
        else:
            expects = value.lower() == b"100-continue"
    return Asked(gzipped, accepts, version, expects)


def _check_type(value: bytes) -> None:
    media = value.split(b";", 1)[0].strip().lower()
    # Browsers that call across origins send JSON as text/plain.
    if not (media.endswith((b"/json", b"+json")) or media in (b"", b"text/plain")):
        shown = media.decode("latin-1")
        raise BodyError(415, "unsupported_media", f"Content-Type {shown!r}: bid requests are application/json")


def _is_gzip(value: bytes) -> bool:
    coding = value.strip().lower()
    if coding not in (b"", b"identity", b"gzip", b"x-gzip"):
        shown = coding.decode("latin-1")
        raise BodyError(415, "unsupported_media", f"Content-Encoding {shown!r}: only gzip is known")
    return coding.endswith(b"gzip")


@lru_cache(maxsize=64)
def accepts_gzip(value: bytes) -> bool:
    """Whether an Accept-Encoding (RFC 9110 §12.5.3) takes gzip. An exchange always sends the same: remembered."""
    weights: dict[str, bool] = {}
    for item in value.decode("latin-1").lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        weights[coding] = not any(_is_zero(parameter) for parameter in parameters)
    return next((weights[name] for name in _GZIP_NAMES if name in weights), False)


def _is_zero(parameter: str) -> bool:
    name, _, weight = parameter.partition("=")
    return name.strip() == "q" and not weight.strip().strip("0.")


@lru_cache(maxsize=64)
def version_of(value: bytes) -> bytes:
    """The version (major.minor) that a request's header names; empty: none that is known. "2.6-202211" is 2.6."""
    version = value.strip().partition(b"-")[0]
    return version if version in _VERSIONS else b""


class Head:
    """Headers of an answer, but for its length: as pairs, and as they stand on the wire."""

    __slots__ = ("lines", "pairs")

    def __init__(self, *pairs: Header) -> None:
        self.pairs = pairs
        self.lines = b"".join(b"%b: %b\r\n" % pair for pair in pairs)


class Reply:
    """Chooses the headers of one exchange's answers, as its profile has them; all are made once."""

    __slots__ = ("_compresses", "_gzipped", "_min_gzip_bytes", "_no_content", "_plain", "_varies", "_version")

    def __init__(self, exchange: Exchange) -> None:
        kind = (b"content-type", exchange.content_type.encode("latin-1"))
        extra = tuple(
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in exchange.response_headers.items()
        )
        self._version = exchange.version.encode("latin-1")
        versions = _VERSIONS | {self._version: (_VERSION, self._version)}
        self._no_content = Head(*extra)
        self._plain = {name: Head(kind, version, *extra) for name, version in versions.items()}
        self._varies = {name: Head(kind, version, _VARY, *extra) for name, version in versions.items()}
        self._gzipped = {name: Head(kind, version, _GZIPPED, _VARY, *extra) for name, version in versions.items()}
        self._compresses = _COMPRESSES[exchange.compression]
        self._min_gzip_bytes = 0 if exchange.compression == "required" else MIN_GZIP_BYTES

    def to(self, asked: Asked, answer: Answer) -> tuple[bytes, Head]:
        """The body to send for an answer of the pipeline, and its headers. A 204 has no length, all others do.

        The version is the request's own where that is known, else that of the exchange's profile."""
        body = answer.body
        if answer.status == 204:
            return b"", self._no_content
        if answer.status != 200:
            return body, ERROR
        version = asked.known_version or self._version
        if len(body) <= self._min_gzip_bytes:
            return body, self._plain[version]
        if asked.accepts_gzip in self._compresses:
            return gzip(body), self._gzipped[version]
        return body, self._varies[version]


ERROR = Head(_TEXT)
CLOSING = Head(_TEXT, (b"connection", b"close"))


def gzip(body: bytes) -> bytes:
    """One member without name or time (RFC 1952): the same body gives the same bytes."""
    stream = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS, GZIP_MEMORY)
    return stream.compress(body) + stream.flush()


def length(body: bytes) -> Header:
    return b"content-length", b"%d" % len(body)
