"""SageMaker Runtime's InvokeEndpoint on the wire: rows to request bytes, an answer to scores or an error.

The rule kept here: pure translation. No socket, no waiting; what never changes is built at start-up, so a call
costs its signature, one formatted line and the body. Nothing that is not a score leaves as one.

Source: Amazon SageMaker API Reference, "InvokeEndpoint".
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson

from bidder.inference import payload
from bidder.inference.credentials import CredentialSource
from bidder.inference.errors import (
    AccessDenied,
    EndpointError,
    FeaturesMismatch,
    InternalDependency,
    InternalFailure,
    ModelError,
    ModelNotReady,
    ServiceUnavailable,
    Throttling,
    ValidationError,
)
from bidder.inference.heads import Response
from bidder.inference.signature import Signer

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_VISIBLE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+")
_CHINA = "cn-"

_BY_STATUS: dict[int, type[EndpointError]] = {
    400: ValidationError,
    403: AccessDenied,
    429: ModelNotReady,
    500: InternalFailure,
    503: ServiceUnavailable,
    530: InternalDependency,
}
_THROTTLED = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"})


def endpoint_url(region: str, *, fips: bool = False) -> str:
    """The public URL of SageMaker Runtime in `region`."""
    host = "runtime-fips.sagemaker" if fips else "runtime.sagemaker"
    suffix = "amazonaws.com.cn" if region.startswith(_CHINA) else "amazonaws.com"
    return f"https://{host}.{region}.{suffix}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the endpoint is reached: the parts of its URL."""

    host: str
    port: int
    tls: bool

    @classmethod
    def parse(cls, url: str) -> Origin:
        """From `https://host[:port]` or `http://host[:port]`. Raises ValueError for anything else."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host) or parts.path.strip("/") or parts.query:
            raise ValueError(f"endpoint URL {url!r}: must be https://host[:port] (http only to a local endpoint)")
        tls = parts.scheme == "https"
        return cls(host, parts.port or (443 if tls else 80), tls)

    @property
    def host_header(self) -> str:
        """The Host header, as botocore signs it: without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a call is for: the endpoint, and optionally what behind it. Empty means: SageMaker's own choice."""

    endpoint_name: str
    variant: str = ""
    model: str = ""
    container_hostname: str = ""
    inference_component: str = ""
    session_id: str = ""
    custom_attributes: str = ""
    enable_explanations: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.endpoint_name) or len(self.endpoint_name) > 63:
            raise ValueError(f"endpoint name {self.endpoint_name!r}: letters, digits and inner hyphens, 63 at most")
        for name, value in self.headers():
            if not _VISIBLE.fullmatch(value) or len(value) > 1024:
                raise ValueError(f"{name} is {value!r}: must be at most 1,024 visible ASCII characters")

    @property
    def path(self) -> str:
        return f"/endpoints/{self.endpoint_name}/invocations"

    def headers(self) -> list[tuple[str, str]]:
        """The X-Amzn-SageMaker-* headers of this target, empty ones left out."""
        given = (
            ("Custom-Attributes", self.custom_attributes),
            ("Enable-Explanations", self.enable_explanations),
            ("Inference-Component", self.inference_component),
            ("Session-Id", self.session_id),
            ("Target-Container-Hostname", self.container_hostname),
            ("Target-Model", self.model),
            ("Target-Variant", self.variant),
        )
        return [(f"X-Amzn-SageMaker-{name}", value) for name, value in given if value]


class Wire:
    """Builds the requests for one target and reads their answers.

    `features_version` is the hash of the feature list that the bidder computes; if set, every answer must carry
    `X-Amzn-SageMaker-Custom-Attributes: features=<hash>` with the same one. With `inference_ids`, each request takes
    an Inference-Id, by which data capture can be joined with the bidder's own log.
    """

    __slots__ = (
        "_accepted",
        "_clock",
        "_content_type",
        "_credentials",
        "_features",
        "_head",
        "_ids",
        "_signer",
        "target",
    )

    def __init__(
        self,
        target: Target,
        origin: Origin,
        *,
        region: str,
        credentials: CredentialSource,
        content_type: str = payload.CSV,
        accept: str = payload.CSV,
        features_version: str = "",
        inference_ids: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if content_type not in (payload.CSV, payload.NPY):
            raise ValueError(f"content type {content_type!r}: rows are sent as {payload.CSV} or {payload.NPY}")
        self.target = target
        self._content_type = content_type
        self._credentials = credentials
        self._features = features_version
        self._accepted = f"features={features_version}".encode()
        self._ids = inference_ids
        self._clock = clock
        headers = [("Host", origin.host_header), ("Content-Type", content_type), ("Accept", accept), *target.headers()]
        varying = ("X-Amzn-SageMaker-Inference-Id",) if inference_ids else ()
        self._signer = Signer(region=region, path=target.path, headers=headers, varying=varying)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self._head = f"POST {target.path} HTTP/1.1\r\n{lines}".encode()

    def request(self, bodies: Sequence[bytes], rows: int, inference_id: str = "") -> tuple[bytes, bytes]:
        """The head and the body of one signed request for `rows` rows. Raises CredentialsUnavailable.

        `inference_id` (1 to 64 visible ASCII characters) is used by wires made with `inference_ids`.
        """
        body = payload.encode(self._content_type, bodies, rows)
        credentials = self._credentials.current()
        if self._ids:
            if len(inference_id) > 64 or not _VISIBLE.fullmatch(inference_id):
                raise ValueError(f"inference id {inference_id!r}: must be 1 to 64 visible ASCII characters")
            value = inference_id.encode()
            signed = self._signer.sign(body, credentials, self._clock(), value)
            signed = b"X-Amzn-SageMaker-Inference-Id: %b\r\n%b" % (value, signed)
        else:
            signed = self._signer.sign(body, credentials, self._clock())
        return self._head + signed + b"Content-Length: %d\r\n\r\n" % len(body), body

    def scores(self, response: Response, rows: int) -> tuple[Sequence[float], str]:
        """The probabilities of `rows` rows and the variant that answered. Raises InferenceError."""
        headers = response.headers
        if response.status != 200:
            raise _error(response)
        if self._features and headers.get(b"x-amzn-sagemaker-custom-attributes") != self._accepted:
            self._check_features(headers.get(b"x-amzn-sagemaker-custom-attributes", b""))
        values = payload.decode(headers.get(b"content-type", b""), response.body, rows)
        return values, headers.get(b"x-amzn-invoked-production-variant", b"").decode("ascii", "replace")

    def _check_features(self, attributes: bytes) -> None:
        """Look for `features=<hash>` among other attributes. An endpoint that does not say is not trusted either."""
        if self._accepted in re.split(rb"[\s,;]+", attributes):
            return
        said = attributes[:100].decode("ascii", "replace") or "nothing"
        raise FeaturesMismatch(
            f"endpoint {self.target.endpoint_name} says {said!r} about its features, the bidder computes "
            f"features={self._features}: deploy a model trained on these, or the bidder that belongs to the model"
        )


def _error(response: Response) -> EndpointError:
    """What an answer other than 200 means. The type stands in a header, as `Name` or `Name:http://...`."""
    code = response.headers.get(b"x-amzn-errortype", b"").decode("ascii", "replace").partition(":")[0]
    message, original = "", 0
    try:
        document = orjson.loads(response.body)
        if isinstance(document, dict):
            code = code or str(document.get("__type", "")).rpartition("#")[2]
            message = str(document.get("message") or document.get("Message") or "")
            if isinstance(document.get("OriginalStatusCode"), int):
                original = document["OriginalStatusCode"]
    except orjson.JSONDecodeError:
        message = response.body[:200].decode("utf-8", "replace")
    code, message = code[:80] or "(no type)", message[:300]
    if code in _THROTTLED:
        return Throttling(response.status, code, message)
    if response.status == 424:
        return ModelError(response.status, code, message, original)
    if response.status == 429 and not code.startswith("ModelNotReady"):
        return Throttling(response.status, code, message)
    return _BY_STATUS.get(response.status, EndpointError)(response.status, code, message)
