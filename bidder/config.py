"""Settings: environment variables with the prefix `BIDDER_`, checked once at the start.

The rule kept here: read by `__main__` and the composition root only; everything else gets plain arguments. AWS
credentials are no settings of the bidder: they come from the usual chain.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DATA = Path(__file__).parent / "data"

Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(ge=0, le=3600)]


class Settings(BaseSettings):
    """All settings with their defaults. An empty variable counts as not set."""

    model_config = SettingsConfigDict(env_prefix="BIDDER_", env_ignore_empty=True, extra="ignore", frozen=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="0 = any free one")] = 8080
    workers: Annotated[int, Field(gt=0, le=256, description="processes on the port, one a core")] = 1
    inside_networks: str = Field(
        "", description='who may see metrics, docs and explanations: "10.0.0.0/16,127.0.0.0/8"; empty: everybody'
    )
    worker: Annotated[int, Field(ge=0, description="set by the supervisor of several")] = 0
    worker_peers: Path | None = Field(None, description="set by the supervisor: where workers find each other")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    emf_namespace: str = Field("", description="histograms for CloudWatch go to standard output; empty: none do")
    emf_service: str = Field("bidder", description="the dimension Service of these metrics")
    emf_interval_s: Annotated[float, Field(ge=0.1, le=3600, description="between two of these lines")] = 60

    catalog_uri: str = Field(str(DATA / "demo_catalog.json"), description="path, or s3://bucket/key")
    catalog_interval_s: Annotated[float, Field(ge=0.1, le=3600, description="how often a change is looked for")] = 5
    catalog_cache_dir: str = Field("", description="where large catalogs are kept compiled; empty: ~/.cache/rtb-bidder")
    exchanges_uri: str = Field("", description="path, or s3://; empty: the built-in ones")
    rates_uri: str = Field("", description="currency rates: path, or s3://; empty: the built-in, illustrative ones")
    rates_max_age_days: Annotated[
        float, Field(ge=0, le=3650, description="older rates convert nothing; 0: any age")
    ] = 0
    supply_uri: str = Field("", description="who may sell what: path, or s3://; empty: no lists")
    profiles_path: Path | None = Field(None, description="user profiles for the embedded store, JSON lines")
    state_url: str = Field("embedded", description='"embedded", or redis:// or rediss://')
    explain_token: SecretStr = Field(SecretStr(""), description="turns POST /debug/explain on; what callers must send")
    price_keys: SecretStr = Field(
        SecretStr(""), description='of exchanges that encrypt prices: "google=ENCRYPTION:INTEGRITY", in Base64'
    )
    notice_url: str = Field("", description="public base URL for notices and trackers; empty: none are sent")

    endpoint_name: str = Field("", description="SageMaker endpoint; empty: bids on the campaigns' priors")
    endpoint_url: str = Field("", description="VPC endpoint or local URL; empty: the region's")
    endpoint_variants: str = Field("", description='choose variants here: "blue=0.9,green=0.1"; empty: SageMaker does')
    shadow_endpoint_name: str = Field("", description="gets copies of requests; never answers")
    shadow_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    aws_region: str = "us-east-1"
    row_format: Literal["npy", "csv"] = Field("npy", description="how rows travel to the endpoint")
    endpoint_max_calls: Positive = Field(32, description="calls under way at once")
    endpoint_max_rows: Positive = Field(128, description="rows a call")

    tcf_vendor_id: Annotated[
        int, Field(ge=0, le=65535, description="id in IAB Europe's Global Vendor List; 0: none")
    ] = 0
    tcf_legitimate_interest: str = Field("", description='purposes registered with legitimate interest: "2,7,9,10"')
    tcf_flexible: str = Field("", description="purposes registered as flexible; all others are not")

    default_tmax_ms: Positive = 100
    network_margin_ms: Annotated[int, Field(ge=0)] = 10
    profile_budget_ms: Positive = Field(5, description="how long a profile is waited for")
    candidates_per_slot: Annotated[int, Field(gt=0, le=64)] = 8
    self_check_every: Annotated[
        int, Field(ge=0, description="every so many answers, one is held against its exchange's profile; 0: none")
    ] = 1000
    max_body_bytes: Positive = Field(262144, description="as sent, and inflated")
    max_in_flight: Positive = Field(2000, description="bids under way; more are answered with a no-bid at once")
    max_busy: Annotated[
        float,
        Field(gt=0, le=1, description="share of its time that the loop may want a core before bids are shed; 1: all"),
    ] = 0.95
    max_connections: Positive = Field(10_000, description="open at once; more are closed as they come")
    max_head_bytes: Positive = Field(16_384, description="request line and headers of a request")
    max_headers: Positive = Field(100, description="of a request")
    head_s: Annotated[float, Field(gt=0, le=3600, description="from a request's first byte to its last header")] = 5.0
    body_s: Annotated[float, Field(gt=0, le=3600, description="from a request's first byte to its last")] = 10.0
    http: Literal["protocol", "asgi"] = Field(
        "protocol", description='bids without or by way of ASGI: "asgi" costs more'
    )
    keep_alive_s: Annotated[int, Field(ge=150, le=3600, description="exchanges want at least 150")] = 180
    drain_s: Seconds = Field(1.0, description="after SIGTERM: not ready, still answering, for this long")
    stop_s: Seconds = Field(10.0, description="then open connections get this long to end")

    @model_validator(mode="after")
    def _time_is_left(self) -> Settings:
        if self.network_margin_ms >= self.default_tmax_ms:
            raise ValueError(
                f"BIDDER_NETWORK_MARGIN_MS ({self.network_margin_ms}) must be below "
                f"BIDDER_DEFAULT_TMAX_MS ({self.default_tmax_ms}): no time would be left to bid"
            )
        if self.endpoint_variants:
            self.variants()
        self.tcf_purposes()
        self.networks()
        return self

    def variants(self) -> tuple[tuple[str, float], ...]:
        """`endpoint_variants` read: (name, weight) pairs. Raises ValueError."""
        pairs = []
        for item in filter(None, self.endpoint_variants.split(",")):
            name, _, weight = item.strip().partition("=")
            try:
                pairs.append((name, float(weight)))
            except ValueError:
                raise ValueError(
                    f"BIDDER_ENDPOINT_VARIANTS: {item.strip()!r} is not NAME=WEIGHT, as in blue=0.9,green=0.1"
                ) from None
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            raise ValueError(f"BIDDER_ENDPOINT_VARIANTS: a variant is named twice in {self.endpoint_variants!r}")
        return tuple(pairs)

    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`inside_networks` read. Raises ValueError."""
        try:
            return tuple(ip_network(item.strip()) for item in self.inside_networks.split(",") if item.strip())
        except ValueError as error:
            raise ValueError(f"BIDDER_INSIDE_NETWORKS: {error}; networks are written as in 10.0.0.0/16") from None

    def tcf_purposes(self) -> tuple[frozenset[int], frozenset[int]]:
        """`tcf_legitimate_interest` and `tcf_flexible` read: numbers of purposes. Raises ValueError."""
        return (
            _purposes("BIDDER_TCF_LEGITIMATE_INTEREST", self.tcf_legitimate_interest),
            _purposes("BIDDER_TCF_FLEXIBLE", self.tcf_flexible),
        )


def _purposes(setting: str, value: str) -> frozenset[int]:
    """The others rest on consent alone, so that neither an interest nor flexibility can be registered (TCF v2.2)."""
    items = [item.strip() for item in value.split(",") if item.strip()]
    for item in items:
        if item not in ("2", "7", "8", "9", "10", "11"):
            raise ValueError(f"{setting}: {item!r} is none of the purposes 2, 7, 8, 9, 10, 11")
    return frozenset(map(int, items))
