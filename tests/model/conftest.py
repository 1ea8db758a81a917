"""What the tests of the model share: a generator of logs, the command line as processes, one trained container."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = 20_000
PATIENCE_S = 120

CATEGORIES = {
    "campaign": 30,
    "creative": 90,
    "country": 30,
    "region": 80,
    "os": 6,
    "browser": 8,
    "connection": 5,
    "carrier": 20,
    "language": 15,
    "exchange": 4,
    "publisher": 100,
    "site": 200,
    "category": 24,
}
NUMBERS = (
    *("hour_sin", "hour_cos", "day_sin", "day_cos", "width", "height", "area", "ratio", "position", "floor", "deal"),
    *("viewability", "frequency", "recency", "segments", "secure", "interstitial", "is_app", "imp_count", "goal"),
    *("has_user", "tmax", "coppa", "limited", "rewarded"),
)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def write_log(path: Path, rows: int, seed: int, leave_out: tuple[str, ...] = (), labels: bool = False) -> Path:
    """Random auctions, two impressions each, 40 features. `labels`: drawn at random, independent of the rows."""
    draw = np.random.default_rng(seed)
    campaign = np.minimum((draw.pareto(1.0, rows) * 4).astype(int), CATEGORIES["campaign"] - 1)
    columns: dict[str, np.ndarray] = {}
    for name, size in CATEGORIES.items():
        hashes = np.array([zlib.crc32(f"{name}:{i}".encode()) & 0xFFFFFF for i in range(size)])
        choice = np.minimum((draw.pareto(0.8, rows) * size / 12).astype(int), size - 1)
        if name == "campaign":
            choice = campaign
        elif name == "creative":
            choice = campaign * 3 + draw.integers(0, 3, rows)
        known = hashes[choice]
        columns[name] = known if name in ("campaign", "creative") else np.where(draw.random(rows) < 0.05, 0, known)
    for name in NUMBERS:
        columns[name] = np.round(draw.random(rows), 4)
    columns["device_type"] = draw.integers(0, 8, rows)  # codes: whole numbers, but no hashes
    columns["format"] = draw.integers(1, 5, rows)
    columns["frequency"] = draw.poisson(2, rows)
    columns["area"] = draw.choice([300 * 250, 728 * 90, 320 * 50], rows)
    columns["goal"] = campaign % 3
    names = sorted(set(columns) - set(leave_out))
    version = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    facts = {
        "format": "bidder-rows/1",
        "features": names,
        "features_version": version,
        "categorical": [name for name in names if name in CATEGORIES],
    }
    luck = draw.random(rows) < 0.3
    with path.open("w") as file:
        file.write(f"# {json.dumps(facts)}\n")
        file.write(
            ",".join(["auction_id", "impression_id", "campaign_id", *names, *(["label"] if labels else [])]) + "\n"
        )
        for index, row in enumerate(np.stack([columns[name] for name in names], 1).tolist()):
            values = ",".join(f"{value:.10g}" for value in row)
            end = f",{int(luck[index])}" if labels else ""
            file.write(f"a{seed}-{index // 2},{index % 2 + 1},c{campaign[index]},{values}{end}\n")
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "model", *map(str, arguments)]


def environment(extra: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("SM_", "SAGEMAKER_"))} | extra


def run_model(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=ROOT, env=environment(env or {}), capture_output=True, text=True, timeout=PATIENCE_S
    )


@contextmanager
def serving(*arguments: object, env: dict[str, str] | None = None) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """A serving process and the host and port that it printed; ended by its own id, whatever happens."""
    process = subprocess.Popen(
        command("serve", *arguments), cwd=ROOT, env=environment(env or {}), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("model serving on http://"), line
        host, _, port = line.strip().removeprefix("model serving on http://").rpartition(":")
        yield process, host, int(port)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()


@dataclass(frozen=True)
class Container:
    """A folder laid out like /opt/ml after a job that went well."""

    base: Path
    log: Path
    printed: str
    simulated: str

    @property
    def model(self) -> Path:
        return self.base / "model"


@pytest.fixture(name="write_log", scope="session")
def fixture_write_log() -> Callable[..., Path]:
    return write_log


@pytest.fixture(name="run_model", scope="session")
def fixture_run_model() -> Run:
    return run_model


@pytest.fixture(name="serving", scope="session")
def fixture_serving() -> Callable[..., object]:
    return serving


@pytest.fixture(scope="session")
def container(tmp_path_factory: pytest.TempPathFactory) -> Container:
    """Simulated labels, then a training job by its container contract: channel, hyperparameters as strings."""
    base = tmp_path_factory.mktemp("ml")
    channel = base / "input/data/train"
    channel.mkdir(parents=True)
    (base / "input/config").mkdir(parents=True)
    (base / "input/config/hyperparameters.json").write_text(json.dumps({"num_round": "120", "nthread": "1"}))
    source = write_log(base / "unlabelled.csv", ROWS, 11)
    simulated = run_model("simulate", source, channel / "rows.csv.gz", "--seed", 3, "--truth", base / "truth.csv")
    assert simulated.returncode == 0, simulated.stderr
    trained = run_model("train", "--base", base, "--tar", base / "model.tar.gz")
    assert trained.returncode == 0, trained.stderr
    return Container(base, channel / "rows.csv.gz", trained.stdout, simulated.stdout)


@pytest.fixture(scope="session")
def server(container: Container) -> Iterator[tuple[str, int]]:
    """The trained model behind a socket: host and port."""
    with serving("--model-dir", container.model, "--port", 0) as (_, host, port):
        yield host, port
