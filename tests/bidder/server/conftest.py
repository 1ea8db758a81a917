"""A real bidder process on loopback, bidding on its campaigns' priors."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[3]
START_S = 60.0
MAX_BODY_BYTES = 20_000


class BidderProcess:
    """The process, and the address it listens on."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), int(parts.port or 0)


@contextmanager
def running_bidder(**settings: str) -> Iterator[BidderProcess]:
    """Starts a bidder with these BIDDER_ settings, and ends it by its own id."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BIDDER_", "AWS_"))}
    environment |= {"BIDDER_PORT": "0", "AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": str(ROOT)}
    environment |= {"AWS_ACCESS_KEY_ID": "AKIDLOCAL", "AWS_SECRET_ACCESS_KEY": "local"}
    environment["BIDDER_MAX_BUSY"] = "1"  # a slow machine sheds nothing
    environment |= {f"BIDDER_{name.upper()}": value for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "bidder", "serve"],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    seen: list[str] = []
    try:
        while not (line := lines.get(timeout=START_S)).startswith("bidder listening on "):
            seen.append(line)
            assert line, f"the bidder ended before it listened: {''.join(seen)}"
        yield BidderProcess(process, line.split()[-1])
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(5)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="module", params=["protocol", "asgi"])
def bidder(request: pytest.FixtureRequest) -> Iterator[BidderProcess]:
    """One that takes bids with its own protocol, and one that takes them by way of ASGI: they must not differ."""
    with running_bidder(max_body_bytes=str(MAX_BODY_BYTES), drain_s="0", http=request.param) as process:
        yield process


@pytest.fixture(scope="session")
def start_bidder() -> Callable[..., object]:
    """`with start_bidder(setting="value") as process`: a bidder of its own."""
    return running_bidder
