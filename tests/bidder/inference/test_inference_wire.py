"""Requests as SageMaker reads them, answers and errors as SageMaker writes them."""

from __future__ import annotations

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from bidder.inference import errors
from bidder.inference.credentials import StaticCredentials
from bidder.inference.heads import Response
from bidder.inference.sagemaker import Origin, Target, Wire, endpoint_url

_ORIGIN = Origin.parse("http://127.0.0.1:8080")


def _wire(target: Target | None = None, **arguments: object) -> Wire:
    credentials = StaticCredentials("AKIDLOCAL", "local", "token")
    arguments.setdefault("clock", lambda: 1_700_000_000.5)
    return Wire(target or Target("ctr"), _ORIGIN, region="us-east-1", credentials=credentials, **arguments)  # type: ignore[arg-type]


def _response(body: bytes = b"0.5\n", status: int = 200, **headers: str) -> Response:
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Response(status, {b"content-type": b"text/csv", **named}, body)


def test_endpoint_urls() -> None:
    """The public hosts of the AWS partitions."""
    assert endpoint_url("eu-west-1") == "https://runtime.sagemaker.eu-west-1.amazonaws.com"
    assert endpoint_url("us-east-1", fips=True) == "https://runtime-fips.sagemaker.us-east-1.amazonaws.com"
    assert endpoint_url("cn-north-1") == "https://runtime.sagemaker.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "header"),
    [
        ("https://runtime.sagemaker.x", "runtime.sagemaker.x", 443, True, "runtime.sagemaker.x"),
        ("https://h:443/", "h", 443, True, "h"),
        ("http://H:80", "h", 80, False, "h"),
        ("https://h:80", "h", 80, True, "h:80"),
        ("http://127.0.0.1:8080", "127.0.0.1", 8080, False, "127.0.0.1:8080"),
        ("http://[::1]:8080", "::1", 8080, False, "[::1]:8080"),
    ],
)
def test_origin(url: str, host: str, port: int, tls: bool, header: str) -> None:
    """A URL's host, port and Host header, which leaves the scheme's own port out."""
    origin = Origin.parse(url)
    assert (origin.host, origin.port, origin.tls, origin.host_header) == (host, port, tls, header)


@pytest.mark.parametrize(
    "url", ["", "h", "ftp://h", "https://", "https://h/path", "https://h?q", "https://a b", "https://h:x"]
)
def test_origin_refuses(url: str) -> None:
    """What is no plain http(s) origin is refused."""
    with pytest.raises(ValueError, match=r"endpoint URL|[Pp]ort"):
        Origin.parse(url)


@pytest.mark.parametrize(
    "arguments",
    [
        {"endpoint_name": ""},
        {"endpoint_name": "-a"},
        {"endpoint_name": "a-"},
        {"endpoint_name": "a/b"},
        {"endpoint_name": "a" * 64},
        {"endpoint_name": "a", "custom_attributes": "a\r\nHost: b"},
        {"endpoint_name": "a", "variant": "ü"},
        {"endpoint_name": "a", "model": "m" * 1025},
    ],
)
def test_target_refuses(arguments: dict[str, str]) -> None:
    """Names and header values that SageMaker would not take, or that could break a header, are refused at start-up."""
    with pytest.raises(ValueError, match=r"endpoint name|visible ASCII"):
        Target(**arguments)


def test_request_bytes_are_signed_whole() -> None:
    """All headers but Content-Length are signed, and botocore computes the same signature over them."""
    target = Target(
        "ctr-1",
        variant="blue",
        model="m.tar.gz",
        container_hostname="c1",
        inference_component="ic",
        session_id="NEW_SESSION",
        custom_attributes="trace=1, b",
        enable_explanations="`true`",
    )
    head, body = _wire(target, inference_ids=True).request([b"1,2\n", b"3,4\n"], 2, "auction-7")
    assert body == b"1,2\n3,4\n"
    line, *lines = head.decode().removesuffix("\r\n\r\n").split("\r\n")
    assert line == "POST /endpoints/ctr-1/invocations HTTP/1.1"
    headers = dict(text.split(": ", 1) for text in lines)
    assert headers.pop("Content-Length") == "8"
    authorization = headers.pop("Authorization")
    assert headers == {
        "Host": "127.0.0.1:8080",
        "Content-Type": "text/csv",
        "Accept": "text/csv",
        "X-Amz-Date": "20231114T221320Z",
        "X-Amz-Security-Token": "token",
        "X-Amzn-SageMaker-Custom-Attributes": "trace=1, b",
        "X-Amzn-SageMaker-Enable-Explanations": "`true`",
        "X-Amzn-SageMaker-Inference-Component": "ic",
        "X-Amzn-SageMaker-Inference-Id": "auction-7",
        "X-Amzn-SageMaker-Session-Id": "NEW_SESSION",
        "X-Amzn-SageMaker-Target-Container-Hostname": "c1",
        "X-Amzn-SageMaker-Target-Model": "m.tar.gz",
        "X-Amzn-SageMaker-Target-Variant": "blue",
    }
    request = AWSRequest("POST", "http://127.0.0.1:8080/endpoints/ctr-1/invocations", headers=headers, data=body)
    request.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(BotoCredentials("AKIDLOCAL", "local", "token"), "sagemaker", "us-east-1")
    canonical = signer.canonical_request(request)
    assert authorization.endswith(signer.signature(signer.string_to_sign(request, canonical), request))


@pytest.mark.parametrize("inference_id", ["", "a" * 65, "a\r\nb", "ü"])
def test_inference_id_is_checked(inference_id: str) -> None:
    """An Inference-Id that is none, or could break the header, is refused."""
    with pytest.raises(ValueError, match="inference id"):
        _wire(inference_ids=True).request([b"1\n"], 1, inference_id)


def test_scores_and_variant() -> None:
    """An answer's scores, and the production variant that gave them."""
    values, variant = _wire().scores(_response(b"0.5\n0.25\n", x_amzn_invoked_production_variant="blue"), 2)
    assert (list(values), variant) == ([0.5, 0.25], "blue")


@pytest.mark.parametrize("attributes", ["features=abc", "model=7; features=abc", "features=abc,model=7"])
def test_features_that_match(attributes: str) -> None:
    """The expected version, alone or among other attributes."""
    response = _response(x_amzn_sagemaker_custom_attributes=attributes)
    assert list(_wire(features_version="abc").scores(response, 1)[0]) == [0.5]


@pytest.mark.parametrize("attributes", ["features=abd", "features=abcd", "xfeatures=abc", "model=7", ""])
def test_features_that_do_not_match(attributes: str) -> None:
    """Another version, or none, is never a score."""
    response = _response(x_amzn_sagemaker_custom_attributes=attributes)
    with pytest.raises(errors.FeaturesMismatch, match="features=abc"):
        _wire(features_version="abc").scores(response, 1)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "ValidationError:http://internal.amazon.com/coral/com.amazon.coral.service/", errors.ValidationError),
        (400, "ThrottlingException", errors.Throttling),
        (403, "AccessDeniedException", errors.AccessDenied),
        (403, "", errors.AccessDenied),
        (424, "ModelError", errors.ModelError),
        (429, "ModelNotReadyException", errors.ModelNotReady),
        (429, "ThrottlingException", errors.Throttling),
        (429, "", errors.Throttling),
        (500, "InternalFailure", errors.InternalFailure),
        (503, "ServiceUnavailable", errors.ServiceUnavailable),
        (530, "InternalDependencyException", errors.InternalDependency),
        (302, "", errors.EndpointError),
        (418, "", errors.EndpointError),
    ],
)
def test_errors_by_status_and_type(status: int, code: str, expected: type[errors.EndpointError]) -> None:
    """Each error SageMaker documents has its class; the message is SageMaker's."""
    with pytest.raises(errors.EndpointError, match="went wrong") as caught:
        _wire().scores(_response(b'{"message":"went wrong"}', status, x_amzn_errortype=code), 1)
    assert type(caught.value) is expected
    assert caught.value.code == (code.partition(":")[0] or "(no type)")


def test_model_error_says_what_the_container_answered() -> None:
    """424 carries the container's own status."""
    body = b'{"Message":"boom","OriginalStatusCode":503,"OriginalMessage":"x","LogStreamArn":"arn"}'
    with pytest.raises(errors.ModelError, match="boom") as caught:
        _wire().scores(_response(body, 424, x_amzn_errortype="ModelError"), 1)
    assert caught.value.original_status == 503


@pytest.mark.parametrize("body", [b"", b"<html>" * 1000, b"\xff\xfe", b"[1]", b'{"message":null}'])
def test_unreadable_error_bodies(body: bytes) -> None:
    """An error whose body is anything else is still the error of its status, with a bounded message."""
    with pytest.raises(errors.ServiceUnavailable) as caught:
        _wire().scores(_response(body, 503), 1)
    assert len(str(caught.value)) < 500


def test_204_is_no_score() -> None:
    """Only 200 carries scores."""
    with pytest.raises(errors.EndpointError):
        _wire().scores(_response(b"0.5\n", 204), 1)
