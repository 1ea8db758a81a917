"""Requests as bytes, and whose an answer is."""

from __future__ import annotations

import json

import orjson
import pytest

from loadtest.sending.message import Message, messages
from loadtest.sending.tally import Outcome
from loadtest.traffic import BidRequestCase, Kind, requests

URL = "http://bidder.example:8080/openrtb2/bid"
OURS, OTHER = b"0123456789ab", b"ba9876543210"
REQUEST = {"id": "a2b4c6d8-0000-4000-8000-00000000000f", "imp": [{"id": "1"}, {"id": "2"}], "tmax": 80}


def case(request: dict[str, object] = REQUEST, **more: object) -> BidRequestCase:
    given = {"body": orjson.dumps(request), "expected": frozenset({"bid", "no-bid"}), **more}
    return BidRequestCase(str(request["id"]), given["body"], Kind.VALID, request, given["expected"])


def message(**more: object) -> Message:
    return messages([case(**more)], URL)[0]


def sent(wire: bytes) -> tuple[bytes, dict]:
    head, _, body = wire.partition(b"\r\n\r\n")
    assert int(head.rpartition(b"Content-Length: ")[2]) == len(body)
    return head, json.loads(body)


def answer(tag: bytes, *, imp_tag: bytes | None = None) -> bytes:
    name = f"a2b4c6d8-0000-4000-8000-{tag.decode()}"
    bids = [{"id": "b1", "impid": f"{(imp_tag or tag).decode()}-1", "price": 1.0, "adm": '{"id":"x","impid":"y"}'}]
    return orjson.dumps({"id": name, "seatbid": [{"bid": bids}]})


def test_every_request_is_one_of_its_own():
    """Its id keeps its length and ends with the tag; its impressions begin with it."""
    head, body = sent(message().wire(OURS))
    assert head.startswith(b"POST /openrtb2/bid HTTP/1.1\r\nHost: bidder.example:8080\r\n")
    assert body["id"] == "a2b4c6d8-0000-4000-8000-0123456789ab"
    assert [imp["id"] for imp in body["imp"]] == ["0123456789ab-1", "0123456789ab-2"]
    assert body["tmax"] == 80


def test_tmax_takes_the_place_of_the_requests_own():
    """It is sent, and it is held."""
    made = messages([case()], URL, tmax_ms=33)[0]
    assert sent(made.wire(OURS))[1]["tmax"] == 33
    assert made.tmax_s == 0.033
    assert message().tmax_s == 0.08


def test_all_of_the_traffic_can_be_sent():
    """Bodies that are valid or deviate stay JSON with an id of their own; those that are broken stay broken."""
    cases = list(requests(3, 1500))
    for case, made in zip(cases, messages(cases, URL), strict=True):
        wire = made.wire(OURS)
        if case.kind is Kind.MALFORMED:
            assert made.may_be_refused
            continue
        assert sent(wire)[1]["id"] == case.id[:-12] + "0123456789ab", case.defect
        assert made.as_sent(case, OURS).request["id"] == case.id[:-12] + "0123456789ab"


def test_an_answer_for_the_request_is_a_bid():
    """Also when it is written with blanks, or in another order."""
    body = answer(OURS)
    assert message().outcome(OURS, 200, body) is Outcome.BID
    assert message().outcome(OURS, 200, json.dumps(json.loads(body), indent=1).encode()) is Outcome.BID


def test_another_requests_answer_is_told():
    """By its id, and by its impressions alone, where an answer is put together from two."""
    assert message().outcome(OURS, 200, answer(OTHER)) is Outcome.WRONG_ID
    assert message().outcome(OURS, 200, answer(OTHER, imp_tag=OURS)) is Outcome.WRONG_ID
    assert message().outcome(OURS, 200, answer(OURS, imp_tag=OTHER)) is Outcome.WRONG_ID


def test_one_bid_of_another_request_among_right_ones_is_told():
    """All bids of an answer are looked at."""
    mixed = json.loads(answer(OURS))
    mixed["seatbid"].append(json.loads(answer(OTHER))["seatbid"][0])
    assert message().outcome(OURS, 200, orjson.dumps(mixed)) is Outcome.WRONG_ID


def test_a_no_bid_with_another_requests_id_is_told():
    """A 200 without bids names its request too, if it has an id."""
    name = "a2b4c6d8-0000-4000-8000-"
    assert message().outcome(OURS, 200, orjson.dumps({"id": name + OURS.decode(), "nbr": 2})) is Outcome.NO_BID
    assert message().outcome(OURS, 200, orjson.dumps({"id": name + OTHER.decode(), "nbr": 2})) is Outcome.WRONG_ID
    assert message().outcome(OURS, 200, b"{}") is Outcome.NO_BID


def test_bids_on_a_request_without_an_id_are_somebody_elses():
    """Such a request is refused; an answer to it was meant for another."""
    broken = messages([BidRequestCase("none", b"[]", Kind.MALFORMED, None, frozenset({"refused"}))], URL)[0]
    assert broken.outcome(OURS, 400, b"no") is Outcome.REFUSED
    assert broken.outcome(OURS, 200, answer(OTHER)) is Outcome.WRONG_ID


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (204, b"", Outcome.NO_BID),
        (400, b"", Outcome.BAD_STATUS),
        (500, b"", Outcome.BAD_STATUS),
        (200, b"", Outcome.UNREADABLE),
        (200, b"<html>", Outcome.UNREADABLE),
        (200, b'{"seatbid":7}', Outcome.UNREADABLE),
        (200, b'{"seatbid":[{}]}', Outcome.UNREADABLE),
    ],
)
def test_other_answers(status: int, body: bytes, outcome: Outcome):
    """A status that was not due, and a 200 with no bid response in it, are each their own outcome."""
    assert message().outcome(OURS, status, body) is outcome


def test_the_same_request_is_refused_only_if_it_may_be():
    """400 to a broken request is right."""
    assert message(expected=frozenset({"refused", "no-bid"})).outcome(OURS, 400, b"") is Outcome.REFUSED
