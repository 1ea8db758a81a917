"""The side-car: its configuration, what it lets through, what it may do."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from infra.bidder_metrics import COLLECTED, EXCHANGE_OUTCOMES, SERVICE, WRITTEN
from infra.containers import loose_containers
from infra.environments import DEV, PROD
from infra.metrics_collector import CONFIGURATION, configuration, log_group_of, variables
from infra.statements import statements
from tests.infra.bidder_source import exposed
from tests.infra.observed import Observed, observed

COMPONENTS = {
    "receivers": {"prometheus"},
    "processors": {"memory_limiter", "filter", "resourcedetection", "cumulativetodelta"},
    "exporters": {"awsemf"},
}
"""Of those that AWS's distribution has (pkg/defaultcomponents of aws-otel-collector), the ones that are used."""

AWSEMF = {
    "region", "namespace", "log_group_name", "log_stream_name", "version", "dimension_rollup_option",
    "metric_declarations",
}  # fmt: skip
"""Settings of the exporter, as in its config.schema.yaml, that are used."""


@pytest.fixture(scope="module")
def configured() -> dict[str, Any]:
    """The configuration as the collector of production gets it, with what the environment fills in."""
    filled = variables("prod", PROD.region, PROD.observability.exchanges, log_group_of("prod"))
    text = re.sub(r"\$\{env:(\w+)\}", lambda found: filled[found.group(1)], configuration())
    return dict(json.loads(text))


@pytest.fixture(scope="module")
def seen() -> Observed:
    return observed()["ecs"]


def jobs(configured: dict[str, Any]) -> list[dict[str, Any]]:
    return list(configured["receivers"]["prometheus"]["config"]["scrape_configs"])


def kept(job: dict[str, Any]) -> set[str]:
    """Names of the bidder's series, as scraped, that a job lets through."""
    (rule,) = job["metric_relabel_configs"]
    assert (rule["action"], rule["source_labels"]) == ("keep", ["__name__"])
    return {name for name in exposed() if re.fullmatch(rule["regex"], name)}


def test_each_part_that_is_used_is_set_up_and_the_other_way_round(configured: dict[str, Any]) -> None:
    """And is one that AWS's distribution has."""
    (pipeline,) = configured["service"]["pipelines"].values()
    for section, known in COMPONENTS.items():
        assert set(pipeline[section]) == set(configured[section]) == known
    assert pipeline["processors"][0] == "memory_limiter"
    assert pipeline["processors"].index("cumulativetodelta") == len(pipeline["processors"]) - 1
    assert set(configured["exporters"]["awsemf"]) == AWSEMF


def test_what_is_scraped_is_what_the_list_says(configured: dict[str, Any]) -> None:
    """Each series once, as often as it should be; no histogram, which the exporter would make no percentiles of."""
    found = {name: int(job["scrape_interval"].rstrip("s")) for job in jobs(configured) for name in kept(job)}
    assert found == {series.name: series.scrape_s for series in COLLECTED}
    assert sum(len(kept(job)) for job in jobs(configured)) == len(found)
    assert not {series.name for series in WRITTEN} & set(found)


def test_every_series_gets_the_dimensions_of_the_list(configured: dict[str, Any]) -> None:
    """Service first, then the labels; nothing else becomes a metric."""
    declared: dict[str, set[frozenset[str]]] = {}
    for declaration in configured["exporters"]["awsemf"]["metric_declarations"]:
        (dimensions,) = declaration["dimensions"]
        assert dimensions[0] == SERVICE
        for selector in declaration["metric_name_selectors"]:
            assert selector[0] == "^"
            assert selector[-1] == "$"
            for series in COLLECTED:
                if re.search(selector, series.name):
                    declared.setdefault(series.name, set()).add(frozenset(dimensions[1:]))
    assert declared == {series.name: {frozenset(labels) for labels in series.dimensions} for series in COLLECTED}


def test_exchanges_that_have_no_alarm_have_no_metrics(configured: dict[str, Any]) -> None:
    """Those of the environment only; and of outcomes by exchange, only what the alarm asks for."""
    matched = {}
    for declaration in configured["exporters"]["awsemf"]["metric_declarations"]:
        for matcher in declaration.get("label_matchers", []):
            matched[tuple(matcher["label_names"])] = matcher["regex"]
    assert set(matched) == {("exchange",), ("exchange", "outcome")}
    assert re.search(matched["exchange",], "google")
    assert not re.search(matched["exchange",], "generic")
    assert not re.search(matched["exchange",], "google2")
    both = matched["exchange", "outcome"]
    assert [outcome for outcome in ("bid", "disconnected", "test") if re.search(both, f"google;{outcome}")] == list(
        EXCHANGE_OUTCOMES
    )


def test_the_environment_fills_in_all_that_the_file_leaves_open() -> None:
    """And nothing that the file does not ask for."""
    asked = set(re.findall(r"\$\{env:(\w+)\}", CONFIGURATION.read_text()))
    assert asked == set(variables("dev", DEV.region, DEV.observability.exchanges, log_group_of("dev")))


def test_the_container_is_bounded_and_may_fail(seen: Observed) -> None:
    """Bids go on without it; it is started anew, and has no rights on the machine."""
    (container,) = seen.one("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    assert container["Essential"] is False
    assert container["RestartPolicy"]["Enabled"] is True
    assert loose_containers(seen.template) == loose_containers(observed()["eks"].template) == []
    limit_mib = yaml.safe_load(CONFIGURATION.read_text())["processors"]["memory_limiter"]["limit_mib"]
    assert limit_mib < container["Memory"] == PROD.observability.collector.memory_mib
    assert container["LogConfiguration"]["Options"]["mode"] == "non-blocking"
    given = {each["Name"]: each["Value"] for each in container["Environment"]}
    assert json.loads(given["AOT_CONFIG_CONTENT"]) == yaml.safe_load(CONFIGURATION.read_text())
    assert (given["BIDDER_NAMESPACE"], given["BIDDER_SERVICE"]) == ("Bidder/prod", "bidder-prod")


def test_it_may_write_its_lines_and_nothing_else(seen: Observed) -> None:
    """The task's role: one log group. What starts it: its image and its own log, too."""
    found = {
        (statement.logical_id[:13], action, resource)
        for statement in statements(seen.template)
        if statement.logical_id.startswith(("BareTaskRole", "BareExecution"))
        for action in statement.actions
        for resource in statement.resources
    }
    lines = (
        "${CollectorLines"
        + next(name for name in seen.all("AWS::Logs::LogGroup") if name.startswith("CollectorLines")).removeprefix(
            "CollectorLines"
        )
        + ".Arn}"
    )
    published = {(action, resource) for role, action, resource in found if role.startswith("BareTaskRole")}
    assert published == {("logs:CreateLogStream", lines), ("logs:PutLogEvents", lines)}
    started = {(action, resource) for role, action, resource in found if role.startswith("BareExecution")}
    assert {action for action, _ in started - published} == {
        "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage",
    }  # fmt: skip
    assert all(resource.endswith("repository/rtb-prod/collector") for _, resource in started - published)


def test_lines_are_kept_for_days_and_encrypted(seen: Observed) -> None:
    """CloudWatch has made metrics of them within minutes."""
    group = seen.named("AWS::Logs::LogGroup", "CollectorLines")
    assert group["LogGroupName"] == "/bidder-prod/metrics"
    assert group["RetentionInDays"] == PROD.observability.collector.log_days
    assert "KmsKeyId" in group
