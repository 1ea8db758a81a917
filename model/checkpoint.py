"""The trees so far, in one file: a training job whose machine is taken away goes on where it was.

The rule: a checkpoint is of one log and one set of hyperparameters, and is not taken for any other; one that is not
whole is as good as none, and XGBoost, which crashes on half a file, never sees it. SageMaker copies /opt/ml/checkpoints
to S3 while the job runs, and back when it starts again.

The file: the SHA-256 of what follows, a line of JSON (key, losses), and the trees in XGBoost's binary JSON.

A job that went on is as good as one that was never stopped, but not the same to the byte: the draws of rows and columns
begin anew, and sums are added up in another order.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from model.hyperparameters import Hyperparameters
from model.log import Header

FILE = "trees"
KEEP_EVERY = 10  # rounds


def fingerprint(
    header: Header, rows: NDArray[np.float32], labels: NDArray[np.float32], parameters: Hyperparameters
) -> str:
    """What a checkpoint must be of to be taken: features, rows, labels, hyperparameters."""
    digest = hashlib.blake2b(f"{header.sha256()} {rows.shape} {parameters}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(rows).data)
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()


class Progress(xgboost.callback.TrainingCallback):
    """Stops when the loss has not fallen for `patience` rounds, and keeps the trees every ten rounds.

    `losses` is of every round, those of an earlier start included; `folder` None: nothing is kept.
    """

    def __init__(self, folder: Path | None, key: str, patience: int) -> None:
        self._folder, self._key, self._patience = folder, key, patience
        self.losses: list[float] = []

    def best_round(self) -> int:
        """The first round with the least loss, from 0."""
        return int(np.argmin(self.losses))

    def is_over(self) -> bool:
        """Whether the loss has stopped falling."""
        return bool(self.losses) and len(self.losses) - 1 - self.best_round() >= self._patience

    def resume(self) -> xgboost.Booster | None:
        """The trees that were kept, if they are of this job."""
        if self._folder is None or not (self._folder / FILE).is_file():
            return None
        digest, _, rest = (self._folder / FILE).read_bytes().partition(b"\n")
        if hashlib.sha256(rest).hexdigest().encode() != digest:
            return None
        line, _, trees = rest.partition(b"\n")
        head = json.loads(line)
        if head["key"] != self._key:
            return None
        booster = xgboost.Booster()
        booster.load_model(bytearray(trees))
        self.losses = head["losses"]
        print(f"going on after {len(self.losses)} rounds that were kept", flush=True)
        return booster

    def after_iteration(self, model: xgboost.Booster, epoch: int, evals_log: Any) -> bool:
        """XGBoost's call after each round; True ends the training."""
        ((history,),) = (metric.values() for metric in evals_log.values())
        self.losses.append(float(history[-1]))
        if self._folder is not None and len(self.losses) % KEEP_EVERY == 0:
            self._keep(model, self._folder)
        return self.is_over()

    def _keep(self, model: xgboost.Booster, folder: Path) -> None:
        head = json.dumps({"key": self._key, "losses": self.losses})
        rest = head.encode() + b"\n" + bytes(model.save_raw("ubj"))
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{FILE}.part"
        part.write_bytes(hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
        part.replace(folder / FILE)
