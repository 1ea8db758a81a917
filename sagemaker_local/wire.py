"""InvokeEndpoint as HTTP: which headers come in and go on to the container, and what answers and errors look like.

Rule: lengths and patterns are those of the service model (sagemaker-runtime 2017-05-13), checked before anything else.
"""

from __future__ import annotations

import json
import re
from typing import Final

from .errors import ServiceError
from .server import MAX_BODY_BYTES, Reply, Request

_INVOKE: Final = re.compile(rb"/endpoints/([^/]+)/invocations")
_NAME: Final = re.compile(rb"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_ASCII: Final = re.compile(rb"[\x00-\x7f]*")
_PRINTABLE: Final = re.compile(rb"[\x21-\x7e][\x20-\x7e]*")
_PREFIX: Final = b"x-amzn-sagemaker-"

TARGET_VARIANT: Final = _PREFIX + b"target-variant"
# header: (member of InvokeEndpointInput, maximum length, pattern). These go on to the container and no others do
# (developer guide, "Custom inference code with hosting services").
_REQUEST_HEADERS: Final = {
    b"content-type": ("contentType", 1024, _ASCII),
    b"accept": ("accept", 1024, _ASCII),
    _PREFIX + b"custom-attributes": ("customAttributes", 1024, _ASCII),
    _PREFIX + b"target-model": ("targetModel", 1024, _PRINTABLE),
    TARGET_VARIANT: ("targetVariant", 63, _NAME),
    _PREFIX + b"target-container-hostname": ("targetContainerHostname", 63, _NAME),
    _PREFIX + b"inference-id": ("inferenceId", 64, _PRINTABLE),
    _PREFIX + b"enable-explanations": ("enableExplanations", 64, _PRINTABLE),
    _PREFIX + b"inference-component": ("inferenceComponentName", 63, _NAME),
    _PREFIX + b"session-id": ("sessionId", 256, re.compile(rb"NEW_SESSION|" + _NAME.pattern)),
}
_RESPONSE_HEADERS: Final = {
    _PREFIX + b"custom-attributes": b"X-Amzn-SageMaker-Custom-Attributes",
    _PREFIX + b"new-session-id": b"X-Amzn-SageMaker-New-Session-Id",
    _PREFIX + b"closed-session-id": b"X-Amzn-SageMaker-Closed-Session-Id",
}


def endpoint_name(path: bytes) -> str | None:
    """The endpoint that an InvokeEndpoint path names; None for any other path."""
    match = _INVOKE.fullmatch(path)
    return match[1].decode("latin-1") if match else None


def checked_endpoint_name(request: Request) -> str:
    """The endpoint asked for. Raises UnknownOperationException; ValidationError for too long a body or name."""
    name = endpoint_name(request.path)
    if name is None or request.method != b"POST":
        raise ServiceError(
            "UnknownOperationException",
            f"{request.method.decode()} {request.path.decode('latin-1')} is not served here; "
            "POST /endpoints/{EndpointName}/invocations is",
        )
    if request.body_too_large:
        raise ServiceError(
            "ValidationError", f"Request has oversize body; at most {MAX_BODY_BYTES} bytes are accepted."
        )
    if len(name) > 63 or not _NAME.fullmatch(name.encode("latin-1")):
        raise _constraint(name, "endpointName", f"have at most 63 characters and match {_NAME.pattern.decode()}")
    return name


def container_headers(headers: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """The headers that go on to the container. Raises ValidationError for one that breaks its constraint."""
    passed_on = []
    for name, value in headers.items():
        constraint = _REQUEST_HEADERS.get(name)
        if constraint is None:
            continue
        member, max_length, pattern = constraint
        if len(value) > max_length:
            raise _constraint(value.decode("latin-1"), member, f"have length less than or equal to {max_length}")
        if not pattern.fullmatch(value):
            raise _constraint(
                value.decode("latin-1"), member, f"satisfy regular expression pattern: {pattern.pattern.decode()}"
            )
        passed_on.append((name, value))
    return passed_on


def _constraint(value: str, member: str, rule: str) -> ServiceError:
    shown = value if len(value) <= 100 else value[:100] + "…"
    return ServiceError(
        "ValidationError",
        f"1 validation error detected: Value '{shown}' at '{member}' failed to satisfy constraint: Member must {rule}",
    )


def model_error(endpoint: str, region: str, account_id: str, status: int, message: str) -> ServiceError:
    """ModelError 424. `status` is the container's, or 0 where it gave none."""
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    side = "client" if 400 <= status < 500 else "server"
    return ServiceError(
        "ModelError",
        f'Received {side} error ({status}) from primary with message "{message[:1024]}". See '
        f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group} "
        f"in account {account_id} for more information.",
        OriginalStatusCode=status,
        OriginalMessage=message[:1024],
        LogStreamArn=f"arn:aws:logs:{region}:{account_id}:log-group:{group}",
    )


def answer(body: bytes, container: dict[bytes, bytes], variant: str, request_id: str) -> Reply:
    """200, with the headers of the container's answer that InvokeEndpoint lets through."""
    headers = [
        (b"x-amzn-RequestId", request_id.encode()),
        (b"x-Amzn-Invoked-Production-Variant", variant.encode()),
        (b"Content-Type", container.get(b"content-type", b"application/octet-stream")),
    ]
    headers += [(sent, container[name]) for name, sent in _RESPONSE_HEADERS.items() if name in container]
    return Reply(200, headers, body)


def error_answer(error: ServiceError, request_id: str) -> Reply:
    """`message` for every error; a ModelError has it once more as `Message`, beside the other members of its shape."""
    body: dict[str, str | int] = {"message": error.message}
    if error.fields:
        body |= {"Message": error.message, **error.fields}
    headers = [
        (b"x-amzn-RequestId", request_id.encode()),
        (b"x-amzn-errortype", error.name.encode()),
        (b"Content-Type", b"application/json"),
    ]
    return Reply(error.status, headers, json.dumps(body).encode())
