"""Whole runs against servers that misbehave, over real sockets and in real worker processes. Counts, never speeds."""

from __future__ import annotations

import asyncio
import json
import os
import pickle

import pytest

from loadtest.engine import Outcome, Plan, Profile, Result, RunError, run
from loadtest.traffic import BidRequestCase, Kind

NO_BID = b"HTTP/1.1 204 No Content\r\n\r\n"
PATIENT_MS = 30_000  # a tmax that no slow machine breaks
DUE = 100  # in half a second at 200 a second


def ok(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + body


def bid_on(body: bytes, **changes: object) -> bytes:
    """A right answer, but for `changes`: one bid of 2 USD for the request's first impression."""
    request = json.loads(body)
    one = {"id": "1", "impid": request["imp"][0]["id"], "price": 2.0, "mtype": 1, "adm": "<b>x</b>", "w": 300, "h": 250}
    bids = [{"seat": "s", "bid": [{**one, "crid": "c", "adomain": ["shop.example"], **changes}]}]
    return ok(json.dumps({"id": request["id"], "cur": "USD", "seatbid": bids}).encode())


def cases(count: int = 20) -> list[BidRequestCase]:
    made = []
    for number in range(count):
        name = f"00000000-0000-4000-8000-{number:012d}"
        request = {"id": name, "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}]}
        answered = frozenset({"bid", "no-bid"})
        made.append(BidRequestCase(name, json.dumps(request).encode(), Kind.VALID, request, answered))
    # The dumps are spelled with blanks, so that only ids are tagged; half get impressions of their own, too.
    plain = [
        BidRequestCase(case.id, case.body.replace(b": ", b":").replace(b", ", b","), *_rest(case)) for case in made
    ]
    return [case for pair in zip(made, plain, strict=True) for case in pair]


def _rest(case: BidRequestCase) -> tuple[Kind, dict, frozenset[str]]:
    return case.kind, case.request, case.expected


async def played(url: str, **more: object) -> Result:
    settings = {"rate": 200, "duration_s": 0.5, "warm_up_s": 0, "tmax_ms": PATIENT_MS, "connections": 8, **more}
    plan = Plan(url=f"{url}/openrtb2/bid", cases=cases(), **settings)
    return await asyncio.to_thread(run, plan)


async def test_every_request_that_is_due_is_sent_once(scripted):
    """A hundred are due, a hundred arrive, each with an id of its own, and all get their bid."""
    bidder = await scripted(bid_on)
    result = await played(bidder.url, check_share=1.0)
    assert result.tally.outcomes == {Outcome.BID: DUE}
    assert len({json.loads(body)["id"] for body in bidder.bodies}) == DUE
    assert len(result.tally.latency_us) == len(result.tally.send_lag_us) == DUE
    assert (result.judged.answers, result.judged.violations) == (DUE, {})
    assert result.tally.errors == result.wrong_ids == result.strays == 0


async def test_workers_share_the_rate_and_their_results_are_one(scripted):
    """Two processes send together what one would, in both profiles that are drawn differently."""
    bidder = await scripted(lambda body: NO_BID)
    result = await played(bidder.url, workers=2, connections=3)
    assert result.tally.outcomes == {Outcome.NO_BID: DUE}
    assert len(result.workers) == 2
    assert bidder.connections == 6
    random = await played(bidder.url, workers=2, profile=Profile.POISSON)
    assert random.tally.outcomes.total() == len(bidder.bodies) - DUE > 0


async def test_the_warm_up_is_sent_and_not_counted(scripted):
    """It stands apart in the result."""
    bidder = await scripted(lambda body: NO_BID)
    result = await played(bidder.url, warm_up_s=0.25)
    assert (result.warm_up.outcomes, result.tally.outcomes) == ({Outcome.NO_BID: 50}, {Outcome.NO_BID: DUE})


async def test_a_closed_run_keeps_so_many_under_way(scripted):
    """Five requests in flight: never more, and each answer is followed by the next request."""
    under_way = most = 0

    async def slowly(body: bytes) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return NO_BID

    bidder = await scripted(slowly)
    result = await played(bidder.url, rate=0, in_flight=5)
    assert bidder.connections == 5
    assert 1 <= most <= 5
    assert result.tally.outcomes == {Outcome.NO_BID: len(bidder.bodies)}
    assert len(bidder.bodies) > 5


async def test_pipelined_requests_share_connections(scripted):
    """Eight in flight over two connections, answered in order."""
    bidder = await scripted(bid_on)
    result = await played(bidder.url, rate=0, in_flight=8, pipelining=4)
    assert bidder.connections == 2
    assert result.tally.outcomes == {Outcome.BID: len(bidder.bodies)}


async def test_swapped_answers_are_all_detected(scripted):
    """Where two connections get each other's answers, each of the two is another request's. A right one is not."""
    waiting: list[tuple[bytes, asyncio.Future[bytes]]] = []

    async def swap(body: bytes) -> bytes:
        if int(json.loads(body)["id"][-4:], 16) % 10 >= 2:
            return bid_on(body)
        if not waiting:
            other: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            waiting.append((body, other))
            return await other
        first, other = waiting.pop()
        other.set_result(bid_on(body))
        return bid_on(first)

    bidder = await scripted(swap)
    result = await played(bidder.url, check_share=0)
    assert result.wrong_ids == 20
    assert result.tally.outcomes == {Outcome.WRONG_ID: 20, Outcome.BID: DUE - 20}


async def test_bids_in_another_requests_answer_are_detected(scripted):
    """The id is right and the bids are those of the request before, as when a batch is taken apart wrongly."""
    previous = [b'{"imp":[{"id":"none"}]}']

    def mixed(body: bytes) -> bytes:
        wrong = bid_on(body).replace(
            f'"impid": "{json.loads(body)["imp"][0]["id"]}"'.encode(),
            f'"impid": "{json.loads(previous[0])["imp"][0]["id"]}"'.encode(),
        )
        previous[0] = body
        return ok(wrong.partition(b"\r\n\r\n")[2])

    bidder = await scripted(mixed)
    plain = [case for case in cases() if b" " not in case.body]
    plan = Plan(f"{bidder.url}/bid", plain, rate=200, duration_s=0.5, warm_up_s=0, tmax_ms=PATIENT_MS, check_share=0)
    result = await asyncio.to_thread(run, plan)
    assert result.tally.outcomes == {Outcome.WRONG_ID: DUE}


async def test_a_swap_in_the_warm_up_counts_too(scripted):
    """Nobody's answers may be mixed up at any time."""
    bidder = await scripted(lambda body: ok(b'{"id":"somebody","seatbid":[{"bid":[{"impid":"1"}]}]}'))
    result = await played(bidder.url, warm_up_s=0.5)
    assert result.wrong_ids == 2 * DUE


async def test_an_answer_nobody_asked_for_is_a_stray(scripted):
    """A second answer to one request is never taken for the next one's: its connection is closed."""
    bidder = await scripted(lambda body: bid_on(body) + bid_on(body) if len(bidder.bodies) == 10 else bid_on(body))
    result = await played(bidder.url)
    assert result.strays == 1
    assert result.tally.outcomes[Outcome.BID] >= DUE - 1
    assert result.tally.outcomes[Outcome.WRONG_ID] == 0


async def test_late_answers_are_timed_out_and_not_mixed_up(scripted):
    """With tmax 1 ms every answer is late. It is taken off the wire, and the next request on its connection gets its
    own."""

    async def late(body: bytes) -> bytes:
        await asyncio.sleep(0.005)
        return bid_on(body)

    bidder = await scripted(late)
    result = await played(bidder.url, rate=0, in_flight=3, tmax_ms=1, linger_s=30)
    assert result.tally.outcomes == {Outcome.TIMED_OUT: len(bidder.bodies)}
    assert bidder.connections == 3
    assert result.tally.latency_ms(1) >= 5


async def test_a_stalled_connection_is_given_up(scripted):
    """No answer within tmax and the time after it: timed out, the connection is closed, and another takes its place."""
    bidder = await scripted(lambda body: b"" if len(bidder.bodies) == 5 else NO_BID)
    result = await played(bidder.url, rate=0, in_flight=1, tmax_ms=200, linger_s=0.05)
    assert result.tally.outcomes[Outcome.TIMED_OUT] >= 1
    assert bidder.connections == 2
    assert len(bidder.bodies) > 5


async def test_without_a_free_connection_requests_are_dropped(scripted):
    """Two connections, a server that never answers: two requests are sent, the others wait until their tmax is over."""
    bidder = await scripted(lambda body: b"")
    result = await played(bidder.url, connections=2, tmax_ms=100, linger_s=30 / 100)
    found = result.tally.outcomes
    assert found[Outcome.TIMED_OUT] == len(bidder.bodies)
    assert found[Outcome.DROPPED_NO_CONNECTION] + found[Outcome.DROPPED_BEHIND] == DUE - len(bidder.bodies) > 0
    assert result.tally.due == DUE
    assert result.tally.sent == len(bidder.bodies)


async def test_latency_begins_when_a_request_was_due(scripted):
    """One connection and answers of 20 ms, five requests due in every 25 ms: who waited for the connection has waited,
    so that latencies are far above what a single answer takes."""

    async def slowly(body: bytes) -> bytes:
        await asyncio.sleep(0.02)
        return NO_BID

    bidder = await scripted(slowly)
    result = await played(bidder.url, connections=1)
    assert result.tally.outcomes == {Outcome.NO_BID: DUE}
    assert result.tally.latency_ms(50) > 400  # 50 answers of 20 ms each, less the 250 ms until it was due


async def test_resets_are_connection_errors(scripted):
    """Each costs the one request that was under way; the others go over new connections."""
    bidder = await scripted(lambda body: None if len(bidder.bodies) % 10 == 0 else NO_BID)
    result = await played(bidder.url)
    assert result.tally.outcomes == {Outcome.CONNECTION_ERROR: DUE // 10, Outcome.NO_BID: DUE - DUE // 10}
    assert bidder.connections == 8 + DUE // 10 - (result.tally.due - DUE)


async def test_other_statuses_are_counted_by_their_number(scripted):
    """500 and 429 are errors; a 400 to a valid request is one, too."""
    answers = [b"500 Oops", b"429 Too Many", b"400 Bad", b"204 No"]
    bidder = await scripted(
        lambda body: b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % answers[len(bidder.bodies) % len(answers)]
    )
    result = await played(bidder.url)
    assert result.tally.outcomes == {Outcome.BAD_STATUS: 75, Outcome.NO_BID: 25}
    assert result.tally.statuses == {500: 25, 429: 25, 400: 25}


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"x" * 70_000,
    ],
)
async def test_what_is_not_http_is_a_connection_error(scripted, answer: bytes):
    """An answer that cannot be framed ends its connection."""
    bidder = await scripted(lambda body: answer if len(bidder.bodies) == 7 else NO_BID)
    result = await played(bidder.url)
    assert result.tally.outcomes == {Outcome.CONNECTION_ERROR: 1, Outcome.NO_BID: DUE - 1}


async def test_an_answer_that_says_close_is_the_connections_last(scripted):
    """It counts, and another connection is opened."""
    bidder = await scripted(lambda body: NO_BID.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    result = await played(bidder.url, connections=4)
    assert result.tally.outcomes == {Outcome.NO_BID: DUE}


async def test_answers_in_pieces_are_put_together(scripted):
    """Megabytes come in many reads."""
    padding = "x" * 1_000_000
    bidder = await scripted(lambda body: ok(json.dumps({**json.loads(body), "ext": padding, "seatbid": []}).encode()))
    result = await played(bidder.url, rate=20, connections=2)
    assert result.tally.outcomes == {Outcome.NO_BID: 10}
    assert result.tally.answered_bytes > 10_000_000


async def test_kept_answers_are_judged_after_the_run(scripted):
    """What is wrong with them is counted by rule, with the ids that were sent."""
    bidder = await scripted(lambda body: bid_on(body, adomain=[]))
    result = await played(bidder.url, check_share=1.0)
    assert result.tally.outcomes == {Outcome.BID: DUE}
    assert result.judged.violations == {"adomain": DUE}
    assert json.loads(bidder.bodies[0])["id"] in " ".join(result.judged.examples["adomain"])


async def test_processes_that_are_watched_have_their_cpu_time_in_the_result(scripted):
    """This process is the server here; one that does not exist has no figures."""
    bidder = await scripted(lambda body: NO_BID)
    result = await played(bidder.url, watch={"server": os.getpid(), "nobody": 2**22 + 1})
    assert set(result.usage) == {"server"}
    assert result.usage["server"].peak_bytes > 1_000_000
    assert result.cpu_us_per_request("server") >= 0
    assert result.cpu_us_per_request("nobody") is None


async def test_the_servers_metrics_are_what_they_grew_by(scripted):
    """Read before and after what is counted."""
    bidder = await scripted(lambda body: NO_BID)
    result = await played(bidder.url, metrics_url=bidder.url)
    assert 0 < result.metrics.total("bidder_no_bids_total") <= DUE
    assert result.problems == []


async def test_a_server_without_metrics_is_measured_without(scripted):
    """The run is done, and says what is missing."""
    bidder = await scripted(lambda body: NO_BID)
    result = await played(bidder.url, metrics_url="http://127.0.0.1:1")
    assert result.tally.outcomes == {Outcome.NO_BID: DUE}
    assert result.metrics is None
    assert "no metrics" in result.problems[0]


async def test_a_result_of_any_size_arrives(scripted):
    """Of a run in many stretches, hundreds of kilobytes: more than a pipe holds at once."""
    bidder = await scripted(lambda body: NO_BID)
    result = await played(bidder.url, interval_s=0.000_1)
    assert len(pickle.dumps(result.intervals)) > 250_000
    assert result.tally.outcomes == {Outcome.NO_BID: DUE}


async def test_progress_is_told(scripted):
    """At the start and the end of what is counted, at least."""
    bidder = await scripted(lambda body: NO_BID)
    seen = []
    plan = Plan(f"{bidder.url}/bid", cases(), rate=50, duration_s=2, warm_up_s=0)
    await asyncio.to_thread(run, plan, seen.append)
    assert len(seen) >= 2
    assert seen[-1].elapsed_s >= seen[-1].total_s
    assert seen[-1].outcomes.total() > 0


async def test_nobody_listening_is_said():
    """A run that cannot connect does not begin."""
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(RunError, match=f"cannot connect to http://127.0.0.1:{port}"):
        await played(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"rate": 1, "in_flight": 1}, {"rate": 1, "workers": 0}])
def test_a_plan_that_cannot_be_is_refused(wrong: dict):
    """Before any process is started."""
    with pytest.raises(ValueError):
        Plan("http://127.0.0.1:1/bid", cases(), **wrong)
