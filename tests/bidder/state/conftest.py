"""A real Redis server of its own for each test that asks, on loopback and a free port, ended by its own process."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from bidder.state.valkey import ValkeyProfiles

PATIENCE_S = 20.0


class Server:
    """A redis-server process; `start` after `stop` brings it back, empty, on the same port."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.options = options
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.admin = Redis(port=self.port)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("the program redis-server is not installed")
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            [*command, "--dir", str(self.directory), *self.options], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        give_up_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up_s:
            assert self.process.poll() is None, "redis-server ended by itself"
            try:
                self.admin.ping()
            except RedisError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError("redis-server did not answer")

    def freeze(self) -> None:
        """The process stops running; its connections stay open."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.admin.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def calls(self, command: str) -> int:
        """How often clients have called `command`."""
        stats = self.admin.info("commandstats").get(f"cmdstat_{command}")
        return stats["calls"] if stats else 0

    def connections(self) -> int:
        """How many connections were ever accepted."""
        return self.admin.info("stats")["total_connections_received"]


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers that are not started yet; `options` are redis-server's."""
    servers: list[Server] = []

    def make(*options: str) -> Server:
        servers.append(Server(tmp_path, *options))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def server(new_server: Callable[..., Server]) -> Server:
    server = new_server()
    server.start()
    return server


Connect = Callable[..., Awaitable[ValkeyProfiles]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Starts stores on a URL and closes them afterwards. Patient unless told otherwise: no test depends on speed."""
    stores: list[ValkeyProfiles] = []

    async def start(url: str, **options: object) -> ValkeyProfiles:
        patient = {"budget_s": PATIENCE_S, "answer_timeout_s": PATIENCE_S, "backoff_s": (0.01, 0.02)}
        store = ValkeyProfiles(url, **(patient | options))
        stores.append(store)
        await store.start()
        return store

    yield start
    for store in stores:
        await store.aclose()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("the program openssl is not installed")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([program, "req", *kind, *name, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key
