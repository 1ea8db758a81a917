"""InvokeEndpoint as AWS's own clients see it: headers there and back, errors as their own exceptions."""

from __future__ import annotations

import io
import json

import aioboto3
import numpy as np
import pytest
from botocore.exceptions import ClientError, ParamValidationError


def test_csv_body_comes_back(client, service):
    """A CSV body goes to the container and its answer comes back with type, variant and request id."""
    answer = client.invoke_endpoint(EndpointName="ctr", ContentType="text/csv", Body=b"1,2\n3,4\n")
    assert answer["Body"].read() == b"1,2\n3,4\n"
    assert answer["ContentType"] == "text/csv"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert len(answer["ResponseMetadata"]["RequestId"]) == 36
    assert answer["ResponseMetadata"]["HTTPHeaders"]["date"].endswith("GMT")


def test_npy_body_comes_back(client):
    """Binary bodies pass unchanged."""
    rows = np.arange(12, dtype="<f4").reshape(3, 4)
    buffer = io.BytesIO()
    np.save(buffer, rows)
    answer = client.invoke_endpoint(EndpointName="ctr", ContentType="application/x-npy", Body=buffer.getvalue())
    assert np.array_equal(np.load(io.BytesIO(answer["Body"].read())), rows)


def test_body_from_a_file_awaits_100_continue(client):
    """A file-like body, for which botocore sends Expect: 100-continue, is taken."""
    answer = client.invoke_endpoint(EndpointName="ctr", ContentType="text/csv", Body=io.BytesIO(b"5,6\n"))
    assert answer["Body"].read() == b"5,6\n"


async def test_aioboto3_works_unmodified(service):
    """aioboto3 invokes an endpoint and raises its own ModelError class."""
    session = aioboto3.Session(aws_access_key_id="AKIDLOCAL", aws_secret_access_key="local", region_name="us-east-1")
    async with session.client("sagemaker-runtime", endpoint_url=service.url) as client:
        answer = await client.invoke_endpoint(EndpointName="ctr", ContentType="text/csv", Body=b"7\n")
        assert await answer["Body"].read() == b"7\n"
        service.faults(errors={"ModelError": 1})
        with pytest.raises(client.exceptions.ModelError):
            await client.invoke_endpoint(EndpointName="ctr", Body=b"7\n")


def test_request_headers_reach_the_container(client, container):
    """Every header of InvokeEndpoint is passed on, and the signature is not."""
    client.invoke_endpoint(
        EndpointName="ctr",
        ContentType="text/csv",
        Accept="application/json",
        CustomAttributes="trace=1;  two  spaces",
        TargetModel="model.tar.gz",
        TargetVariant="AllTraffic",
        TargetContainerHostname="second",
        InferenceId="bid-1",
        EnableExplanations="`true`",
        InferenceComponentName="component-1",
        SessionId="NEW_SESSION",
        Body=b"1\n",
    )
    prefix = "x-amzn-sagemaker-"
    assert {name: value for name, value in container.headers.items() if name != "host"} == {
        "content-length": "2",
        "content-type": "text/csv",
        "accept": "application/json",
        f"{prefix}custom-attributes": "trace=1;  two  spaces",
        f"{prefix}target-model": "model.tar.gz",
        f"{prefix}target-variant": "AllTraffic",
        f"{prefix}target-container-hostname": "second",
        f"{prefix}inference-id": "bid-1",
        f"{prefix}enable-explanations": "`true`",
        f"{prefix}inference-component": "component-1",
        f"{prefix}session-id": "NEW_SESSION",
    }


def test_response_headers_come_from_the_container(client, container):
    """The container's custom attributes and session ids reach the caller; its other headers do not."""
    container.answer_headers = {
        "X-Amzn-SageMaker-Custom-Attributes": "version=3",
        "X-Amzn-SageMaker-New-Session-Id": "s1; Expires=2030-01-01T00:00:00Z",
        "X-Amzn-SageMaker-Closed-Session-Id": "s0",
        "X-Internal": "no",
    }
    answer = client.invoke_endpoint(EndpointName="ctr", Body=b"1\n")
    assert answer["CustomAttributes"] == "version=3"
    assert answer["NewSessionId"] == "s1; Expires=2030-01-01T00:00:00Z"
    assert answer["ClosedSessionId"] == "s0"
    assert "x-internal" not in answer["ResponseMetadata"]["HTTPHeaders"]


def test_answer_without_a_length_is_read_to_its_end(client, container):
    """A container that ends its answer by closing the connection is understood."""
    container.framed = False
    assert client.invoke_endpoint(EndpointName="ctr", Body=b"1\n")["Body"].read() == b"1\n"


@pytest.mark.parametrize("status", [400, 500, 503, 204])
def test_container_status_becomes_a_model_error(client, container, status):
    """Any status but 200 from the container is a ModelError with the status and the message in it."""
    container.status = status
    container.answer = b"" if status == 204 else b"boom"
    container.framed = status != 204
    with pytest.raises(client.exceptions.ModelError) as raised:
        client.invoke_endpoint(EndpointName="ctr", Body=b"1\n")
    answer = raised.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == status
    assert answer["OriginalMessage"] == ("" if status == 204 else "boom")
    assert answer["LogStreamArn"] == "arn:aws:logs:us-east-1:000000000000:log-group:/aws/sagemaker/Endpoints/ctr"
    side = "client" if status == 400 else "server"
    assert answer["Error"]["Message"].startswith(f"Received {side} error ({status}) from primary with message")


def test_long_container_message_is_cut(client, container):
    """A container's error page does not swell the error answer."""
    container.status, container.answer = 500, b"x" * 100_000
    with pytest.raises(client.exceptions.ModelError) as raised:
        client.invoke_endpoint(EndpointName="ctr", Body=b"1\n")
    assert raised.value.response["OriginalMessage"] == "x" * 1024


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("ValidationError", 400),
        ("ModelError", 424),
        ("ModelNotReadyException", 429),
        ("InternalFailure", 500),
        ("ServiceUnavailable", 503),
        ("InternalDependencyException", 530),
    ],
)
def test_modelled_errors_surface_as_botocores_own_classes(client, service, name, status):
    """Each error of the service model is raised as the client's exception of that name, with its status."""
    service.faults(errors={name: 1})
    with pytest.raises(getattr(client.exceptions, name)) as raised:
        client.invoke_endpoint(EndpointName="ctr", Body=b"1\n")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert raised.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("name", "status"), [("ThrottlingException", 400), ("AccessDeniedException", 403), ("ExpiredTokenException", 403)]
)
def test_common_errors_surface_as_client_errors(client, service, name, status):
    """Errors common to all services are a ClientError with their code."""
    service.faults(errors={name: 1})
    with pytest.raises(ClientError) as raised:
        client.invoke_endpoint(EndpointName="ctr", Body=b"1\n")
    assert raised.value.response["Error"]["Code"] == name
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_error_answer_on_the_wire(service):
    """An error has its type in x-amzn-errortype and a JSON body with `message`."""
    status, headers, body = service.call(service.signed(endpoint="nobody"))
    assert status == 400
    assert headers["x-amzn-errortype"] == "ValidationError"
    assert len(headers["x-amzn-requestid"]) == 36
    assert json.loads(body) == {"message": "Endpoint nobody of account 000000000000 not found."}


def test_unknown_endpoint_is_a_validation_error(client):
    """An endpoint that is not configured is a ValidationError."""
    with pytest.raises(client.exceptions.ValidationError, match="Endpoint nobody of account 000000000000 not found"):
        client.invoke_endpoint(EndpointName="nobody", Body=b"1\n")


def test_largest_body_passes(client):
    """6,291,456 bytes pass both ways."""
    body = bytes(6_291_456)
    assert client.invoke_endpoint(EndpointName="ctr", Body=body)["Body"].read() == body


def test_too_large_body_is_a_validation_error(client, container):
    """One byte more is refused, and the container never sees it."""
    with pytest.raises(client.exceptions.ValidationError, match="at most 6291456 bytes"):
        client.invoke_endpoint(EndpointName="ctr", Body=bytes(6_291_457))
    assert container.calls == 0


def test_too_large_answer_is_a_model_error(client, container):
    """A container's answer over the limit is a ModelError."""
    container.answer = bytes(6_291_457)
    with pytest.raises(client.exceptions.ModelError, match="over 6291456 bytes"):
        client.invoke_endpoint(EndpointName="ctr", Body=b"1\n")


@pytest.mark.parametrize(
    ("argument", "value", "member"),
    [
        ("CustomAttributes", "x" * 1025, "customAttributes"),
        ("InferenceId", "x" * 65, "inferenceId"),
        ("TargetVariant", "no spaces", "targetVariant"),
        ("TargetContainerHostname", "x" * 64, "targetContainerHostname"),
        ("SessionId", "-", "sessionId"),
        ("TargetModel", "m" * 1025, "targetModel"),
    ],
)
def test_header_that_breaks_its_constraint_is_a_validation_error(client, container, argument, value, member):
    """A header over its length or off its pattern is refused by name, before the container is asked."""
    with pytest.raises(client.exceptions.ValidationError, match=member):
        client.invoke_endpoint(EndpointName="ctr", Body=b"1\n", **{argument: value})
    assert container.calls == 0


def test_non_ascii_custom_attributes_are_refused(service):
    """Custom attributes are ASCII."""
    request = service.signed(headers={"X-Amzn-SageMaker-Custom-Attributes": "ä"})
    status, headers, body = service.call(request)
    assert (status, headers["x-amzn-errortype"]) == (400, "ValidationError")
    assert "customAttributes" in json.loads(body)["message"]


def test_other_operations_are_not_served(service):
    """A path that is no InvokeEndpoint is an UnknownOperationException that says what is served."""
    request = service.signed()
    request.url = f"{service.url}/endpoints/ctr/async-invocations"
    status, headers, body = service.call(request)
    assert (status, headers["x-amzn-errortype"]) == (404, "UnknownOperationException")
    assert "POST /endpoints/{EndpointName}/invocations" in json.loads(body)["message"]


def test_client_refuses_a_call_without_a_body(client):
    """The client is botocore's own: it checks its arguments by the service model."""
    with pytest.raises(ParamValidationError, match="Body"):
        client.invoke_endpoint(EndpointName="ctr")
