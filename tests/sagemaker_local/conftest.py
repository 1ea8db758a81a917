"""A model container, the service as a real process in front of it, and clients: botocore's own and a bare socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

ROOT = Path(__file__).parents[2]
DEADLINE_S = 20
REGION = "us-east-1"


class Container:
    """A model container that echoes the body. Its behaviour is set by attributes; `reset` makes it well again."""

    def __init__(self) -> None:
        self.reset()
        container = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self.send(container.ping_status, {}, b"")

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):  # the service need not wait for an answer
                    super().handle()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                container.headers = {name.lower(): value for name, value in self.headers.items()}
                container.calls += 1
                if container.hold is not None:
                    container.holding.release()
                    container.hold.wait(DEADLINE_S)
                if container.hang_up:
                    self.close_connection = True
                    return
                content_type = self.headers.get("Content-Type", "application/octet-stream")
                headers = {"Content-Type": content_type, **container.answer_headers}
                answer = body if container.answer is None else container.answer
                self.send(container.status, headers, answer)

            def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if container.framed:
                    self.send_header("Content-Length", str(len(body)))
                else:
                    self.close_connection = True
                self.end_headers()
                self.wfile.write(body)
                if container.drop_when_idle:
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def reset(self) -> None:
        self.ping_status = self.status = 200
        self.answer: bytes | None = None
        self.answer_headers: dict[str, str] = {}
        self.headers: dict[str, str] = {}
        self.calls = 0
        self.hold: threading.Event | None = None
        self.holding = threading.Semaphore(0)
        self.hang_up = self.drop_when_idle = False
        self.framed = True

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Service:
    """`python -m sagemaker_local serve`, as a process, and its admin interface."""

    def __init__(self, process: subprocess.Popen[str], lines: list[str], url: str) -> None:
        self.process = process
        self.lines = lines
        self.url = url
        self.host = url.removeprefix("http://")
        self.port = int(url.rpartition(":")[2])

    def admin(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, f"/_local/{path}", None if body is None else json.dumps(body))
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def faults(self, endpoint: str = "ctr", **faults: Any) -> None:
        status, answer = self.admin("PUT", f"endpoints/{endpoint}/faults", faults)
        assert status == 200, answer

    def counts(self, endpoint: str = "ctr") -> dict[str, Any]:
        counts: dict[str, Any] = self.admin("GET", f"endpoints/{endpoint}")[1]
        return counts

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline_s, "the condition did not come true in time"
            time.sleep(0.02)

    def refuses_connections(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S).close()
        except ConnectionError:
            return True
        return False

    @contextmanager
    def socket(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S) as connection:
            yield connection

    def signed(
        self,
        body: bytes = b"1,2\n",
        endpoint: str = "ctr",
        headers: dict[str, str] | None = None,
        key: str = "AKIDLOCAL",
        secret: str = "local",
        token: str | None = None,
        age_s: float = 0,
        region: str = REGION,
        service: str = "sagemaker",
    ) -> AWSRequest:
        """A request signed by botocore `age_s` seconds ago."""
        url = f"{self.url}/endpoints/{endpoint}/invocations"
        request = AWSRequest("POST", url, {"Content-Type": "text/csv", "Host": self.host, **(headers or {})}, body)
        auth = SigV4Auth(Credentials(key, secret, token), service, region)
        timestamp = (datetime.now(UTC) - timedelta(seconds=age_s)).strftime("%Y%m%dT%H%M%SZ")
        request.context["timestamp"] = timestamp
        request.headers["X-Amz-Date"] = timestamp
        if token:
            request.headers["X-Amz-Security-Token"] = token
        to_sign = auth.string_to_sign(request, auth.canonical_request(request))
        scope = f"{key}/{timestamp[:8]}/{region}/{service}/aws4_request"
        names = auth.signed_headers(auth.headers_to_sign(request))
        signature = auth.signature(to_sign, request)
        request.headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
        )
        return request

    @staticmethod
    def wire(request: AWSRequest) -> bytes:
        """The bytes of a request."""
        path = "/" + request.url.split("/", 3)[3]
        lines = [f"{request.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
        return "\r\n".join([*lines, f"Content-Length: {len(request.data)}", "", ""]).encode() + request.data

    @staticmethod
    def read(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
        """One answer from a socket: status, headers (lower case), body."""
        response = http.client.HTTPResponse(connection, method="POST")
        try:
            response.begin()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            response.close()

    def call(self, request: AWSRequest) -> tuple[int, dict[str, str], bytes]:
        with self.socket() as connection:
            connection.sendall(self.wire(request))
            return self.read(connection)


@contextmanager
def running(arguments: list[str]) -> Iterator[Service]:
    command = [sys.executable, "-m", "sagemaker_local", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(DEADLINE_S, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line.strip())
                if line.startswith("sagemaker_local listening on "):
                    break
            else:
                raise AssertionError(f"the service did not start: {lines}")
            watchdog.cancel()
            yield Service(process, lines, lines[-1].rpartition(" ")[2])
        finally:
            watchdog.cancel()
            process.terminate()
            try:
                process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="session", autouse=True)
def _no_aws_outside() -> Iterator[None]:
    """No metadata service, no files, no proxy: credentials are only those that a test passes."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            environment.delenv(name)
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        environment.setenv("AWS_CONFIG_FILE", os.devnull)
        environment.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        environment.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture(scope="session")
def _containers() -> Iterator[list[Container]]:
    containers = [Container(), Container()]
    yield containers
    for container in containers:
        container.stop()


@pytest.fixture
def container(_containers: list[Container]) -> Iterator[Container]:
    """The container behind endpoint `ctr` and variant `champion` of `ab`."""
    _containers[0].reset()
    yield _containers[0]
    _containers[0].reset()


@pytest.fixture
def other_container(_containers: list[Container]) -> Iterator[Container]:
    """The container behind variant `challenger` of `ab`, and second instance of `pair`."""
    _containers[1].reset()
    yield _containers[1]
    _containers[1].reset()


@pytest.fixture(scope="session")
def dead_url() -> Iterator[str]:
    """An address where nobody listens, and nobody else can begin to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture(scope="session")
def _session_service(
    _containers: list[Container], dead_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    one, two = (container.url for container in _containers)
    config = {
        "seed": 7,
        "ping_interval_s": 0.2,
        "credentials": [
            {"access_key_id": "AKIDLOCAL", "secret_access_key": "local"},
            {"access_key_id": "ASIATEMP", "secret_access_key": "other", "session_token": "token/+="},
        ],
        "endpoints": {
            "ctr": {"variants": [{"instances": [one]}]},
            "ab": {
                "variants": [
                    {"name": "champion", "weight": 3, "instances": [one]},
                    {"name": "challenger", "weight": 1, "instances": [two]},
                    {"name": "dark", "weight": 0, "instances": [two]},
                ]
            },
            "pair": {"variants": [{"instances": [one, two]}]},
            "down": {"variants": [{"instances": [dead_url]}]},
        },
    }
    path = tmp_path_factory.mktemp("sagemaker_local") / "config.json"
    path.write_text(json.dumps(config))
    with running(["--config", str(path)]) as service:
        yield service


@pytest.fixture
def service(_session_service: Service, container: Container, other_container: Container) -> Iterator[Service]:
    """The service with all containers ready and no faults."""

    def ready() -> bool:
        endpoints = ("ctr", "ab", "pair")
        variants = [v for name in endpoints for v in _session_service.counts(name)["variants"].values()]
        return all(instance["state"] == "ready" for variant in variants for instance in variant["instances"])

    _session_service.wait_until(ready)
    yield _session_service
    for endpoint in ("ctr", "ab", "pair", "down"):
        _session_service.faults(endpoint)
    for variant in ("champion", "challenger", "dark"):
        _session_service.admin("DELETE", f"endpoints/ab/variants/{variant}/faults")


@pytest.fixture(scope="session")
def start_service() -> Callable[..., Any]:
    """Start a service of one's own: `with start_service(["--endpoint", …]) as service`."""
    return running


@pytest.fixture(scope="session")
def start_container() -> Callable[[], Container]:
    return Container


@pytest.fixture(scope="session")
def make_client() -> Callable[..., Any]:
    """A boto3 client of the service at a URL that tries once; close it."""

    def make(url: str, key: str = "AKIDLOCAL", secret: str = "local", token: str | None = None) -> Any:
        return boto3.session.Session().client(
            "sagemaker-runtime",
            region_name=REGION,
            endpoint_url=url,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=DEADLINE_S, read_timeout=DEADLINE_S),
        )

    return make


@pytest.fixture(scope="session")
def _session_client(_session_service: Service, make_client: Callable[..., Any]) -> Iterator[Any]:
    client = make_client(_session_service.url)
    yield client
    client.close()


@pytest.fixture
def client(service: Service, _session_client: Any) -> Any:
    """An unmodified boto3 sagemaker-runtime client of `service`."""
    return _session_client
