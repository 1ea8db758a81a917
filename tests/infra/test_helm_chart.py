"""The chart, rendered with the real helm: what a bidder in a pod is, and what the chart refuses to render."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.cache import READER
from infra.environments import ENVIRONMENTS, PROD, EksSizes
from infra.pod_collector import LABELS as COLLECTOR
from infra.rtb_fabric import KUBERNETES_USER
from tests.infra.bidder_settings import declared
from tests.infra.helm import CHART, CRDS, KUBERNETES, ROOT, SCHEMAS, conformity, documents, helm, refusal, render

VALUES = Path(__file__).parent / "values"
TARGET_GROUP = "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/bidder/0123456789abcdef"
BOUND = (f'exposure.targetGroupArn="{TARGET_GROUP}"',)
INSTALLED = {  # files, and what is set when it is installed
    "defaults": ((), ()),
    "dev": ((ROOT / "infra/helm/values-dev.yaml",), BOUND),
    "prod": ((ROOT / "infra/helm/values-prod.yaml",), BOUND),
    "auto_mode": ((ROOT / "infra/helm/values-dev.yaml",), (*BOUND, "exposure.autoMode=true")),
    "load_balancer": ((VALUES / "load_balancer.yaml",), ()),
    "bare": ((VALUES / "bare.yaml",), ()),
}
SET_BY_THE_CHART = {"host", "port", "workers", "catalog_cache_dir"}
NOT_IN_A_POD = {"worker", "worker_peers", "profiles_path"}  # the supervisor's own; a file that no image has
SECRET = {"explain_token", "price_keys"}


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    """The manifests of each of `INSTALLED`."""
    return {name: render(*files, sets=sets) for name, (files, sets) in INSTALLED.items()}


@pytest.fixture(scope="module")
def defaults(rendered: dict[str, str]) -> dict[str, dict[str, Any]]:
    return documents(rendered["defaults"])


@pytest.fixture(scope="module")
def prod(rendered: dict[str, str]) -> dict[str, dict[str, Any]]:
    return documents(rendered["prod"])


@pytest.fixture(scope="module")
def everything(rendered: dict[str, str]) -> dict[str, dict[str, Any]]:
    return documents(rendered["load_balancer"])


def schema() -> dict[str, Any]:
    return dict(json.loads((CHART / "values.schema.json").read_text()))


def pod(kinds: Mapping[str, Any]) -> dict[str, Any]:
    return dict(kinds["Deployment"]["spec"]["template"]["spec"])


def container(kinds: Mapping[str, Any]) -> dict[str, Any]:
    (found,) = pod(kinds)["containers"]
    return dict(found)


def variables(kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Plain ones by name; of those from a Secret, (its name, the key)."""
    found = {}
    for each in container(kinds)["env"]:
        reference = each.get("valueFrom", {}).get("secretKeyRef")
        found[each["name"]] = (reference["name"], reference["key"]) if reference else each["value"]
    return found


# -- it renders, and is what Kubernetes takes -------------------------------------------------------------------------


@pytest.mark.parametrize("name", INSTALLED)
def test_manifests_conform_to_kubernetes_schemas(name: str, rendered: dict[str, str], tmp_path: Path) -> None:
    """Strictly, each kind, the custom ones too: nothing is skipped for want of a schema."""
    done = conformity(rendered[name], tmp_path)
    assert done.returncode == 0, done.stdout
    assert f"Valid: {len(documents(rendered[name]))}, Invalid: 0, Errors: 0, Skipped: 0" in done.stdout


@pytest.mark.parametrize("name", INSTALLED)
def test_helm_lint_is_content(name: str) -> None:
    """No warning either."""
    files, sets = INSTALLED[name]
    done = helm("lint", *files, sets=sets)
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("maxUnavailable: 1\n", "maxUnavailables: 1\n"),
        ("minReplicas: 3", 'minReplicas: "three"'),
        ("readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true"),
    ],
)
def test_a_wrong_manifest_is_reported(right: str, wrong: str, rendered: dict[str, str], tmp_path: Path) -> None:
    """The check has teeth: a misspelt field or a wrong type does not pass."""
    assert right in rendered["defaults"]
    done = conformity(rendered["defaults"].replace(right, wrong), tmp_path)
    assert done.returncode == 1
    assert "Invalid: 1" in done.stdout


def test_a_kind_without_a_schema_is_reported(rendered: dict[str, str], tmp_path: Path) -> None:
    """Not skipped."""
    done = conformity(rendered["prod"].replace("kind: PodMonitor", "kind: PodMonitors"), tmp_path)
    assert done.returncode == 1
    assert "could not find schema" in done.stdout


def test_custom_resources_schemas_are_closed() -> None:
    """What they do not name is refused, at every level but labels'."""
    for file in CRDS.glob("*.json"):
        spec = json.loads(file.read_text())["properties"]["spec"]
        assert spec["additionalProperties"] is False


def test_each_environments_version_of_kubernetes_has_schemas() -> None:
    """The manifests are held against the version that the clusters have."""
    for environment in ENVIRONMENTS.values():
        assert f"{environment.eks.kubernetes_version}.0" == KUBERNETES
    assert (SCHEMAS / f"v{KUBERNETES}-local-strict").is_dir()


def test_the_chart_is_of_the_bidders_version() -> None:
    """Its images' default tag."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == project["version"]


# -- values: strict ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ('replica="3"', "replica"),
        ("autoscaling.minReplica=3", "minReplica"),
        ('workers="many"', "/workers"),
        ("workers=0", "/workers"),
        ("settings.tmax_ms=100", "tmax_ms"),
        ("settings.drain_s=-1", "/settings/drain_s"),
        ("settings.keep_alive_s=60", "/settings/keep_alive_s"),
        ('settings.log_level="loud"', "/settings/log_level"),
        ('settings.row_format="protobuf"', "/settings/row_format"),
        ('settings.price_keys="google=a:b"', "price_keys"),
        ('settings.explain_token="0123456789abcdef"', "explain_token"),
        ('settings.state_url="rediss://bidder:hunter2@cache:6380/0"', "/settings/state_url"),
        ('secrets.keys={"price_keys":"k","password":"k"}', "password"),
        ('secrets.external.remote={"price_keys":{"value":"google=a:b"}}', "value"),
        ('image.tag="latest"', "/image/tag"),
        ('image.digest="sha256:1234"', "/image/digest"),
        ('exposure.kind="nodePort"', "/exposure/kind"),
        ('exposure.loadBalancer.tlsPolicy="ELBSecurityPolicy-2016-08"', "/exposure/loadBalancer/tlsPolicy"),
        ('networkPolicy.endpointCidrs=["10.0.0.0"]', "/networkPolicy/endpointCidrs/0"),
        ('networkPolicy.scrapers=[{"namespaceLabels":{},"podLabels":{"a":"b"}}]', "namespaceLabels"),
        ('monitoring.kind="both"', "/monitoring/kind"),
        ("preStopS=0", "/preStopS"),
    ],
)
def test_what_cannot_be_meant_is_refused(value: str, complaint: str) -> None:
    """Unknown keys, wrong types, values out of bounds, secrets in values: the message names the place."""
    assert complaint in refusal(sets=(value,))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (("settings.drain_s=3",), "settings.drain_s is 3"),
        (('secrets.keys={"price_keys":"k"}',), "secrets.existingSecret"),
        (('secrets.existingSecret="a"', "secrets.external.enabled=true"), "two sources"),
        (
            (
                'secrets.existingSecret="a"',
                'secrets.keys={"state_url":"k"}',
                'settings.state_url="rediss://cache:6380/0"',
                'networkPolicy.valkeyCidrs=["10.0.0.0/16"]',
            ),
            "settings.state_url is set twice",
        ),
        (('exposure.kind="targetGroupBinding"',), "exposure.targetGroupArn"),
        (('exposure.kind="targetGroupBinding"', *BOUND), "networkPolicy.balancerCidrs"),
        (('exposure.kind="loadBalancer"',), "certificateArn"),
        (('settings.endpoint_name="rtb"',), "networkPolicy.endpointCidrs"),
        (('settings.catalog_uri="s3://bucket/catalog.json"',), "networkPolicy.s3Cidrs: settings.catalog_uri"),
        (('settings.state_url="rediss://cache:6380/0"',), "networkPolicy.valkeyCidrs"),
        (('networkPolicy.balancerCidrs=["0.0.0.0/0"]',), "everybody"),
        (('networkPolicy.endpointCidrs=["0.0.0.0/0"]',), "everybody"),
    ],
)
def test_what_would_not_work_is_refused_in_words(values: tuple[str, ...], complaint: str) -> None:
    """Values that are each right and do not go together."""
    assert complaint in refusal(sets=values)


def test_no_object_of_the_schema_is_open() -> None:
    """But those that are maps of labels, whose values are texts."""

    def open_objects(part: Any, path: str) -> list[str]:
        found = []
        if isinstance(part, dict):
            if part.get("type") == "object" and part.get("additionalProperties") not in (False, {"type": "string"}):
                found.append(path)
            for name, value in part.items():
                found += open_objects(value, f"{path}/{name}")
        return found

    # Helm itself adds `global`, which no template reads.
    assert open_objects(schema(), "") == ["/properties/global"]


# -- settings ---------------------------------------------------------------------------------------------------------


def test_every_setting_of_the_bidder_has_its_place() -> None:
    """In `settings`, or set by the chart, or from a Secret, or of no use in a pod; and the schema knows no other."""
    assert set(schema()["properties"]["settings"]["properties"]) == (
        set(declared()) - SET_BY_THE_CHART - NOT_IN_A_POD - SECRET
    )


def test_settings_may_be_what_the_bidder_takes() -> None:
    """Types, choices and bounds are those of bidder/config.py; only `state_url` is held to more: no password in it."""
    settings = schema()["properties"]["settings"]["properties"]
    settings["state_url"].pop("pattern")
    assert settings == {name: declared()[name] for name in settings}


def test_secrets_are_settings_too() -> None:
    """`state_url` is one where it has a password in it."""
    properties = schema()["properties"]["secrets"]["properties"]
    assert set(properties["keys"]["properties"]) == SECRET | {"state_url"}
    assert set(properties["external"]["properties"]["remote"]["properties"]) == SECRET | {"state_url"}
    assert {name for name, setting in declared().items() if setting.get("secret")} == SECRET


def test_every_variable_is_one_the_bidder_reads(rendered: dict[str, str]) -> None:
    """BIDDER_ and the name of a setting, in every way it is installed."""
    for manifests in rendered.values():
        for name in variables(documents(manifests)):
            assert name == "AWS_EC2_METADATA_DISABLED" or name.removeprefix("BIDDER_").lower() in declared()


def test_numbers_arrive_as_they_were_written(everything: dict[str, dict[str, Any]]) -> None:
    """Helm reads two million as a float, and would write 2e+06."""
    found = variables(everything)
    assert found["BIDDER_MAX_BODY_BYTES"] == "2000000"
    assert found["BIDDER_STOP_S"] == "12.5"
    assert found["BIDDER_ENDPOINT_VARIANTS"] == "champion=0.9,challenger=0.1"


def test_service_links_are_off(defaults: dict[str, dict[str, Any]]) -> None:
    """A Service named bidder would set BIDDER_PORT to an address of its own."""
    assert pod(defaults)["enableServiceLinks"] is False
    assert variables(defaults)["BIDDER_PORT"] == "8080"


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_secrets_come_from_a_secret(everything: dict[str, dict[str, Any]]) -> None:
    """By reference, and no Secret is rendered."""
    found = variables(everything)
    assert found["BIDDER_PRICE_KEYS"] == ("bidder-secrets", "price-keys")
    assert found["BIDDER_STATE_URL"] == ("bidder-secrets", "state-url")
    assert "Secret" not in everything


def test_external_secrets_name_where_they_are(prod: dict[str, dict[str, Any]]) -> None:
    """What the operator makes is what the pods read."""
    external = prod["ExternalSecret"]["spec"]
    keys = {each["secretKey"]: each["remoteRef"]["key"] for each in external["data"]}
    assert keys == {"price_keys": "bidder-prod/price-keys", "state_url": "bidder-prod/profiles/reader/url-1"}
    assert variables(prod)["BIDDER_PRICE_KEYS"] == (external["target"]["name"], "price_keys")
    assert "Secret" not in prod


# -- the pod ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INSTALLED)
def test_a_pod_is_locked_down(name: str, rendered: dict[str, str]) -> None:
    """Not root, nothing to write to but two volumes, no capability, no new privileges, no token of Kubernetes."""
    kinds = documents(rendered[name])
    whole, inside = pod(kinds)["securityContext"], container(kinds)["securityContext"]
    assert whole["runAsNonRoot"] is True
    assert whole["runAsUser"] == whole["runAsGroup"] == whole["fsGroup"] == 10001
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inside == {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(kinds)["automountServiceAccountToken"] is False
    assert all(set(volume) == {"name", "emptyDir"} for volume in pod(kinds)["volumes"])
    assert all("sizeLimit" in volume["emptyDir"] for volume in pod(kinds)["volumes"])
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod(kinds))


def test_the_cache_is_a_directory_of_the_bidders_own(defaults: dict[str, dict[str, Any]]) -> None:
    """Below the volume, whose root is the kubelet's: the bidder uses no directory of somebody else's."""
    mounts = {mount["name"]: mount["mountPath"] for mount in container(defaults)["volumeMounts"]}
    assert variables(defaults)["BIDDER_CATALOG_CACHE_DIR"] == mounts["cache"] + "/catalogs"


@pytest.mark.parametrize("name", INSTALLED)
def test_a_pod_has_longer_to_stop_than_it_takes(name: str, rendered: dict[str, str]) -> None:
    """preStop counts, then BIDDER_DRAIN_S and BIDDER_STOP_S, and then there is time left."""
    kinds = documents(rendered[name])
    found = variables(kinds)
    stopping_s = container(kinds)["lifecycle"]["preStop"]["sleep"]["seconds"]
    stopping_s += float(found["BIDDER_DRAIN_S"]) + float(found["BIDDER_STOP_S"])
    assert pod(kinds)["terminationGracePeriodSeconds"] >= stopping_s + 5


@pytest.mark.parametrize("name", INSTALLED)
def test_a_pod_drains_until_it_is_seen_not_to_be_ready(name: str, rendered: dict[str, str]) -> None:
    """By its own probe, at least."""
    kinds = documents(rendered[name])
    probe = container(kinds)["readinessProbe"]
    notice_s = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    assert float(variables(kinds)["BIDDER_DRAIN_S"]) >= notice_s


def test_readyz_decides_on_traffic_and_healthz_on_life(defaults: dict[str, dict[str, Any]]) -> None:
    """A model endpoint that is away must not restart the bidders: they bid on priors."""
    probes = {
        kind: container(defaults)[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")
    }
    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    startup = container(defaults)["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 120


@pytest.mark.parametrize("name", INSTALLED)
def test_a_worker_has_a_core(name: str, rendered: dict[str, str]) -> None:
    """One each, of whole cores, as the kubelet's static policy wants it."""
    kinds = documents(rendered[name])
    assert container(kinds)["resources"]["requests"]["cpu"] == variables(kinds)["BIDDER_WORKERS"]


def test_guaranteed_pods_have_limits_as_requests(prod: dict[str, dict[str, Any]], rendered: dict[str, str]) -> None:
    """And the others no limit on the CPU, so that no quota stops a bid half way."""
    resources = container(prod)["resources"]
    assert resources["limits"] == resources["requests"] == {"cpu": "1", "memory": "1024Mi"}
    shared = container(documents(rendered["dev"]))["resources"]
    assert shared["limits"] == {"memory": "512Mi"}


def test_pods_stand_in_every_zone(defaults: dict[str, dict[str, Any]]) -> None:
    """The balancer keeps a zone's connections in it: a zone without a bidder answers nobody."""
    found = {each["topologyKey"]: each for each in pod(defaults)["topologySpreadConstraints"]}
    assert found["topology.kubernetes.io/zone"]["whenUnsatisfiable"] == "DoNotSchedule"
    assert found["kubernetes.io/hostname"]["whenUnsatisfiable"] == "ScheduleAnyway"
    selector = defaults["Deployment"]["spec"]["selector"]["matchLabels"]
    assert all(each["labelSelector"]["matchLabels"] == selector for each in found.values())


def test_a_rollout_takes_nothing_away_first(defaults: dict[str, dict[str, Any]]) -> None:
    """A new pod is ready, for a while, before an old one stops."""
    spec = defaults["Deployment"]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": "25%"}
    assert spec["minReadySeconds"] > 0


def test_an_image_by_digest_is_that_image(everything: dict[str, dict[str, Any]]) -> None:
    """Whatever its tag."""
    assert container(everything)["image"].endswith("/bidder@sha256:" + "0123456789abcdef" * 4)


# -- scaling and disruption -------------------------------------------------------------------------------------------


def test_there_are_as_many_pods_as_two_measures_want(prod: dict[str, dict[str, Any]]) -> None:
    """The CPU, and bids in flight a pod; Kubernetes takes the larger answer."""
    spec = prod["HorizontalPodAutoscaler"]["spec"]
    cpu, in_flight = spec["metrics"]
    assert cpu["resource"]["target"] == {"type": "Utilization", "averageUtilization": 50}
    assert in_flight["pods"] == {
        "metric": {"name": "bidder_in_flight"},
        "target": {"type": "AverageValue", "averageValue": "24"},
    }
    assert spec["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300
    assert "replicas" not in prod["Deployment"]["spec"]


def test_the_custom_metric_is_one_the_bidder_has() -> None:
    """By the name it is exported under."""
    assert '"bidder_in_flight"' in (ROOT / "bidder" / "metrics.py").read_text()


def test_without_autoscaling_the_number_is_fixed(rendered: dict[str, str]) -> None:
    """And the CPU alone is looked at where no number of bids in flight is given."""
    bare = documents(rendered["bare"])
    assert bare["Deployment"]["spec"]["replicas"] == 3
    assert "HorizontalPodAutoscaler" not in bare
    assert len(documents(rendered["defaults"])["HorizontalPodAutoscaler"]["spec"]["metrics"]) == 1


def test_nodes_are_drained_a_few_pods_at_a_time(
    defaults: dict[str, dict[str, Any]], everything: dict[str, dict[str, Any]]
) -> None:
    """And a pod that is not ready holds no drain up."""
    budget = defaults["PodDisruptionBudget"]["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert everything["PodDisruptionBudget"]["spec"]["maxUnavailable"] == "10%"
    assert budget["selector"] == defaults["Deployment"]["spec"]["selector"]


# -- the network ------------------------------------------------------------------------------------------------------


def test_bids_come_from_the_balancer_and_metrics_go_to_who_collects_them(prod: dict[str, dict[str, Any]]) -> None:
    """On one port, and from nobody else."""
    policy = prod["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    balancer, scrapers = policy["ingress"]
    cidrs = [each["ipBlock"]["cidr"] for each in balancer["from"]]
    assert cidrs == ["10.50.0.0/24", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"]
    collector, prometheus = scrapers["from"]
    assert collector["podSelector"] == {"matchLabels": COLLECTOR}
    assert collector["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": PROD.eks.namespace}}
    assert prometheus["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "prometheus"}
    assert all(rule["ports"] == [{"port": 8080, "protocol": "TCP"}] for rule in policy["ingress"])


def test_a_bidder_calls_what_it_needs_and_nothing_else(everything: dict[str, dict[str, Any]]) -> None:
    """Names, credentials from the node's agent, the VPC's endpoints and S3, profiles."""
    names, agent, services, profiles = everything["NetworkPolicy"]["spec"]["egress"]
    assert {each["port"] for each in names["ports"]} == {53}
    assert agent == {"to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}], "ports": [{"port": 80, "protocol": "TCP"}]}
    assert [each["ipBlock"]["cidr"] for each in services["to"]] == ["10.50.32.0/19", "52.216.0.0/15"]
    assert services["ports"] == [{"port": 443, "protocol": "TCP"}]
    assert profiles["ports"] == [{"port": 6379, "protocol": "TCP"}]


def test_a_bare_bidder_calls_names_and_the_agent_only(defaults: dict[str, dict[str, Any]]) -> None:
    """And only Prometheus calls it."""
    policy = defaults["NetworkPolicy"]["spec"]
    assert len(policy["ingress"]) == 1
    assert len(policy["egress"]) == 2


# -- how bids come in -------------------------------------------------------------------------------------------------


def test_pods_register_with_the_stacks_balancer(prod: dict[str, dict[str, Any]]) -> None:
    """By address; the controller changes no security group."""
    binding = prod["TargetGroupBinding"]["spec"]
    assert binding == {
        "targetGroupARN": TARGET_GROUP,
        "targetType": "ip",
        "serviceRef": {"name": prod["Service"]["metadata"]["name"], "port": "http"},
    }
    assert prod["Service"]["spec"]["type"] == "ClusterIP"


def test_auto_mode_has_its_own_names(rendered: dict[str, str]) -> None:
    """Of the same resources, for its own controller."""
    assert documents(rendered["auto_mode"])["TargetGroupBinding"]["apiVersion"] == "eks.amazonaws.com/v1"
    assert documents(rendered["dev"])["TargetGroupBinding"]["apiVersion"] == "elbv2.k8s.aws/v1beta1"
    balanced = documents(render(VALUES / "load_balancer.yaml", sets=("exposure.autoMode=true",)))
    assert balanced["Service"]["spec"]["loadBalancerClass"] == "eks.amazonaws.com/nlb"


def test_a_balancer_of_the_controllers_is_as_the_stacks_would_be(everything: dict[str, dict[str, Any]]) -> None:
    """TLS 1.2 and newer, zones kept apart, health by /readyz, only those named may connect."""
    service = everything["Service"]
    found = {name.rsplit("aws-load-balancer-", 1)[1]: text for name, text in service["metadata"]["annotations"].items()}
    assert found["nlb-target-type"] == "ip"
    assert found["ssl-ports"] == "443"
    assert found["ssl-negotiation-policy"].startswith("ELBSecurityPolicy-TLS13-1-2")
    assert "load_balancing.cross_zone.enabled=false" in found["attributes"]
    assert "deletion_protection.enabled=true" in found["attributes"]
    assert "preserve_client_ip.enabled=true" in found["target-group-attributes"]
    assert "deregistration_delay.timeout_seconds=60" in found["target-group-attributes"]
    assert found["healthcheck-path"] == "/readyz"
    spec = service["spec"]
    assert spec["loadBalancerClass"] == "service.k8s.aws/nlb"
    assert spec["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
    assert spec["allocateLoadBalancerNodePorts"] is False
    assert [port["port"] for port in spec["ports"]] == [443]


def test_callers_in_the_cluster_can_be_kept_in_their_zone(everything: dict[str, dict[str, Any]]) -> None:
    """Where it is asked for; balancers that know pods' addresses do not pass here."""
    assert everything["Service"]["spec"]["trafficDistribution"] == "PreferSameZone"
    assert everything["Service"]["spec"]["internalTrafficPolicy"] == "Cluster"


def test_rtb_fabric_reads_one_endpoints_object(everything: dict[str, dict[str, Any]], defaults: dict[str, Any]) -> None:
    """The one of the bidder's Service, and can do nothing else; where it is not used, nobody can."""
    (rule,) = everything["Role"]["rules"]
    name = everything["Service"]["metadata"]["name"]
    assert rule == {"apiGroups": [""], "resources": ["endpoints"], "resourceNames": [name], "verbs": ["get"]}
    (subject,) = everything["RoleBinding"]["subjects"]
    assert (subject["kind"], subject["name"]) == ("User", KUBERNETES_USER)
    assert everything["RoleBinding"]["roleRef"]["name"] == everything["Role"]["metadata"]["name"]
    assert not {"Role", "RoleBinding"} & set(defaults)


# -- identity and monitoring ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_pods_have_the_service_account_that_the_stack_knows(environment: Any, rendered: dict[str, str]) -> None:
    """Pod Identity gives the bidder's role to this name."""
    kinds = documents(rendered[environment.name])
    sizes: EksSizes = environment.eks
    assert kinds["Service"]["metadata"]["name"] == sizes.service
    assert pod(kinds)["serviceAccountName"] == kinds["ServiceAccount"]["metadata"]["name"] == sizes.service_account
    assert variables(kinds)["AWS_EC2_METADATA_DISABLED"] == "true"


@pytest.mark.parametrize(
    ("name", "kind", "endpoints"),
    [("prod", "PodMonitor", "podMetricsEndpoints"), ("load_balancer", "ServiceMonitor", "endpoints")],
)
def test_prometheus_is_told_where_to_look(name: str, kind: str, endpoints: str, rendered: dict[str, str]) -> None:
    """Each pod once: one kind of monitor or the other, at the port that has /metrics."""
    kinds = documents(rendered[name])
    spec = kinds[kind]["spec"]
    assert spec[endpoints] == [{"port": "http", "path": "/metrics", "interval": "15s", "scrapeTimeout": "10s"}]
    assert spec["selector"] == kinds["Deployment"]["spec"]["selector"]
    assert len({"PodMonitor", "ServiceMonitor"} & set(kinds)) == 1
    assert {port["name"] for port in container(kinds)["ports"]} == {"http"}


# -- the environments' files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_an_environments_values_are_its_sizes(environment: Any) -> None:
    """What stands in both infra/environments.py and the values file is the same."""
    values = yaml.safe_load((ROOT / f"infra/helm/values-{environment.name}.yaml").read_text())
    settings = yaml.safe_load((CHART / "values.yaml").read_text())["settings"] | values["settings"]
    for name in (
        "max_in_flight",
        "endpoint_max_calls",
        "log_format",
        "inside_networks",
        "drain_s",
        "stop_s",
        "keep_alive_s",
    ):
        assert settings[name] == getattr(environment.bidder, name)
    assert settings["aws_region"] == environment.region
    assert settings["endpoint_name"] == f"rtb-{environment.name}"
    assert values["autoscaling"]["inFlightPerPod"] == environment.service.in_flight_target
    assert values["autoscaling"]["minReplicas"] == environment.service.min_tasks
    assert values["autoscaling"]["maxReplicas"] == environment.service.max_tasks
    url = f"bidder-{environment.name}/profiles/{READER.name}/url-{environment.cache.passwords[-1]}"
    keys = {"state_url": {"key": url}, "price_keys": {"key": f"bidder-{environment.name}/price-keys"}}
    assert values["secrets"]["external"]["remote"] == keys
    policy = values["networkPolicy"]
    assert policy["valkeyPort"] == environment.cache.port
    assert tuple(policy["clientCidrs"]) == environment.balancer.exchange_cidrs
    vpc = ip_network(environment.network.cidr)
    for name in ("balancerCidrs", "endpointCidrs", "valkeyCidrs"):
        assert all(ip_network(cidr).subnet_of(vpc) for cidr in policy[name])  # type: ignore[arg-type]
