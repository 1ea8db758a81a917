"""A training job that is interrupted goes on where it was; what is not of this job is not taken."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from model import log, train
from model.checkpoint import FILE, KEEP_EVERY, Progress, fingerprint
from model.container import Job
from model.hyperparameters import Hyperparameters
from model.predictor import Predictor

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120


def boost(progress: Progress, rounds: int) -> xgboost.Booster:
    """Some rounds on 400 made-up rows, after those that were kept."""
    draw = np.random.default_rng(3)
    rows = draw.random((400, 4)).astype(np.float32)
    data = xgboost.DMatrix(rows, (rows[:, 0] + draw.random(400) > 1).astype(np.float32))
    return xgboost.train(
        {"objective": "binary:logistic", "eval_metric": "logloss", "nthread": 1, "max_depth": 2},
        data,
        rounds,
        evals=[(data, "calibrate")],
        xgb_model=progress.resume(),
        callbacks=[progress],
        verbose_eval=False,
    )


def test_trees_and_losses_are_kept_every_ten_rounds(tmp_path: Path) -> None:
    """What came after the last of them is lost; what is taken again is whole."""
    boost(Progress(tmp_path, "key", 100), KEEP_EVERY + 3)
    again = Progress(tmp_path, "key", 100)
    kept = again.resume()
    assert kept is not None
    assert (kept.num_boosted_rounds(), len(again.losses)) == (KEEP_EVERY, KEEP_EVERY)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_training_goes_on_with_the_losses_before(tmp_path: Path) -> None:
    """So that its rounds are counted, and the best is found, over both parts."""
    boost(Progress(tmp_path, "key", 100), KEEP_EVERY)
    again = Progress(tmp_path, "key", 100)
    assert boost(again, 5).num_boosted_rounds() == len(again.losses) == KEEP_EVERY + 5
    assert again.losses == sorted(again.losses, reverse=True)
    assert again.best_round() == KEEP_EVERY + 4


def test_another_jobs_checkpoint_is_not_taken(tmp_path: Path) -> None:
    """Nor one that is cut short, or no checkpoint at all; training then begins at the beginning."""
    boost(Progress(tmp_path, "key", 100), KEEP_EVERY)
    assert Progress(tmp_path, "other", 100).resume() is None
    data = (tmp_path / FILE).read_bytes()
    for broken in (data[:-20], data[:40], b"", b"\n", b'{"key": "key"'):
        (tmp_path / FILE).write_bytes(broken)
        assert Progress(tmp_path, "key", 100).resume() is None
    assert Progress(tmp_path / "nowhere", "key", 100).resume() is None
    assert Progress(None, "key", 100).resume() is None


def test_a_checkpoint_is_of_one_log_and_one_set_of_hyperparameters(container: Any) -> None:
    """A label, a row or a hyperparameter that differs makes another key."""
    events = log.read(container.log)
    assert events.labels is not None
    rows, labels, usual = events.rows[:100], events.labels[:100], Hyperparameters()
    keys = [
        fingerprint(events.header, rows, labels, usual),
        fingerprint(events.header, rows, 1 - labels, usual),
        fingerprint(events.header, rows[::-1], labels, usual),
        fingerprint(events.header, rows, labels, replace(usual, eta=0.1)),
    ]
    assert len(set(keys)) == 4
    assert fingerprint(events.header, rows, labels, usual) == keys[0]


def test_keeping_checkpoints_changes_no_model(container: Any, tmp_path: Path) -> None:
    """The trees of a job that is not interrupted are the same with and without."""
    events, quick = log.read(container.log), Hyperparameters(num_round=15, nthread=1)
    plain = train.train(events, None, quick, 1, None)
    kept = train.train(events, None, quick, 1, None, tmp_path)
    assert (tmp_path / FILE).is_file()
    assert (Predictor(plain).predict(events.rows[:500]) == Predictor(kept).predict(events.rows[:500])).all()


def test_early_stopping_counts_rounds_since_the_best() -> None:
    """As XGBoost's own does: it ends when so many rounds brought nothing better."""
    progress = Progress(None, "", patience=2)
    over = [progress.after_iteration(xgboost.Booster(), 0, {"c": {"l": [loss]}}) for loss in (3, 2, 2, 2)]
    assert over == [False, False, False, True]
    assert progress.best_round() == 1


def test_a_killed_job_goes_on(container: Any, tmp_path: Path) -> None:
    """Killed in a container that keeps checkpoints, and started again: it says from where, and ends with a model."""
    base = tmp_path / "ml"
    for folder in ("input/data/train", "checkpoints"):
        (base / folder).mkdir(parents=True)
    (base / "input/data/train/log.csv").symlink_to(container.log)
    command = [sys.executable, "-m", "model", "train", "--base", str(base)]
    command += ["--set", "num_round=200", "--set", "early_stopping_rounds=200", "--set", "nthread=1"]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE_S
    while not (base / "checkpoints" / FILE).exists() and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait(PATIENCE_S)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    after = int(done.stdout.partition("going on after ")[2].partition(" ")[0])
    assert after >= KEEP_EVERY
    assert (base / "model/manifest.json").is_file()


@pytest.mark.parametrize("asked", [True, False])
def test_checkpoints_are_kept_where_sagemaker_asks_for_them(tmp_path: Path, asked: bool) -> None:
    """It mounts the folder if the job's request has a CheckpointConfig, and else there is none."""
    if asked:
        (tmp_path / "checkpoints").mkdir()
    assert Job.in_container(tmp_path, {}, {}).checkpoints == (tmp_path / "checkpoints" if asked else None)
