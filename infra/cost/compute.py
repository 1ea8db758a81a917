"""How many tasks bid and how many instances score, and what each way of buying them costs a month.

The rule kept here: the number of tasks and instances follows from the load, the measured CPU time and the headroom
alone, and every way to buy is priced for that same number, so that the ways can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from infra.cost.prices import PriceError, PriceList
from infra.cost.workload import Workload

HOURS = 730.0  # a month, as AWS's calculator has it
FARGATE = ("fargate-arm", "fargate-x86")
EC2_VCPUS = {"large": 2, "xlarge": 4, "2xlarge": 8}
INSTANCES = ("c7g.xlarge", "c7i.xlarge")
SPOT_SHARE = 0.7  # of the tasks; what is left bids on when Spot is taken away
PURCHASES = ("on-demand", "spot", "savings-1y", "savings-3y")


@dataclass(frozen=True, slots=True)
class Way:
    """A platform and a way of buying it: USD a month for `units` of `unit`, with the prices that were used."""

    platform: str
    purchase: str
    units: int
    unit: str
    usd: float
    prices: tuple[str, ...]


def tasks(load: Workload) -> int:
    """Tasks on average: CPU seconds a second, over what a task gives at its utilisation; at least `min_tasks`."""
    busy_cores = load.qps * load.cpu_us / 1e6
    return max(load.min_tasks, ceil(busy_cores / (load.utilisation * load.cores_per_task) - 1e-9))


def calls_per_s(load: Workload) -> float:
    """Calls of the endpoint a second."""
    return load.qps * load.scored_share / load.auctions_per_call


def instances(load: Workload) -> int:
    """Endpoint instances: calls over what one takes at most times the safety; at least `min_instances`."""
    return max(load.min_instances, ceil(calls_per_s(load) / (load.instance_rps * load.safety) - 1e-9))


def ways_to_bid(load: Workload, prices: PriceList) -> Iterator[Way]:
    """Every platform and purchase for the load's tasks."""
    for platform in (*FARGATE, *(f"ec2-{instance}" for instance in INSTANCES)):
        for purchase in PURCHASES:
            yield way_to_bid(load, prices, platform, purchase)


def way_to_bid(load: Workload, prices: PriceList, platform: str, purchase: str) -> Way:
    """One platform and purchase. Raises PriceError where either is unknown."""
    if platform in FARGATE:
        return _fargate(load, prices, platform, purchase)
    if platform.startswith("ec2-"):
        return _ec2(load, prices, platform, purchase)
    raise PriceError(f"no platform {platform!r}; there are {', '.join(FARGATE)} and ec2-TYPE, such as ec2-c7g.xlarge")


def _fargate(load: Workload, prices: PriceList, platform: str, purchase: str) -> Way:
    kind = platform.replace("-", "_")
    names = (f"{kind}_vcpu_hour", f"{kind}_gb_hour")
    count = tasks(load)
    hourly = load.cores_per_task * prices[names[0]].usd + load.task_gb * prices[names[1]].usd
    factor, discount = _factor(prices, "fargate", purchase)
    return Way(platform, purchase, count, "tasks", count * hourly * HOURS * factor, names + discount)


def _ec2(load: Workload, prices: PriceList, platform: str, purchase: str) -> Way:
    """Instances of one type, filled by cores or network interfaces, at least one a zone; 2 GB a core are enough."""
    kind = platform.removeprefix("ec2-")
    name = f"ec2_{kind}_hour"
    size = kind.partition(".")[2]
    if size not in EC2_VCPUS:
        raise PriceError(f"{platform}: sizes are {', '.join(EC2_VCPUS)}")
    each = min(load.tasks_each or EC2_VCPUS[size], EC2_VCPUS[size] / load.cores_per_task)
    count = max(load.zones, ceil(tasks(load) / each - 1e-9))
    factor, discount = _factor(prices, "ec2", purchase)
    return Way(platform, purchase, count, "instances", count * prices[name].usd * HOURS * factor, (name, *discount))


def ways_to_score(load: Workload, prices: PriceList) -> Iterator[Way]:
    """The endpoint on demand and by Machine Learning Savings Plans; there is no Spot for endpoints."""
    for purchase in ("on-demand", "savings-1y", "savings-3y"):
        yield way_to_score(load, prices, purchase)


def way_to_score(load: Workload, prices: PriceList, purchase: str) -> Way:
    """The endpoint's instances, bought in one way. Raises PriceError."""
    name = f"sagemaker_{load.instance}_hour"
    count = instances(load)
    if purchase == "spot":
        raise PriceError("endpoints cannot be bought on Spot: on-demand, savings-1y or savings-3y")
    factor, discount = _factor(prices, "sagemaker", purchase)
    usd = count * prices[name].usd * HOURS * factor
    return Way(load.instance, purchase, count, "instances", usd, (name, *discount))


def _factor(prices: PriceList, kind: str, purchase: str) -> tuple[float, tuple[str, ...]]:
    """What is paid of the on-demand price, and by which price of the list."""
    if purchase == "on-demand":
        return 1.0, ()
    if purchase not in PURCHASES:
        raise PriceError(f"no purchase {purchase!r}; there are {', '.join(PURCHASES)}")
    name = f"{kind}_{purchase.replace('-', '_')}_discount"
    return 1.0 - prices[name].usd * (SPOT_SHARE if purchase == "spot" else 1.0), (name,)
