"""What exchanges must not see, and who may."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from bidder.server.inside import Inside

HIDDEN = ["/metrics", "/docs", "/openapi.json", "/redoc", "/debug/explain", "/debug/explain/xandr", "//metrics"]
OPEN = ["/healthz", "/readyz", "/notice/win"]


@pytest.fixture(scope="module")
def outside(start_bidder: Callable[..., Any]) -> Iterator[Any]:
    """A bidder to which this test's own address, loopback, is outside."""
    with start_bidder(inside_networks="10.0.0.0/8", explain_token="a-token-of-a-test", drain_s="0") as process:
        yield process


def ask(process: Any, path: str, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(process.host, process.port, timeout=30)
    claims = {"x-forwarded-for": "10.0.0.1", "forwarded": "for=10.0.0.1", "authorization": "Bearer a-token-of-a-test"}
    connection.request(method, path, body, claims)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


@pytest.mark.parametrize("path", HIDDEN)
def test_to_outsiders_it_does_not_exist(outside: Any, path: str) -> None:
    """The answer is that of any path that there is not, and no header can claim another address."""
    method = "POST" if "explain" in path else "GET"
    assert ask(outside, path, method) == ask(outside, "/nothing", method) == (404, b'{"detail":"Not Found"}')


@pytest.mark.parametrize("path", OPEN)
def test_health_and_notices_are_for_all(outside: Any, path: str) -> None:
    """A balancer's checks and browsers come from anywhere."""
    assert ask(outside, path)[0] in (200, 204)


def test_bids_are_for_all(outside: Any, make_body: Callable[..., bytes]) -> None:
    """They never come this way."""
    assert ask(outside, "/openrtb2/bid", "POST", make_body())[0] in (200, 204)


def test_insiders_see_everything(start_bidder: Callable[..., Any]) -> None:
    """By the address of their connection."""
    with start_bidder(inside_networks="10.0.0.0/8, 127.0.0.0/8", drain_s="0") as process:
        assert ask(process, "/metrics")[0] == 200
        assert ask(process, "/docs")[0] == 200


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("::ffff:127.0.0.1", 200), ("::1", 404), ("fd00::7", 200), ("10.1.2.3", 404), ("socket", 404)],
)
async def test_an_address_is_in_a_network_however_it_is_written(address: str, status: int) -> None:
    """IPv4 within IPv6 too; what is no address is outside."""
    app = FastAPI()
    app.add_api_route("/metrics", lambda: "seen")
    inside = Inside(app, [ip_network("127.0.0.0/8"), ip_network("fd00::/8")])
    transport = httpx.ASGITransport(inside, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://bidder") as client:
        assert (await client.get("/metrics")).status_code == status


def test_what_is_no_network_is_named_at_the_start(start_bidder: Callable[..., Any]) -> None:
    """With what would be one, and without the secrets that are set beside it."""
    said = r"listened: BIDDER_INSIDE_NETWORKS: 10\.0\.0\.1/8 has host bits set; .* as in 10\.0\.0\.0/16\n"
    with (
        pytest.raises(AssertionError, match=said) as failure,
        start_bidder(inside_networks="10.0.0.1/8", price_keys="google=secret:secret"),
    ):
        pass
    assert "secret" not in str(failure.value)
