"""What the training job takes and what it prints: the part of `model`'s contract that SageMaker is told.

The rule: nothing here needs the CDK, so that the model's own tests hold every name, range and pattern against the real
`python -m model train`.
"""

from __future__ import annotations

from typing import NamedTuple

# The channel that `model train` reads; labelled logs as `model.log` describes them, plain or .gz.
CHANNEL = "train"

# SageMaker passes every value as a string. The job's own defaults hold for what is not named.
HYPERPARAMETERS = {"num_round": "150", "early_stopping_rounds": "20", "seed": "1"}
# Another split than the final job's, so that its held-out auctions did not choose the hyperparameters alone.
TUNING_HYPERPARAMETERS = {**HYPERPARAMETERS, "num_round": "400", "seed": "2"}


class Range(NamedTuple):
    """What the tuning job may try; `logarithmic` where a factor matters and not a difference."""

    name: str
    low: float
    high: float
    whole: bool = False
    logarithmic: bool = False


RANGES = (
    Range("eta", 0.02, 0.3, logarithmic=True),
    Range("max_depth", 2, 7, whole=True),
    Range("min_child_weight", 1, 50, logarithmic=True),
    Range("subsample", 0.5, 1.0),
    Range("colsample_bytree", 0.4, 1.0),
    Range("reg_lambda", 0.5, 50, logarithmic=True),
    Range("smoothing", 1, 100, logarithmic=True),
)
OBJECTIVE = "logloss"  # a proper score: it asks for ranking and for calibration

# Printed when a model was written, one `name=value` a line. A value that is no number is no metric.
METRICS = (
    "auc",
    "auc_standard_error",
    "auc_prior",
    "auc_gain_standard_error",
    "auc_within_campaign",
    "logloss",
    "logloss_prior",
    "calibration_error",
    "held_out_rows",
    "held_out_positives",
    "rows",
    "positives",
    "trees",
)


def pattern(metric: str) -> str:
    """The regular expression that finds a metric in the job's log; `rows` is not found in `held_out_rows`."""
    return rf"(?:^|\s){metric}=([-+]?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)"
