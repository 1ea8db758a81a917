"""Answers whose head is known: never otherwise than HTTP's parser reads them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from bidder.inference.heads import Head, Response

HEADERS = (
    *((b"x-amzn-RequestId", b"0123-4567"), (b"x-Amzn-Invoked-Production-Variant", b"AllTraffic")),
    *((b"X-Amzn-SageMaker-Custom-Attributes", b"features=abc"), (b"Date", b"Sat, 28 Nov 2026 23:00:00 GMT")),
    (b"Content-Type", b"text/csv; charset=utf-8"),
)


def answer(body: bytes = b"0.25\n", *more: tuple[bytes, bytes], length: bytes | None = None) -> bytes:
    headers = [*HEADERS, (b"Content-Length", b"%d" % len(body) if length is None else length), *more]
    return b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in headers) + b"\r\n" + body


class Parsed:
    """What the parser says of a block; `whole`: one answer, all of it, and the connection may be used again."""

    def __init__(self, block: bytes) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.body, self.begun, self.ended, self.broken, self.keep, self.status = b"", 0, 0, False, False, 0
        self.parser: Any = HttpResponseParser(self)
        try:
            self.parser.feed_data(block)
        except (HttpParserError, HttpParserUpgrade):
            self.broken = True

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.ended += 1
        self.keep, self.status = self.parser.should_keep_alive(), self.parser.get_status_code()

    @property
    def whole(self) -> bool:
        return not self.broken and (self.begun, self.ended) == (1, 1) and self.keep


def known(block: bytes = b"") -> Head:
    """The head of `block`, once the parser has read it."""
    block = block or answer()
    return Head(block, Parsed(block).headers)


def agrees(response: Response, parsed: Parsed) -> bool:
    """But for the headers that differ from call to call."""
    fixed = [
        pair for pair in parsed.headers.items() if pair[0] not in (b"date", b"x-amzn-requestid", b"content-length")
    ]
    same = list(response.headers.items()) == fixed
    return same and (response.status, response.body) == (parsed.status, parsed.body)


def test_answers_with_the_same_head_are_read() -> None:
    """Whatever their length, date and request are."""
    head = known()
    for body in (b"", b"0.25\n", bytes(range(256)) * 40, b"HTTP/1.1 200 OK\r\n\r\n"):
        block = answer(body).replace(b"23:00:00", b"23:59:01").replace(b"0123-4567", b"7")
        response = head.read(block)
        assert response is not None
        assert agrees(response, Parsed(block))
        assert response.body == body


@pytest.mark.parametrize(
    "block",
    [
        answer()[:-1],
        answer() + b"0",
        answer() + answer(),
        answer(length=b"4"),
        answer(length=b"6"),
        answer(length=b"05"),
        answer(length=b"-5"),
        answer(length=b""),
        answer(length=b"5, 5"),
        answer(b"0.25\n", (b"Connection", b"close")),
        answer(b"0.25\n", (b"X-Other", b"1")),
        answer(b"0.25\n", (b"Date", b"now")),
        answer().replace(b"200 OK", b"500 OK"),
        answer().replace(b"200 OK", b"100 Continue"),
        answer().replace(b"1.1", b"1.0"),
        answer().replace(b"Date: ", b"Date:"),
        answer().replace(b"Date: ", b"Date : "),
        answer().replace(b"Date: Sat", b"Date: \nTransfer-Encoding: chunked"),
        answer().replace(b"Date: Sat", b"Date: \r\nTransfer-Encoding: chunked"),
        answer().replace(b"Date: ", b"Transfer-Encoding: "),
        answer().replace(b"Date", b"date"),
        answer().replace(b"AllTraffic", b"Blue"),
        answer().replace(b"AllTraffic", b"AllTraffic "),
        answer().replace(b"AllTraffic", b"AllTraffic\r\n "),
        answer().replace(b"\r\n", b"\n"),
        answer().partition(b"\r\n\r\n")[0],
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"",
    ],
)
def test_all_else_is_left_to_the_parser(block: bytes) -> None:
    """Another head, and what is not whole or not alone."""
    assert known().read(block) is None


@pytest.mark.parametrize(
    "block",
    [
        answer(b"0.25\n", (b"Set-Cookie", b"1"), (b"Set-Cookie", b"2")),
        answer(b"0.25\n", (b"X-Other", b"1\r\n 2")),
        answer(b"0.25\n", (b"content-length", b"5")),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nDate: now\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n12345",
        b"",
    ],
)
def test_heads_that_are_not_remembered(block: bytes) -> None:
    """Headers that stand there twice, or in several lines; a body whose length is not said, or in chunks."""
    with pytest.raises(ValueError):
        known(block or b"\r\n\r\n")


def test_never_otherwise_than_the_parser() -> None:
    """Damaged answers, byte by byte: what is read is what the parser reads, whole and alone. It alone refuses some
    control characters in a value that is free."""
    rng, head = random.Random(7), known()
    odd = (b"\r", b"\n", b" ", b"\t", b"\x00", b"\x7f", b"\xe9", b":", b"1", b"9", b"-", b"\r\n", b",", b"")
    read = 0
    for _ in range(20_000):
        block = answer(rng.choice((b"", b"0.25\n", b"0.25\n" * 9)))
        for _ in range(rng.choice((1, 1, 2))):
            at = rng.randrange(len(block))
            block = block[:at] + rng.choice(odd) + block[at + rng.choice((0, 1)) :]
        response = head.read(block)
        if response is None:
            continue
        read += 1
        parsed = Parsed(block)
        if parsed.broken:
            start, _, body = block.partition(b"\r\n\r\n")
            free = [line for line in start.split(b"\r\n") if line.startswith((b"Date: ", b"x-amzn-RequestId: "))]
            assert any(control in b"".join(free) for control in b"\r\x00\x7f"), block
            assert response.body == body
        else:
            assert parsed.whole, block
            assert agrees(response, parsed), block
    assert read > 1_000
