"""What live traffic gets wrong is read all the same."""

from typing import Any

import pytest

from openrtb_schemas import REQUEST


def read(fields: str) -> dict[str, Any]:
    """A minimal request with these further fields, as read; the fields are JSON text, so that spellings count."""
    return REQUEST.validate_json('{"id":"r","imp":[{"id":"i"}],' + fields + "}")


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        pytest.param('"tmax":120.0', {"tmax": 120}, id="1.0 for an int"),
        pytest.param('"regs":{"gpp_sid":[6.0,7]}', {"regs": {"gpp_sid": [6, 7]}}, id="1.0 for an int in an array"),
        pytest.param('"test":true', {"test": 1}, id="true for 1"),
        pytest.param('"regs":{"gdpr":false}', {"regs": {"gdpr": 0}}, id="false for 0"),
        pytest.param('"user":{"yob":"1980"}', {"user": {"yob": 1980}}, id="a string for an int"),
        pytest.param('"device":{"w":"1080.0"}', {"device": {"w": 1080}}, id="a string of 1.0 for an int"),
        pytest.param('"user":{"geo":{"lat":"-1.5"}}', {"user": {"geo": {"lat": -1.5}}}, id="a string for a float"),
        pytest.param('"site":{"publisher":{"id":12}}', {"site": {"publisher": {"id": "12"}}}, id="an int for a string"),
        pytest.param('"bcat":"IAB25"', {"bcat": ["IAB25"]}, id="a scalar for an array"),
        pytest.param('"regs":{"gpp_sid":"6"}', {"regs": {"gpp_sid": [6]}}, id="a string for an array of ints"),
        pytest.param('"site":{"cat":"IAB1"}', {"site": {"cat": ["IAB1"]}}, id="a scalar for an array that is a hint"),
        pytest.param('"user":{"data":{"id":3}}', {"user": {"data": [{"id": "3"}]}}, id="an object for an array"),
        pytest.param('"badv":[]', {"badv": []}, id="an empty array"),
        pytest.param('"bcat":null', {}, id="null for a restriction"),
        pytest.param('"regs":null', {}, id="null for a part"),
        pytest.param('"site":null', {}, id="null for a hint"),
        pytest.param('"ext":"x","user":{"ext":[]}', {"user": {}}, id="an ext that is no object"),
        pytest.param('"at":500', {"at": 500}, id="an unknown value of an enumeration"),
        pytest.param('"unheard":{"of":1}', {}, id="an unknown field"),
    ],
)
def test_a_deviation_is_read(fields, value):
    """Each common deviation is read as what was meant."""
    assert read(fields) == {"id": "r", "imp": [{"id": "i"}]} | value


@pytest.mark.parametrize("request_value", ['{"assets": []}', {"assets": []}])
def test_a_native_request_is_kept_as_it_came(request_value):
    """A native request may be a string or an object, and is handed on as either."""
    native = {"request": request_value}
    body = {"id": "r", "imp": [{"id": "i", "native": native}]}
    assert REQUEST.validate_python(body)["imp"][0]["native"] == native


def test_ids_may_be_numbers():
    """The ids of a request and its impressions are strings, also when sent as numbers."""
    assert REQUEST.validate_json(b'{"id":1,"imp":[{"id":2}]}') == {"id": "1", "imp": [{"id": "2"}]}


def test_the_places_of_25_stay_reachable_in_ext():
    """What 2.5 carried in ext is still there, untouched."""
    message = read('"regs":{"ext":{"gdpr":1}},"user":{"ext":{"consent":"C","eids":[{"source":"s"}]}}')
    assert message["regs"]["ext"] == {"gdpr": 1}
    assert message["user"]["ext"] == {"consent": "C", "eids": [{"source": "s"}]}
