"""What is learned about categories: right for the known, neutral for the unseen, never from a row's own label."""

from __future__ import annotations

import numpy as np
import pytest

from model import encoding, evaluation
from model.log import Header

HEADER = Header(("goal", "site", "campaign", "floor"), "0123456789ab", ("site", "campaign"))
PLAN = encoding.Plan.of(HEADER, "campaign", "goal", crossed=True)
RNG_ROWS = 8_000


def world(seed: int, sites: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Rows and labels: goal 0 comes half the time, goal 1 in 5%; site 7 doubles the odds for goal 0 alone."""
    draw = np.random.default_rng(seed)
    campaign = draw.integers(1, 9, RNG_ROWS)
    site = draw.integers(1, sites + 1, RNG_ROWS)
    goal = campaign % 2
    log_odds = np.where(goal == 0, 0.0, -3.0) + np.where((site == 7) & (goal == 0), 0.7, 0.0)
    labels = (draw.random(RNG_ROWS) < 1 / (1 + np.exp(-log_odds))).astype(np.float32)
    return np.stack([goal, site, campaign, draw.random(RNG_ROWS)], 1).astype(np.float32), labels


def row(goal: int, site: int, campaign: int) -> np.ndarray:
    return np.array([[goal, site, campaign, 0.5]], np.float32)


def test_a_category_is_learned_for_its_goal() -> None:
    """A site that is good for one goal gets a number there, and none to speak of for the other."""
    rows, labels = world(1)
    learned = encoding.fit(PLAN, rows, labels, smoothing=8.0, min_count=10)
    assert learned.transform(row(0, 7, 2))[0][0, 1] > 0.3
    assert abs(learned.transform(row(1, 7, 1))[0][0, 1]) < 0.3


def test_the_start_is_the_campaigns_own_log_odds() -> None:
    """Trees begin at the smoothed rate of the row's campaign."""
    rows, labels = world(2)
    learned = encoding.fit(PLAN, rows, labels, smoothing=8.0, min_count=10)
    member = rows[:, 2] == 3
    rate = 1 / (1 + np.exp(-learned.start(row(1, 1, 3))[0]))
    assert rate == pytest.approx(labels[member].mean(), abs=0.02)


def test_an_unseen_category_is_neutral() -> None:
    """It gets 0, the number of "as expected", for itself and for its cross."""
    rows, labels = world(3)
    encoded, _ = encoding.fit(PLAN, rows, labels, smoothing=8.0, min_count=10).transform(row(0, 999_999, 2))
    assert encoded[0, 1] == 0
    assert encoded[0, 4] == 0


def test_an_unseen_campaign_starts_at_its_goals_rate() -> None:
    """And an unseen goal at the rate of all."""
    rows, labels = world(4)
    learned = encoding.fit(PLAN, rows, labels, smoothing=8.0, min_count=10)
    of_goal = 1 / (1 + np.exp(-learned.start(row(1, 1, 777))[0]))
    assert of_goal == pytest.approx(labels[rows[:, 0] == 1].mean(), abs=0.02)
    of_all = 1 / (1 + np.exp(-learned.start(row(5, 1, 777))[0]))
    assert of_all == pytest.approx(labels.mean(), abs=0.001)


def test_a_rare_category_counts_as_unseen() -> None:
    """Below the minimum of rows nothing is learned."""
    rows, labels = world(5)
    rows[:4, 1], labels[:4] = 5_000, 1
    kept = encoding.fit(PLAN, rows, labels, smoothing=0.5, min_count=1)
    dropped = encoding.fit(PLAN, rows, labels, smoothing=0.5, min_count=5)
    probe = rows[:1]
    assert kept.transform(probe)[0][0, 1] != 0
    assert dropped.transform(probe)[0][0, 1] == 0


def test_training_rows_never_see_their_own_label() -> None:
    """With a site per auction and labels without meaning, only in-sample numbers tell the label."""
    draw = np.random.default_rng(6)
    rows, _ = world(6)
    pair = np.arange(RNG_ROWS) // 2
    rows[:, 1] = pair + 1
    labels = (draw.random(RNG_ROWS) < 0.3).astype(np.float32)
    naive, _ = encoding.fit(PLAN, rows, labels, 1.0, 1).transform(rows)
    honest, _ = encoding.fit_out_of_fold(PLAN, rows, labels, pair % 5, 1.0, 1)
    assert evaluation.auc(naive[:, 1], labels) > 0.9
    assert evaluation.auc(honest[:, 1], labels) == 0.5


def test_numbers_pass_unchanged() -> None:
    """Only categories are replaced."""
    rows, labels = world(7)
    encoded, _ = encoding.fit(PLAN, rows, labels, 8.0, 10).transform(rows)
    np.testing.assert_array_equal(encoded[:, [0, 3]], rows[:, [0, 3]])


@pytest.mark.parametrize("bad", [-1.0, 16_777_216.0, np.nan])
def test_a_category_out_of_range_is_refused(bad: float) -> None:
    """A hash that cannot be one is an error, not an unseen category."""
    rows, labels = world(8)
    learned = encoding.fit(PLAN, rows, labels, 8.0, 10)
    with pytest.raises(encoding.EncodingError, match="outside"):
        learned.transform(np.array([[0, bad, 1, 0]], np.float32))


def test_a_log_without_the_campaign_is_refused() -> None:
    """The campaign's rate is what a model has to beat, so its column must be named."""
    with pytest.raises(encoding.EncodingError, match="no categorical feature 'advertiser'"):
        encoding.Plan.of(HEADER, "advertiser", "goal", crossed=False)
