"""Playing against a scripted bidder over real sockets: what is sent, what is counted, what is survived."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from loadtest import exchange
from loadtest.connection import Connection, ConnectionLostError
from loadtest.exchange import play, tmax_s
from loadtest.traffic import BidRequestCase, Kind, requests
from loadtest.verify import Judge, Rates

JUDGE = Judge(Rates({"USD": 1.0, "EUR": 1.1}))
NO_BID = b"HTTP/1.1 204 No Content\r\n\r\n"
ANSWERED = frozenset({"bid", "no-bid"})


def ok(body: bytes, *, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s" % (
        extra,
        len(body),
        body,
    )


def simple(number: int) -> BidRequestCase:
    request = {"id": f"a{number}", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}], "tmax": 60_000}
    return BidRequestCase(request["id"], json.dumps(request).encode(), Kind.VALID, request, ANSWERED)


def bid_on(body: bytes) -> bytes:
    """A right answer: one bid of 2 USD for the request's first impression."""
    one = {"id": "1", "impid": "1", "price": 2.0, "mtype": 1, "adm": "<b>x</b>", "w": 300, "h": 250, "crid": "c"}
    bids = [{"seat": "s", "bid": [{**one, "adomain": ["shop.example"]}]}]
    return ok(json.dumps({"id": json.loads(body)["id"], "cur": "USD", "seatbid": bids}).encode())


async def test_every_request_is_sent_once_over_few_connections(scripted):
    """Each body arrives once, over as many kept-alive connections as were asked for, and one for /metrics."""
    bidder = await scripted(lambda body: NO_BID)
    cases = list(requests(1, 700))
    report = await play(bidder.url, cases, JUDGE, connections=3)
    assert sorted(bidder.bodies) == sorted(case.body for case in cases)
    assert bidder.connections == 3 + 2
    assert report.requests == 700


async def test_bids_are_counted_and_averaged(scripted):
    """Bids, their mean price by format and the latencies are in the report, and nothing speaks against it."""
    bidder = await scripted(bid_on)
    report = await play(bidder.url, [simple(n) for n in range(40)], JUDGE)
    assert (report.bids, report.outcomes["bid"], report.mean_price_usd("banner")) == (40, 40, 2.0)
    assert 0 < report.latency_ms(50) <= report.latency_ms(99)
    assert report.failures() == []


async def test_the_example_is_a_whole_pair(scripted):
    """The report keeps a short request that got a right bid, with its answer."""
    bidder = await scripted(bid_on)
    report = await play(bidder.url, [simple(n) for n in (100, 7, 200)], JUDGE)
    case, answer = report.example
    assert case.id == "a7"
    assert json.loads(answer.body)["id"] == "a7"


async def test_no_bid_reasons_are_the_bidders_own_account(scripted):
    """Reasons are what /metrics grew by during the play, not what it had before."""
    bidder = await scripted(lambda body: NO_BID)
    await play(bidder.url, [simple(n) for n in range(5)], JUDGE)
    report = await play(bidder.url, [simple(n) for n in range(7)], JUDGE)
    assert report.no_bid_reasons == {"scripted": 7}


async def test_a_play_without_bids_fails(scripted):
    """Nothing wrong, but no bid either: that is a failure, with a hint."""
    bidder = await scripted(lambda body: NO_BID)
    report = await play(bidder.url, [simple(1)], JUDGE)
    assert ["no bid in 1 requests" in failure for failure in report.failures()] == [True]


async def test_an_answer_of_5xx_fails_the_play(scripted):
    """A 500 is a violation of its own and named as what must never be."""
    bidder = await scripted(
        lambda body: b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n" if b"a3" in body else bid_on(body)
    )
    report = await play(bidder.url, [simple(n) for n in range(6)], JUDGE)
    assert report.outcomes == {"bid": 5, "error": 1}
    assert any("1 answers of 5xx" in failure for failure in report.failures())


async def test_a_violation_names_rule_and_request(scripted):
    """What an answer got wrong is in the failures, with the request's id."""
    bidder = await scripted(lambda body: bid_on(body).replace(b'"impid": "1"', b'"impid": "9"'))
    report = await play(bidder.url, [simple(4)], JUDGE)
    assert any("impid" in failure and "a4" in failure for failure in report.failures())


async def test_a_closed_connection_costs_one_request(scripted):
    """Where the bidder hangs up, that request is lost and the next goes over a new connection."""
    bidder = await scripted(lambda body: None if b"a2" in body else bid_on(body))
    report = await play(bidder.url, [simple(n) for n in range(6)], JUDGE, connections=1)
    assert report.outcomes == {"bid": 5, "lost": 1}
    assert any("closed before the answer" in failure for failure in report.failures())


async def test_an_answer_that_says_close_is_the_connections_last(scripted):
    """After `Connection: close` a new connection is opened and no request is lost."""
    bidder = await scripted(lambda body: bid_on(body).replace(b"200 OK\r\n", b"200 OK\r\nConnection: close\r\n"))
    report = await play(bidder.url, [simple(n) for n in range(4)], JUDGE, connections=1)
    assert report.outcomes == {"bid": 4}
    assert bidder.connections == 4 + 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "without Content-Length"),
        (b"SSH-2.0\r\n\r\n", "not an answer in HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "Content-Length is 99999999"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "not an answer in HTTP"),
        (b"x" * 70_000, "a head of more than"),
    ],
)
async def test_what_is_not_http_is_said(scripted, answer: bytes, why: str):
    """An answer that cannot be framed loses the request, with the reason."""
    bidder = await scripted(lambda body: answer)
    connection = Connection(bidder.url + "/bid")
    with pytest.raises(ConnectionLostError, match=why):
        await connection.post(b"{}", patience_s=30)
    connection.close()


async def test_an_answer_in_pieces_is_put_together(scripted):
    """An answer is complete when its last byte is there, however it was cut."""
    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in ok(b'{"id":"1"}'):
            writer.write(bytes([byte]))
            await writer.drain()
        pieces.put_nowait(await reader.read())
        writer.close()

    server = await asyncio.start_server(slowly, "127.0.0.1", 0)
    connection = Connection(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/bid")
    answer = await connection.post(b"{}", patience_s=30)
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b'{"id":"1"}', "application/json")
    connection.close()
    server.close()
    await pieces.get()


async def test_patience_ends(scripted):
    """A bidder that says nothing is given up, and the connection with it: its late answer is nobody's."""
    bidder = await scripted(lambda body: b"" if body == b"first" else ok(b"{}"))
    connection = Connection(bidder.url + "/bid")
    with pytest.raises(TimeoutError):
        await connection.post(b"first", patience_s=0.05)
    assert (await connection.post(b"second", patience_s=30)).body == b"{}"
    assert bidder.connections == 2
    connection.close()


async def test_nobody_listening_is_said():
    """A refused connection names the address."""
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectionLostError, match=f"cannot connect to 127.0.0.1:{port}"):
        await Connection(f"http://127.0.0.1:{port}/bid").post(b"", patience_s=30)


async def test_late_answers_are_counted(scripted):
    """An answer after tmax is late, though it is still judged."""
    gate = threading.Event()

    def after_tmax(body: bytes) -> bytes:
        gate.wait(0.005)  # the scripted bidder thinks for longer than the 1 ms that it has
        return bid_on(body)

    bidder = await scripted(after_tmax)
    case = simple(1)
    case.request["tmax"] = 1
    report = await play(bidder.url, [case], JUDGE)
    assert (report.late, report.bids) == (1, 1)


def test_a_request_without_tmax_has_the_default():
    """Where the request says nothing, or nothing of use, 100 ms are meant."""
    case = simple(1)
    assert tmax_s(case) == 60
    case.request["tmax"] = "soon"
    assert tmax_s(case) == exchange.DEFAULT_TMAX_MS / 1000 == 0.1


async def test_progress_adds_up(scripted):
    """All requests are told of, in steps."""
    bidder = await scripted(lambda body: NO_BID)
    steps: list[int] = []
    await play(bidder.url, (simple(n) for n in range(123)), JUDGE, advance=steps.append)
    assert sum(steps) == 123
