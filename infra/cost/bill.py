"""The bill of a month, part by part.

The rule kept here: a line is a quantity, a unit and a price of the list; the sum of the lines is the total. What is
free or too small to matter is not here: data that comes in, traffic within a zone, gateway endpoints, AWS's own
metrics, the first copy of management events, volumes of EC2 instances. The network has no NAT gateways.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from infra.cost.compute import HOURS, calls_per_s, tasks, way_to_bid, way_to_score
from infra.cost.prices import PriceList
from infra.cost.workload import Workload

SECONDS = HOURS * 3600
GB = 2.0**30
RECORD_STEP_BYTES = 5_120  # Firehose rounds a record up to it

# New connections a second, open connections, GB an hour: what a capacity unit of a balancer holds of each.
# docs.aws.amazon.com and aws.amazon.com/elasticloadbalancing/pricing, read 2026-11-25.
CAPACITY = {"nlb-tls": (50.0, 3_000.0, 1.0), "nlb-tcp": (800.0, 100_000.0, 1.0), "alb": (25.0, 3_000.0, 1.0)}


@dataclass(frozen=True, slots=True)
class Line:
    """One line: USD a month for `quantity` of `unit`, by the prices named."""

    part: str
    what: str
    quantity: float
    unit: str
    usd: float
    prices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bill:
    """All lines of a month."""

    lines: tuple[Line, ...]
    load: Workload

    @property
    def usd(self) -> float:
        return sum(line.usd for line in self.lines)

    @property
    def requests(self) -> float:
        return self.load.qps * SECONDS

    @property
    def usd_per_million_requests(self) -> float | None:
        return self.usd / self.requests * 1e6 if self.requests else None

    @property
    def usd_per_million_bids(self) -> float | None:
        bids = self.requests * self.load.bid_rate
        return self.usd / bids * 1e6 if bids else None

    def by_part(self) -> dict[str, float]:
        """Part → USD, in the order of the bill."""
        sums: dict[str, float] = {}
        for line in self.lines:
            sums[line.part] = sums.get(line.part, 0.0) + line.usd
        return sums

    def price_names(self) -> list[str]:
        """The prices that were used, each once."""
        return sorted({name for line in self.lines for name in line.prices})


def bill(
    load: Workload,
    prices: PriceList,
    platform: str = "fargate-arm",
    purchase: str = "on-demand",
    endpoint_purchase: str = "on-demand",
) -> Bill:
    """The month's bill for a load. Raises PriceError where a price is not in the list."""
    bidding = way_to_bid(load, prices, platform, purchase)
    scoring = way_to_score(load, prices, endpoint_purchase)
    lines = [
        Line("compute", f"{platform} {purchase}", bidding.units, bidding.unit, bidding.usd, bidding.prices),
        *([_line(prices, "compute", "EKS control plane", load.eks * HOURS, "eks_cluster_hour")] if load.eks else []),
        Line(
            "inference", f"{load.instance} {endpoint_purchase}", scoring.units, "instances", scoring.usd, scoring.prices
        ),
        _line(
            prices, "training", load.training_instance, load.training_hours, f"sagemaker_{load.training_instance}_hour"
        ),
        *_balancer(load, prices),
        *_network(load, prices),
        *_cache(load, prices),
        *_observability(load, prices),
        *_storage(load, prices),
        *_security(load, prices),
    ]
    return Bill(tuple(lines), load)


def _line(prices: PriceList, part: str, what: str, quantity: float, name: str) -> Line:
    price = prices[name]
    return Line(part, what, quantity, price.unit, price.cost(quantity), (name,))


def _training(load: Workload, prices: PriceList) -> Line:
    kind = load.training_instance
    return _line(prices, "training", kind, load.training_hours, f"sagemaker_{kind}_hour")


def _out_bytes_per_s(load: Workload) -> float:
    return load.qps * (load.bid_rate * load.bid_bytes + (1 - load.bid_rate) * load.no_bid_bytes)


def capacity_units(load: Workload) -> float:
    """Capacity units of the balancer in an average hour: what there is most of decides."""
    kind = load.balancer if load.balancer == "alb" else f"nlb-{'tls' if load.tls else 'tcp'}"
    new, open_, gb = CAPACITY[kind]
    gb_per_hour = (load.qps * load.request_bytes + _out_bytes_per_s(load)) * 3600 / GB
    return max(load.new_connections_per_s / new, load.open_connections / open_, gb_per_hour / gb)


def _balancer(load: Workload, prices: PriceList) -> Iterator[Line]:
    unit = "nlcu_hour" if load.balancer == "nlb" else "alb_lcu_hour"
    yield _line(prices, "balancer", load.balancer.upper(), HOURS, f"{load.balancer}_hour")
    yield _line(prices, "balancer", "capacity units", capacity_units(load) * HOURS, unit)
    if load.public_addresses:
        yield _line(prices, "balancer", "public addresses", load.public_addresses * HOURS, "public_ipv4_hour")


def _network(load: Workload, prices: PriceList) -> Iterator[Line]:
    call_bytes = load.call_head_bytes + load.auctions_per_call * load.rows_per_auction * (load.row_bytes + 4)
    through = calls_per_s(load) * call_bytes + _records_per_s(load) * _record_bytes(load)
    through_gb = through * SECONDS / GB + _log_gb(load)
    endpoint_hours = load.interface_endpoints * load.zones * HOURS
    yield _line(prices, "endpoints", "interface endpoints, a zone", endpoint_hours, "endpoint_zone_hour")
    yield _line(prices, "endpoints", "data through them", through_gb, "endpoint_gb")
    out_gb = _out_bytes_per_s(load) * load.internet_share * SECONDS / GB
    yield _line(prices, "transfer", "to the internet", out_gb, "egress_gb")
    if load.cache_nodes:
        crossing = 2 * load.qps * load.cache_bytes * load.cache_cross_zone_share * SECONDS / GB
        yield _line(prices, "transfer", "between zones, both directions", crossing, "cross_zone_gb")


def _cache(load: Workload, prices: PriceList) -> Iterator[Line]:
    if load.cache_nodes:
        yield _line(prices, "cache", "Valkey", load.cache_nodes * HOURS, f"valkey_{load.cache_node}_hour")


def _log_gb(load: Workload) -> float:
    return tasks(load) * load.log_mb_per_task_hour * HOURS / 1024


def _observability(load: Workload, prices: PriceList) -> Iterator[Line]:
    flow_gb = tasks(load) * load.flow_log_mb_per_task_hour * HOURS / 1024
    yield _line(prices, "logs", "taken in", _log_gb(load), "logs_ingested_gb")
    yield _line(prices, "logs", "kept", (_log_gb(load) + flow_gb) * load.log_months, "logs_stored_gb_month")
    yield _line(prices, "flow logs", "taken in", flow_gb, "flow_logs_gb")
    yield _line(prices, "metrics", "custom metrics", load.custom_metrics, "custom_metric_month")
    yield _line(prices, "metrics", "alarms", load.alarms, "alarm_month")
    yield _line(prices, "metrics", "dashboards", load.dashboards, "dashboard_month")


def _record_bytes(load: Workload) -> float:
    return load.events_per_record * load.event_bytes


def _records_per_s(load: Workload) -> float:
    return load.qps * load.event_share / load.events_per_record


def _storage(load: Workload, prices: PriceList) -> Iterator[Line]:
    billed_bytes = ceil(_record_bytes(load) / RECORD_STEP_BYTES) * RECORD_STEP_BYTES
    billed_gb = _records_per_s(load) * billed_bytes * SECONDS / GB
    events_gb = load.qps * load.event_share * load.event_bytes * SECONDS / GB
    kept_gb = events_gb * load.event_months + load.model_mb * load.model_versions / 1024
    yield _line(prices, "event log", "Firehose", billed_gb, "firehose_gb")
    yield _line(prices, "S3", "events, models and catalogs", kept_gb, "s3_gb_month")
    yield _line(prices, "S3", "catalog polls", _polls(load) / 1000, "s3_get_1000")
    yield _line(prices, "S3", "images in ECR", load.image_gb, "ecr_gb_month")


def _polls(load: Workload) -> float:
    return tasks(load) * SECONDS / load.catalog_interval_s


def _security(load: Workload, prices: PriceList) -> Iterator[Line]:
    yield _line(prices, "KMS", "keys", load.keys, "kms_key_month")
    yield _line(prices, "KMS", "requests", load.key_requests_per_s * SECONDS / 10_000, "kms_10000_requests")
    yield _line(prices, "secrets", "secrets", load.secrets, "secret_month")
    yield _line(prices, "CloudTrail", "data events of the polls", _polls(load) / 100_000, "cloudtrail_100000_events")
