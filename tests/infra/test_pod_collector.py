"""The collector on EKS: manifests that Kubernetes takes, and a configuration that is the side-car's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from infra.environments import PROD
from infra.metrics_collector import configuration
from infra.pod_collector import BIDDERS, LABELS, manifests, pod_configuration
from tests.infra.helm import documents, render

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def applied() -> dict[str, dict[str, Any]]:
    """By kind."""
    return {each["kind"]: each for each in manifests(PROD, namespace="bidder", image="collector:1")}


def test_kubernetes_takes_them(applied: dict[str, Any]) -> None:
    """By its own schemas, strictly."""
    assert set(applied) == {"ServiceAccount", "Service", "Deployment", "NetworkPolicy"}
    for each in applied.values():
        kubernetes_validate.validate(each, "1.31", strict=True)


def test_the_configuration_is_the_side_cars_but_for_where_bidders_are(applied: dict[str, Any]) -> None:
    """What gets through, and under which dimensions, is one list."""
    pod, side_car = json.loads(pod_configuration("prod", "bidder")), json.loads(configuration())
    jobs = pod["receivers"]["prometheus"]["config"]["scrape_configs"]
    for job in jobs:
        assert job.pop("dns_sd_configs")[0]["names"] == [f"{BIDDERS}.bidder.svc.cluster.local"]
        assert job.pop("relabel_configs") == [{"target_label": "Service", "replacement": "bidder-prod"}]
    for job in side_car["receivers"]["prometheus"]["config"]["scrape_configs"]:
        del job["static_configs"]
    del pod["exporters"]["awsemf"]["resource_to_telemetry_conversion"]
    pod["exporters"]["awsemf"]["log_stream_name"] = side_car["exporters"]["awsemf"]["log_stream_name"]
    assert pod == side_car
    (container,) = applied["Deployment"]["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: each["value"] for each in container["env"]}
    assert given["AOT_CONFIG_CONTENT"] == pod_configuration("prod", "bidder")


def test_there_is_one_and_it_is_locked_down(applied: dict[str, Any]) -> None:
    """Two would count everything twice."""
    spec = applied["Deployment"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    pod = spec["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]


def test_bidders_that_are_not_ready_are_looked_at_too(applied: dict[str, Any]) -> None:
    """The alarm is about them."""
    spec = applied["Service"]["spec"]
    assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)


def test_it_finds_the_charts_pods_and_they_let_it_in(applied: dict[str, Any]) -> None:
    """By labels that the chart gives, where the chart is told who reads its metrics."""
    reader = {"namespaceLabels": {"kubernetes.io/metadata.name": "bidder"}, "podLabels": LABELS}
    rendered = documents(render(sets=(f"networkPolicy.scrapers={json.dumps([reader])}",)))
    (deployment,) = [each for name, each in rendered.items() if each["kind"] == "Deployment"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert applied["Service"]["spec"]["selector"].items() <= labels.items()
    ports = deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert {"name": "http", "containerPort": 8080, "protocol": "TCP"} in ports
    (policy,) = [each for each in rendered.values() if each["kind"] == "NetworkPolicy"]
    readers = [source for rule in policy["spec"]["ingress"] for source in rule["from"] if "podSelector" in source]
    assert LABELS.items() <= readers[0]["podSelector"]["matchLabels"].items()


def test_the_command_prints_what_kubectl_applies() -> None:
    """A list, in JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.pod_collector", "dev", "--image", "collector:1", "--namespace", "bids"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    printed = json.loads(done.stdout)
    assert printed["kind"] == "List"
    assert {each["metadata"]["namespace"] for each in printed["items"]} == {"bids"}
