"""Simulated labels follow the documented truth and nothing else."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model import log, simulate


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, write_log: Callable[..., Path]) -> Path:
    return write_log(tmp_path_factory.mktemp("simulate") / "rows.csv", 4_000, 5)


def test_the_same_seed_gives_the_same_log(source: Path, tmp_path: Path) -> None:
    """Labels depend on rows and seed alone; another seed is another world."""
    names = ["one.csv.gz", "two.csv.gz", "three.csv.gz"]
    for name, seed in zip(names, (1, 1, 2), strict=True):
        simulate.simulate(source, tmp_path / name, seed)
    one, two, three = ((tmp_path / name).read_bytes() for name in names)
    assert one == two
    assert one != three


def test_rates_are_those_of_the_goals(source: Path) -> None:
    """Views come for 60% of cpm rows, clicks for 2% of cpc rows, actions for 0.5% of cpa rows."""
    events = log.read(source)
    truth = simulate.true_probabilities(events.header, events.rows, 1)
    goal = events.rows[:, events.header.features.index("goal")]
    assert [truth[goal == g].mean() for g in (0, 1, 2)] == pytest.approx([0.6, 0.02, 0.005], abs=1e-6)


def test_labels_are_drawn_from_the_truth(source: Path, tmp_path: Path) -> None:
    """As many come as the written probabilities promise, and the report counts them."""
    report = simulate.simulate(source, tmp_path / "labelled.csv", 1, tmp_path / "truth.csv")
    labelled = log.read(tmp_path / "labelled.csv")
    with (tmp_path / "truth.csv").open() as file:
        truth = np.array([float(line["probability"]) for line in csv.DictReader(file)])
    assert labelled.labels is not None
    assert report.positives == labelled.labels.sum()
    deviation = np.sqrt((truth * (1 - truth)).sum())
    assert abs(report.positives - truth.sum()) < 4 * deviation
    assert 0.6 < report.best_auc_within_campaign < report.best_auc < 1


def test_the_labelled_log_does_not_hold_the_truth(source: Path, tmp_path: Path) -> None:
    """The one new column is the label."""
    simulate.simulate(source, tmp_path / "labelled.csv", 1)
    with source.open() as before, (tmp_path / "labelled.csv").open() as after:
        assert next(before) == next(after)
        assert next(before).strip() + ",label" == next(after).strip()


def test_interactions_are_part_of_the_truth(source: Path) -> None:
    """Changing the country changes a row's odds by a different amount in different campaigns."""
    events = log.read(source)
    place = {name: events.header.features.index(name) for name in ("campaign", "country", "goal")}
    campaigns = np.unique(events.rows[events.rows[:, place["goal"]] == 1, place["campaign"]])[:2]
    countries = np.unique(events.rows[:, place["country"]])[1:3]
    probe = np.repeat(events.rows[:1], 4, axis=0)
    probe[:, place["goal"]] = 1
    probe[:, place["campaign"]] = campaigns.repeat(2)
    probe[:, place["country"]] = np.tile(countries, 2)
    p = simulate.true_probabilities(events.header, probe, 1)
    odds = np.log(p / (1 - p))
    assert odds[1] - odds[0] != pytest.approx(odds[3] - odds[2], abs=0.01)


def test_codes_count_as_categories(source: Path) -> None:
    """A device type is no hash but a small whole number, and has an effect of its own all the same."""
    events = log.read(source)
    column = events.header.features.index("device_type")
    assert "device_type" not in events.header.categorical
    probe = np.repeat(events.rows[:1], 4, axis=0)
    probe[:, column] = [1, 2, 3, 4]
    p = simulate.true_probabilities(events.header, probe, 1)
    steps = np.diff(np.log(p / (1 - p)))
    assert np.ptp(steps) > 0.05


@pytest.mark.parametrize("missing", [("goal",), ("site", "country"), ("frequency", "recency", "hour_sin", "area")])
def test_missing_features_are_left_out(
    write_log: Callable[..., Path], tmp_path: Path, missing: tuple[str, ...]
) -> None:
    """Any header simulates; without a goal all rows are clicks."""
    path = write_log(tmp_path / "rows.csv", 2_000, 6, leave_out=missing)
    events = log.read(path)
    truth = simulate.true_probabilities(events.header, events.rows, 1)
    assert np.isfinite(truth).all()
    assert truth.std() > 0.005
    if "goal" in missing:
        assert truth.mean() == pytest.approx(0.02, abs=1e-6)


def test_a_labelled_log_is_refused(source: Path, tmp_path: Path) -> None:
    """Real outcomes are never overwritten by drawn ones, nor a log by itself."""
    simulate.simulate(source, tmp_path / "labelled.csv", 1)
    with pytest.raises(log.LogError, match="labelled already"):
        simulate.simulate(tmp_path / "labelled.csv", tmp_path / "again.csv", 1)
    with pytest.raises(log.LogError, match="another file"):
        simulate.simulate(source, source, 1)
