"""The bidder's metrics in CloudWatch: which get there, with which dimensions, and what they cost.

Counters and gauges come by the collector (`infra/collector/`), histograms by the bidder's own lines (`bidder/emf.py`);
docs/decisions/0009-metrics-to-cloudwatch.md says why. The rule kept here: nothing gets there that no alarm, no scaling
and no graph asks for, as each set of labels is billed as a metric of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

SERVICE = "Service"
"""The dimension that all of them have; its value is `service_of`."""


def namespace_of(name: str) -> str:
    """Where the metrics of the environment `name` are in CloudWatch."""
    return f"Bidder/{name}"


def service_of(name: str) -> str:
    """The value of the dimension Service."""
    return f"bidder-{name}"


@dataclass(frozen=True, slots=True)
class Series:
    """One series of the bidder, by its name there. Each of `dimensions` is a set of labels that stand beside Service:
    CloudWatch has a metric for each of their combinations, in which what differs in other labels is put together.

    `scrape_s`: how often it is read. Gauges that move fast need more than a look a minute."""

    name: str
    dimensions: tuple[tuple[str, ...], ...] = ((),)
    scrape_s: int = 60


COLLECTED: tuple[Series, ...] = (
    Series("bidder_requests_total", ((), ("outcome",), ("exchange",), ("exchange", "outcome"))),
    Series("bidder_late_answers_total", ((), ("exchange",))),
    Series("bidder_no_bids_total", (("reason",),)),
    Series("bidder_in_flight", scrape_s=10),
    Series("bidder_ready"),
    Series("bidder_scores_total", (("source",),)),
    Series("bidder_endpoint_calls_total", (("role", "result"),)),
    Series("bidder_endpoint_errors_total", (("type",),)),
    Series("bidder_endpoint_breaker_open", (("role",),)),
    Series("bidder_endpoint_queue"),
    Series("bidder_catalog_stale"),
    Series("bidder_catalog_age_seconds"),
    Series("bidder_self_checks_total"),
    Series("bidder_self_check_violations_total"),
    Series("bidder_profile_lookups_total", (("result",),)),
    Series("bidder_notices_total", (("kind",),)),
)

WRITTEN: tuple[Series, ...] = (
    Series("bidder_bid_latency_seconds"),
    Series("bidder_stage_latency_seconds", (("stage",),)),
    Series("bidder_event_loop_lag_seconds"),
    Series("bidder_endpoint_latency_seconds", (("role",),)),
    Series("bidder_endpoint_rows_per_call", (("role",),)),
)

EXCHANGE_OUTCOMES = ("disconnected",)
"""Which outcomes are counted by exchange, too."""

STAGES = ("decode", "profile", "target", "features", "inference", "price", "encode")
OUTCOMES = (
    "bid", "no_bid", "malformed", "too_large", "unsupported_media", "unknown_exchange", "method", "overload",
    "disconnected", "test",
)  # fmt: skip
REASONS = (
    "technical_error", "invalid_request", "no_campaign", "below_floor", "currency", "insufficient_time", "overload",
    "exchange_profile", "ads_txt_unavailable", "ads_txt_violation", "incomplete_supply_chain",
    "blocked_supply_chain_node",
)  # fmt: skip
LOOKUPS = ("hit", "miss", "timeout", "error", "refused")
SOURCES = ("sagemaker", "prior")
NOTICES = ("win", "billing", "loss", "impression", "click", "event", "error")
RESULTS = ("ok", "error")
ERRORS = (
    "timeout", "connect", "connection_lost", "bad_response", "features_mismatch", "validation", "access_denied",
    "model_error", "model_not_ready", "throttling", "internal_failure", "service_unavailable", "internal_dependency",
)  # fmt: skip


def count(exchanges: Sequence[str]) -> int:
    """Custom metrics that CloudWatch bills for an environment with these exchanges, where every label has occurred; one
    role and no shadow endpoint."""
    sizes = {
        "outcome": len(OUTCOMES),
        "exchange": len(exchanges),
        "reason": len(REASONS),
        "source": len(SOURCES),
        "role": 1,
        "result": len(RESULTS),
        "type": len(ERRORS),
        "kind": len(NOTICES),
        "stage": len(STAGES),
    }
    return sum(
        prod(_values(series, label, labels, sizes) for label in labels)
        for series in (*COLLECTED, *WRITTEN)
        for labels in series.dimensions
    )


def _values(series: Series, label: str, labels: Sequence[str], sizes: Mapping[str, int]) -> int:
    if label == "outcome" and "exchange" in labels:
        return len(EXCHANGE_OUTCOMES)
    if series.name == "bidder_profile_lookups_total":
        return len(LOOKUPS)
    return sizes[label]


def metric(name: str, series: str, statistic: str, seconds: int = 60, **labels: str) -> cloudwatch.Metric:
    """One metric of the environment `name`. KeyError: no such series gets to CloudWatch with these labels."""
    known = {(found.name, frozenset(dimensions)) for found in (*COLLECTED, *WRITTEN) for dimensions in found.dimensions}
    if (series, frozenset(labels)) not in known:
        raise KeyError(f"{series} by {sorted(labels)} does not get to CloudWatch; see COLLECTED and WRITTEN")
    return cloudwatch.Metric(
        namespace=namespace_of(name),
        metric_name=series,
        dimensions_map={SERVICE: service_of(name), **labels},
        statistic=statistic,
        period=Duration.seconds(seconds),
    )
