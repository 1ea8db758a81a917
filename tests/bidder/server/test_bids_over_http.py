"""The bid lane over a real socket: statuses, bodies, bounds."""

from __future__ import annotations

import gzip
import http.client
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import orjson
import pytest

from bidder.server.body import MAX_MEMBERS
from loadtest.engine import Plan, run
from loadtest.traffic import requests
from openrtb_schemas import RESPONSE

Body = Callable[..., bytes]
JSON = {"content-type": "application/json"}
PATH = "/openrtb2/bid"
DESKTOP = {"devicetype": 2, "geo": {"country": "USA", "utcoffset": -300}}
MAX_BODY_BYTES = 20_000
ROOT = Path(__file__).parents[3]


@pytest.fixture
def connection(bidder: Any) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(bidder.host, bidder.port, timeout=30)
    yield connection
    connection.close()


def post(
    connection: http.client.HTTPConnection, body: bytes, path: str = PATH, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    connection.request("POST", path, body, JSON | (headers or {}))
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_a_bid_request_is_answered_with_a_valid_bid(connection: http.client.HTTPConnection, make_body: Body) -> None:
    """200, for the right auction and impression, not below the floor."""
    status, body = post(connection, make_body(device=DESKTOP))
    assert status == 200
    response = RESPONSE.validate_json(body)
    (seat,) = response["seatbid"]
    (bid,) = seat["bid"]
    assert (response["id"], bid["impid"], (bid["w"], bid["h"])) == ("auction-1", "1", (300, 250))
    assert bid["price"] >= 0.5


def test_no_campaign_is_204_without_a_body(connection: http.client.HTTPConnection, make_body: Body) -> None:
    """No campaign has this size."""
    imp = [{"id": "1", "banner": {"w": 1, "h": 1}}]
    assert post(connection, make_body(imp=imp)) == (204, b"")


def test_a_test_bid_by_its_exchange_gets_that_exchanges_form_of_a_no_bid(
    connection: http.client.HTTPConnection, make_body: Body
) -> None:
    """The path names the exchange; an unknown one is 404."""
    imp = [{"id": "1", "banner": {"w": 1, "h": 1}}]
    assert post(connection, make_body(imp=imp), f"{PATH}/xandr")[0] == 204
    status, body = post(connection, make_body(), f"{PATH}/nobody")
    assert status == 404
    assert b"nobody" in body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 400),
        (b'{"id":"1"}', 400),
        (b'{"id":"\xff","imp":[]}', 400),
        (b'{"id":"\\ud800","imp":[{"id":"1"}]}', 400),
        (b'{"id":"1","imp":[{"id":"1"}],"ext":' + b"[" * 9_000 + b"]" * 9_000 + b"}", 400),
        (b'{"id":"1","imp":[{"id":"1"}],"bcat":{}}', 204),
        (b'{"id":"1","imp":[{"id":"1"}],"tmax":0}', 204),
        (b'{"id":"1","imp":[{"id":"1"}],"tmax":-1}', 204),
        (b'{"id":"1","imp":[{"id":"1"}],"tmax":1}', 204),
        (b'{"id":"1","imp":[{"id":"1"}],"tmax":"x"}', 204),
        (b'{"id":"1","imp":[{"id":"1","bidfloor":-1,"banner":{"w":300,"h":250}}]}', 204),
        (b'{"id":"1","imp":[{"id":"1","bidfloor":1e400,"banner":{"w":300,"h":250}}]}', 204),
        (b'{"id":"1","imp":[{"id":"1"},{"id":"1"}]}', 204),
    ],
)
def test_bad_input_gets_its_status_and_the_connection_is_kept(
    connection: http.client.HTTPConnection, make_body: Body, body: bytes, status: int
) -> None:
    """Malformed is 400 and says where, what cannot be bid on 204; a good request follows on the same socket."""
    got, text = post(connection, body)
    assert got == status
    assert bool(text) is (status == 400)
    held = connection.sock
    assert post(connection, make_body(device=DESKTOP))[0] == 200
    assert connection.sock is held


def test_a_body_over_the_limit_is_413(connection: http.client.HTTPConnection) -> None:
    """By its Content-Length."""
    assert post(connection, b"x" * (MAX_BODY_BYTES + 1))[0] == 413


def test_a_chunked_body_over_the_limit_is_413(bidder: Any) -> None:
    """Without a Content-Length, as soon as the limit is passed."""
    with socket.create_connection((bidder.host, bidder.port), timeout=30) as raw:
        raw.sendall(f"POST {PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
        with suppress(BrokenPipeError, ConnectionResetError):  # it may have heard enough
            for _ in range(MAX_BODY_BYTES // 0x1000 + 2):
                raw.sendall(chunk)
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_is_read(bidder: Any, make_body: Body) -> None:
    """In many pieces, across many packets."""
    body = make_body(device=DESKTOP)
    with socket.create_connection((bidder.host, bidder.port), timeout=30) as raw:
        raw.sendall(f"POST {PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        for start in range(0, len(body), 50):
            piece = body[start : start + 50]
            raw.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        raw.sendall(b"0\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 200 ")


def two_members(body: bytes) -> bytes:
    return gzip.compress(body[:100]) + gzip.compress(body[100:])


@pytest.mark.parametrize("pack", [gzip.compress, two_members])
def test_gzip_is_read(connection: http.client.HTTPConnection, make_body: Body, pack: Callable[[bytes], bytes]) -> None:
    """One member or several."""
    status, _ = post(connection, pack(make_body(device=DESKTOP)), headers={"content-encoding": "gzip"})
    assert status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (gzip.compress(b" " * 50_000_000), 413),
        (gzip.compress(b" " * 10_000) * 3, 413),
        (gzip.compress(b'{"id":"1"}')[:-4], 400),
        (b"not gzip", 400),
        (zlib.compress(b"{}"), 400),
        (gzip.compress(b"{}") + b"rest", 400),
    ],
)
def test_bad_gzip_is_refused(connection: http.client.HTTPConnection, body: bytes, status: int) -> None:
    """A bomb stops at the limit; what is broken is malformed."""
    assert post(connection, body, headers={"content-encoding": "gzip"})[0] == status


@pytest.mark.parametrize(("empty_members", "status"), [(MAX_MEMBERS - 1, 200), (MAX_MEMBERS, 400)])
def test_gzip_members_are_counted(
    connection: http.client.HTTPConnection, make_body: Body, empty_members: int, status: int
) -> None:
    """Each copies what follows it: there are not many of them."""
    body = gzip.compress(b"") * empty_members + gzip.compress(make_body(device=DESKTOP))
    assert post(connection, body, headers={"content-encoding": "gzip"})[0] == status


@pytest.mark.parametrize("headers", [{"content-encoding": "br"}, {"content-type": "application/x-protobuf"}])
def test_what_cannot_be_read_is_415(
    connection: http.client.HTTPConnection, make_body: Body, headers: dict[str, str]
) -> None:
    """An unknown coding or type."""
    assert post(connection, make_body(), headers=headers)[0] == 415


@pytest.mark.parametrize(
    "content_type", ["", "application/json; charset=utf-8", "text/plain", "application/openrtb+json"]
)
def test_json_goes_by_several_names(connection: http.client.HTTPConnection, make_body: Body, content_type: str) -> None:
    """A missing Content-Type means JSON (§2.3)."""
    assert post(connection, make_body(device=DESKTOP), headers={"content-type": content_type})[0] == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_405(connection: http.client.HTTPConnection, method: str) -> None:
    """With the one that is allowed."""
    connection.request(method, PATH)
    answer = connection.getresponse()
    answer.read()
    assert (answer.status, answer.getheader("allow")) == (405, "POST, OPTIONS")


def test_a_thousand_impressions_get_a_valid_answer(bidder: Any, make_body: Body) -> None:
    """Within the limit of the body, the work is bounded."""
    imps = [{"id": str(n), "banner": {"w": 300, "h": 250}} for n in range(400)]
    connection = http.client.HTTPConnection(bidder.host, bidder.port, timeout=30)
    status, body = post(connection, make_body(imp=imps, device=DESKTOP))
    connection.close()
    assert status == 200
    bids = [bid for seat in RESPONSE.validate_json(body)["seatbid"] for bid in seat["bid"]]
    assert len({bid["impid"] for bid in bids}) == len(bids) > 1


def test_pipelined_requests_are_answered_in_order(bidder: Any, make_body: Body) -> None:
    """Ten requests in one packet; ten answers, each with its own id."""
    packet = b""
    for number in range(10):
        body = make_body(id=f"a-{number}", device=DESKTOP)
        packet += f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    with socket.create_connection((bidder.host, bidder.port), timeout=30) as raw:
        raw.sendall(packet)
        received = b""
        while received.count(b'{"id":"a-') < 10:
            part = raw.recv(65536)
            assert part, received
            received += part
    positions = [received.index(b'{"id":"a-%d"' % number) for number in range(10)]
    assert positions == sorted(positions)


def test_health_readiness_metrics_and_docs(connection: http.client.HTTPConnection) -> None:
    """What stands around the bids."""

    def get(path: str) -> tuple[int, bytes]:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()

    assert get("/healthz")[0] == 200
    status, body = get("/readyz")
    assert (status, orjson.loads(body)) == (200, {"ready": True, "reasons": {}})
    status, body = get("/metrics")
    assert status == 200
    assert b"bidder_requests_total" in body
    assert get("/docs")[0] == 200
    document = orjson.loads(get("/openapi.json")[1])
    request = document["paths"]["/openrtb2/bid"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    name = request["$ref"].rsplit("/", 1)[-1]
    assert "imp" in document["components"]["schemas"][name]["properties"]


def test_a_click_leads_to_the_catalogs_landing_page_only(connection: http.client.HTTPConnection) -> None:
    """A URL in the query is no target; an unknown creative is 404."""
    catalog = orjson.loads((ROOT / "bidder/data/demo_catalog.json").read_bytes())
    campaign = catalog["campaigns"][0]
    creative = campaign["creatives"][0]
    query = f"campaign={campaign['id']}&creative={creative['id']}&go=1&to=https://evil.example"
    connection.request("GET", f"/notice/click?{query}")
    answer = connection.getresponse()
    answer.read()
    assert (answer.status, answer.getheader("location")) == (302, creative["landing_url"])
    for path, status in (
        ("/notice/click?campaign=x&creative=y&go=1&to=https://evil.example", 404),
        ("/notice/win?price=1.5&auction=a", 204),
        ("/notice/impression?auction=a", 200),
        ("/notice/unknown", 404),
    ):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status


@pytest.mark.parametrize("http_lane", ["protocol", "asgi"])
def test_overload_is_answered_not_queued(start_bidder: Callable[..., Any], make_body: Body, http_lane: str) -> None:
    """While as many bids wait for the model as may be, the next gets a no-bid at once. A body that is not complete
    takes nobody's place."""
    body = make_body(device=DESKTOP, tmax=3000)
    request = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an endpoint that never answers
        endpoint = {"endpoint_name": "ctr", "endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        with start_bidder(max_in_flight="1", http=http_lane, **endpoint) as process:
            address = (process.host, process.port)
            metrics = http.client.HTTPConnection(*address, timeout=30)
            with socket.create_connection(address, timeout=30) as first, socket.create_connection(address) as stalled:
                stalled.sendall(request[:-5])
                first.sendall(request)
                while True:
                    metrics.request("GET", "/metrics")
                    if b"bidder_in_flight 1.0" in metrics.getresponse().read():
                        break
                assert post(metrics, body)[0] == 204
                assert first.recv(100).startswith(b"HTTP/1.1 200 ")
            assert post(metrics, body)[0] == 200
            metrics.request("GET", "/metrics")
            text = metrics.getresponse().read()
            metrics.close()
        assert b'bidder_no_bids_total{reason="overload"} 1.0' in text
        assert b'bidder_requests_total{exchange="generic",outcome="overload"} 1.0' in text


@pytest.mark.parametrize("http_lane", ["protocol", "asgi"])
def test_what_the_loop_cannot_do_is_answered_at_once(start_bidder: Callable[..., Any], http_lane: str) -> None:
    """A loop that finds more to do whenever it looks sheds bids before long, and its metrics say so."""
    cases = list(requests(1, 200, valid_only=True))
    with start_bidder(max_busy="0.5", http=http_lane) as process:
        plan = Plan(
            process.url + PATH, cases, rate=0, in_flight=256, duration_s=1, tmax_ms=5000, metrics_url=process.url
        )
        overload, until_s = 0.0, monotonic() + 60
        while not overload:
            assert monotonic() < until_s, "nothing was shed"
            result = run(plan)
            assert result.tally.good == result.tally.due
            assert result.metrics is not None
            overload = result.metrics.total("bidder_no_bids_total", reason="overload")
        assert overload == result.metrics.total("bidder_requests_total", outcome="overload")
