"""Makes the demo's model, unless one of the same inputs is there already.

The rule: the model is a function of its inputs, so its folder is named after them; it is built beside its place and
renamed into it whole, so that two builders do no harm. Each step is a process:

    loadtest profiles ─▶ bidder hash-profiles ─▶ profiles
    loadtest traffic ─▶ requests ─▶ bidder rows (with the profiles) ─▶ served rows ─▶ model simulate ─▶ labelled log
      ─▶ model train ─▶ model
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console

from loadtest.profiles import profiles
from loadtest.traffic import requests

ROOT = Path(__file__).resolve().parent.parent
DEMO_CATALOG = ROOT / "bidder" / "data" / "demo_catalog.json"
CACHE = Path(".cache")
COUNT, SEED = 20_000, 7
STEP_S = 300.0  # a step that takes longer hangs
_SAMPLE = 100  # requests that stand for the generator in the fingerprint
_LEASH = Path(__file__).with_name("leash.py")


class TrainingError(Exception):
    """A step failed; the text has its command and its last lines."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a stack needs: the folder of a trained model, and the file of the profiles it was trained with."""

    model_dir: Path
    profiles: Path

    def environment(self) -> dict[str, str]:
        """This process's, with the profiles for the bidder unless it names others."""
        return {"BIDDER_PROFILES_PATH": str(self.profiles.resolve()), **os.environ}


@dataclass(frozen=True, slots=True)
class Steps:
    """How the programs are started, before their arguments."""

    loadtest: Sequence[str] = (sys.executable, "-m", "loadtest")
    bidder: Sequence[str] = (sys.executable, "-m", "bidder")
    model: Sequence[str] = (sys.executable, "-m", "model")


def trained_model(console: Console, cache: Path = CACHE, *, count: int = COUNT, steps: Steps = Steps()) -> Prepared:
    """A model trained on `count` requests, and its profiles; made if they are missing. Raises TrainingError."""
    features = _run([*steps.bidder, "features"])
    catalog = os.environ.get("BIDDER_CATALOG_URI") or str(DEMO_CATALOG)
    target = cache / f"demo-{fingerprint(features, catalog, count)}"
    prepared = Prepared(target / "model", target / "profiles.jsonl")
    if target.is_dir():
        console.print(f"model: {prepared.model_dir}, trained before", highlight=False)
        return prepared
    console.print(f"model: none for this catalog yet, training one on {count:,} requests", highlight=False)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="training-", dir=cache) as folder:
        made = Path(folder) / "made"
        made.mkdir()
        _train(console, Path(folder), Prepared(made / "model", made / "profiles.jsonl"), count, steps)
        _put_in_place(made, target)
    return prepared


def fingerprint(features: str, catalog: str, count: int) -> str:
    """Sixteen hex digits for everything that the model depends on: catalog, features, requests.

    `features` is the JSON that `python -m bidder features` prints; `catalog` is a path, or the name of one that is
    not on this machine. Raises TrainingError.
    """
    try:
        version = json.loads(features)["features_version"]
    except (ValueError, TypeError, KeyError) as error:
        raise TrainingError(
            f"`bidder features` printed {features[:200]!r}, expected JSON with features_version"
        ) from error
    digest = hashlib.sha256(f"{version} {SEED} {count}".encode())
    for case in requests(SEED, _SAMPLE, valid_only=True):
        digest.update(case.body)
    for profile in islice(profiles(0, ()), _SAMPLE):
        digest.update(json.dumps(profile).encode())
    path = Path(catalog)
    digest.update(path.read_bytes() if path.is_file() else catalog.encode())
    return digest.hexdigest()[:16]


def _train(console: Console, folder: Path, made: Prepared, count: int, steps: Steps) -> None:
    traffic, rows, log, raw = (str(folder / name) for name in ("traffic.jsonl", "rows.csv", "log.csv", "raw.jsonl"))
    seed, model, known = str(SEED), str(made.model_dir), str(made.profiles)
    _step(console, "people", [*steps.loadtest, "profiles", "--catalog", str(DEMO_CATALOG), "--out", raw])
    _step(console, "profiles without their ids", [*steps.bidder, "hash-profiles", raw, known])
    _step(
        console,
        "requests",
        [*steps.loadtest, "traffic", "--count", str(count), "--seed", seed, "--valid-only", "--out", traffic],
    )
    _step(console, "rows served for them", [*steps.bidder, "rows", traffic, rows], made.environment())
    truth = str(folder / "truth.csv")
    _step(console, "simulated users", [*steps.model, "simulate", rows, log, "--seed", seed, "--truth", truth])
    output = _step(console, "training", [*steps.model, "train", "--train", log, "--model-dir", model])
    quality = [line.strip() for line in output.splitlines() if line.startswith(("auc=", "auc_prior="))]
    if quality:
        console.print(f"  on auctions held out: {', '.join(quality)}", highlight=False)


def _step(console: Console, what: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    started_s = time.monotonic()
    with console.status(f"{what} …"):
        output = _run(command, environment)
    console.print(f"  {what:<26}{time.monotonic() - started_s:6.1f} s", highlight=False)
    return output


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """The output of a process that ends well. It ends with this one; see `loadtest.leash`."""
    leashed = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *command]
    try:
        done = subprocess.run(
            leashed,
            env=environment,
            capture_output=True,
            text=True,
            timeout=STEP_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TrainingError(f"`{' '.join(command)}` was not done after {STEP_S:g} s") from error
    if done.returncode != 0:
        said = "\n".join(f"  | {line}" for line in (done.stdout + done.stderr).splitlines()[-15:])
        raise TrainingError(f"`{' '.join(command)}` ended with exit code {done.returncode}:\n{said}")
    return done.stdout


def _put_in_place(made: Path, target: Path) -> None:
    """Renames; where another process was faster, its model, made of the same inputs, stays."""
    try:
        made.rename(target)
    except OSError as error:
        if not target.is_dir():
            raise TrainingError(f"{made} could not be renamed to {target}: {error}") from error
