"""The dashboard: that it shows what exists, in its place, and no percentile of what has none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra.bidder_metrics import (
    COLLECTED,
    ERRORS,
    LOOKUPS,
    NOTICES,
    OUTCOMES,
    REASONS,
    SERVICE,
    STAGES,
    WRITTEN,
    count,
    metric,
)  # fmt: skip
from infra.environments import DEV, PROD
from tests.infra.bidder_source import constant, exposed, kinds_of_errors, members
from tests.infra.observed import Observed, metrics_of, observed

PLATFORMS = ("ecs", "eks")


def widgets(seen: Observed) -> list[dict[str, Any]]:
    body = seen.one("AWS::CloudWatch::Dashboard")["DashboardBody"]
    if isinstance(body, dict):  # with what only CloudFormation knows, such as the ARNs of alarms
        body = "".join(part if isinstance(part, str) else "0" for part in body["Fn::Join"][1])
    return list(json.loads(body)["widgets"])


def shown(seen: Observed) -> Iterator[tuple[str, str, dict[str, str], str]]:
    """Namespace, name, dimensions and statistic of every metric on the dashboard."""
    for widget in widgets(seen):
        for line in widget["properties"].get("metrics", []):
            if isinstance(line[0], str):
                *named, options = line if isinstance(line[-1], dict) else (*line, {})
                pairs = dict(zip(named[2::2], named[3::2], strict=True))
                yield named[0], named[1], pairs, options.get("stat", "Average")


def alarmed(seen: Observed) -> Iterator[tuple[str, str, dict[str, str], str]]:
    """The same of the alarms."""
    for alarm in seen.all("AWS::CloudWatch::Alarm").values():
        for part in [alarm, *alarm.get("Metrics", [])]:
            statistic = part.get("MetricStat", {}).get("Stat") or part.get("Statistic") or part.get("ExtendedStatistic")
            for found in metrics_of(part.get("MetricStat", part if "MetricName" in part else {})):
                pairs = {each["Name"]: each["Value"] for each in found.get("Dimensions", [])}
                yield found["Namespace"], found["MetricName"], pairs, statistic


def asked_for(seen: Observed) -> set[tuple[str, frozenset[str]]]:
    """The bidder's own: name, and labels beside Service."""
    namespace = f"Bidder/{seen.environment.name}"
    return {
        (name, frozenset(pairs) - {SERVICE})
        for found, name, pairs, _ in (*shown(seen), *alarmed(seen))
        if found == namespace
    }


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_metric_of_the_bidder_is_one_that_it_exposes(platform: str) -> None:
    """By its name as scraped, and by labels that it has."""
    known = exposed()
    found = asked_for(observed()[platform])
    assert len(found) > 15
    for name, labels in found:
        assert name in known, name
        assert labels <= known[name].labels, (name, labels)


def test_every_label_is_a_value_that_the_bidder_gives() -> None:
    """The lists that graphs are drawn of are the bidder's own."""
    assert constant("metrics.py", "STAGES") == STAGES
    assert constant("metrics.py", "OUTCOMES") == OUTCOMES
    assert constant("metrics.py", "NOTICES") == NOTICES
    assert members("domain/bid.py", "NoBidReason") == set(REASONS)
    kinds = kinds_of_errors()
    not_sent = {
        kinds[name] for name in ("NotSent", "CredentialsUnavailable", "BreakerOpen", "QueueFull", "TooLarge", "Closed")
    }
    assert set(kinds.values()) - not_sent - {"inference", "endpoint"} == set(ERRORS)
    assert len(LOOKUPS) == 5


def test_what_is_collected_is_no_histogram_and_what_is_written_is() -> None:
    """A histogram that came by the collector would have no percentiles."""
    known = exposed()
    assert {known[series.name].kind for series in COLLECTED} == {"counter", "gauge"}
    assert {known[series.name].kind for series in WRITTEN} == {"histogram"}


def test_nothing_gets_to_cloudwatch_that_nobody_asks_for() -> None:
    """Each set of labels is billed; what is scaled by is on the dashboard, too."""
    through = {(series.name, frozenset(labels)) for series in (*COLLECTED, *WRITTEN) for labels in series.dimensions}
    unused = through - asked_for(observed()["ecs"])
    assert unused == set()


def test_a_metric_that_does_not_get_there_cannot_be_asked_for() -> None:
    """Neither a series nor a set of labels that is not let through."""
    for series, labels in (("bidder_build_info", {}), ("bidder_requests_total", {"reason": "overload"})):
        with pytest.raises(KeyError, match="does not get to CloudWatch"):
            metric("dev", series, "Sum", **labels)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_percentiles_are_asked_of_distributions_only(platform: str) -> None:
    """Of the bidder's own lines, and of AWS's own metrics."""
    seen = observed()[platform]
    written = {series.name for series in WRITTEN}
    asked = [
        (namespace, name) for namespace, name, _, statistic in (*shown(seen), *alarmed(seen)) if statistic[0] == "p"
    ]
    assert {name for namespace, name in asked if namespace.startswith("Bidder/")} <= written
    assert {name for namespace, name in asked if namespace == "AWS/SageMaker"} == {"ModelLatency", "OverheadLatency"}
    stages = {
        pairs["stage"]: statistic
        for _, name, pairs, statistic in shown(seen)
        if name == "bidder_stage_latency_seconds" and statistic == "p99"
    }
    assert set(stages) == set(STAGES)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_widgets_do_not_overlap(platform: str) -> None:
    """Each has a place of its own on the grid of 24 columns."""
    taken: set[tuple[int, int]] = set()
    for widget in widgets(observed()[platform]):
        assert widget["x"] + widget["width"] <= 24
        cells = {(widget["x"] + x, widget["y"] + y) for x in range(widget["width"]) for y in range(widget["height"])}
        assert not cells & taken, widget["properties"]
        taken |= cells


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_graph_has_a_title_a_region_and_something_to_show(platform: str) -> None:
    """And no two have the same title."""
    seen = observed()[platform]
    graphs = [
        widget["properties"]
        for widget in widgets(seen)
        if widget["type"] == "metric" and "metrics" in widget["properties"]
    ]
    assert len(graphs) >= 25
    assert {graph["region"] for graph in graphs} == {seen.environment.region}
    assert all(graph["metrics"] for graph in graphs)
    assert len({graph["title"] for graph in graphs}) == len(graphs)


def test_it_shows_each_thing_that_is_wanted() -> None:
    """Traffic, endpoint, scaling, balancer, cache, cost."""
    found = {(namespace, name) for namespace, name, _, _ in shown(observed()["ecs"])}
    assert found >= {
        ("AWS/SageMaker", "ModelLatency"), ("AWS/SageMaker", "OverheadLatency"), ("AWS/SageMaker", "Invocations"),
        ("AWS/SageMaker", "Invocation4XXErrors"), ("AWS/SageMaker", "Invocation5XXErrors"),
        ("AWS/SageMaker", "ConcurrentRequestsPerModel"), ("/aws/sagemaker/Endpoints", "CPUUtilization"),
        ("ECS/ContainerInsights", "DesiredTaskCount"), ("ECS/ContainerInsights", "RunningTaskCount"),
        ("AWS/ECS", "CPUUtilization"), ("AWS/NetworkELB", "HealthyHostCount"), ("AWS/NetworkELB", "ConsumedLCUs"),
        ("AWS/NetworkELB", "ProcessedBytes"), ("AWS/ElastiCache", "Evictions"), ("AWS/Logs", "IncomingBytes"),
    }  # fmt: skip
    on_eks = {namespace for namespace, _, _, _ in shown(observed()["eks"])}
    assert "ContainerInsights" in on_eks
    assert not on_eks & {"AWS/ECS", "AWS/NetworkELB", "AWS/ElastiCache"}


def test_the_first_row_shows_all_alarms_but_parts() -> None:
    """One status for each that somebody is told of."""
    seen = observed()["ecs"]
    (status,) = [widget for widget in widgets(seen) if widget["type"] == "alarm"]
    told = [alarm for alarm in seen.alarms().values() if "AlarmActions" in alarm]
    assert len(status["properties"]["alarms"]) == len(told)


def test_what_it_costs_is_counted() -> None:
    """Metrics of the bidder by environment: an exchange adds three."""
    assert count(PROD.observability.exchanges) - count(DEV.observability.exchanges) == 3 * 4
    assert count(()) == 1 + 10 + 1 + 12 + 1 + 1 + 2 + 2 + 13 + 1 + 1 + 1 + 1 + 1 + 1 + 5 + 7 + 1 + 7 + 1 + 1 + 1
