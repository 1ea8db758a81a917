"""The training job: event log in, model artifact out, or a refusal.

The rule: what is reported was measured on auctions that took no part in the learning, and a model that does not
clearly beat the rate of its campaigns is refused rather than written.

    log ─▶ split by auction ─▶ fit        encoding and trees; the training rows' encodings are out of fold
                             ├▶ calibrate  when to stop adding trees; slope and intercept
                             └▶ held out   the figures, and whether to refuse
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xgboost
from numpy.typing import NDArray

from model import encoding, evaluation
from model.artifact import Artifact, Calibration
from model.checkpoint import Progress, fingerprint
from model.hyperparameters import Hyperparameters
from model.log import IDS, EventLog, LogError
from model.predictor import Predictor


class TrainingError(ValueError):
    """Training that cannot give a usable model; the text says why."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a log, with their labels."""

    rows: NDArray[np.float32]
    labels: NDArray[np.float32]
    indices: NDArray[np.int64]

    @staticmethod
    def of(log: EventLog, indices: NDArray[np.int64]) -> Part:
        assert log.labels is not None
        return Part(log.rows[indices], log.labels[indices], indices)


def train(
    log: EventLog,
    validation: EventLog | None,
    parameters: Hyperparameters,
    cores: int,
    table: Path | None,
    checkpoints: Path | None = None,
) -> Artifact:
    """Learns from a labelled log. The figures are of `validation`, if given, and else of a part of `log`.

    `table` receives the held-out predictions, also when the model is then refused; `checkpoints` is a folder for the
    trees so far, from which an interrupted training goes on. Raises TrainingError and LogError.
    """
    for name, part in (("training", log), ("validation", validation)):
        if part is not None and part.labels is None:
            raise LogError(f"the {name} log has no label column; only outcomes can be learned from")
    if validation is not None and validation.header != log.header:
        raise LogError(
            "the validation log's header is not the training log's; both need the same features in the same order"
        )
    digests = auction_digests(log.auction_ids, parameters.seed)
    fitted, calibrating, held_out, held_out_log = split(log, validation, digests, parameters)
    for name, subset in (("fit", fitted), ("calibrate", calibrating), ("held-out", held_out)):
        of_part = int(subset.labels.sum())
        if min(of_part, len(subset.labels) - of_part) < 5:
            raise TrainingError(
                f"the {name} part has {len(subset.labels)} rows, {of_part} of them positive; "
                f"expected at least 5 positive and 5 negative"
            )
    assert log.labels is not None
    key = fingerprint(log.header, log.rows, log.labels, parameters) if checkpoints is not None else ""
    progress = Progress(checkpoints, key, parameters.early_stopping_rounds)
    artifact = _fit(log, fitted, calibrating, digests, parameters, cores, progress)
    metrics, compared = _evaluate(artifact, held_out, held_out_log, table)
    parts = (fitted, calibrating, held_out)
    metrics["rows"] = sum(len(part.labels) for part in parts)
    metrics["positives"] = sum(float(part.labels.sum()) for part in parts)
    metrics["trees"] = artifact.booster.num_boosted_rounds()
    _refuse_if_useless(compared, parameters.min_sigma)
    return Artifact(artifact.header, artifact.booster, artifact.encoding, artifact.calibration, metrics)


def split(
    log: EventLog, validation: EventLog | None, digests: NDArray[np.uint64], parameters: Hyperparameters
) -> tuple[Part, Part, Part, EventLog]:
    """Fit, calibrate and held-out parts, and the log that the last is of. No auction is in two of them."""
    percent = digests % np.uint64(100)
    calibrate_from = 100 - parameters.calibrate_percent
    calibrate_to = 100
    if validation is None:
        calibrate_from, calibrate_to = calibrate_from - parameters.held_out_percent, 100 - parameters.held_out_percent
        held_out_log, held_out = log, np.flatnonzero(percent >= calibrate_to)
    else:
        seen = set(log.auction_ids)
        held_out_log = validation
        held_out = np.array([i for i, name in enumerate(validation.auction_ids) if name not in seen], np.int64)
    fitted = np.flatnonzero(percent < calibrate_from)
    calibrating = np.flatnonzero((percent >= calibrate_from) & (percent < calibrate_to))
    return Part.of(log, fitted), Part.of(log, calibrating), Part.of(held_out_log, held_out), held_out_log


def auction_digests(auction_ids: Sequence[str], seed: int) -> NDArray[np.uint64]:
    """64 even bits an auction (n,): the low ones choose the part, the high ones the fold; neither tells the other."""
    key = seed.to_bytes(8, "big")
    known: dict[str, int] = {}
    for name in auction_ids:
        if name not in known:
            known[name] = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8, key=key).digest(), "big")
    return np.array([known[name] for name in auction_ids], np.uint64)


def _fit(
    log: EventLog,
    fitted: Part,
    calibrating: Part,
    digests: NDArray[np.uint64],
    parameters: Hyperparameters,
    cores: int,
    progress: Progress,
) -> Artifact:
    p = parameters
    plan = encoding.Plan.of(log.header, p.campaign_feature, p.goal_feature, bool(p.crosses))
    folds = ((digests[fitted.indices] >> np.uint64(32)) % np.uint64(p.folds)).astype(np.int64)
    inputs, start = encoding.fit_out_of_fold(plan, fitted.rows, fitted.labels, folds, p.smoothing, p.min_count)
    learned = encoding.fit(plan, fitted.rows, fitted.labels, p.smoothing, p.min_count)
    tuning_inputs, tuning_start = learned.transform(calibrating.rows)
    tuning = xgboost.DMatrix(tuning_inputs, calibrating.labels, base_margin=tuning_start)
    kept = progress.resume()
    booster = xgboost.train(
        {
            "objective": "binary:logistic",
            "eval_metric": "logloss",
            "tree_method": "hist",
            "base_score": 0.5,  # log-odds 0: the start is added to the trees' sum, here and in the predictor
            "eta": p.eta,
            "max_depth": p.max_depth,
            "min_child_weight": p.min_child_weight,
            "subsample": p.subsample,
            "colsample_bytree": p.colsample_bytree,
            "lambda": p.reg_lambda,
            "nthread": min(p.nthread or cores, cores),
            "seed": p.seed + len(progress.losses),  # or rows would be drawn as in the rounds before
        },
        xgboost.DMatrix(inputs, fitted.labels, base_margin=start),
        0 if progress.is_over() else p.num_round - len(progress.losses),
        evals=[(tuning, "calibrate")],
        xgb_model=kept,
        callbacks=[progress],
        verbose_eval=False,
    )
    booster = booster[: progress.best_round() + 1]
    uncalibrated = Artifact(log.header, booster, learned, Calibration(), {})
    calibration = fit_calibration(Predictor(uncalibrated).log_odds(calibrating.rows), calibrating.labels)
    return Artifact(log.header, booster, learned, calibration, {})


def fit_calibration(log_odds: NDArray[np.float32], labels: NDArray[np.float32]) -> Calibration:
    """Slope and intercept of greatest likelihood, by Newton's method; the identity if they are out of reason."""
    design = np.stack([log_odds.astype(np.float64), np.ones(len(labels))])
    weights = np.array([1.0, 0.0])
    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-np.clip(weights @ design, -30, 30)))
        gradient = design @ (labels - p) - 1e-3 * (weights - (1.0, 0.0))
        step = np.linalg.solve((design * (p * (1 - p))) @ design.T + 1e-3 * np.eye(2), gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            break
    slope, intercept = float(weights[0]), float(weights[1])
    return Calibration(slope, intercept) if 0.1 < slope < 10 and abs(intercept) < 10 else Calibration()


def _evaluate(
    artifact: Artifact, part: Part, log: EventLog, table: Path | None
) -> tuple[dict[str, float], evaluation.Comparison]:
    scores = Predictor(artifact).predict(part.rows)
    prior = (1.0 / (1.0 + np.exp(-artifact.encoding.start(part.rows)))).astype(np.float32)
    if table is not None:
        _write_table(table, log, part, scores, prior)
    compared = evaluation.compare(scores, prior, part.labels)
    campaigns = np.unique([log.campaign_ids[i] for i in part.indices], return_inverse=True)[1].astype(np.int64)
    metrics: dict[str, float] = {
        "held_out_rows": len(part.labels),
        "held_out_positives": float(part.labels.sum()),
        "auc": compared.auc,
        "auc_standard_error": compared.auc_error,
        "auc_prior": compared.other_auc,
        "auc_gain_standard_error": compared.difference_error,
        "auc_within_campaign": evaluation.auc_within(campaigns, scores, part.labels),
        "logloss": evaluation.log_loss(scores, part.labels),
        "logloss_prior": evaluation.log_loss(prior, part.labels),
        "calibration_error": evaluation.calibration_error(scores, part.labels),
    }
    return {name: round(value, 6) for name, value in metrics.items()}, compared


def _refuse_if_useless(compared: evaluation.Comparison, min_sigma: float) -> None:
    """A lucky split must not pass: on labels drawn at random, AUC exceeds 0.5 every other time."""
    for name, rival, error in (
        ("0.5", 0.5, compared.auc_error),
        ("the campaign prior's", compared.other_auc, compared.difference_error),
    ):
        if not compared.auc - rival > min_sigma * error:
            raise TrainingError(
                f"refused: the held-out AUC {compared.auc:.4f} does not beat {name} ({rival:.4f}) "
                f"by {min_sigma:g} standard errors of {error:.4f}; more rows, or features that tell more, are needed"
            )


def _write_table(
    path: Path, log: EventLog, part: Part, scores: NDArray[np.float32], prior: NDArray[np.float32]
) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow((*IDS, "probability", "prior", "label"))
        for index, score, rate, label in zip(part.indices, scores, prior, part.labels, strict=True):
            names = log.auction_ids[index], log.impression_ids[index], log.campaign_ids[index]
            out.writerow((*names, repr(float(score)), repr(float(rate)), int(label)))
