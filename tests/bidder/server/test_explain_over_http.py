"""`POST /debug/explain` on a real server: off unless set, closed without the token, and apart from the bids."""

from __future__ import annotations

import gzip
import http.client
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

Body = Callable[..., bytes]
TOKEN = "a-token-of-a-test"
AUTHORISED = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
DESKTOP = {"devicetype": 2, "geo": {"country": "USA", "utcoffset": -300}}
EXPLAIN = "/debug/explain"


@pytest.fixture(scope="module")
def explaining(start_bidder: Callable[..., Any]) -> Iterator[Any]:
    with start_bidder(explain_token=TOKEN, max_body_bytes="20000", drain_s="0") as process:
        yield process


def ask(
    process: Any, body: bytes, path: str = EXPLAIN, headers: dict[str, str] | None = None, method: str = "POST"
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(process.host, process.port, timeout=30)
    connection.request(method, path, body, AUTHORISED if headers is None else headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_it_is_not_there_unless_a_token_is_set(bidder: Any, make_body: Body) -> None:
    """404, whatever the caller sends."""
    assert ask(bidder, make_body())[0] == 404
    assert ask(bidder, make_body(), headers={"authorization": "Bearer "})[0] == 404


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer ", "Bearer wrong", TOKEN, "Bearer \xe9", f"bearer {TOKEN}x"]
)
def test_without_the_token_it_is_401(explaining: Any, make_body: Body, given: str | None) -> None:
    """And nothing is said of the request."""
    headers = {} if given is None else {"authorization": given}
    status, content = ask(explaining, make_body(), headers=headers)
    assert status == 401
    assert b"auction" not in content


@pytest.mark.parametrize("exchange", ["", "/generic25", "/xandr"])
@pytest.mark.parametrize(
    "changes",
    [
        {"device": DESKTOP, "tmax": 3000},
        {"device": DESKTOP, "tmax": 3000, "test": 1},
        {"imp": [{"id": "1", "banner": {"w": 1, "h": 1}}]},
        {"imp": []},
        {"badv": 7.5},
    ],
)
def test_the_answer_is_that_of_a_real_post_byte_for_byte(
    explaining: Any, make_body: Body, exchange: str, changes: dict[str, Any]
) -> None:
    """Bids, tests, no-bids, malformed requests, unreadable restrictions."""
    body = make_body(**changes)
    status, content = ask(explaining, body, EXPLAIN + exchange)
    assert status == 200
    answer = orjson.loads(content)["answer"]
    real_status, real = ask(explaining, body, "/openrtb2/bid" + exchange)
    assert (answer["status"], answer["body"].encode()) == (real_status, real)


def test_explaining_counts_as_no_bid(explaining: Any, make_body: Body) -> None:
    """The series of the bid path stand still."""

    def bids() -> list[bytes]:
        lines = ask(explaining, b"", "/metrics", method="GET")[1].splitlines()
        names = (b"bidder_requests_total", b"bidder_bids_by_format", b"bidder_no_bids", b"bidder_stage_latency")
        return [line for line in lines if line.startswith(names)]

    before = bids()
    assert ask(explaining, make_body(device=DESKTOP))[0] == 200
    assert bids() == before


def test_what_cannot_be_taken_has_its_status(explaining: Any, make_body: Body) -> None:
    """As on the bid path; a gzipped body is read."""
    assert ask(explaining, make_body(), EXPLAIN + "/nobody")[0] == 404
    assert ask(explaining, b"", method="GET")[0] == 405
    assert ask(explaining, b" " * 20_001)[0] == 413
    packed = gzip.compress(make_body(device=DESKTOP))
    assert ask(explaining, packed, headers=AUTHORISED | {"content-encoding": "gzip"})[0] == 200
    assert ask(explaining, packed, headers=AUTHORISED | {"content-encoding": "br"})[0] == 415
