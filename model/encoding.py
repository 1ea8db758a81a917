"""What is learned about categories: how much better or worse each does than expected, as a number for the trees.

The rule: a category's number never comes from the labels of the rows it is given to. Training rows get theirs out of
fold (`fit_out_of_fold`); all others from the table fitted on the whole of the training part. An unseen or rare
category gets 0, which means "as expected".

The expectation is the campaign's own rate (smoothed towards its goal's, and that towards the rate of all), since the
rates of goals lie far apart: a site is good when it beats what its campaigns do elsewhere. The campaign's log-odds
are the trees' starting point. The number of a category is one Newton step of its log-odds with a normal prior: (came
- expected) / (information + smoothing). It is learned per goal, because what brings a click need not bring a view;
and for crosses per campaign.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.log import CATEGORY_LIMIT, Header

Rows = NDArray[np.float32]
Keys = NDArray[np.int64]

_SLOT = 1 << 48  # a key is slot, group and category: 15, 24 and 24 bits
_CAMPAIGN_SLOT, _GOAL_SLOT, _FIRST_LIFT_SLOT = 0, 1, 2
_END = np.iinfo(np.int64).max
_RATE_ROWS = 100.0  # a rate counts as if it had this many rows of its parent's rate


class EncodingError(ValueError):
    """A header or a row that the encoding cannot take."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Columns: the categories, of them the campaign and those crossed with it; and the goal's (-1: none)."""

    columns: int
    categories: tuple[int, ...]
    campaign: int
    goal: int
    crosses: tuple[int, ...]

    @staticmethod
    def of(header: Header, campaign_feature: str, goal_feature: str, crossed: bool) -> Plan:
        """Reads the plan off a header; without the goal's feature, all rows have one goal. Raises EncodingError."""
        if campaign_feature not in header.categorical:
            raise EncodingError(
                f"the log has no categorical feature {campaign_feature!r}; hyperparameter campaign_feature names it"
            )
        position = {name: index for index, name in enumerate(header.features)}
        campaign = position[campaign_feature]
        categories = tuple(position[name] for name in header.categorical)
        crosses = tuple(c for c in categories if c != campaign) if crossed else ()
        goal = next((i for i, name in enumerate(header.features) if name.startswith(goal_feature)), -1)
        return Plan(len(header.features), categories, campaign, goal, crosses)


@dataclass(frozen=True, slots=True)
class Encoding:
    """One sorted table for everything looked up; `keys` ends with a sentinel, so that a search never runs off it."""

    plan: Plan
    prior_log_odds: float
    keys: Keys
    values: NDArray[np.float32]

    def transform(self, rows: Rows) -> tuple[Rows, NDArray[np.float32]]:
        """Rows (n, features) to the trees' input (n, features + crosses) and their starting log-odds (n,).

        Raises EncodingError when a category is no whole number in 0..16,777,215.
        """
        found, hit = self._look_up(_keys(self.plan, rows))
        start = np.where(hit[:, 0], found[:, 0], np.where(hit[:, 1], found[:, 1], np.float32(self.prior_log_odds)))
        lifts = found[:, _FIRST_LIFT_SLOT:] * hit[:, _FIRST_LIFT_SLOT:]
        encoded = np.empty((len(rows), self.plan.columns + len(self.plan.crosses)), np.float32)
        encoded[:, : self.plan.columns] = rows
        encoded[:, list(self.plan.categories)] = lifts[:, : len(self.plan.categories)]
        encoded[:, self.plan.columns :] = lifts[:, len(self.plan.categories) :]
        encoded[:, self.plan.campaign] = start  # its lift is about 0 by construction; its rate says more
        return encoded, start

    def start(self, rows: Rows) -> NDArray[np.float32]:
        """The campaign prior, as log-odds (n,)."""
        return self.transform(rows)[1]

    def _look_up(self, keys: Keys) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        places = self.keys.searchsorted(keys)
        return self.values[places], self.keys[places] == keys


def fit(plan: Plan, rows: Rows, labels: NDArray[np.float32], smoothing: float, min_count: int) -> Encoding:
    """Learns the table from labelled rows. Categories with fewer than `min_count` rows are left out."""
    keys = _keys(plan, rows)
    prior = (float(labels.sum()) + 0.5) / (len(labels) + 1.0)
    goal, goal_seen, goal_rate = _rates(keys[:, _GOAL_SLOT], labels, np.full(len(labels), prior), 1)
    campaign, campaign_seen, rate = _rates(keys[:, _CAMPAIGN_SLOT], labels, goal_rate, min_count)
    all_keys, all_values = [goal, campaign], [goal_seen, campaign_seen]
    for slot in range(_FIRST_LIFT_SLOT, keys.shape[1]):
        names, inverse, counts = np.unique(keys[:, slot], return_inverse=True, return_counts=True)
        surprise = np.bincount(inverse, labels - rate)
        information = np.bincount(inverse, rate * (1.0 - rate))
        kept = counts >= min_count
        all_keys.append(names[kept])
        all_values.append((surprise / (information + smoothing))[kept])
    table = np.concatenate(all_keys)
    order = np.argsort(table)
    return Encoding(
        plan,
        float(_log_odds(np.float64(prior))),
        np.append(table[order], _END),
        np.append(np.concatenate(all_values)[order], 0.0).astype(np.float32),
    )


def fit_out_of_fold(
    plan: Plan, rows: Rows, labels: NDArray[np.float32], folds: NDArray[np.int64], smoothing: float, min_count: int
) -> tuple[Rows, NDArray[np.float32]]:
    """`transform` for the training rows themselves: each fold's rows by a table learned from the other folds."""
    encoded = np.empty((len(rows), plan.columns + len(plan.crosses)), np.float32)
    start = np.empty(len(rows), np.float32)
    for fold in np.unique(folds):
        inside = folds == fold
        encoding = fit(plan, rows[~inside], labels[~inside], smoothing, min_count)
        encoded[inside], start[inside] = encoding.transform(rows[inside])
    return encoded, start


def _keys(plan: Plan, rows: Rows) -> Keys:
    """Keys (n, 2 + categories + crosses): campaign, goal, categories in their goal, crosses in their campaign."""
    values = rows[:, list(plan.categories)]
    if values.size and not (np.min(values) >= 0 and np.max(values) < CATEGORY_LIMIT):
        raise EncodingError(f"a category is outside 0..{CATEGORY_LIMIT - 1}")
    categories = values.astype(np.int64)
    campaign = rows[:, plan.campaign].astype(np.int64)
    if plan.goal >= 0:
        goal = np.clip(rows[:, plan.goal], 0, CATEGORY_LIMIT - 1).astype(np.int64)
    else:
        goal = np.zeros(len(rows), np.int64)
    lifts = _FIRST_LIFT_SLOT + len(plan.categories)
    keys = np.empty((len(rows), lifts + len(plan.crosses)), np.int64)
    keys[:, _CAMPAIGN_SLOT], keys[:, _GOAL_SLOT] = campaign, goal
    keys[:, _FIRST_LIFT_SLOT:lifts] = categories + (goal * CATEGORY_LIMIT)[:, None]
    keys[:, lifts:] = rows[:, list(plan.crosses)].astype(np.int64) + (campaign * CATEGORY_LIMIT)[:, None]
    keys += np.arange(keys.shape[1], dtype=np.int64) * _SLOT
    return keys


def _rates(
    keys: Keys, labels: NDArray[np.float32], parent_rate: NDArray[np.float64], min_count: int
) -> tuple[Keys, NDArray[np.float64], NDArray[np.float64]]:
    """Each key's smoothed log-odds, and per row its key's rate, or the parent's where the key is rare."""
    names, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    parents = np.bincount(inverse, parent_rate) / counts
    rates = (np.bincount(inverse, labels) + _RATE_ROWS * parents) / (counts + _RATE_ROWS)
    kept = counts >= min_count
    return names[kept], _log_odds(rates)[kept], np.where(kept[inverse], rates[inverse], parent_rate)


def _log_odds(rate: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    return np.asarray(np.log(rate / (1.0 - rate)))
