"""The bid lane's own protocol, on a raw socket: order, bounds, time-outs, and what is no HTTP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import orjson
import pytest

Body = Callable[..., bytes]
PATH = "/openrtb2/bid"
DESKTOP = {"devicetype": 2, "geo": {"country": "USA", "utcoffset": -300}}
HEAD_S, BODY_S = 0.4, 0.8
MAX_HEAD_BYTES, MAX_HEADERS, MAX_CONNECTIONS = 2_000, 20, 12
PATIENCE_S, LONG_S = 20.0, 90.0
REQUESTS = 3_000


@pytest.fixture(scope="module")
def bidder(start_bidder: Callable[..., Any]) -> Iterator[Any]:
    with start_bidder(
        drain_s="0",
        head_s=str(HEAD_S),
        body_s=str(BODY_S),
        max_head_bytes=str(MAX_HEAD_BYTES),
        max_headers=str(MAX_HEADERS),
        max_connections=str(MAX_CONNECTIONS),
    ) as process:
        yield process


@pytest.fixture
def raw(bidder: Any) -> Iterator[socket.socket]:
    with socket.create_connection((bidder.host, bidder.port), timeout=PATIENCE_S) as raw:
        yield raw


def request(body: bytes, *headers: str, method: str = "POST", path: str = PATH) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: x", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def statuses(raw: socket.socket, count: int) -> list[int]:
    """The status of `count` answers; fewer where the connection ends before."""
    return [status for status, _, _ in answers(raw, count)]


def answers(raw: socket.socket, count: int) -> list[tuple[int, dict[str, str], bytes]]:
    found: list[tuple[int, dict[str, str], bytes]] = []
    rest = b""
    while len(found) < count:
        while b"\r\n\r\n" not in rest:
            try:
                part = raw.recv(65536)
            except ConnectionResetError:
                part = b""
            if not part:
                return found
            rest += part
        head, _, rest = rest.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        status = int(first.split()[1])
        length = int(headers.get("content-length", 0))
        while len(rest) < length:
            rest += raw.recv(65536)
        found.append((status, headers, rest[:length]))
        rest = rest[length:]
    assert rest == b""
    return found


def is_closed(raw: socket.socket) -> bool:
    """Whether the other side ends the connection, without another byte."""
    try:
        return raw.recv(1) == b""
    except ConnectionResetError:
        return True


def series(bidder: Any, name: str) -> float:
    with socket.create_connection((bidder.host, bidder.port), timeout=PATIENCE_S) as raw:
        raw.sendall(request(b"", "connection: close", method="GET", path="/metrics"))
        ((_, _, body),) = answers(raw, 1)
    values = (float(line.split()[-1]) for line in body.decode().splitlines() if line.startswith(name + " "))
    return next(values, 0.0)  # what never was is not exposed


def closed(bidder: Any, why: str) -> float:
    return series(bidder, f'bidder_connections_closed_total{{why="{why}"}}')


def test_pipelined_requests_are_answered_in_their_order(raw: socket.socket, make_body: Body) -> None:
    """Bids, no-bids, errors and other paths mixed, sent in one go and in slices across all boundaries."""
    bid = request(make_body(id="first", device=DESKTOP))
    other = request(b"", method="GET", path="/healthz")
    mixed = [
        (bid, 200),
        (other, 200),
        (request(b"{"), 400),
        (request(make_body(imp=[{"id": "1"}])), 204),
        (request(b"{}", path=f"{PATH}/nobody"), 404),
        (other, 200),
        (request(b"", method="GET"), 405),
        (request(b"a=b", "content-type: text/html"), 415),
        (request(make_body(id="last", device=DESKTOP)), 200),
    ]
    data = b"".join(each for each, _ in mixed)
    for size in (len(data), 700, 131):
        for start in range(0, len(data), size):
            raw.sendall(data[start : start + size])
        got = answers(raw, len(mixed))
        assert [status for status, _, _ in got] == [status for _, status in mixed]
        assert [orjson.loads(got[place][2])["id"] for place in (0, -1)] == ["first", "last"]
        assert orjson.loads(got[1][2]) == orjson.loads(got[5][2]) == {"status": "ok"}


def test_many_pipelined_requests_are_all_answered(raw: socket.socket, make_body: Body) -> None:
    """More than one read of the socket holds, while the client reads slowly: order and number are kept."""
    count = 400
    data = b"".join(request(make_body(id=f"auction-{n}", device=DESKTOP, tmax=3000)) for n in range(count))
    sender = threading.Thread(target=raw.sendall, args=(data,))
    sender.start()
    got = answers(raw, count)
    sender.join(PATIENCE_S)
    assert [orjson.loads(body)["id"] for _, _, body in got] == [f"auction-{n}" for n in range(count)]


def test_the_last_answer_before_a_close_says_so(raw: socket.socket, make_body: Body) -> None:
    """What follows a request that closes is not answered."""
    body = make_body(device=DESKTOP)
    raw.sendall(request(body) + request(body, "connection: close") + request(body))
    got = answers(raw, 3)
    assert [headers.get("connection") for _, headers, _ in got] == [None, "close"]


@pytest.mark.parametrize(
    "bad",
    [
        b"nonsense\r\n\r\n",
        b"POST /openrtb2/bid HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        b"POST /openrtb2/bid HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"POST /openrtb2/bid HTTP/1.1\r\nhost: x\r\n folded\r\ncontent-length: 2\r\n\r\n{}",
        b"POST /openrtb2/bid HTTP/1.1\nhost: x\ncontent-length: 2\n\n{}",
        b"POST /openrtb2/bid HTTP/1.1\r\nhost: x\r\ncontent-length: -2\r\n\r\n{}",
        b"POST /openrtb2/bid HTTP/1.1\r\nhost: x\r\ncontent-length : 2\r\n\r\n{}",
        b"POST /openrtb2/bid HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n{}",
    ],
)
def test_what_is_no_http_is_400_and_ends_the_connection(
    bidder: Any, raw: socket.socket, make_body: Body, bad: bytes
) -> None:
    """Never a second request out of one, and what came before it is still answered first."""
    before = closed(bidder, "not_http")
    smuggled = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    raw.sendall(request(make_body(device=DESKTOP)) + bad + smuggled)
    got = answers(raw, 4)
    assert [status for status, _, _ in got] == [200, 400]
    assert got[1][1]["connection"] == "close"
    assert closed(bidder, "not_http") == before + 1


def test_a_body_that_breaks_off_in_its_chunks_is_400(raw: socket.socket) -> None:
    """Said at once, not when the time is up."""
    raw.sendall(f"POST {PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\nxyz\r\n".encode())
    assert statuses(raw, 2) == [400]


@pytest.mark.parametrize("slices", [1, 7, 40])
def test_too_large_a_head_is_431(bidder: Any, raw: socket.socket, slices: int) -> None:
    """In one block or in many; so are too many headers. The same for paths that are not ours to answer."""
    before = closed(bidder, "head_too_large")
    data = request(b"", *(f"x-{n}: {'y' * 300}" for n in range(10)))
    size = len(data) // slices + 1
    for start in range(0, len(data), size):
        try:
            raw.sendall(data[start : start + size])
        except (BrokenPipeError, ConnectionResetError):  # it has heard enough
            break
    assert statuses(raw, 2) in ([431], [])  # the answer may be lost where the rest was sent after it
    assert closed(bidder, "head_too_large") == before + 1


@pytest.mark.parametrize("path", [PATH, "/healthz"])
def test_too_many_headers_are_431(raw: socket.socket, path: str) -> None:
    """However short."""
    raw.sendall(request(b"", *(f"x-{n}: y" for n in range(MAX_HEADERS + 1)), path=path))
    assert statuses(raw, 2) == [431]


def test_a_head_and_a_body_in_one_block_are_not_taken_for_a_large_head(raw: socket.socket, make_body: Body) -> None:
    """What counts is the head alone, also behind another request."""
    body = make_body(device=DESKTOP, ext={"padding": "z" * 3 * MAX_HEAD_BYTES})
    raw.sendall(request(body) * 2)
    assert statuses(raw, 2) == [200, 200]


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /openrtb2/bid HTTP/1.1\r\nhost: x\r\ncontent-",
        b"POST /openrtb2/bid HTTP/1.1\r\nhost: x\r\ncontent-length: 15000\r\n\r\n{",
        b"GET /hea",
        b"POST /notice/win HTTP/1.1\r\nhost: x\r\ncontent-length: 15000\r\n\r\n{",
    ],
)
def test_who_does_not_finish_a_request_is_closed(bidder: Any, make_body: Body, sent: bytes) -> None:
    """Slow heads and stalled bodies, also where a byte comes now and then; others are served meanwhile."""
    before = closed(bidder, "slow")
    with socket.create_connection((bidder.host, bidder.port), timeout=PATIENCE_S) as slow:
        slow.sendall(sent)
        with socket.create_connection((bidder.host, bidder.port), timeout=PATIENCE_S) as other:
            give_up_s = time.monotonic() + PATIENCE_S
            while closed(bidder, "slow") == before:
                assert time.monotonic() < give_up_s
                other.sendall(request(make_body(device=DESKTOP)))
                assert statuses(other, 1) == [200]
                try:
                    slow.sendall(b"x")
                except (BrokenPipeError, ConnectionResetError):
                    break
        assert statuses(slow, 2) in ([], [204])  # a notice is answered before its body, which nobody needs
    assert closed(bidder, "slow") == before + 1


def test_an_idle_connection_is_kept(raw: socket.socket, make_body: Body) -> None:
    """The bounds of a request do not hold between two; exchanges keep connections for minutes."""
    raw.sendall(request(make_body(device=DESKTOP)))
    assert statuses(raw, 1) == [200]
    raw.settimeout(3 * max(HEAD_S, BODY_S))
    with pytest.raises(TimeoutError):
        raw.recv(1)
    raw.settimeout(PATIENCE_S)
    raw.sendall(request(make_body(device=DESKTOP)))
    assert statuses(raw, 1) == [200]


def test_who_does_not_read_is_not_read_from_and_closed(bidder: Any, make_body: Body) -> None:
    """What is held for it stays bounded: of its requests only as many are taken as have room for answers."""
    answered = series(bidder, 'bidder_requests_total{exchange="generic",outcome="bid"}')
    before = closed(bidder, "slow")
    several = [{"id": str(n), "banner": {"format": [{"w": 300, "h": 250}]}} for n in range(20)]
    data = request(make_body(device=DESKTOP, imp=several, tmax=3000)) * REQUESTS

    def send(deaf: socket.socket) -> None:
        with suppress(OSError):
            deaf.sendall(data)

    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(LONG_S)
        deaf.connect((bidder.host, bidder.port))
        sender = threading.Thread(target=send, args=(deaf,))
        sender.start()
        give_up_s = time.monotonic() + LONG_S
        while closed(bidder, "slow") == before:
            assert time.monotonic() < give_up_s
    sender.join(LONG_S)
    assert series(bidder, 'bidder_requests_total{exchange="generic",outcome="bid"}') < answered + REQUESTS


def test_more_connections_than_allowed_are_closed(bidder: Any, make_body: Body) -> None:
    """Those that are open go on."""
    opened = [
        socket.create_connection((bidder.host, bidder.port), timeout=PATIENCE_S) for _ in range(MAX_CONNECTIONS + 3)
    ]
    try:
        served = 0
        for raw in opened:
            try:
                raw.sendall(request(make_body(device=DESKTOP)))
                served += statuses(raw, 1) == [200]
            except (BrokenPipeError, ConnectionResetError):
                pass
        assert served == MAX_CONNECTIONS
    finally:
        for raw in opened:
            raw.close()
    give_up_s = time.monotonic() + PATIENCE_S
    while True:  # the server has to hear of their end
        try:
            assert closed(bidder, "too_many") == 3
            break
        except ValueError:
            assert time.monotonic() < give_up_s


def test_an_upgrade_is_refused(bidder: Any, make_body: Body) -> None:
    """To the parser the body of such a request belongs to the other protocol: it is never taken for a second one."""
    offer = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk")
    smuggling = request(request(make_body(device=DESKTOP)), *offer)
    for sent, status in ((smuggling, 400), (request(b"", *offer, method="GET", path="/healthz"), 200)):
        with socket.create_connection((bidder.host, bidder.port), timeout=PATIENCE_S) as raw:
            raw.sendall(sent)
            ((got, headers, _),) = answers(raw, 2)
            assert (got, headers["connection"]) == (status, "close")


def test_who_hangs_up_is_counted(bidder: Any, make_body: Body) -> None:
    """A body that never was complete is nobody's bid; the bidder goes on."""
    for sent in (b"POST /openrtb2/bid HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{", request(make_body())[:-5]):
        with socket.create_connection((bidder.host, bidder.port), timeout=PATIENCE_S) as raw:
            raw.sendall(sent)
    with socket.create_connection((bidder.host, bidder.port), timeout=PATIENCE_S) as raw:
        raw.sendall(request(make_body(device=DESKTOP)))
        assert statuses(raw, 1) == [200]


def test_a_query_and_a_trailing_slash_are_the_same_path(raw: socket.socket, make_body: Body) -> None:
    """Exchanges append parameters of their own; a path that only begins like ours is not ours."""
    body = make_body(device=DESKTOP)
    for path, status in (
        (f"{PATH}?src=x", 200),
        (f"{PATH}/?a=1", 200),
        (f"{PATH}/generic25?b", 200),
        (f"{PATH}der", 404),
    ):
        raw.sendall(request(body, path=path))
        assert statuses(raw, 1) == [status], path


def test_a_request_that_has_begun_is_answered_when_the_bidder_stops(
    start_bidder: Callable[..., Any], make_body: Body
) -> None:
    """The connection is closed after it, and says so."""
    data = request(make_body(device=DESKTOP, tmax=3000))
    with (
        start_bidder(drain_s="0", head_s=str(PATIENCE_S)) as process,
        socket.create_connection((process.host, process.port), timeout=PATIENCE_S) as raw,
    ):
        raw.sendall(data)
        assert statuses(raw, 1) == [200]
        raw.sendall(data[:30])
        process.process.terminate()
        give_up_s = time.monotonic() + PATIENCE_S
        while True:
            assert time.monotonic() < give_up_s
            try:
                socket.create_connection((process.host, process.port), timeout=PATIENCE_S).close()
            except ConnectionResetError:  # as it stopped to listen
                continue
            except ConnectionRefusedError:
                break
        raw.sendall(data[30:])
        ((status, headers, _),) = answers(raw, 1)
        assert (status, headers["connection"]) == (200, "close")
        assert is_closed(raw)
