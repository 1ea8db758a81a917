"""The response schema is a checker: it takes what is right and refuses everything else."""

import gzip
import json

import pytest
from pydantic import ValidationError

from openrtb_schemas import NATIVE_RESPONSE, RESPONSE

BID = {"id": "b", "impid": "1", "price": 1.25}


def answer(**fields):
    return {"id": "r", "seatbid": [{"bid": [BID | fields]}]}


@pytest.mark.parametrize("body", [answer(), answer(price=2, mtype=1, adomain=["a.example"]), {"id": "r", "nbr": 2}])
def test_a_right_response_passes(body):
    """A bid, and a no-bid with its reason, pass."""
    assert RESPONSE.validate_json(json.dumps(body)) == body


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="no id"),
        pytest.param({"id": 1}, id="an id that is a number"),
        pytest.param({"id": "r", "seatbid": [{"bid": []}]}, id="a seat without bids"),
        pytest.param({"id": "r", "seatbid": [{"bid": [{"id": "b", "price": 1.0}]}]}, id="a bid without impid"),
        pytest.param(answer(price="1.25"), id="a price that is a string"),
        pytest.param(answer(price=float("nan")), id="a price that is no number"),
        pytest.param(answer(w=300.0), id="a float for an int"),
        pytest.param(answer(mtype=True), id="a boolean for an int"),
        pytest.param(answer(adomain="a.example"), id="a scalar for an array"),
        pytest.param(answer(crid=None), id="null"),
        pytest.param(answer(ext=[]), id="an ext that is no object"),
        pytest.param(answer(creativeid="c"), id="a field that does not exist"),
    ],
)
def test_a_wrong_response_is_refused(body):
    """Whatever deviates from the tables is an error."""
    with pytest.raises(ValidationError):
        RESPONSE.validate_json(json.dumps(body))


@pytest.mark.parametrize("body", [{}, {"link": {}}, {"link": {"url": "u"}, "assets": [{"id": "1"}]}])
def test_a_wrong_native_response_is_refused(body):
    """Native markup is checked as exactly."""
    with pytest.raises(ValidationError):
        NATIVE_RESPONSE.validate(body)


def test_the_responses_of_the_corpus_that_pass_are_right(reference):
    """Each response of other projects that passes has what a bid must have, whichever its file."""
    passed = 0
    with gzip.open(reference / "responses.jsonl.gz", "rt") as lines:
        for line in lines:
            body = json.loads(line)["body"]
            try:
                RESPONSE.validate_json(json.dumps(body))
            except ValidationError:
                continue
            passed += 1
            assert isinstance(body["id"], str)
            bids = [bid for seat in body.get("seatbid", []) for bid in seat["bid"]]
            assert all(bid["id"] and bid["impid"] and isinstance(bid["price"], int | float) for bid in bids)
    assert passed > 500
