"""The errors a SageMaker Runtime answers with. Every one of them is a `ServiceError`; `STATUS` has its HTTP status.

Statuses and fields are those of the InvokeEndpoint model that botocore ships (sagemaker-runtime 2017-05-13); the
authentication errors and ThrottlingException are those of the Common Errors page of the API reference.
"""

from __future__ import annotations

from typing import Final

STATUS: Final[dict[str, int]] = {
    "ValidationError": 400,
    "ThrottlingException": 400,
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "IncompleteSignatureException": 403,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "UnrecognizedClientException": 403,
    "UnknownOperationException": 404,
    "ModelError": 424,
    "ModelNotReadyException": 429,
    "InternalFailure": 500,
    "ServiceUnavailable": 503,
    "InternalDependencyException": 530,
}

MAX_MESSAGE_CHARS: Final = 2048  # shape Message


class ServiceError(Exception):
    """One error answer: `name` is a key of `STATUS`; `fields` are its shape's members beside the message."""

    def __init__(self, name: str, message: str, **fields: str | int) -> None:
        self.name = name
        self.status = STATUS[name]
        self.message = message[:MAX_MESSAGE_CHARS]
        self.fields = fields
        super().__init__(f"{name}: {self.message}")
