"""The container images and the Compose file, held against the source: what they name exists, what they promise holds.

What is read here is read as text; that the images build and the containers start is for a container engine to show.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from bidder.config import Settings

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILES = {
    "bidder": ROOT / "Dockerfile",
    "model": ROOT / "docker/model/Dockerfile",
    "sagemaker_local": ROOT / "docker/sagemaker_local/Dockerfile",
}
PACKAGES = {
    "bidder": {"openrtb_schemas", "bidder"},
    "model": {"model"},
    "sagemaker_local": {"sagemaker_local"},
}
COMPOSE_FILE = ROOT / "docker/compose.yaml"
HEALTHCHECK = ROOT / "docker/healthcheck.py"
DEMO_INPUTS = ROOT / "docker/model/demo_inputs.py"
USER = "10001:10001"


@dataclass
class Stage:
    """One stage of a Dockerfile: its name, what it is made from, and its instructions in order."""

    name: str
    source: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [text for name, text in self.steps if name == instruction]


def stages(path: Path) -> list[Stage]:
    """The stages of a Dockerfile, comments dropped and continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    found: list[Stage] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "FROM":
            source, _, name = rest.partition(" AS ")
            found.append(Stage(name, source))
        elif instruction:
            found[-1].steps.append((instruction, " ".join(rest.split())))
    return found


def lineage(path: Path, name: str | None = None) -> list[Stage]:
    """A stage, by default the last, after all that it is made FROM in the same file."""
    by_name = {stage.name: stage for stage in stages(path)}
    stage = by_name[name] if name else stages(path)[-1]
    chain = [stage]
    while chain[0].source in by_name:
        chain.insert(0, by_name[chain[0].source])
    return chain


def settled(path: Path, instruction: str, name: str | None = None) -> str | None:
    """What an instruction says last in the image that a stage makes."""
    texts = [text for stage in lineage(path, name) for text in stage.all(instruction)]
    return texts[-1] if texts else None


def environment(path: Path) -> dict[str, str]:
    pairs = (pair for stage in lineage(path) for text in stage.all("ENV") for pair in text.split())
    return dict(pair.split("=", 1) for pair in pairs)


def services() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(COMPOSE_FILE.read_text())["services"])


def built_services() -> dict[str, tuple[Path, str | None]]:
    """Service → its Dockerfile and target."""
    context = COMPOSE_FILE.parent
    return {
        name: (
            (context / service["build"]["context"] / service["build"].get("dockerfile", "Dockerfile")).resolve(),
            service["build"].get("target"),
        )
        for name, service in services().items()
        if "build" in service
    }


images = pytest.mark.parametrize("image", DOCKERFILES)
every_service = pytest.mark.parametrize("name", services())


@images
def test_the_default_image_runs_without_root(image: str) -> None:
    """The last USER of what a plain build makes is a number other than 0, which Kubernetes can check."""
    assert settled(DOCKERFILES[image], "USER") == USER


def test_only_the_target_for_sagemaker_is_root() -> None:
    """SageMaker wants root; of all targets that are an image of their own, one complies."""
    path = DOCKERFILES["model"]
    users = {name: settled(path, "USER", name) for name in ("sagemaker", "demo-inputs", "demo", "model")}
    assert users == {"sagemaker": "root", "demo-inputs": USER, "demo": USER, "model": USER}


def test_the_image_for_sagemaker_differs_in_its_user_alone() -> None:
    """What was tested as the default is what SageMaker runs."""
    by_name = {stage.name: stage for stage in stages(DOCKERFILES["model"])}
    assert by_name["sagemaker"].source == by_name["model"].source
    assert [step for stage in ("sagemaker", "model") for step, _ in by_name[stage].steps] == ["USER", "USER"]


@images
def test_an_image_can_install_nothing_and_become_nobody_else(image: str) -> None:
    """The stage that runs takes pip and the setuid bits of its base away."""
    runs = " ".join(text for stage in lineage(DOCKERFILES[image]) for text in stage.all("RUN"))
    assert re.search(r"pip .*\buninstall .*--yes .*\bpip setuptools wheel\b", runs)
    assert "-type f -perm /6000 -exec chmod a-s {} +" in runs


@images
def test_the_base_is_the_oldest_python_that_the_project_supports(image: str) -> None:
    """All stages stand on the same Python, or on a stage that does."""
    made = {stage.name for stage in stages(DOCKERFILES[image])}
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert {stage.source for stage in stages(DOCKERFILES[image])} - made == {f"python:{lowest}-slim"}


@images
def test_dependencies_are_installed_by_hash_from_a_lock_that_exists(image: str) -> None:
    """Every pip call checks hashes, takes wheels only and reads the lock that was copied just before."""
    installs = 0
    for stage in stages(DOCKERFILES[image]):
        for (_, before), (_, step) in pairwise([("", ""), *stage.steps]):
            if re.search(r"\bpip\b[^&]*\binstall\b", step):
                installs += 1
                assert "--require-hashes" in step
                assert "--only-binary :all:" in step
                lock, place = before.split()
                assert step.endswith(f"-r {place}")
                assert "--hash=sha256:" in (ROOT / lock).read_text()
    assert installs >= 1


@images
def test_nothing_but_the_environment_and_the_code_is_copied_into_an_image(image: str) -> None:
    """What was needed to build stays in the stage that built."""
    copies = [text for stage in lineage(DOCKERFILES[image]) for text in stage.all("COPY")]
    assert copies == ["--from=builder /opt/venv /opt/venv", "--from=builder /app /app"]


@images
def test_an_image_holds_its_own_packages_alone(image: str) -> None:
    """The builder copies the packages that the program imports, the lock and the health check."""
    builder = next(stage for stage in stages(DOCKERFILES[image]) if stage.name == "builder")
    sources = {text.split()[0] for text in builder.all("COPY")}
    assert sources == PACKAGES[image] | {f"requirements/{image}.txt", "docker/healthcheck.py"}
    assert all((ROOT / source).exists() for source in sources)


@images
def test_the_build_context_holds_what_the_builds_copy_and_little_else(image: str) -> None:
    """All is ignored but what is named, and what a build copies is named."""
    ignored, *rules = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert ignored == "*"
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        text.split()[0]
        for stage in stages(DOCKERFILES[image])
        for text in stage.all("COPY")
        if not text.startswith("--from=")
    }
    assert {"requirements/*.txt" if name.startswith("requirements/") else name for name in copied} <= let_in


@images
def test_an_image_starts_its_program_as_process_1(image: str) -> None:
    """Exec form, so that SIGTERM reaches Python and no shell."""
    path = DOCKERFILES[image]
    assert settled(path, "ENTRYPOINT") == f'["python", "-m", "{image}"]'
    assert str(settled(path, "CMD")).startswith('["serve"')


@images
def test_an_image_checks_its_health_where_it_listens(image: str) -> None:
    """The check asks the port that is exposed, or the one that the environment names."""
    path = DOCKERFILES[image]
    check, port = settled(path, "HEALTHCHECK"), settled(path, "EXPOSE")
    assert check
    assert port
    asked = {
        "bidder": '"$BIDDER_PORT" /healthz',
        "model": '"${SAGEMAKER_BIND_TO_PORT:-8080}" /ping',
        "sagemaker_local": '"8090", "/_local/ready"',
    }[image]
    assert "-IS" in check
    assert asked in check
    assert port == {"bidder": environment(path).get("BIDDER_PORT"), "model": "8080", "sagemaker_local": "8090"}[image]


@images
def test_an_image_prints_at_once_and_writes_no_byte_code(image: str) -> None:
    """Logs are not held back, and the file system may be read-only: byte code is made while building."""
    path = DOCKERFILES[image]
    assert environment(path).items() >= {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}.items()
    builder = next(stage for stage in stages(path) if stage.name == "builder")
    assert builder.all("RUN")[-1].startswith("python -m compileall ")


@images
def test_an_image_says_what_it_is(image: str) -> None:
    """Labels by the OCI's names, with the project's version."""
    path = DOCKERFILES[image]
    labels = settled(path, "LABEL")
    assert labels
    for name in ("title", "description", "version", "revision"):
        assert f"org.opencontainers.image.{name}=" in labels
    assert 'org.opencontainers.image.licenses="Apache-2.0"' in labels
    assert f'org.opencontainers.image.base.name="docker.io/library/{lineage(path)[0].source}"' in labels
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"VERSION={version}" in [text for stage in lineage(path) for text in stage.all("ARG")]


@pytest.mark.parametrize("path", [*DOCKERFILES.values(), COMPOSE_FILE, ROOT / ".dockerignore"], ids=lambda p: p.name)
def test_no_package_index_and_no_secret_is_named(path: Path) -> None:
    """Where packages come from is the builder's affair; the only key pair is the local one."""
    text = path.read_text()
    assert not re.search(r"index-url|pypi|trusted-host|find-links|AKIA[0-9A-Z]{16}|\bpassword\b", text, re.IGNORECASE)


@every_service
def test_a_service_is_built_here_or_pinned_by_its_version(name: str) -> None:
    """A build names a Dockerfile and a target that exist; an image names a version, never `latest`."""
    if name in built_services():
        path, target = built_services()[name]
        assert path in DOCKERFILES.values()
        assert target is None or target in {stage.name for stage in stages(path)}
        assert "image" not in services()[name]
    else:
        assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?", services()[name]["image"])


@every_service
def test_a_service_is_locked_down_and_bounded(name: str) -> None:
    """Read-only, no capabilities, no new privileges; memory, processor, processes and logs have limits."""
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]
    assert "privileged" not in service
    assert {"mem_limit", "cpus", "pids_limit", "restart"} <= service.keys()
    assert {"max-size", "max-file"} <= service["logging"]["options"].keys()


@every_service
def test_a_service_that_stays_has_a_health_check(name: str) -> None:
    """Its own or its image's; what ends by itself has none, and inherits none."""
    check = services()[name].get("healthcheck", {})
    if services()[name]["restart"] == "no":
        assert check == {"disable": True}
    elif name in built_services():
        assert settled(built_services()[name][0], "HEALTHCHECK", built_services()[name][1])
    else:
        assert check["test"][0] == "CMD"
        assert {"interval", "timeout", "retries"} <= check.keys()


@every_service
def test_a_service_is_published_on_loopback_alone(name: str) -> None:
    """Nothing in this set-up is meant for a network."""
    assert all(port.startswith("127.0.0.1:") for port in services()[name].get("ports", []))


@every_service
def test_a_service_waits_for_what_the_others_can_show(name: str) -> None:
    """Who waits for `healthy` waits for a service with a health check; who waits for an end, for one that ends."""
    for other, wait in services()[name].get("depends_on", {}).items():
        assert other in services()
        if wait["condition"] == "service_healthy":
            built = built_services().get(other)
            assert "healthcheck" in services()[other] or (built and settled(built[0], "HEALTHCHECK", built[1]))
        elif wait["condition"] == "service_completed_successfully":
            assert services()[other]["restart"] == "no"


@every_service
def test_a_service_mounts_what_exists(name: str) -> None:
    """Folders of the repository are there and read-only; volumes and networks are declared."""
    document = yaml.safe_load(COMPOSE_FILE.read_text())
    for volume in services()[name].get("volumes", []):
        source, _, place = volume.partition(":")
        if source.startswith("."):
            assert (COMPOSE_FILE.parent / source).exists()
            assert place.endswith(":ro")
        else:
            assert source in document["volumes"]
    assert set(services()[name].get("networks", [])) <= document["networks"].keys()


def test_every_setting_of_the_bidder_exists() -> None:
    """BIDDER_* variables of the image and of Compose are settings, and together they can be used."""
    variables = environment(DOCKERFILES["bidder"]) | services()["bidder"]["environment"]
    assert services()["profiles"]["environment"].items() <= variables.items()
    values = {name.removeprefix("BIDDER_").lower(): text for name, text in variables.items() if "BIDDER_" in name}
    assert values.keys() <= Settings.model_fields.keys()
    settings = Settings(**values)
    assert (settings.host, settings.port) == ("0.0.0.0", 8080)


def test_the_services_find_each_other() -> None:
    """Addresses name a service on a shared network and the port that it listens on."""
    all_services = services()
    bidder, local = all_services["bidder"], all_services["sagemaker-local"]
    assert bidder["environment"]["BIDDER_ENDPOINT_URL"] == "http://sagemaker-local:8090"
    assert bidder["environment"]["BIDDER_STATE_URL"].startswith("redis://valkey:6379/")
    assert f"{bidder['environment']['BIDDER_ENDPOINT_NAME']}=http://model:8080" in local["command"]
    for one, other in (
        ("bidder", "sagemaker-local"),
        ("bidder", "valkey"),
        ("profiles", "valkey"),
        ("sagemaker-local", "model"),
    ):
        assert set(all_services[one]["networks"]) & set(all_services[other]["networks"])
    scrape = yaml.safe_load((ROOT / "docker/prometheus.yml").read_text())["scrape_configs"]
    assert ["bidder:8080"] in [group["targets"] for job in scrape for group in job["static_configs"]]


def test_containers_get_the_time_they_need_to_stop() -> None:
    """SIGKILL comes later than the end of the drain."""
    defaults = Settings(**{name: field.default for name, field in Settings.model_fields.items()})
    grace_s = int(services()["bidder"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > defaults.drain_s + defaults.stop_s
    assert services()["model"]["stop_grace_period"] == "30s"


def test_grafana_finds_its_data_and_its_dashboards() -> None:
    """The data source names a service of the same network, and dashboards are mounted where they are looked for."""
    provisioning = ROOT / "docker/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/bidder.yaml").read_text())["providers"]
    grafana, prometheus = services()["grafana"], services()["prometheus"]
    assert source["url"] == "http://prometheus:9090"
    assert set(grafana["networks"]) & set(prometheus["networks"])
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert (ROOT / "docker/grafana/dashboards" / home.name).is_file()


def test_the_demo_trains_on_the_traffic_of_the_exchange(tmp_path: Path) -> None:
    """The requests are those that `loadtest traffic` writes, and the profiles can be hashed and read."""
    catalog = ROOT / "bidder/data/demo_catalog.json"
    made, people, hashed, same = (tmp_path / name for name in ("made", "people", "hashed", "same"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for command in (
        [str(DEMO_INPUTS), str(catalog), "20", "7", str(people), str(made)],
        ["-m", "loadtest", "traffic", "--count", "20", "--seed", "7", "--valid-only", "--out", str(same)],
        ["-m", "bidder", "hash-profiles", str(people), str(hashed)],
    ):
        subprocess.run([sys.executable, *command], env=environment, cwd=ROOT, check=True, timeout=120)
    assert made.read_bytes() == same.read_bytes()
    assert len(hashed.read_text().splitlines()) == len(people.read_text().splitlines()) > 100


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that gives one connection this answer; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(30)
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


def run_check(port: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-IS", str(HEALTHCHECK), str(port), "/healthz"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_health_check_passes_on_200() -> None:
    """A server that says 200 is well."""
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as port:
        assert run_check(port).returncode == 0


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"HTTP/1.1 500 200\r\n\r\n", b"", b"\xff"]
)
def test_the_health_check_fails_on_anything_else(answer: bytes) -> None:
    """Another status, no answer or no HTTP is exit 1, with the answer in the message."""
    with answering(answer) as port:
        done = run_check(port)
    assert done.returncode == 1
    assert "expected 200" in done.stderr


def test_the_health_check_fails_where_nothing_listens() -> None:
    """A refused connection is exit 1, with the port in the message."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = run_check(port)
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
