"""Why there is no score: one small tree.

The rule kept here: everything that can go wrong between a row and its score is an `InferenceError` with a `kind`, a
metric label from a closed set. Foreign errors (OSError, HttpParserError, ssl.SSLError) are translated where they
arise and go no further.
"""

# ruff: noqa: N818  (the names are those of the service, which have no Error suffix)

from __future__ import annotations


class InferenceError(Exception):
    """No score for these rows. `kind` is a metric label; `blames_endpoint` says whether the breaker counts it."""

    kind = "inference"
    blames_endpoint = True


# -- no call was made --------------------------------------------------------------------------------------------------


class NotSent(InferenceError):
    """No call was made for these rows."""

    kind = "not_sent"
    blames_endpoint = False


class CredentialsUnavailable(NotSent):
    """No AWS credentials, or expired ones that could not be refreshed."""

    kind = "credentials"


class BreakerOpen(NotSent):
    """The endpoint failed too often just now; the breaker lets single probes through only."""

    kind = "breaker_open"


class QueueFull(NotSent):
    """More rows are waiting for a free slot than the queue may hold."""

    kind = "queue_full"


class TooLarge(NotSent):
    """The rows of one auction are larger than one call may be."""

    kind = "too_large"


class Closed(NotSent):
    """The client has been closed."""

    kind = "closed"


# -- no answer, or not in time -----------------------------------------------------------------------------------------


class Timeout(InferenceError):
    """The deadline passed first."""

    kind = "timeout"


class ConnectFailed(InferenceError):
    """No connection could be made: name resolution, TCP or TLS."""

    kind = "connect"


class ConnectionLost(InferenceError):
    """The connection ended before the whole answer was there."""

    kind = "connection_lost"


# -- an answer that is no score ----------------------------------------------------------------------------------------


class BadResponse(InferenceError):
    """The answer is not what was asked for: no HTTP, wrong type, wrong number of rows, or no probabilities."""

    kind = "bad_response"


class FeaturesMismatch(InferenceError):
    """The model behind the endpoint was trained on other features than the ones the bidder computes."""

    kind = "features_mismatch"


class EndpointError(InferenceError):
    """SageMaker Runtime answered with an error status. `code` is its `x-amzn-errortype`."""

    kind = "endpoint"

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"SageMaker answered {status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


class ValidationError(EndpointError):
    """400: the request is wrong, or there is no such endpoint. It is the caller's fault, not the endpoint's."""

    kind = "validation"
    blames_endpoint = False


class AccessDenied(EndpointError):
    """403: signature, credentials, clock or permissions."""

    kind = "access_denied"


class ModelError(EndpointError):
    """424: the container answered with an error of its own, or not at all."""

    kind = "model_error"

    def __init__(self, status: int, code: str, message: str, original_status: int = 0) -> None:
        super().__init__(status, code, message)
        self.original_status = original_status


class ModelNotReady(EndpointError):
    """429: the model is being loaded, or the inference component is scaling from zero."""

    kind = "model_not_ready"


class Throttling(EndpointError):
    """The account's or endpoint's request rate is exceeded: 400 or 429, by `x-amzn-errortype`."""

    kind = "throttling"


class InternalFailure(EndpointError):
    """500."""

    kind = "internal_failure"


class ServiceUnavailable(EndpointError):
    """503."""

    kind = "service_unavailable"


class InternalDependency(EndpointError):
    """530."""

    kind = "internal_dependency"
