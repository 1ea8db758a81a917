"""Native markup is read from a string or an object, wrapped as in 1.0 or not."""

import json

import pytest
from pydantic import ValidationError

from openrtb_schemas import NATIVE_REQUEST, NATIVE_RESPONSE

ASKED = {"ver": "1.2", "assets": [{"id": 1, "required": 1, "title": {"len": 30}}]}
ANSWERED = {"link": {"url": "https://advertiser.example/"}, "assets": [{"id": 1, "title": {"text": "Title"}}]}


@pytest.mark.parametrize(("message", "markup"), [(NATIVE_REQUEST, ASKED), (NATIVE_RESPONSE, ANSWERED)])
@pytest.mark.parametrize("spelled", [dict, json.dumps, lambda markup: json.dumps(markup).encode()])
@pytest.mark.parametrize("wrapped", [False, True])
def test_markup_is_read_in_every_spelling(message, markup, spelled, wrapped):
    """Object, text and bytes, with and without the envelope of 1.0, are read as the same markup."""
    assert message.validate(spelled({"native": markup} if wrapped else markup)) == markup


def test_a_native_request_is_read_tolerantly():
    """Numbers for strings, strings for numbers and scalars for arrays are read."""
    sent = {"ver": 1.2, "assets": [{"id": "1", "img": {"wmin": "100", "mimes": "image/png", "type": "?"}}]}
    read = {"ver": "1.2", "assets": [{"id": 1, "img": {"wmin": 100, "mimes": ["image/png"]}}]}
    assert NATIVE_REQUEST.validate(sent) == read


@pytest.mark.parametrize(
    "asset",
    [{"title": {"len": 30}}, {"id": 1, "title": {}}, {"id": 1, "img": {"wmin": "wide"}}, {"id": 1, "required": "?"}],
)
def test_an_asset_that_is_not_understood_fails_the_request(asset):
    """A request is not answered half."""
    with pytest.raises(ValidationError):
        NATIVE_REQUEST.validate({"assets": [asset]})


def test_an_unreadable_event_tracker_is_left_out():
    """A tracker that cannot be read is one that the exchange does not offer."""
    trackers = [{"event": 1, "methods": 1}, {"event": 2}]
    read = NATIVE_REQUEST.validate(ASKED | {"eventtrackers": trackers})
    assert read["eventtrackers"] == [{"event": 1, "methods": [1]}]
