"""What is asked of the system in an average second of a month, and what it is made of: the inputs of the bill.

The rule kept here: each input has its unit in its name, a sentence that says what it is, and bounds; what is assumed
rather than measured says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import Any

PERFORMANCE = Path(__file__).resolve().parents[2] / "docs/performance.md"
DEFAULT_CAMPAIGNS = "10,000"


class WorkloadError(Exception):
    """An input cannot be meant."""


def measured_cpu_us(path: Path = PERFORMANCE, campaigns: str = DEFAULT_CAMPAIGNS) -> float:
    """CPU time of an answer in µs, from the table of docs/performance.md: mixed requests, so many campaigns."""
    row = re.compile(rf"^\| *{re.escape(campaigns)} *\| *mixed *\| *bidder *\| *([\d,]+(?:\.\d+)?) *\|", re.MULTILINE)
    found = row.search(path.read_text()) if path.is_file() else None
    if not found:
        raise WorkloadError(f"{path} has no row of the bidder with {campaigns} campaigns; give --cpu-us")
    return float(found[1].replace(",", ""))


def _input(default: Any, help_text: str, low: float = 0.0, high: float = float("inf")) -> Any:
    return field(default=default, metadata={"help": help_text, "low": low, "high": high})


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A month's average load and the sizes it runs on. Raises WorkloadError."""

    qps: float = _input(1_000.0, "bid requests a second, on average over the month")
    bid_rate: float = _input(0.5, "share of requests that get a bid", 0, 1)
    cpu_us: float = field(
        default_factory=measured_cpu_us,
        metadata={"help": "CPU time of a request on one core in µs (docs/performance.md)", "low": 1, "high": 1e6},
    )
    utilisation: float = _input(0.5, "share of a core that is used on average; the rest is headroom", 0.01, 1)
    cores_per_task: float = _input(1.0, "vCPU of a task; the bidder is one process a core", 0.25, 16)
    task_gb: float = _input(2.0, "memory of a task in GB", 0.5, 120)
    min_tasks: int = _input(3, "tasks that always run: one a zone", 1)
    tasks_each: int = _input(0, "tasks that an EC2 instance has network interfaces for; 0: as many as its cores hold")
    zones: int = _input(3, "availability zones", 1, 6)

    request_bytes: float = _input(2_900.0, "a bid request with its HTTP head, as sent")
    bid_bytes: float = _input(1_800.0, "an answer with a bid, with its head, as sent")
    no_bid_bytes: float = _input(150.0, "an answer without")
    internet_share: float = _input(1.0, "share of the answers that leave by the internet", 0, 1)
    new_connections_per_s: float = _input(5.0, "connections that exchanges open a second")
    open_connections: float = _input(1_000.0, "connections that exchanges hold open")

    scored_share: float = _input(0.8, "share of requests that ask the model", 0, 1)
    auctions_per_call: float = _input(4.0, "auctions that share a call of the endpoint", 1)
    rows_per_auction: float = _input(12.0, "rows that an auction asks about", 1)
    row_bytes: float = _input(208.0, "a row: 52 features of 4 bytes", 1)
    call_head_bytes: float = _input(1_200.0, "HTTP heads of a call of the endpoint, both ways; assumed")
    instance: str = field(default="ml.c7i.xlarge", metadata={"help": "SageMaker instance type"})
    instance_rps: float = _input(400.0, "calls a second that an instance can take at most; assumed: measure it", 0.001)
    safety: float = _input(0.5, "share of that which is used", 0.01, 1)
    min_instances: int = _input(2, "instances that always run", 1)
    training_instance: str = field(default="ml.m5.xlarge", metadata={"help": "SageMaker instance type that trains"})
    training_hours: float = _input(30.0, "hours of it a month")
    model_mb: float = _input(5.0, "size of a model artifact in MB")
    model_versions: float = _input(50.0, "model artifacts and catalogs that are kept")

    interface_endpoints: int = _input(10, "interface VPC endpoints, each in every zone")
    public_addresses: int = _input(0, "public IPv4 addresses: one a zone where the balancer faces the internet")
    balancer: str = field(default="nlb", metadata={"help": "nlb or alb"})
    tls: int = _input(1, "1: the balancer ends TLS, and is billed by TLS's capacity units", 0, 1)
    cache_node: str = field(default="cache.t4g.small", metadata={"help": "Valkey node type"})
    cache_nodes: int = _input(2, "Valkey nodes; 0: none")
    cache_bytes: float = _input(400.0, "bytes between task and Valkey a request")
    cache_cross_zone_share: float = _input(0.67, "share of them that cross a zone", 0, 1)

    log_mb_per_task_hour: float = _input(2.0, "log of a task in MB an hour; assumed")
    log_months: float = _input(1.0, "months that logs are kept", 0)
    flow_log_mb_per_task_hour: float = _input(3.0, "flow log for a task in MB an hour; assumed")
    custom_metrics: int = _input(300, "series in CloudWatch that are not AWS's own")
    alarms: int = _input(30, "alarms")
    dashboards: int = _input(1, "dashboards")
    event_share: float = _input(0.1, "share of requests in the event log", 0, 1)
    event_bytes: float = _input(1_000.0, "an event")
    events_per_record: float = _input(5.0, "events in a record of Firehose, which is billed in steps of 5 KB", 1)
    event_months: float = _input(3.0, "months that events are kept")
    keys: int = _input(6, "KMS keys")
    key_requests_per_s: float = _input(1.0, "requests to KMS a second; assumed")
    secrets: int = _input(3, "secrets")
    catalog_interval_s: float = _input(5.0, "BIDDER_CATALOG_INTERVAL_S: each task asks S3 so often", 0.1)
    eks: int = _input(0, "1: on EKS, whose control plane costs by the hour", 0, 1)
    image_gb: float = _input(2.0, "images kept in ECR in GB")

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, str):
                continue
            low, high = item.metadata["low"], item.metadata["high"]
            if not isfinite(value) or not low <= value <= high:
                bounds = f"from {low:g} to {high:g}" if isfinite(high) else f"of at least {low:g}"
                raise WorkloadError(f"--{item.name.replace('_', '-')} {value!r}: expected a number {bounds}")
        if self.balancer not in ("nlb", "alb"):
            raise WorkloadError(f"--balancer {self.balancer!r}: expected nlb or alb")
