"""The training job: SageMaker's contract, honest figures, refusals, and the same bytes each time."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import artifact, evaluation, log, train
from model.hyperparameters import Hyperparameters, ParameterError
from model.predictor import Predictor

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120
QUICK = Hyperparameters(num_round=20, nthread=1)


def held_out(container: Any) -> list[dict[str, str]]:
    with (container.base / "output/data/held_out.csv").open() as file:
        return list(csv.DictReader(file))


def metrics(container: Any) -> dict[str, float]:
    found: dict[str, float] = json.loads((container.model / "metrics.json").read_text())
    return found


def test_the_artifact_holds_four_files_and_no_pickle(container: Any) -> None:
    """Model folder and tar hold the same four files, in formats that cannot run code."""
    names = {"manifest.json", "booster.ubj", "encoding.npz", "metrics.json"}
    assert {path.name for path in container.model.iterdir()} == names
    with tarfile.open(container.base / "model.tar.gz") as tar:
        assert set(tar.getnames()) == names
        for name in names:
            member = tar.extractfile(name)
            assert member is not None
            assert member.read() == (container.model / name).read_bytes()
    with np.load(container.model / "encoding.npz", allow_pickle=False) as table:
        assert {name: table[name].dtype.name for name in table} == {"keys": "int64", "values": "float32"}


def test_the_manifest_carries_the_logs_header(container: Any) -> None:
    """Features, their version and the header's digest go from log to artifact."""
    header = log.read(container.log).header
    manifest = json.loads((container.model / "manifest.json").read_text())
    assert tuple(manifest["features"]) == header.features
    assert manifest["features_version"] == header.features_version
    assert manifest["header_sha256"] == header.sha256()


def test_the_model_beats_its_campaigns_rates(container: Any) -> None:
    """On unseen auctions it ranks better than the prior, also inside campaigns, and below the best possible."""
    found = metrics(container)
    best = dict(pair.split("=") for pair in container.simulated.split())
    assert (
        found["auc_prior"] + 2 * found["auc_gain_standard_error"]
        < found["auc"]
        < float(best["best-possible-auc"]) + 0.01
    )
    assert found["auc_within_campaign"] > 0.6
    assert found["logloss"] < found["logloss_prior"]
    assert found["calibration_error"] < 0.03


def test_printed_metrics_are_the_stored_ones(container: Any) -> None:
    """Each metric is a name=value line, for SageMaker's metric definitions."""
    printed = dict(line.split("=") for line in container.printed.splitlines() if "=" in line)
    assert {name: float(value) for name, value in printed.items()} == pytest.approx(metrics(container), rel=1e-4)


def test_the_metrics_are_those_of_the_held_out_rows(container: Any) -> None:
    """AUC and counts can be computed again from held_out.csv."""
    rows = held_out(container)
    labels = np.array([float(row["label"]) for row in rows], np.float32)
    found = metrics(container)
    assert (found["held_out_rows"], found["held_out_positives"]) == (len(rows), labels.sum())
    for name, column in (("auc", "probability"), ("auc_prior", "prior")):
        scores = np.array([float(row[column]) for row in rows])
        assert evaluation.auc(scores, labels) == pytest.approx(found[name], abs=1e-5)


def test_the_loaded_model_scores_as_the_trainer_did(container: Any) -> None:
    """The predictor on logged rows gives the trainer's held-out predictions, one by one or together."""
    events = log.read(container.log)
    place = {pair: i for i, pair in enumerate(zip(events.auction_ids, events.impression_ids, strict=True))}
    wanted = held_out(container)
    rows = events.rows[[place[row["auction_id"], row["impression_id"]] for row in wanted]]
    expected = np.array([float(row["probability"]) for row in wanted])
    predictor = Predictor(artifact.load(container.model))
    np.testing.assert_allclose(predictor.predict(rows), expected, rtol=1e-5)
    alone = [float(predictor.predict(rows[i : i + 1])[0]) for i in range(50)]
    np.testing.assert_allclose(alone, expected[:50], rtol=1e-5)


def test_unseen_categories_all_score_alike(container: Any) -> None:
    """Two sites that training never saw make no difference to each other, and the score is a probability."""
    events = log.read(container.log)
    predictor = Predictor(artifact.load(container.model))
    column = events.header.features.index("site")
    seen = set(events.rows[:, column].tolist())
    strangers = [value for value in range(1, 100) if value not in seen][:2]
    probe = np.repeat(events.rows[:1], 2, axis=0)
    probe[:, column] = strangers
    first, second = predictor.predict(probe)
    assert first == second
    assert 0 < first < 1


def test_training_again_gives_the_same_bytes(container: Any, run_model: Any, tmp_path: Path) -> None:
    """Same log, same hyperparameters, same seed: the same model.tar.gz. SM_* variables say where."""
    places = {
        "SM_CHANNEL_TRAIN": str(container.log.parent),
        "SM_MODEL_DIR": str(tmp_path / "model"),
        "SM_OUTPUT_DIR": str(tmp_path / "output"),
        "SM_HPS": json.dumps({"num_round": "120", "nthread": "1"}),
    }
    done = run_model("train", "--tar", tmp_path / "model.tar.gz", env=places)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.tar.gz").read_bytes() == (container.base / "model.tar.gz").read_bytes()


def test_labels_that_mean_nothing_are_refused(run_model: Any, write_log: Callable[..., Path], tmp_path: Path) -> None:
    """On labels drawn at random the held-out AUC is about 0.5: nothing leaks, and no model is written."""
    path = write_log(tmp_path / "rows.csv", 8_000, 21, labels=True)
    done = run_model("train", "--train", path, "--model-dir", tmp_path / "model", "--output-data-dir", tmp_path)
    assert done.returncode == 1
    assert "refused: the held-out AUC" in done.stderr
    assert not (tmp_path / "model").exists()
    with (tmp_path / "held_out.csv").open() as file:
        rows = list(csv.DictReader(file))
    scores, labels = (np.array([float(row[name]) for row in rows]) for name in ("probability", "label"))
    assert evaluation.auc(scores, labels) == pytest.approx(0.5, abs=0.05)


def test_a_broken_log_leaves_a_failure_file(run_model: Any, tmp_path: Path) -> None:
    """The contract of a failed job: the reason in output/failure and on standard error, exit 1, no model."""
    channel = tmp_path / "input/data/train"
    channel.mkdir(parents=True)
    (channel / "rows.csv").write_text("auction_id,label\n1,0\n")
    done = run_model("train", "--base", tmp_path)
    failure = (tmp_path / "output/failure").read_text()
    assert done.returncode == 1
    assert "rows.csv:1: expected '#' and JSON with format 'bidder-rows/1'" in failure
    assert done.stderr == f"model train: {failure}\n"
    assert not (tmp_path / "model").exists()


def test_a_bad_hyperparameter_file_is_a_failure_too(run_model: Any, tmp_path: Path) -> None:
    """What cannot be read as a JSON object is named."""
    (tmp_path / "input/config").mkdir(parents=True)
    (tmp_path / "input/config/hyperparameters.json").write_text("[]")
    done = run_model("train", "--base", tmp_path)
    assert done.returncode == 1
    assert "hyperparameters.json: expected a JSON object of strings" in (tmp_path / "output/failure").read_text()


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"etta": "0.1"}, "'etta' is not known; known are num_round"),
        ({"eta": "fast"}, "eta is 'fast', expected float in 0.001..1"),
        ({"max_depth": "99"}, "max_depth is '99', expected int in 1..12"),
        ({"smoothing": "nan"}, "smoothing is 'nan'"),
    ],
)
def test_a_bad_hyperparameter_is_named(given: dict[str, str], complaint: str) -> None:
    """Unknown names and values out of range are errors that say what would be right."""
    with pytest.raises(ParameterError, match=complaint):
        Hyperparameters.parse(given)


def test_the_platforms_own_hyperparameters_are_skipped() -> None:
    """SageMaker's toolkits and tuning jobs add names of theirs; the others are read from strings."""
    added = {"sagemaker_program": "train.py", "_tuning_objective_metric": "logloss"}
    read = Hyperparameters.parse({**added, "eta": "0.3", "campaign_feature": "cid"})
    assert (read.eta, read.campaign_feature) == (0.3, "cid")


@pytest.mark.parametrize("with_validation", [False, True])
def test_no_auction_is_on_two_sides(write_log: Callable[..., Path], tmp_path: Path, with_validation: bool) -> None:
    """Fit, calibrate and held-out parts share no auction, also when a validation log repeats some."""
    events = log.read(write_log(tmp_path / "rows.csv", 3_000, 31, labels=True))
    half = log.EventLog(
        events.header,
        *(ids[1_000:] for ids in (events.auction_ids, events.impression_ids, events.campaign_ids)),
        events.rows[1_000:],
        events.labels[1_000:] if events.labels is not None else None,
    )
    source = log.EventLog(
        events.header,
        *(ids[:2_000] for ids in (events.auction_ids, events.impression_ids, events.campaign_ids)),
        events.rows[:2_000],
        events.labels[:2_000] if events.labels is not None else None,
    )
    validation = half if with_validation else None
    digests = train.auction_digests(source.auction_ids, 1)
    *learning, last, last_log = train.split(source, validation, digests, QUICK)
    sides = [{source.auction_ids[i] for i in part.indices} for part in learning]
    sides.append({last_log.auction_ids[i] for i in last.indices})
    assert all(sides)
    assert sum(map(len, sides)) == len(set().union(*sides))


def test_a_validation_channel_is_what_is_measured(
    container: Any, write_log: Callable[..., Path], tmp_path: Path
) -> None:
    """With a validation log the figures are of its rows alone."""
    from model.simulate import simulate

    simulate(write_log(tmp_path / "rows.csv", 3_000, 41), tmp_path / "labelled.csv", 3)
    validation = log.read(tmp_path / "labelled.csv")
    result = train.train(log.read(container.log), validation, QUICK, 1, None)
    assert result.metrics["held_out_rows"] == 3_000
    assert result.metrics["rows"] == 23_000


def test_an_unlabelled_log_is_refused(write_log: Callable[..., Path], tmp_path: Path) -> None:
    """Only outcomes can be learned from."""
    with pytest.raises(log.LogError, match="no label column"):
        train.train(log.read(write_log(tmp_path / "rows.csv", 100, 51)), None, QUICK, 1, None)


def test_a_log_with_too_few_positives_is_refused(write_log: Callable[..., Path], tmp_path: Path) -> None:
    """The error tells the part and its counts."""
    events = log.read(write_log(tmp_path / "rows.csv", 60, 61, labels=True))
    assert events.labels is not None
    events.labels[:] = 0
    with pytest.raises(
        train.TrainingError, match=r"the fit part has \d+ rows, 0 of them positive; expected at least 5"
    ):
        train.train(events, None, QUICK, 1, None)


def test_calibration_finds_slope_and_intercept() -> None:
    """Log-odds that are twice too bold and shifted are put right."""
    draw = np.random.default_rng(71)
    truth = draw.normal(-1, 1.5, 40_000)
    labels = (draw.random(40_000) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    found = train.fit_calibration((2 * truth + 1).astype(np.float32), labels)
    assert (found.slope, found.intercept) == pytest.approx((0.5, -0.5), abs=0.04)


def test_calibration_never_turns_the_order_round() -> None:
    """Scores that rank the wrong way stay as they are: a negative slope would hide the fault."""
    draw = np.random.default_rng(72)
    truth = draw.normal(0, 1, 2_000)
    labels = (draw.random(2_000) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    assert train.fit_calibration((-truth).astype(np.float32), labels) == artifact.Calibration(1.0, 0.0)


@pytest.mark.parametrize("name", ["booster.ubj", "encoding.npz", "metrics.json"])
def test_a_changed_artifact_is_not_loaded(container: Any, tmp_path: Path, name: str) -> None:
    """Every part is held against its digest in the manifest."""
    for path in container.model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes() + (b" " if path.name == name else b""))
    with pytest.raises(artifact.ArtifactError, match=f"{name}: its SHA-256 is not the manifest's"):
        artifact.load(tmp_path)


def test_a_half_written_artifact_is_not_loaded(container: Any, tmp_path: Path) -> None:
    """Without the manifest, which is written last, there is no model."""
    (tmp_path / "booster.ubj").write_bytes((container.model / "booster.ubj").read_bytes())
    with pytest.raises(artifact.ArtifactError, match=r"manifest\.json: missing; expected a model folder"):
        artifact.load(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--help",), 0, "simulate"),
        (("train", "--help"), 0, "--model-dir"),
        ((), 2, "COMMAND"),
        (("train", "--train", "x.csv"), 2, "--train and --model-dir go together"),
        (("train", "--train", "x.csv", "--model-dir", "m", "--set", "eta"), 2, "--set takes NAME=VALUE"),
        (("simulate", "nowhere.csv", "out.csv"), 1, "nowhere.csv: No such file"),
        (("serve", "--model-dir", "nowhere"), 1, "manifest.json: missing"),
        (("serve", "--port", "http"), 2, "expected 0..65535"),
    ],
)
def test_exit_codes_tell_misuse_from_failure(run_model: Any, arguments: tuple[str, ...], code: int, text: str) -> None:
    """0 done, 1 failed with one line that says why, 2 not understood."""
    done = run_model(*arguments)
    assert done.returncode == code
    assert text in done.stdout + done.stderr
    if code == 1:
        assert done.stderr.count("\n") == 1


def test_simulated_log_is_gzip(container: Any) -> None:
    """A target that ends in .gz is compressed."""
    assert gzip.decompress(container.log.read_bytes()).startswith(b"# {")


def test_training_is_ended_by_sigterm(tmp_path: Path) -> None:
    """StopTrainingJob sends SIGTERM to process 1 of a container: a handler ends it, as the exit code tells."""
    log = tmp_path / "log.csv"
    os.mkfifo(log)
    command = [sys.executable, "-m", "model", "train", "--train", str(log), "--model-dir", str(tmp_path / "model")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with log.open("w"):  # opens once the training reads, and blocks it there
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()
