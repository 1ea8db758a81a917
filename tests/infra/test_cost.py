"""The bill of a month: hand-computed examples, what must rise with what, and that nothing is hidden."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from infra.bidder_metrics import count
from infra.cost import prices
from infra.cost.__main__ import main
from infra.cost.bill import Bill, bill, capacity_units
from infra.cost.compute import calls_per_s, instances, tasks, way_to_bid, ways_to_bid, ways_to_score
from infra.cost.environment import MADE, expected_bill, workload
from infra.cost.prices import FOLDER, PriceError, PriceList
from infra.cost.workload import PERFORMANCE, Workload, WorkloadError, measured_cpu_us
from infra.environments import ENVIRONMENTS
from infra.synthesis import Composition

ROOT = Path(__file__).resolve().parents[2]
PRICES = prices.load("us-east-1")
GB = 2**30

# Raising one of these makes the month cheaper or leaves it alone; raising any other makes it dearer or leaves it alone.
CHEAPER = {"utilisation", "safety", "instance_rps", "auctions_per_call", "catalog_interval_s"}
# These do neither: a larger task means fewer of them, and records are rounded up, so that fuller ones waste less.
NEITHER = {"tasks_each", "cores_per_task", "events_per_record", "event_bytes"}


def a_load(**inputs: Any) -> Workload:
    return Workload(**{"cpu_us": 800.0, **inputs})


def line(made: Bill, what: str) -> Any:
    (found,) = [line for line in made.lines if line.what == what]
    return found


def test_tasks_follow_from_cpu_time() -> None:
    """10,000 requests/s of 800 µs are 8 cores; half used, 16 tasks; small loads keep the minimum."""
    assert tasks(a_load(qps=10_000, utilisation=0.5)) == 16
    assert tasks(a_load(qps=10_001, utilisation=0.5)) == 17
    assert tasks(a_load(qps=10_000, utilisation=0.5, cores_per_task=2)) == 8
    assert tasks(a_load(qps=1)) == 3


def test_instances_follow_from_calls() -> None:
    """10,000 requests/s, 80 % scored, 4 a call: 2,000 calls/s; at half of 400 an instance, 10 instances."""
    load = a_load(qps=10_000, scored_share=0.8, auctions_per_call=4, instance_rps=400, safety=0.5)
    assert calls_per_s(load) == 2_000
    assert instances(load) == 10
    assert instances(replace(load, qps=1.0)) == 2


def test_fargate_by_hand() -> None:
    """16 tasks of 1 vCPU and 2 GB, 730 hours."""
    load = a_load(qps=10_000)
    assert way_to_bid(load, PRICES, "fargate-arm", "on-demand").usd == pytest.approx(16 * (0.03238 + 2 * 0.00356) * 730)
    assert way_to_bid(load, PRICES, "fargate-x86", "on-demand").usd == pytest.approx(
        16 * (0.04048 + 2 * 0.004445) * 730
    )


def test_savings_and_spot_by_hand() -> None:
    """A plan takes its discount off all tasks, Spot off 70 % of them."""
    load = a_load(qps=10_000)
    full = way_to_bid(load, PRICES, "fargate-arm", "on-demand").usd
    assert way_to_bid(load, PRICES, "fargate-arm", "savings-1y").usd == pytest.approx(full * 0.8)
    assert way_to_bid(load, PRICES, "fargate-arm", "spot").usd == pytest.approx(full * (0.3 + 0.7 * 0.3))


def test_instances_of_ec2_are_filled_and_one_a_zone() -> None:
    """16 tasks of one core fill 4 of c7g.xlarge; 3 tasks still take 3 instances in 3 zones."""
    assert way_to_bid(a_load(qps=10_000), PRICES, "ec2-c7g.xlarge", "on-demand").usd == pytest.approx(4 * 0.145 * 730)
    assert way_to_bid(a_load(qps=1), PRICES, "ec2-c7g.xlarge", "on-demand").units == 3
    assert way_to_bid(a_load(qps=10_000, tasks_each=3), PRICES, "ec2-c7g.xlarge", "on-demand").units == 6


def test_capacity_units_are_the_largest_of_three() -> None:
    """Bytes decide for a bidder with few connections; new connections where there are many; TLS holds fewer."""
    quiet = a_load(qps=0, open_connections=0)
    assert capacity_units(replace(quiet, new_connections_per_s=100.0)) == 2.0
    assert capacity_units(replace(quiet, new_connections_per_s=100.0, tls=0)) == 0.125
    assert capacity_units(replace(quiet, open_connections=6_000.0, new_connections_per_s=0.0)) == 2.0
    busy = a_load(qps=1_000, request_bytes=GB / 3_600_000, bid_bytes=0, no_bid_bytes=0)
    assert capacity_units(busy) == pytest.approx(1.0)
    assert capacity_units(replace(quiet, balancer="alb", new_connections_per_s=100.0)) == 4.0


def test_endpoints_and_their_data_by_hand() -> None:
    """Ten endpoints in three zones are 30 times 730 hours; a petabyte costs $0.01 a GB, what is above it $0.006."""
    made = bill(a_load(qps=0, log_mb_per_task_hour=0), PRICES)
    assert line(made, "interface endpoints, a zone").usd == pytest.approx(10 * 3 * 730 * 0.01)
    assert line(made, "data through them").usd == 0
    assert PRICES["endpoint_gb"].cost(1_048_576 + 1_000) == pytest.approx(1_048_576 * 0.01 + 6)


def test_transfer_to_the_internet_by_hand() -> None:
    """100 GB are free, then $0.09 up to 10 TB, then $0.085."""
    assert PRICES["egress_gb"].cost(100) == 0
    assert PRICES["egress_gb"].cost(10_240) == pytest.approx(10_140 * 0.09)
    assert PRICES["egress_gb"].cost(20_480) == pytest.approx(10_140 * 0.09 + 10_240 * 0.085)
    made = bill(a_load(qps=100, bid_rate=0.5, bid_bytes=2_000, no_bid_bytes=200), PRICES)
    assert line(made, "to the internet").quantity == pytest.approx(100 * 1_100 * 2_628_000 / GB)


def test_firehose_bills_each_record_in_steps_of_5_kb() -> None:
    """One event of 1,000 bytes a record is billed as 5,120; five are 5,000 and billed as 5,120 too."""
    alone = bill(a_load(qps=100, event_share=1, event_bytes=1_000, events_per_record=1), PRICES)
    packed = bill(a_load(qps=100, event_share=1, event_bytes=1_000, events_per_record=5), PRICES)
    assert line(alone, "Firehose").quantity == pytest.approx(100 * 5_120 * 2_628_000 / GB)
    assert line(alone, "Firehose").usd == pytest.approx(5 * line(packed, "Firehose").usd)


def test_polls_of_the_catalog_cost_data_events() -> None:
    """Three tasks that ask every 5 s are 1,576,800 requests a month, and as many data events."""
    made = bill(a_load(qps=1, catalog_interval_s=5), PRICES)
    assert line(made, "catalog polls").quantity == pytest.approx(1_576.8)
    assert line(made, "data events of the polls").usd == pytest.approx(15.768 * 0.10)


def test_a_small_bill_by_hand() -> None:
    """All parts of a month without traffic, added up by hand."""
    load = a_load(
        qps=0, min_tasks=3, min_instances=2, log_mb_per_task_hour=0, flow_log_mb_per_task_hour=0, cache_nodes=2,
        new_connections_per_s=0, open_connections=0, custom_metrics=100, alarms=10, dashboards=1, keys=5, secrets=2,
        training_hours=10, training_instance="ml.m5.xlarge",
        key_requests_per_s=0, model_mb=0, catalog_interval_s=2_628_000, image_gb=0,
    )  # fmt: skip
    made = bill(load, PRICES)
    by_hand = {
        "compute": 3 * (0.03238 + 2 * 0.00356) * 730,
        "inference": 2 * 0.2142 * 730,
        "training": 10 * 0.2304,
        "balancer": 0.0225 * 730,
        "endpoints": 30 * 0.01 * 730,
        "cache": 2 * 0.0256 * 730,
        "metrics": 100 * 0.30 + 10 * 0.10 + 3,
        "S3": 3 * 0.0004 / 1000,
        "KMS": 5.0,
        "secrets": 0.8,
        "CloudTrail": 3 * 0.10 / 100_000,
    }
    assert {part: usd for part, usd in made.by_part().items() if usd} == pytest.approx(by_hand)
    assert made.usd == pytest.approx(sum(by_hand.values()))
    assert made.usd_per_million_requests is None
    assert made.usd_per_million_bids is None


def test_a_million_requests_and_a_million_bids() -> None:
    """The total over the month's requests, and over those of them that are bids."""
    made = bill(a_load(qps=1_000, bid_rate=0.25), PRICES)
    assert made.usd_per_million_requests == pytest.approx(made.usd / 2_628)
    assert made.usd_per_million_bids == pytest.approx(4 * made.usd / 2_628)


def some_loads(count: int) -> list[Workload]:
    """Loads of every size, the same at every run."""
    random = Random(7)
    return [
        a_load(
            qps=10 ** random.uniform(0, 6),
            bid_rate=random.random(),
            cpu_us=10 ** random.uniform(1.5, 3.5),
            scored_share=random.random(),
            auctions_per_call=random.uniform(1, 20),
            min_tasks=random.randint(1, 30),
            cache_nodes=random.randint(0, 6),
            public_addresses=random.randint(0, 3),
            event_share=random.random(),
            internet_share=random.random(),
            balancer=random.choice(["nlb", "alb"]),
            eks=random.randint(0, 1),
        )
        for _ in range(count)
    ]


NUMBERS = [item for item in fields(Workload) if str(item.type) in ("int", "float") and item.name not in NEITHER]


@pytest.mark.parametrize("item", NUMBERS, ids=lambda item: item.name)
def test_more_never_costs_less(item: Any) -> None:
    """Whatever is asked for more of does not make the month cheaper, whatever saves does not make it dearer."""
    for load in some_loads(20):
        value, high = getattr(load, item.name), item.metadata["high"]
        more = min(value * 2 or 1, high)
        raised = bill(replace(load, **{item.name: type(value)(more)}), PRICES).usd
        before = bill(load, PRICES).usd
        assert raised <= before * (1 + 1e-9) if item.name in CHEAPER else raised >= before * (1 - 1e-9)


def test_every_input_counts() -> None:
    """No input is without effect on the bill: nothing is asked for in vain."""
    load = a_load(qps=20_000, tls=0, public_addresses=3, eks=0, internet_share=0.5, bid_rate=0.5, event_share=0.5)
    busiest = {
        "new_connections_per_s": 1e9, "open_connections": 1e9, "min_tasks": 1_000, "min_instances": 1_000,
        "instance": "ml.m5.large", "training_instance": "ml.m5.large",
        "balancer": "alb", "cache_node": "cache.m7g.large", "tls": 1, "zones": 6,
        "events_per_record": 1.0,
    }  # fmt: skip
    connected = replace(load, new_connections_per_s=1e6)  # TLS counts where connections are what there is most of
    for item in fields(Workload):
        if item.name == "tasks_each":
            continue  # of EC2, which is priced above
        base = connected if item.name == "tls" else load
        value = busiest.get(item.name)
        if value is None:
            value = type(getattr(base, item.name))(min((getattr(base, item.name) or 1) * 2, item.metadata["high"]))
            value = 1 if item.name == "eks" else value
        changed = replace(base, **{item.name: value})
        assert bill(changed, PRICES).usd != bill(base, PRICES).usd, item.name


@pytest.mark.parametrize("load", some_loads(10), ids=lambda load: f"{load.qps:.0f}")
def test_the_lines_are_the_total(load: Workload) -> None:
    """Lines add up to parts and to the total, none is negative, and each names prices of the list."""
    made = bill(load, PRICES)
    assert sum(made.by_part().values()) == pytest.approx(made.usd)
    assert all(line.usd >= 0 and line.prices for line in made.lines)
    assert set(made.price_names()) <= PRICES.prices.keys()


def test_the_ways_are_compared_for_the_same_load() -> None:
    """All platforms and purchases stand side by side; on-demand is the dearest of each platform, Arm below x86."""
    load = a_load(qps=10_000)
    ways = list(ways_to_bid(load, PRICES))
    assert len(ways) == 4 * 4
    for platform in {way.platform for way in ways}:
        of = {way.purchase: way.usd for way in ways if way.platform == platform}
        assert of["on-demand"] == max(of.values())
    by = {(way.platform, way.purchase): way.usd for way in ways}
    assert all(by["fargate-arm", it] < by["fargate-x86", it] for it in ("on-demand", "spot", "savings-1y"))
    assert [way.purchase for way in ways_to_score(load, PRICES)] == ["on-demand", "savings-1y", "savings-3y"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"qps": -1}, "--qps -1: expected a number of at least 0"),
        ({"qps": float("nan")}, "--qps nan"),
        ({"bid_rate": 1.5}, "--bid-rate 1.5: expected a number from 0 to 1"),
        ({"utilisation": 0}, "--utilisation 0: expected a number from 0.01 to 1"),
        ({"balancer": "clb"}, "--balancer 'clb': expected nlb or alb"),
    ],
)
def test_an_input_that_cannot_be_is_named(inputs: dict[str, Any], message: str) -> None:
    """With its option, its value and what would be right."""
    with pytest.raises(WorkloadError, match=message.replace("(", r"\(")):
        a_load(**inputs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--region", "mars-1"], "no price file for region 'mars-1'; there are: us-east-1"),
        (["--instance", "ml.c99.huge"], "no price 'sagemaker_ml.c99.huge_hour' for us-east-1; there are sagemaker_"),
        (["--platform", "lambda"], "no platform 'lambda'"),
        (["--platform", "ec2-c7g.metal"], "sizes are large, xlarge, 2xlarge"),
        (["--bid-rate", "2"], "--bid-rate 2.0: expected a number from 0 to 1"),
    ],
)
def test_the_command_says_what_was_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one sentence on stderr."""
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """With the date of the prices, the total, and the prices that nobody could verify marked and named."""
    assert main(["--qps", "5000", "--cpu-us", "800"]) == 0
    text = capsys.readouterr().out
    assert f"Prices of {PRICES.date}" in text
    assert "5,000 requests/s, 50% bids" in text
    assert "sagemaker_ml.c7i.xlarge_hour: see https://aws.amazon.com/" in text
    assert next(row for row in text.splitlines() if row.startswith("inference")).endswith(" ?")
    assert not next(row for row in text.splitlines() if row.startswith("endpoints")).endswith(" ?")
    assert max(map(len, text.splitlines())) <= 120


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The same figures for programs."""
    assert main(["--qps", "5000", "--cpu-us", "800", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    made = bill(a_load(qps=5_000), PRICES)
    assert document["usd"] == pytest.approx(made.usd)
    assert document["usd_per_million_bids"] == pytest.approx(made.usd_per_million_bids)
    assert len(document["ways_to_bid"]) == 16
    assert document["unverified"] == [name for name in made.price_names() if not PRICES[name].verified]
    assert document["workload"]["qps"] == 5_000


def test_the_command_prices_an_environment(capsys: pytest.CaptureFixture[str]) -> None:
    """With its own sizes and platform; what is given besides takes their place."""
    assert main(["--environment", "prod", "--json"]) == 0
    as_it_is = json.loads(capsys.readouterr().out)
    assert as_it_is["usd"] == pytest.approx(expected_bill(ENVIRONMENTS["prod"]).usd)
    assert main(["--environment", "prod", "--qps", "1", "--platform", "fargate-x86", "--json"]) == 0
    changed = json.loads(capsys.readouterr().out)
    assert changed["lines"][0]["what"] == "fargate-x86 on-demand"
    assert changed["workload"] == {**as_it_is["workload"], "qps": 1}


def test_it_runs_without_any_package() -> None:
    """Plain Python without site-packages is enough."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import infra.cost.__main__ as it; raise SystemExit(it.main(['--qps', '10']))"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "total" in done.stdout


def test_the_default_cpu_time_is_the_measured_one() -> None:
    """The row of docs/performance.md with 10,000 campaigns and mixed requests."""
    assert Workload().cpu_us == measured_cpu_us()
    row = next(row for row in PERFORMANCE.read_text().splitlines() if row.startswith("| 10,000 | mixed | bidder |"))
    assert f"{measured_cpu_us():,.0f}" in row


@pytest.mark.parametrize("platform", ["ecs", "eks"])
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_holds_the_load_that_it_is_meant_for(name: str, platform: str) -> None:
    """Its maxima are above what the sizing formulas ask for, and everything in it has a price."""
    environment = ENVIRONMENTS[name]
    made = expected_bill(environment, platform)
    assert tasks(made.load) <= environment.service.max_tasks
    assert instances(made.load) <= sum(variant.max_instances for variant in environment.inference.variants)
    assert made.usd > 0
    assert ("EKS control plane" in [line.what for line in made.lines]) is (platform == "eks")


@pytest.mark.parametrize("platform", ["ecs", "eks"])
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_budget_is_what_is_expected_and_some_room(name: str, platform: str) -> None:
    """An expected month stays below the first warning, at 80 % of the limit; one twice as dear is above the limit."""
    expected, limit = expected_bill(ENVIRONMENTS[name], platform).usd, ENVIRONMENTS[name].budget.limit_usd
    assert 0.5 * limit < expected < 0.8 * limit


def test_the_bill_counts_what_the_templates_have(compositions: tuple[Composition, ...]) -> None:
    """Interface endpoints and keys of every composition; secrets and alarms, which cost cents, by and large."""
    for composition in compositions:
        resources = [each for template in composition.templates.values() for each in template["Resources"].values()]
        kinds = Counter(each["Type"] for each in resources)
        endpoints = sum(each.get("Properties", {}).get("VpcEndpointType") == "Interface" for each in resources)
        alarms = kinds["AWS::CloudWatch::Alarm"] + kinds["AWS::CloudWatch::CompositeAlarm"]
        name, platform = composition.name.split("-")
        made = MADE[name, platform]
        assert (endpoints, kinds["AWS::KMS::Key"]) == (made.endpoints, made.keys), composition.name
        assert abs(kinds["AWS::SecretsManager::Secret"] - made.secrets) <= 2, composition.name
        assert abs(alarms - made.alarms) <= 5, composition.name
        load = workload(ENVIRONMENTS[name], platform)
        assert kinds["AWS::CloudWatch::Dashboard"] == load.dashboards
        assert count(ENVIRONMENTS[name].observability.exchanges) <= load.custom_metrics


def test_production_costs_more_than_development() -> None:
    """In every part but secrets: dev has one more, the token of /debug/explain."""
    dev, prod = (expected_bill(ENVIRONMENTS[name]).by_part() for name in ("dev", "prod"))
    assert {part for part in dev if prod[part] < dev[part]} == {"secrets"}


def test_a_missing_measurement_is_an_error(tmp_path: Path) -> None:
    """The message says what to give in its place."""
    with pytest.raises(WorkloadError, match="give --cpu-us"):
        measured_cpu_us(tmp_path / "none.md")


def written(folder: Path, change: Callable[[dict[str, Any]], object]) -> PriceList:
    document = json.loads((FOLDER / "us-east-1.json").read_text())
    change(document)
    (folder / "us-east-1.json").write_text(json.dumps(document))
    return prices.load("us-east-1", folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.pop("date"),
        lambda it: it["prices"]["nlb_hour"].update(usd=-1),
        lambda it: it["prices"]["nlb_hour"].update(usd="cheap"),
        lambda it: it["prices"]["nlb_hour"].pop("source"),
        lambda it: it["prices"]["nlb_hour"].pop("read"),
        lambda it: it["prices"]["egress_gb"]["tiers"].reverse(),
        lambda it: it["prices"]["egress_gb"]["tiers"].pop(),
    ],
)
def test_a_broken_price_file_is_an_error(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """With the file's name; nothing is guessed."""
    with pytest.raises(PriceError, match=r"us-east-1\.json"):
        written(tmp_path, change)


def test_every_price_has_a_source_and_says_whether_it_was_verified() -> None:
    """AWS's own page for each; for what was verified, the page that was read; for what was not, why."""
    document = json.loads((FOLDER / "us-east-1.json").read_text())
    for name, entry in document["prices"].items():
        assert entry["source"].startswith("https://aws.amazon.com/"), name
        assert entry["verified"] is ("read" in entry), name
        assert entry["verified"] or entry["note"], name
