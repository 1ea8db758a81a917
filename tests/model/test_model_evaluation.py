"""The figures a model is judged by agree with their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model import evaluation


def sample(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, a score that knows something with many ties, and a weaker one correlated with it."""
    draw = np.random.default_rng(seed)
    labels = (draw.random(rows) < 0.3).astype(np.float32)
    good = np.round(labels + draw.normal(0, 1.2, rows), 1)
    return labels, good, np.round(good + draw.normal(0, 1.5, rows), 1)


def test_auc_is_the_share_of_pairs_ranked_right() -> None:
    """Against counting every pair, ties as half."""
    labels, scores, _ = sample(300, 1)
    positive, negative = scores[labels == 1], scores[labels == 0]
    wins = (positive[:, None] > negative).sum() + 0.5 * (positive[:, None] == negative).sum()
    assert evaluation.auc(scores, labels) == pytest.approx(wins / (len(positive) * len(negative)))


def test_auc_of_one_kind_only_is_undefined() -> None:
    """Without a negative there is nothing to rank."""
    assert math.isnan(evaluation.auc(np.array([0.1, 0.2]), np.ones(2, np.float32)))


def test_standard_errors_agree_with_the_bootstrap() -> None:
    """DeLong's errors of the AUC and of the difference are those that resampling shows, to a fifth."""
    labels, good, weak = sample(600, 2)
    compared = evaluation.compare(good, weak, labels)
    draw = np.random.default_rng(3)
    drawn = []
    for _ in range(400):
        pick = draw.integers(0, len(labels), len(labels))
        drawn.append((evaluation.auc(good[pick], labels[pick]), evaluation.auc(weak[pick], labels[pick])))
    first, second = np.array(drawn).T
    assert compared.auc == pytest.approx(evaluation.auc(good, labels))
    assert compared.other_auc == pytest.approx(evaluation.auc(weak, labels))
    assert compared.auc_error == pytest.approx(first.std(), rel=0.2)
    assert compared.difference_error == pytest.approx((first - second).std(), rel=0.2)


def test_auc_within_groups_ignores_what_tells_groups_apart() -> None:
    """A score that only knows the group has 0.5 inside groups, however well it ranks across them."""
    draw = np.random.default_rng(4)
    groups = draw.integers(0, 5, 2000)
    labels = (draw.random(2000) < groups / 5).astype(np.float32)
    assert evaluation.auc(groups.astype(np.float64), labels) > 0.7
    assert evaluation.auc_within(groups, groups.astype(np.float64), labels) == 0.5


def test_log_loss_is_the_mean_surprise() -> None:
    """Two rows by hand."""
    value = evaluation.log_loss(np.array([0.8, 0.4]), np.array([1, 0], np.float32))
    assert value == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)


def test_calibration_error_is_the_gap_between_promise_and_outcome() -> None:
    """A model that promises twice what comes is off by the difference."""
    draw = np.random.default_rng(5)
    truth = draw.uniform(0.1, 0.4, 20_000)
    labels = (draw.random(20_000) < truth).astype(np.float32)
    assert evaluation.calibration_error(truth, labels) < 0.02
    assert evaluation.calibration_error(2 * truth, labels) == pytest.approx(truth.mean(), abs=0.02)
