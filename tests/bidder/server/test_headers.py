"""What a request's headers say, and what an answer's say back."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from bidder.domain import Exchange
from bidder.pipeline import NO_CONTENT, Answer
from bidder.server.headers import MIN_GZIP_BYTES, Asked, Reply, accepts_gzip, read_headers, version_of

LONG = Answer(200, b'{"id":"' + b"a" * MIN_GZIP_BYTES + b'"}', "bid")
SHORT = Answer(200, b'{"id":"a"}', "bid")


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        (b"gzip", True),
        (b"gzip, deflate, br", True),
        (b"br;q=1.0, GZIP;q=0.5", True),
        (b"x-gzip", True),
        (b"*", True),
        (b"gzip;q=0", False),
        (b"gzip; q=0.000, *", False),
        (b"*;q=0", False),
        (b"gzip;q=0.001", True),
        (b"identity", False),
        (b"br, deflate", False),
        (b"", False),
        (b",;q=,gzipped", False),
    ],
)
def test_accept_encoding_is_read_with_its_weights(value: bytes, accepted: bool) -> None:
    """RFC 9110, section 12.5.3."""
    assert accepts_gzip(value) is accepted


@pytest.mark.parametrize(
    ("value", "version"),
    [
        (b"2.5", b"2.5"),
        (b" 2.6 ", b"2.6"),
        (b"2.6-202309", b"2.6"),
        (b"3.0", b""),
        (b"2", b""),
        (b"", b""),
        (b"\xff", b""),
    ],
)
def test_versions_are_major_and_minor(value: bytes, version: bytes) -> None:
    """A dated edition counts as its version; what is not known is no version."""
    assert version_of(value) == version


def test_headers_are_read_in_one_pass() -> None:
    """Coding of the body, coding of the answer, version."""
    headers = [
        (b"host", b"x"),
        (b"content-encoding", b"gzip"),
        (b"accept-encoding", b"gzip"),
        (b"x-openrtb-version", b"2.5"),
    ]
    assert read_headers(headers, 100) == Asked(gzipped=True, accepts_gzip=True, version=b"2.5")
    assert read_headers([], 100) == Asked(gzipped=False, accepts_gzip=None, version=b"")


@pytest.mark.parametrize(
    ("compression", "accepts", "compressed"),
    [
        ("accepted", True, True),
        ("accepted", None, False),
        ("accepted", False, False),
        ("wanted", None, True),
        ("wanted", False, False),
        ("required", None, True),
        ("required", False, False),
        ("none", True, False),
    ],
)
def test_the_profile_and_the_request_decide_on_compression(
    compression: Any, accepts: bool | None, compressed: bool
) -> None:
    """A refusal is always obeyed; silence is consent only where the exchange asked for it."""
    body, head = Reply(Exchange("e", compression=compression)).to(Asked(False, accepts, b""), LONG)
    named = dict(head.pairs)
    assert (named.get(b"content-encoding") == b"gzip") is compressed
    assert named[b"vary"] == b"Accept-Encoding"
    assert head.lines == b"".join(name + b": " + value + b"\r\n" for name, value in head.pairs)
    assert (gzip.decompress(body) if compressed else body) == LONG.body


def test_short_answers_are_sent_as_they_are() -> None:
    """Unless the exchange requires it."""
    asked = Asked(False, True, b"")
    body, head = Reply(Exchange("e")).to(asked, SHORT)
    assert body == SHORT.body
    assert b"vary" not in dict(head.pairs)
    body, _ = Reply(Exchange("e", compression="required")).to(asked, SHORT)
    assert gzip.decompress(body) == SHORT.body


def test_an_answer_names_the_requests_version_or_the_profiles() -> None:
    """A version that is not known is answered with the profile's."""
    reply = Reply(Exchange("e", version="2.6"))
    for said, answered in ((b"2.5", b"2.5"), (b"2.6-202309", b"2.6"), (b"", b"2.6"), (b"7.1", b"2.6")):
        assert dict(reply.to(Asked(False, None, said), SHORT)[1].pairs)[b"x-openrtb-version"] == answered


def test_a_profile_adds_its_own_headers_and_content_type() -> None:
    """As data."""
    exchange = Exchange("e", content_type="application/x-json", response_headers={"X-Bidder": "b"})
    named = dict(Reply(exchange).to(Asked(False, None, b""), SHORT)[1].pairs)
    assert (named[b"content-type"], named[b"x-bidder"]) == (b"application/x-json", b"b")


def test_no_content_has_neither_type_nor_length() -> None:
    """RFC 9110, section 8.6."""
    body, head = Reply(Exchange("e")).to(Asked(False, True, b"2.5"), NO_CONTENT)
    assert (body, head.pairs, head.lines) == (b"", (), b"")
