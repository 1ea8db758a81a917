"""How good a list of scores is: ranking (AUC and its error), sharpness (log loss), honesty (calibration error).

The rule: pure functions of scores and labels; a figure comes with its standard error wherever it decides something.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """AUC of two scores over the same rows, with the standard errors of the first and of the difference."""

    auc: float
    other_auc: float
    auc_error: float
    difference_error: float


def auc(scores: Floats, labels: Floats) -> float:
    """The probability that a positive outranks a negative, ties counted half; NaN when one of them is missing."""
    positive = labels > 0.5
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    rank_sum = float(_midranks(scores)[positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def compare(scores: Floats, others: Floats, labels: Floats) -> Comparison:
    """AUC of `scores` and `others` and their errors, by DeLong's method.

    Both scores rank the same rows, so their errors are correlated: the error of the difference allows for that.
    Source: DeLong et al., Biometrics 44 (1988); midranks as in Sun and Xu, IEEE Signal Processing Letters 21 (2014).
    """
    first, first_positive, first_negative = _components(scores, labels)
    second, second_positive, second_negative = _components(others, labels)
    positives, negatives = len(first_positive), len(first_negative)

    def error(over_positives: NDArray[np.float64], over_negatives: NDArray[np.float64]) -> float:
        return float(np.sqrt(over_positives.var(ddof=1) / positives + over_negatives.var(ddof=1) / negatives))

    return Comparison(
        first,
        second,
        error(first_positive, first_negative),
        error(first_positive - second_positive, first_negative - second_negative),
    )


def auc_within(groups: NDArray[np.int64], scores: Floats, labels: Floats) -> float:
    """AUC inside each group, averaged with the number of pairs as weight; a score constant in each group has 0.5."""
    total = weights = 0.0
    for group in np.unique(groups):
        member = groups == group
        positives = float(labels[member].sum())
        pairs = positives * (float(member.sum()) - positives)
        if pairs:
            total += pairs * auc(scores[member], labels[member])
            weights += pairs
    return total / weights if weights else float("nan")


def log_loss(probabilities: Floats, labels: Floats) -> float:
    """Mean negative log-likelihood, in nats."""
    p = np.clip(probabilities.astype(np.float64), 1e-9, 1 - 1e-9)
    return float(-np.mean(labels * np.log(p) + (1 - labels) * np.log1p(-p)))


def calibration_error(probabilities: Floats, labels: Floats, bins: int = 10) -> float:
    """Mean distance between what was promised and what came, over bins of equal numbers of rows."""
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [len(part) * abs(float(probabilities[part].mean()) - float(labels[part].mean())) for part in parts]
    return sum(gaps) / len(order)


def _components(scores: Floats, labels: Floats) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """AUC, and for each positive (negative) the share of negatives (positives) it is ranked right against."""
    positive = labels > 0.5
    ranks = _midranks(scores)
    above = ranks[positive] - _midranks(scores[positive])
    below = ranks[~positive] - _midranks(scores[~positive])
    over_positives, over_negatives = above / len(below), 1.0 - below / len(above)
    return float(over_positives.mean()), over_positives, over_negatives


def _midranks(values: Floats) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle: NDArray[np.float64] = ends - (counts - 1) / 2
    return middle[inverse]
