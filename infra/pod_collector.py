"""The metrics collector on EKS: one pod that looks at all bidders, as Kubernetes manifests.

    python -m infra.pod_collector prod --image REGISTRY/rtb-prod/collector:TAG | kubectl apply -f -

A side-car would count in its pod's readiness: a collector that ends would take a bidder out of the balancer. So it has
a pod of its own here, finds bidders by the names that a headless Service gives them, and needs no rights in Kubernetes.
The configuration is the side-car's but for where bidders are. The stack gives its service account the role that may
write to the log group of the metrics.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from infra.bidder_metrics import SERVICE, service_of
from infra.environments import ENVIRONMENTS, Environment
from infra.metrics_collector import USER, configuration, log_group_of, variables

NAME = "bidder-collector"
BIDDERS = "bidder-scrape"  # the headless Service
LABELS = {"app.kubernetes.io/name": NAME}
POD_IDENTITY_AGENT = "169.254.170.23/32"


def pod_configuration(name: str, namespace: str) -> str:
    """The side-car's, with every bidder's address asked of DNS."""
    found = json.loads(configuration())
    for job in found["receivers"]["prometheus"]["config"]["scrape_configs"]:
        del job["static_configs"]
        names = [f"{BIDDERS}.{namespace}.svc.cluster.local"]
        job["dns_sd_configs"] = [{"names": names, "type": "A", "port": 8080, "refresh_interval": "10s"}]
        job["relabel_configs"] = [{"target_label": SERVICE, "replacement": service_of(name)}]
    found["exporters"]["awsemf"]["log_stream_name"] = NAME
    # What two bidders say at the same moment stays apart; the dimensions are the declared ones all the same.
    found["exporters"]["awsemf"]["resource_to_telemetry_conversion"] = {"enabled": True}
    return json.dumps(found, separators=(",", ":"))


def manifests(environment: Environment, *, namespace: str, image: str) -> list[dict[str, Any]]:
    """Everything that there is to apply, for bidders of the chart in `namespace`."""
    return [
        _account(namespace),
        _bidders(namespace),
        _deployment(environment, namespace, image),
        _policy(environment, namespace),
    ]


def _metadata(namespace: str, name: str = NAME) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, "labels": LABELS}


def _account(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(namespace),
        "automountServiceAccountToken": False,
    }


def _bidders(namespace: str) -> dict[str, Any]:
    """Names for bidders that are not ready, too: that they are not is a metric."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(namespace, BIDDERS),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"app.kubernetes.io/name": "bidder"},
            "ports": [{"name": "http", "port": 8080, "targetPort": "http"}],
        },
    }


def _deployment(environment: Environment, namespace: str, image: str) -> dict[str, Any]:
    """One, and never two at once: each would count everything again."""
    sizes = environment.observability
    settings = variables(environment.name, environment.region, sizes.exchanges, log_group_of(environment.name))
    settings["AOT_CONFIG_CONTENT"] = pod_configuration(environment.name, namespace)
    memory = f"{sizes.collector.memory_mib * 2}Mi"
    container = {
        "name": "collector",
        "image": image,
        "env": [{"name": name, "value": value} for name, value in sorted(settings.items())],
        "resources": {"requests": {"cpu": "100m", "memory": memory}, "limits": {"memory": memory}},
        "securityContext": {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": int(USER),
            "runAsGroup": int(USER),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(namespace),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": pod},
        },
    }


def _policy(environment: Environment, namespace: str) -> dict[str, Any]:
    """It calls names, bidders, the VPC's endpoints and the node's Pod Identity agent; nobody calls it."""
    dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    to_bidders = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "bidder"}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(namespace),
        "spec": {
            "podSelector": {"matchLabels": LABELS},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [],
            "egress": [
                {"to": [dns], "ports": [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]},
                {"to": [to_bidders], "ports": [{"port": 8080, "protocol": "TCP"}]},
                {"to": [{"ipBlock": {"cidr": environment.network.cidr}}], "ports": [{"port": 443, "protocol": "TCP"}]},
                {"to": [{"ipBlock": {"cidr": POD_IDENTITY_AGENT}}], "ports": [{"port": 80, "protocol": "TCP"}]},
            ],
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.pod_collector", description="Manifests for kubectl apply.")
    parser.add_argument("environment", choices=sorted(ENVIRONMENTS))
    parser.add_argument("--image", required=True, help="of the collector, in this account's repository")
    parser.add_argument("--namespace", default="bidder", help="the bidder's; default: %(default)s")
    options = parser.parse_args()
    items = manifests(ENVIRONMENTS[options.environment], namespace=options.namespace, image=options.image)
    print(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1))


if __name__ == "__main__":
    main()
