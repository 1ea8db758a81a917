"""HTTP to the letter, on a raw socket: what exchanges' clients do and proxies in between."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson
import pytest

from openrtb_schemas import RESPONSE

Body = Callable[..., bytes]
PATH = "/openrtb2/bid"
DESKTOP = {"devicetype": 2, "geo": {"country": "USA", "utcoffset": -300}}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
MAX_BODY_BYTES = 20_000
SEVERAL = [{"id": str(n), "banner": {"format": [{"w": 300, "h": 250}]}} for n in range(20)]


class Got(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """A connection on which every byte is ours."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self.rest = b""

    def send(self, head: str, body: bytes = b"") -> None:
        self.raw.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)

    def read(self, method: str = "POST") -> Got:
        """One answer, by its Content-Length."""
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        status = int(first.split()[1])
        length = 0 if method == "HEAD" or status == 204 else int(headers["content-length"])
        while len(self.rest) < length:
            self._more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return Got(status, headers, body)

    def closed(self) -> bool:
        """Whether the server ends the connection, with nothing after what was read."""
        return self.rest == b"" and self.raw.recv(1) == b""

    def _more(self) -> None:
        part = self.raw.recv(65536)
        assert part, f"the connection ended after {self.rest!r}"
        self.rest += part


@contextmanager
def connected(process: Any) -> Iterator[Wire]:
    with socket.create_connection((process.host, process.port), timeout=30) as raw:
        yield Wire(raw)


@pytest.fixture
def wire(bidder: Any) -> Iterator[Wire]:
    with connected(bidder) as wire:
        yield wire


def metric(process: Any, series: str) -> float:
    """The value of a series, 0 where it is not exposed."""
    with connected(process) as wire:
        wire.send("GET /metrics HTTP/1.1\nhost: x")
        for line in wire.read().body.decode().splitlines():
            if line.startswith(series + " "):
                return float(line.split()[-1])
    return 0.0


def post(wire: Wire, body: bytes, extra: str = "", path: str = PATH) -> Got:
    wire.send(f"POST {path} HTTP/1.1\nhost: x\ncontent-length: {len(body)}{extra}", body)
    return wire.read()


def test_answers_are_compressed_for_who_accepts_it(wire: Wire, make_body: Body) -> None:
    """The same bytes inside, fewer outside, said by Vary either way."""
    body = make_body(device=DESKTOP, imp=SEVERAL)
    plain = post(wire, body)
    packed = post(wire, body, "\naccept-encoding: gzip, deflate")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(("said", "answered"), [("2.5", "2.5"), ("2.6-202309", "2.6"), ("9.9", "2.6"), (None, "2.6")])
def test_the_version_is_read_and_answered(wire: Wire, make_body: Body, said: str | None, answered: str) -> None:
    """On bids; one that is not known is tolerated."""
    got = post(wire, make_body(device=DESKTOP), f"\nx-openrtb-version: {said}" if said else "")
    assert (got.status, got.headers["x-openrtb-version"]) == (200, answered)


def test_an_unknown_version_is_counted(bidder: Any, make_body: Body) -> None:
    """By exchange; a known one is not."""
    series = 'bidder_unknown_versions_total{exchange="generic25"}'
    before = metric(bidder, series)
    with connected(bidder) as wire:
        for version in ("4.0", "2.5"):
            post(wire, make_body(device=DESKTOP), f"\nx-openrtb-version: {version}", f"{PATH}/generic25")
    assert metric(bidder, series) == before + 1


def test_every_answer_says_its_length_but_for_204(wire: Wire, make_body: Body) -> None:
    """Bids, errors; a 204 has none (RFC 9110, section 8.6), and no body."""
    for body, status in ((make_body(device=DESKTOP), 200), (b"{", 400), (make_body(imp=[{"id": "1"}]), 204)):
        got = post(wire, body)
        assert got.status == status
        assert "transfer-encoding" not in got.headers
        assert ("content-length" in got.headers) is (status != 204)
    for path, status in (("/openrtb2/bid/none", 404), ("/nowhere", 404), ("/notice/none", 404)):
        got = post(wire, b"{}", path=path)
        assert got.status in (status, 405)
        assert int(got.headers["content-length"]) == len(got.body)


def test_expect_100_continue_is_answered_before_the_body(wire: Wire, make_body: Body) -> None:
    """Then the bid, on the same connection."""
    body = make_body(device=DESKTOP)
    wire.send(f"POST {PATH} HTTP/1.1\nhost: x\ncontent-length: {len(body)}\nexpect: 100-continue")
    while len(wire.rest) < len(CONTINUE):
        wire._more()
    assert wire.rest == CONTINUE
    wire.rest = b""
    wire.raw.sendall(body)
    assert wire.read().status == 200


def test_expect_100_continue_of_too_much_is_refused_at_once(wire: Wire) -> None:
    """Without asking for the body."""
    wire.send(f"POST {PATH} HTTP/1.1\nhost: x\ncontent-length: {MAX_BODY_BYTES + 1}\nexpect: 100-continue")
    assert wire.read().status == 413


def test_http_1_0_is_answered_and_closed(wire: Wire, make_body: Body) -> None:
    """With a length and never in chunks, which 1.0 does not know."""
    body = make_body(device=DESKTOP)
    wire.send(f"POST {PATH} HTTP/1.0\ncontent-length: {len(body)}", body)
    got = wire.read()
    assert (got.status, got.headers["connection"]) == (200, "close")
    RESPONSE.validate_json(got.body)
    assert wire.closed()


def test_http_1_0_that_asks_to_be_kept_is_told_it_is_not(wire: Wire, make_body: Body) -> None:
    """Keep-alive is an offer in 1.0: the answer says that the connection ends, and it does."""
    body = make_body(device=DESKTOP)
    wire.send(f"POST {PATH} HTTP/1.0\nconnection: keep-alive\ncontent-length: {len(body)}", body)
    got = wire.read()
    assert (got.status, got.headers["connection"]) == (200, "close")
    assert wire.closed()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_405_with_what_is_allowed(wire: Wire, make_body: Body, method: str) -> None:
    """HEAD without a body; the connection is kept."""
    wire.send(f"{method} {PATH} HTTP/1.1\nhost: x")
    got = wire.read(method)
    assert (got.status, got.headers["allow"]) == (405, "POST, OPTIONS")
    assert post(wire, make_body(device=DESKTOP)).status == 200


def test_options_says_what_is_allowed_and_no_more(wire: Wire) -> None:
    """204; no CORS header, also where a browser asks for one."""
    wire.send(f"OPTIONS {PATH} HTTP/1.1\nhost: x\norigin: https://a.example\naccess-control-request-method: POST")
    got = wire.read()
    assert (got.status, got.headers["allow"]) == (204, "POST, OPTIONS")
    assert not [name for name in got.headers if name.startswith("access-control")]


def test_a_chunked_gzipped_body_is_read(wire: Wire, make_body: Body) -> None:
    """Chunks, extensions and trailers around a compressed request."""
    packed = gzip.compress(make_body(device=DESKTOP))
    wire.send(f"POST {PATH} HTTP/1.1\nhost: x\ntransfer-encoding: chunked\ncontent-encoding: gzip")
    for start in range(0, len(packed), 100):
        piece = packed[start : start + 100]
        wire.raw.sendall(f"{len(piece):x};name=value\r\n".encode() + piece + b"\r\n")
    wire.raw.sendall(b"0\r\nx-trailer: 1\r\n\r\n")
    assert wire.read().status == 200


def test_test_requests_are_answered_and_counted_apart(bidder: Any, make_body: Body) -> None:
    """A bid like any other, which is no bid in the figures; a no-bid neither."""
    series = (
        'bidder_requests_total{exchange="generic",outcome="bid"}',
        'bidder_requests_total{exchange="generic",outcome="no_bid"}',
        'bidder_bids_by_format_total{format="banner"}',
        'bidder_no_bids_total{reason="no_campaign"}',
    )
    tests = 'bidder_requests_total{exchange="generic",outcome="test"}'
    before, tests_before = [metric(bidder, one) for one in series], metric(bidder, tests)
    with connected(bidder) as wire:
        got = post(wire, make_body(device=DESKTOP, test=1))
        assert got.status == 200
        assert orjson.loads(got.body)["seatbid"]
        assert post(wire, make_body(imp=[{"id": "1", "banner": {"w": 1, "h": 1}}], test=1)).status == 204
    assert metric(bidder, tests) == tests_before + 2
    assert [metric(bidder, one) for one in series] == before
