"""What a bidder adds, from segments made up for it: times in milliseconds, a bidder at 8080, its endpoint at 9000."""

from __future__ import annotations

import pytest

from loadtest.bench.capture import CaptureError, Segment
from loadtest.bench.tap import Exchange, added_ns, exchanges, tapped

BID, NO_BID, SCORES = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 200 OK\r\n"


def to(port: int, client: int, at_ms: float, begins: bytes = b"POST /") -> Segment:
    return Segment(round(at_ms * 1e6), client, port, begins)


def back(port: int, client: int, at_ms: float, begins: bytes) -> Segment:
    return Segment(round(at_ms * 1e6), port, client, begins)


def exchange(asked_ms: float, began_ms: float, ended_ms: float | None = None, answer: bytes = BID) -> Exchange:
    began, ended = round(began_ms * 1e6), round((began_ms if ended_ms is None else ended_ms) * 1e6)
    return Exchange(round(asked_ms * 1e6), began, ended, answer)


def test_an_answer_is_of_the_last_question_on_its_connection():
    """Two connections at once, one of them used again."""
    passed = [to(8080, 1, 0), to(8080, 2, 1), back(8080, 2, 2, NO_BID), back(8080, 1, 4, BID)]
    passed += [to(8080, 2, 5), back(8080, 2, 9, BID)]
    found = sorted(exchanges(passed, 8080))
    assert found == [exchange(0, 4), exchange(1, 2, answer=NO_BID), exchange(5, 9)]


def test_a_request_is_there_with_its_last_part_and_an_answer_begins_with_its_first():
    """However many segments they come in."""
    passed = [to(8080, 1, 0), to(8080, 1, 1, b"body"), back(8080, 1, 3, BID), back(8080, 1, 4, b"rest")]
    assert exchanges([*passed, to(8080, 1, 9)], 8080) == [exchange(1, 3, 4)]


def test_what_began_before_the_capture_is_left_out():
    """And what has no answer yet, and what is of other ports."""
    passed = [back(8080, 1, 0, BID), to(9000, 2, 1), back(9000, 2, 2, SCORES), to(8080, 1, 3)]
    assert exchanges(passed, 8080) == []


def test_what_was_added_lies_between_the_calls_within_a_bids_time():
    """Calls that began before the request, or ended after the answer, did not carry its rows."""
    calls = [exchange(0, 3), exchange(1.2, 4.2), exchange(1.5, 4.0), exchange(2, 6), exchange(7, 8)]
    (bounds,) = added_ns([exchange(1, 5)], calls)
    assert bounds == (1_000_000, 1_500_000)


def test_a_bid_without_a_call_is_not_compared():
    """As when priors answer in the model's place."""
    assert list(added_ns([exchange(1, 5)], [exchange(0, 4)])) == [None]
    assert list(added_ns([exchange(1, 5)], [])) == [None]


def test_a_call_ends_with_the_last_of_its_answer():
    """The bidder cannot go on before."""
    assert list(added_ns([exchange(0, 5)], [exchange(1, 3, 4)])) == [(2_000_000, 2_000_000)]


def passed_of(bids: int) -> list[Segment]:
    """Each with a call of 3 ms, or of 4 in one of 50, and half a millisecond more outside. And as many no-bids."""
    passed = []
    for number in range(bids):
        start_ms, took_ms = number * 10, 3 + (number % 50 == 49)
        passed += [to(8080, 1, start_ms), to(9000, 2, start_ms + 0.3), back(9000, 2, start_ms + 0.3 + took_ms, SCORES)]
        passed += [back(8080, 1, start_ms + took_ms + 0.5, BID)]
        passed += [to(8080, 1, start_ms + 6), back(8080, 1, start_ms + 6.1, NO_BID)]
    return passed


def test_percentiles_are_of_bids_and_of_calls():
    """Two in a hundred take a millisecond longer: not the median, but the p99."""
    tap = tapped(passed_of(200), 8080, 9000)
    assert (tap.bids, tap.calls, tap.alone) == (200, 200, 0)
    assert (tap.outer_p50_ms, tap.outer_p99_ms) == pytest.approx((3.5, 4.5))
    assert (tap.inner_p50_ms, tap.inner_p99_ms) == pytest.approx((3.0, 4.0))
    assert (tap.added_p50_ms, tap.added_p99_ms) == pytest.approx((0.5, 0.5))
    assert (tap.least_p50_ms, tap.most_p99_ms) == pytest.approx((0.5, 0.5))


def test_the_warm_up_is_left_out():
    """By the time since the first byte."""
    assert tapped(passed_of(200), 8080, 9000, warm_up_s=1.0).bids == 100


def test_without_a_bid_there_are_no_figures():
    """The reason is said; none is made up."""
    with pytest.raises(CaptureError, match="0 bids and 0 calls"):
        tapped([], 8080, 9000)
    with pytest.raises(CaptureError, match="1 bids and 0 calls"):
        tapped([to(8080, 1, 0), back(8080, 1, 4, BID)], 8080, 9000)
