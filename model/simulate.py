"""Draws labels for an unlabelled log from a world whose truth is known, so that learning can be checked without an
exchange.

The rule: the label depends on the row and the seed alone, through what is written here, and the log gets the label
only. The true probabilities go to a file of their own, never into the log.

The truth: P(label) = sigmoid(base of the goal + what is added below), where a part whose feature is missing is left
out.

* Each category of the roles in MAIN adds a normal effect, drawn by hashing (seed, role, goal, category): a site that
  is good for clicks need not be good for views. 0, the unknown, adds nothing.
* Each pair of categories in PAIRS adds one likewise: campaign x site, campaign x country, creative x device, and so
  on.
* Each number in NUMBERS, standardised over the log, adds its weight: frequency fatigue, recency, hour, size,
  position, viewability.
* The base is solved so that the mean probability of a goal's rows is its RATE. The goal is read from the first
  feature with "goal" in its name; without one, all rows are clicks.

A role of MAIN and PAIRS takes the first category whose name contains one of its words, or else the first feature that
holds whole numbers only, such as a device type's code. NUMBERS take the first feature that is no category.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model import evaluation, log

Floats = NDArray[np.float64]

RATES = {0: 0.60, 1: 0.02, 2: 0.005}  # cpm: viewed; cpc: clicked; cpa: converted
OTHER_RATE = 0.02

ROLES = {
    "campaign": ("campaign",),
    "creative": ("creative",),
    "advertiser": ("advertiser",),
    "site": ("site", "inventory", "domain", "bundle"),
    "publisher": ("publisher",),
    "country": ("country", "geo"),
    "device": ("device_type", "devicetype", "device"),
    "os": ("os",),
    "browser": ("browser",),
    "format": ("format",),
    "exchange": ("exchange",),
    "category": ("category",),
    "carrier": ("carrier",),
}
MAIN = {
    "campaign": 0.5,
    "creative": 0.4,
    "advertiser": 0.2,
    "site": 0.7,
    "publisher": 0.3,
    "country": 0.4,
    "device": 0.4,
    "os": 0.2,
    "browser": 0.2,
    "format": 0.4,
    "exchange": 0.2,
    "category": 0.3,
    "carrier": 0.1,
}
PAIRS = {
    ("campaign", "site"): 0.35,
    ("campaign", "country"): 0.35,
    ("creative", "device"): 0.35,
    ("creative", "format"): 0.2,
    ("campaign", "category"): 0.25,
}
NUMBERS: tuple[tuple[tuple[str, ...], float, Callable[[Floats], Floats]], ...] = (
    (("frequency", "campaign_impressions", "impressions"), -0.45, lambda x: np.log1p(np.maximum(x, 0.0))),  # fatigue
    (("recency", "since"), 0.20, lambda x: np.log1p(np.maximum(x, 0.0))),  # the longer ago, the better
    (("hour_sin",), -0.20, lambda x: x),  # the evening is better than the morning
    (("hour_cos",), 0.10, lambda x: x),
    (("area", "width"), 0.30, lambda x: np.log1p(np.maximum(x, 0.0))),
    (("position",), -0.20, lambda x: x),
    (("viewability",), 0.35, lambda x: x),
    (("floor",), 0.10, lambda x: np.log1p(np.maximum(x, 0.0))),  # what costs more is seen more
    (("segments",), 0.15, lambda x: np.log1p(np.maximum(x, 0.0))),
)


@dataclass(frozen=True, slots=True)
class Report:
    """What was drawn. `best_auc` is the AUC of the true probabilities: no model can be expected to exceed it."""

    rows: int
    positives: int
    best_auc: float
    best_auc_within_campaign: float

    def __str__(self) -> str:
        rate = self.positives / self.rows
        return (
            f"rows={self.rows} positives={self.positives} rate={rate:.4f} "
            f"best-possible-auc={self.best_auc:.4f} within-campaign={self.best_auc_within_campaign:.4f}"
        )


def simulate(source: Path, target: Path, seed: int, truth: Path | None = None) -> Report:
    """Labels the log `source` into `target`; writes the true probabilities to `truth` if named. Raises LogError."""
    if target.exists() and os.path.samefile(source, target):
        raise log.LogError(f"{target}: the labelled log must be another file than the log it is made from")
    events = log.read(source)
    if events.labels is not None:
        raise log.LogError(f"{source}: the log is labelled already")
    probabilities = true_probabilities(events.header, events.rows, seed)
    labels = (np.random.default_rng(seed).random(len(events)) < probabilities).astype(np.float32)
    log.append_labels(source, target, labels)
    if truth is not None:
        _write_truth(truth, events, probabilities)
    campaigns = np.unique(events.campaign_ids, return_inverse=True)[1]
    return Report(
        len(events),
        int(labels.sum()),
        evaluation.auc(probabilities, labels),
        evaluation.auc_within(campaigns, probabilities, labels),
    )


def true_probabilities(header: log.Header, rows: NDArray[np.float32], seed: int) -> Floats:
    """P(label) of each row (n,), as the module's docstring defines it."""
    goal_column = next((i for i, name in enumerate(header.features) if "goal" in name), None)
    goal = np.ones(len(rows), np.int64) if goal_column is None else rows[:, goal_column].astype(np.int64)
    codes = (rows >= 0).all(0) & (rows < log.CATEGORY_LIMIT).all(0) & (rows == np.floor(rows)).all(0)
    columns = {role: _column(header, words, _hashes(header), codes) for role, words in ROLES.items()}
    known = {role: rows[:, column].astype(np.uint64) for role, column in columns.items() if column >= 0}
    score = np.zeros(len(rows))
    for role, scale in MAIN.items():
        if role in known:
            score += scale * _effect(seed, role, goal, known[role])
    for (one, other), scale in PAIRS.items():
        if one in known and other in known:
            score += scale * _effect(seed, f"{one}*{other}", goal, known[one], known[other])
    for words, weight, shape in NUMBERS:
        column = _column(header, words, ~_hashes(header))
        if column >= 0:
            score += weight * _standardised(shape(rows[:, column].astype(np.float64)))
    probabilities = np.empty(len(rows))
    for value in np.unique(goal):
        member = goal == value
        probabilities[member] = _with_mean(score[member], RATES.get(int(value), OTHER_RATE))
    return probabilities


def _column(header: log.Header, words: tuple[str, ...], *allowed: NDArray[np.bool_]) -> int:
    """The first allowed feature with one of the words in its name, or -1. What is allowed first goes before the rest;
    then the earlier word, then a name that begins with it."""
    for mask in allowed:
        for word in words:
            for matches in (str.startswith, str.__contains__):
                for index, name in enumerate(header.features):
                    if mask[index] and matches(name, word):
                        return index
    return -1


def _hashes(header: log.Header) -> NDArray[np.bool_]:
    return np.array([name in header.categorical for name in header.features])


def _effect(seed: int, role: str, goal: NDArray[np.int64], *categories: NDArray[np.uint64]) -> Floats:
    """Standard normal numbers (n,), one for each goal and tuple of categories; 0 where any of them is unknown."""
    state = _mix(
        np.full(len(goal), seed & 0xFFFFFFFF, np.uint64) + np.uint64(int.from_bytes(role.encode()[:8].ljust(8), "big"))
    )
    unknown = np.zeros(len(goal), np.bool_)
    for part in (goal.astype(np.uint64), *categories):
        state = _mix(state ^ part)
    for category in categories:
        unknown |= category == 0
    # Box and Muller: two uniform numbers, the first never 0.
    first = ((state >> np.uint64(11)).astype(np.float64) + 1.0) / 2.0**53
    second = (_mix(state) >> np.uint64(11)).astype(np.float64) / 2.0**53
    normal = np.sqrt(-2.0 * np.log(first)) * np.cos(2.0 * np.pi * second)
    return np.where(unknown, 0.0, normal)


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One step of splitmix64: close inputs come out far apart. Overflow is meant."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _standardised(values: Floats) -> Floats:
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 0 else np.zeros(len(values))


def _with_mean(score: Floats, rate: float) -> Floats:
    """Sigmoid of score + base, the base found by bisection so that the mean is `rate`."""
    low, high = -40.0, 40.0
    for _ in range(60):
        base = (low + high) / 2
        low, high = (base, high) if _sigmoid(score + base).mean() < rate else (low, base)
    return _sigmoid(score + high)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def _write_truth(path: Path, events: log.EventLog, probabilities: Floats) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow((*log.IDS, "probability"))
        out.writerows(
            zip(events.auction_ids, events.impression_ids, events.campaign_ids, probabilities.tolist(), strict=True)
        )
