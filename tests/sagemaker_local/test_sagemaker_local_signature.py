"""Signature Version 4 as the service verifies it, against botocore's signer."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from sagemaker_local.config import CredentialConfig
from sagemaker_local.errors import ServiceError
from sagemaker_local.server import Request
from sagemaker_local.signature import SignatureVerifier

VERIFIER = SignatureVerifier([CredentialConfig(access_key_id="AKID", secret_access_key="secret")], "eu-west-1")


def arrived(body: bytes = b"1\n", query: str = "", **headers: str) -> tuple[Request, float]:
    """A request signed by botocore, as it arrives; and the Unix time of its date."""
    url = f"http://127.0.0.1:1/endpoints/ctr/invocations{query}"
    signed = AWSRequest("POST", url, {"Host": "127.0.0.1:1", **headers}, body)
    SigV4Auth(Credentials("AKID", "secret"), "sagemaker", "eu-west-1").add_auth(signed)
    date = datetime.strptime(signed.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    wire = {name.lower().encode(): value.encode("latin-1") for name, value in signed.headers.items()}
    request = Request(b"POST", b"/endpoints/ctr/invocations", query.lstrip("?").encode(), wire, body, False, True, True)
    return request, date.timestamp()


@settings(deadline=None)
@given(
    st.binary(max_size=200),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60),
    st.sampled_from(["text/csv", "application/json; charset=utf-8", "a  b"]),
)
def test_what_botocore_signs_verifies(body, attributes, content_type):
    """Any body and any ASCII headers, repeated spaces included, verify as botocore signed them."""
    request, signed_s = arrived(
        body, **{"Content-Type": content_type, "X-Amzn-SageMaker-Custom-Attributes": attributes}
    )
    VERIFIER.verify(request, signed_s)


def test_query_parameters_are_sorted():
    """The canonical query is in order of the parameters' names."""
    request, signed_s = arrived(query="?b=2&a=1")
    VERIFIER.verify(request, signed_s)


@pytest.mark.parametrize("skew_s", [-300, -299, 0, 300])
def test_clock_may_be_off_by_five_minutes(skew_s):
    """Up to 5 minutes either way, a signature is in time."""
    request, signed_s = arrived()
    VERIFIER.verify(request, signed_s + skew_s)


@pytest.mark.parametrize(("skew_s", "message"), [(301, "Signature expired"), (-301, "Signature not yet current")])
def test_clock_off_by_more_is_refused(skew_s, message):
    """Beyond 5 minutes, the answer says which side of now the signature lies."""
    request, signed_s = arrived()
    with pytest.raises(ServiceError, match=message) as raised:
        VERIFIER.verify(request, signed_s + skew_s)
    assert raised.value.name == "InvalidSignatureException"


def test_changed_header_is_refused():
    """A signed header that was changed on the way does not verify."""
    request, signed_s = arrived(**{"Content-Type": "text/csv"})
    request.headers[b"content-type"] = b"application/json"
    with pytest.raises(ServiceError, match="does not match the signature you provided"):
        VERIFIER.verify(request, signed_s)


@pytest.mark.parametrize("name", ["x-amz-meta", "x-amz-security-token"])
def test_unsigned_amz_header_is_refused(name):
    """A header x-amz-* that is not covered by the signature cannot be slipped in."""
    request, signed_s = arrived()
    request.headers[name.encode()] = b"new"
    with pytest.raises(ServiceError, match=name) as raised:
        VERIFIER.verify(request, signed_s)
    assert raised.value.name == "IncompleteSignatureException"


@pytest.mark.parametrize("name", [b"host", b"x-amz-date"])
def test_host_and_date_must_be_signed(name):
    """A signature that leaves out host or x-amz-date is incomplete."""
    request, signed_s = arrived()
    request.headers[b"authorization"] = request.headers[b"authorization"].replace(b"host;x-amz-date", b"host")
    if name == b"host":
        request.headers[b"authorization"] = request.headers[b"authorization"].replace(b"=host", b"=x-amz-date")
    with pytest.raises(ServiceError, match=name.decode()) as raised:
        VERIFIER.verify(request, signed_s)
    assert raised.value.name == "IncompleteSignatureException"


@pytest.mark.parametrize(
    "authorization",
    [b"Bearer abc", b"", b"AWS4-HMAC-SHA256", b"AWS4-HMAC-SHA256 Credential=AKID, SignedHeaders=host, Signature=0"],
)
def test_authorization_that_cannot_be_read_is_refused(authorization):
    """Anything but the three parts is an IncompleteSignatureException that says the form."""
    request, signed_s = arrived()
    request.headers[b"authorization"] = authorization
    with pytest.raises(ServiceError, match="SignedHeaders=a;b") as raised:
        VERIFIER.verify(request, signed_s)
    assert raised.value.name == "IncompleteSignatureException"


def test_date_that_cannot_be_read_is_refused():
    """x-amz-date has one form."""
    request, signed_s = arrived()
    request.headers[b"x-amz-date"] = b"Mon, 01 Jan 2024 00:00:00 GMT"
    with pytest.raises(ServiceError, match="YYYYMMDDTHHMMSSZ"):
        VERIFIER.verify(request, signed_s)


def test_wrong_secret_is_a_client_error(service, make_client):
    """boto3 with the wrong secret gets 403 InvalidSignatureException."""
    client = make_client(service.url, secret="wrong")
    with pytest.raises(ClientError) as raised:
        client.invoke_endpoint(EndpointName="ctr", Body=b"1\n")
    client.close()
    assert raised.value.response["Error"]["Code"] == "InvalidSignatureException"
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_temporary_credentials_work_with_their_token(service, make_client):
    """A key that has a session token is accepted with it."""
    client = make_client(service.url, "ASIATEMP", "other", "token/+=")
    answer = client.invoke_endpoint(EndpointName="ctr", Body=b"1\n")
    assert answer["Body"].read() == b"1\n"
    client.close()


@pytest.mark.parametrize(
    ("signing", "code"),
    [
        ({"key": "AKIDNOBODY"}, "UnrecognizedClientException"),
        ({"key": "ASIATEMP", "secret": "other"}, "UnrecognizedClientException"),
        ({"key": "ASIATEMP", "secret": "other", "token": "wrong"}, "UnrecognizedClientException"),
        ({"token": "none expected"}, "UnrecognizedClientException"),
        ({"secret": "wrong"}, "InvalidSignatureException"),
        ({"region": "eu-west-1"}, "InvalidSignatureException"),
        ({"service": "s3"}, "InvalidSignatureException"),
        ({"age_s": 330}, "InvalidSignatureException"),
        ({"age_s": -330}, "InvalidSignatureException"),
    ],
)
def test_wrong_signing_is_403(service, container, signing, code):
    """Each way to sign wrongly has its AWS code, and the container is not asked."""
    status, headers, body = service.call(service.signed(**signing))
    assert (status, headers["x-amzn-errortype"]) == (403, code)
    assert json.loads(body)["message"]
    assert container.calls == 0


def test_missing_authorization_is_403(service):
    """A call without Authorization is a MissingAuthenticationTokenException."""
    request = service.signed()
    del request.headers["Authorization"]
    status, headers, body = service.call(request)
    assert (status, headers["x-amzn-errortype"]) == (403, "MissingAuthenticationTokenException")
    assert json.loads(body) == {"message": "Missing Authentication Token"}


def test_tampered_body_is_403(service, container):
    """A body other than the one that was signed does not verify."""
    request = service.signed(b"1,2\n")
    request.data = b"1,3\n"
    status, headers, _ = service.call(request)
    assert (status, headers["x-amzn-errortype"]) == (403, "InvalidSignatureException")
    assert container.calls == 0


def test_mismatch_shows_the_canonical_request(service):
    """The answer to a wrong signature has the strings the signer should have built."""
    _, _, body = service.call(service.signed(secret="wrong"))
    message = json.loads(body)["message"]
    assert "The Canonical String for this request should have been\n'POST\n/endpoints/ctr/invocations\n" in message
    assert "The String-to-Sign should have been\n'AWS4-HMAC-SHA256\n" in message


def test_refused_calls_are_counted(service):
    """Calls refused before they reach an endpoint are counted by error."""
    name = "MissingAuthenticationTokenException"
    before = service.admin("GET", "endpoints")[1]["refused"].get(name, 0)
    request = service.signed()
    del request.headers["Authorization"]
    service.call(request)
    assert service.admin("GET", "endpoints")[1]["refused"][name] == before + 1
