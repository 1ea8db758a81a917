"""The configuration: which endpoints there are, what serves them, who may call, what goes wrong.

Everything is checked before anything listens, and an error names the path to the fault. Nothing here changes while
the process runs, save the `Faults`, which are replaced whole.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from . import canned
from .errors import STATUS

Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0, le=600_000)]
Name = Annotated[str, Field(max_length=63, pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*$")]


class ConfigError(ValueError):
    """The configuration cannot be used; the message has one `path: what is wrong` a line."""


def _known_error(name: str) -> str:
    if name not in STATUS:
        raise ValueError(f"{name!r} is no error of the service; use one of {', '.join(STATUS)}")
    return name


def _container_url(url: str) -> str:
    if url.startswith(canned.SCHEME):
        canned.parse(url)
        return url
    parts = urlsplit(url)
    _ = parts.port  # raises ValueError where it is no port
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ValueError(f"{url!r} is no container address; write http://HOST:PORT")
    return url


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Faults(Model):
    """What goes wrong with the calls of an endpoint or a variant. The default is: nothing.

    Latency, throttling and idle closing apply to every call. Of errors, hang, close, garbage, truncate and trickle at
    most one comes true for a call, so their shares together are at most 1; the rest of the calls go well.
    """

    latency_ms: Milliseconds = Field(0, description="added to every call")
    slow_share: Share = Field(0, description="this share of calls …")
    slow_ms: Milliseconds = Field(0, description="… takes so much longer still")
    max_calls_per_s: float | None = Field(
        None, gt=0, description="more than that, and one second's burst, are throttled"
    )
    idle_close_s: float | None = Field(
        None, gt=0, description="close a client's connection after so long without a call"
    )
    errors: dict[Annotated[str, AfterValidator(_known_error)], Share] = Field(
        default_factory=dict, description="share of calls answered with this error, the container not asked"
    )
    hang_share: Share = Field(0, description="read the call and never answer it")
    close_share: Share = Field(0, description="close the connection without an answer")
    garbage_share: Share = Field(0, description="200 with random bytes for a body")
    truncate_share: Share = Field(0, description="200 with the second half of the rows missing")
    trickle_share: Share = Field(0, description="the body at `trickle_bytes_per_s`")
    trickle_bytes_per_s: float = Field(10, gt=0)

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        shares = (self.hang_share, self.close_share, self.garbage_share, self.truncate_share, self.trickle_share)
        total = sum(shares) + sum(self.errors.values())
        if total > 1 + 1e-9:
            raise ValueError(
                f"the shares of errors, hang, close, garbage, truncate and trickle sum to {total:g}; at most 1"
            )
        return self


class VariantFaults(Faults):
    """The same without `idle_close_s`: a connection belongs to an endpoint, not to one of its variants."""

    @model_validator(mode="after")
    def _closes_no_connections(self) -> Self:
        if self.idle_close_s is not None:
            raise ValueError("idle_close_s is for endpoints; a connection belongs to no variant")
        return self


class VariantConfig(Model):
    name: Name = "AllTraffic"
    weight: float = Field(1, ge=0, description="share of the calls, relative to the other variants")
    instances: list[Annotated[str, AfterValidator(_container_url)]] = Field(min_length=1, max_length=100)
    faults: VariantFaults | None = Field(None, description="instead of the endpoint's; null: the endpoint's")


class EndpointConfig(Model):
    variants: list[VariantConfig] = Field(min_length=1, max_length=10)
    routing: Literal["LEAST_OUTSTANDING_REQUESTS", "RANDOM"] = "LEAST_OUTSTANDING_REQUESTS"
    faults: Faults = Faults()

    @model_validator(mode="after")
    def _variants_can_be_chosen(self) -> Self:
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names):
            raise ValueError(f"variant names must differ; got {', '.join(names)}")
        if not any(variant.weight for variant in self.variants):
            raise ValueError("at least one variant must have a weight above 0")
        return self


class CredentialConfig(Model):
    access_key_id: str = Field(pattern=r"^\w{1,128}$")
    secret_access_key: str = Field(min_length=1, repr=False)
    session_token: str | None = Field(None, repr=False)


class Config(Model):
    region: str = Field("us-east-1", pattern=r"^[a-z0-9-]+$")
    account_id: str = Field("000000000000", pattern=r"^\d{12}$", description="for messages only")
    credentials: list[CredentialConfig] = Field(
        default=[CredentialConfig(access_key_id="AKIDLOCAL", secret_access_key="local")],  # noqa: S106  no secret: it opens nothing
        min_length=1,
    )
    endpoints: dict[Name, EndpointConfig] = Field(default_factory=dict)
    idle_timeout_s: float = Field(60, gt=0, description="client connections without a call are closed after this")
    model_timeout_s: float = Field(60, gt=0, le=60, description="a container that takes longer is a ModelError")
    ping_interval_s: float = Field(1, gt=0, description="pause between two GET /ping to a container")
    max_client_connections: int = Field(4096, gt=0)
    max_container_connections: int = Field(256, gt=0, description="per instance; further calls wait")
    seed: int | None = Field(None, description="makes variants and faults repeatable")


def describe(error: ValidationError) -> str:
    """One line a fault: the path to it, and what is wrong there."""
    return "\n".join(f"{'.'.join(map(str, e['loc'])) or '(top)'}: {e['msg']}" for e in error.errors(include_url=False))


def parse(settings: object) -> Config:
    """Check settings as read from JSON. Raises ConfigError."""
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(f"the configuration cannot be used:\n{describe(error)}") from error
