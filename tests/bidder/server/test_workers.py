"""Several workers on one port: all serve, a scrape of one shows all, and none is left behind."""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

Body = Callable[..., bytes]
PATIENCE_S = 60.0
DESKTOP = {"devicetype": 2, "geo": {"country": "USA", "utcoffset": -300}}

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to see the workers' processes")


@pytest.fixture(scope="module")
def workers(start_bidder: Callable[..., Any]) -> Iterator[Any]:
    with start_bidder(workers="2", drain_s="0") as process:
        yield process


def ask(process: Any, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """On a connection of its own, which any of the workers may take; what a worker that was killed had accepted is
    reset, and asked again as a client would."""
    give_up_s = time.monotonic() + PATIENCE_S
    while True:
        connection = http.client.HTTPConnection(process.host, process.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (ConnectionResetError, http.client.RemoteDisconnected):
            assert time.monotonic() < give_up_s
        finally:
            connection.close()


def by_worker(process: Any, sample_name: str) -> dict[str, float]:
    families = text_string_to_metric_families(ask(process, "GET", "/metrics")[1].decode())
    found: dict[str, float] = {}
    for family in families:
        for sample in family.samples:
            if sample.name == sample_name:
                worker = sample.labels["worker"]
                found[worker] = found.get(worker, 0.0) + sample.value
    return found


def children(pid: int) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.add(int(entry.name))
    return found


def until(condition: Callable[[], object]) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]
    except OSError:
        return False


def test_a_scrape_of_one_shows_the_bids_of_all(workers: Any, make_body: Body) -> None:
    """By the label `worker`, whichever is asked."""
    body = make_body(device=DESKTOP)
    sent = int(sum(by_worker(workers, "bidder_requests_total").values()))

    def both_have_answered() -> bool:
        nonlocal sent
        assert ask(workers, "POST", "/openrtb2/bid", body)[0] == 200
        sent += 1
        answered = by_worker(workers, "bidder_requests_total")
        return answered.keys() == {"0", "1"} and min(answered.values()) > 0

    until(both_have_answered)
    for _ in range(6):
        assert sum(by_worker(workers, "bidder_requests_total").values()) == sent
    assert by_worker(workers, "process_resident_memory_bytes").keys() == {"0", "1"}


def test_a_worker_that_ends_is_started_anew(workers: Any, make_body: Body) -> None:
    """The other serves meanwhile."""
    before = children(workers.process.pid)
    assert len(before) == 2
    os.kill(min(before), signal.SIGKILL)
    until(lambda: not is_alive(min(before)))
    assert ask(workers, "POST", "/openrtb2/bid", make_body(device=DESKTOP))[0] == 200
    until(lambda: len(by_worker(workers, "process_cpu_seconds_total")) == 2)
    assert len(children(workers.process.pid) - before) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_supervisor(start_bidder: Callable[..., Any], number: signal.Signals) -> None:
    """Asked to stop, or killed outright."""
    with start_bidder(workers="2", drain_s="0") as process:
        workers = children(process.process.pid)
        process.process.send_signal(number)
        assert process.process.wait(PATIENCE_S) == (0 if number is signal.SIGTERM else -number)
        until(lambda: not any(map(is_alive, workers)))


def test_what_no_worker_can_use_ends_them_all(start_bidder: Callable[..., Any], tmp_path: Path) -> None:
    """With the exit status that says so, and no restart."""
    broken = tmp_path / "catalog.json"
    broken.write_text("{")
    with (
        pytest.raises(AssertionError, match="ended before it listened"),
        start_bidder(workers="2", catalog_uri=str(broken)),
    ):
        pass
