"""The model as files: what training writes and serving loads.

The rule: nothing in it can run code (no pickles), every part is named with its SHA-256 in the manifest, and the
manifest is written last, so that a half-written folder is never taken for a model.

    manifest.json   features, their version, the training header's digest, plan of the encoding, calibration, digests
    booster.ubj     the trees, in XGBoost's own binary JSON
    encoding.npz    what was learned about categories: sorted int64 keys and float32 values
    metrics.json    how good it was on rows it had not seen
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from model.encoding import Encoding, Plan
from model.log import Header

FORMAT = "bidder-model/1"
MANIFEST, BOOSTER, ENCODING, METRICS = "manifest.json", "booster.ubj", "encoding.npz", "metrics.json"


class ArtifactError(ValueError):
    """A folder that is no model, or not a whole one."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt scaling: probability = sigmoid(slope * log-odds + intercept). slope > 0, so the order of scores is kept."""

    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained model, whole."""

    header: Header
    booster: xgboost.Booster
    encoding: Encoding
    calibration: Calibration
    metrics: dict[str, float]


def save(artifact: Artifact, folder: Path) -> None:
    """Writes the files into `folder`; the same model gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    (folder / BOOSTER).write_bytes(bytes(artifact.booster.save_raw("ubj")))
    with (folder / ENCODING).open("wb") as file:
        np.savez_compressed(file, keys=artifact.encoding.keys, values=artifact.encoding.values)
    _write_json(folder / METRICS, artifact.metrics)
    manifest = {
        "format": FORMAT,
        "features": artifact.header.features,
        "features_version": artifact.header.features_version,
        "categorical": artifact.header.categorical,
        "header_sha256": artifact.header.sha256(),
        "plan": asdict(artifact.encoding.plan),
        "prior_log_odds": artifact.encoding.prior_log_odds,
        "calibration": asdict(artifact.calibration),
        "sha256": {name: _sha256(folder / name) for name in (BOOSTER, ENCODING, METRICS)},
        "xgboost": xgboost.__version__,
    }
    _write_json(folder / MANIFEST, manifest)


def load(folder: Path) -> Artifact:
    """Reads and checks a model folder. Raises ArtifactError."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise ArtifactError(f"{folder / MANIFEST}: format is {manifest['format']!r}, expected {FORMAT!r}")
        for name, digest in manifest["sha256"].items():
            if _sha256(folder / name) != digest:
                raise ArtifactError(f"{folder / name}: its SHA-256 is not the manifest's; copy the model again")
        return _assemble(folder, manifest)
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{error.filename}: missing; expected a model folder written by `python -m model train`"
        ) from error
    except (ValueError, KeyError, TypeError, OSError, xgboost.core.XGBoostError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{folder}: no readable model ({type(error).__name__}: {error})") from error


def pack(folder: Path, tar: Path) -> None:
    """Writes model.tar.gz as SageMaker does, files at the top. No times, no owners: same model, same bytes."""
    with (
        tar.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as out,
    ):
        for name in (BOOSTER, ENCODING, MANIFEST, METRICS):
            data = (folder / name).read_bytes()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))


def _assemble(folder: Path, manifest: dict[str, Any]) -> Artifact:
    header = Header(tuple(manifest["features"]), manifest["features_version"], tuple(manifest["categorical"]))
    if header.sha256() != manifest["header_sha256"]:
        raise ArtifactError(f"{folder / MANIFEST}: the features are not those of header_sha256; copy the model again")
    facts = manifest["plan"]
    plan = Plan(facts["columns"], tuple(facts["categories"]), facts["campaign"], facts["goal"], tuple(facts["crosses"]))
    with np.load(folder / ENCODING, allow_pickle=False) as table:
        encoding = Encoding(plan, manifest["prior_log_odds"], table["keys"], table["values"])
    booster = xgboost.Booster()
    booster.load_model(bytearray((folder / BOOSTER).read_bytes()))
    metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    return Artifact(header, booster, encoding, Calibration(**manifest["calibration"]), metrics)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
