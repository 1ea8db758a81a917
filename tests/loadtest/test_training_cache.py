"""Making the demo's model: once, whole, and again when its inputs change."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from loadtest.training import Prepared, Steps, TrainingError, fingerprint, trained_model

FEATURES = '{"features_version": "abc123"}'
BIDDER = """
import pathlib, sys
pathlib.Path(LOG).open("a").write("bidder " + sys.argv[1] + "\\n")
if sys.argv[1] == "features":
    print('{"features_version": "abc123"}')
else:
    pathlib.Path(sys.argv[3]).write_bytes(pathlib.Path(sys.argv[2]).read_bytes())
"""
MODEL = """
import pathlib, sys
pathlib.Path(LOG).open("a").write("model " + sys.argv[1] + "\\n")
if FAILS:
    sys.exit("model train: refused: AUC 0.5 does not beat 0.5")
if sys.argv[1] == "simulate":
    pathlib.Path(sys.argv[3]).write_bytes(pathlib.Path(sys.argv[2]).read_bytes())
else:
    folder = pathlib.Path(sys.argv[sys.argv.index("--model-dir") + 1])
    folder.mkdir()
    (folder / "rows").write_bytes(pathlib.Path(sys.argv[sys.argv.index("--train") + 1]).read_bytes())
    print("logloss=0.3")
    print("auc=0.75")
    print("auc_error=0.01")
"""


class Workshop:
    """Steps done by stand-ins that note each run; the requests are real ones."""

    def __init__(self, stand_ins, folder: Path, *, fails: bool = False) -> None:
        self.log, self.cache = folder / "log", folder / "cache"
        settings = f"LOG, FAILS = {str(self.log)!r}, {fails}\n"
        bidder, model = stand_ins.script(settings + BIDDER), stand_ins.script(settings + MODEL)
        self.steps = Steps((sys.executable, "-m", "loadtest"), bidder, model)
        self.shown = io.StringIO()

    def train(self, count: int = 20) -> Prepared:
        return trained_model(Console(file=self.shown), self.cache, count=count, steps=self.steps)

    @property
    def runs(self) -> list[str]:
        return self.log.read_text().splitlines()


def test_the_steps_run_in_order_and_hand_on_their_files(stand_ins, tmp_path: Path):
    """Requests, rows, simulation, training: the model's folder holds what came out of the chain."""
    workshop = Workshop(stand_ins, tmp_path)
    made = workshop.train(count=20)
    assert made.profiles.is_file()
    assert workshop.runs == ["bidder features", "bidder hash-profiles", "bidder rows", "model simulate", "model train"]
    assert len((made.model_dir / "rows").read_bytes().splitlines()) == 20


def test_the_quality_is_shown(stand_ins, tmp_path: Path):
    """Of what the trainer prints, the area under the curve is shown."""
    workshop = Workshop(stand_ins, tmp_path)
    workshop.train()
    assert "held out: auc=0.75\n" in workshop.shown.getvalue()


def test_a_model_of_the_same_inputs_is_used_again(stand_ins, tmp_path: Path):
    """The second time only the features are asked for."""
    workshop = Workshop(stand_ins, tmp_path)
    first = workshop.train()
    assert workshop.train() == first
    assert workshop.runs[5:] == ["bidder features"]


def test_nothing_else_stays_in_the_cache(stand_ins, tmp_path: Path):
    """The working folder is gone when the model is in its place."""
    workshop = Workshop(stand_ins, tmp_path)
    made = workshop.train()
    assert list(workshop.cache.iterdir()) == [made.model_dir.parent]
    assert sorted(path.name for path in made.model_dir.parent.iterdir()) == ["model", "profiles.jsonl"]


def test_a_step_that_fails_leaves_nothing_and_says_why(stand_ins, tmp_path: Path):
    """The error has the command, its exit code and its last lines; no half of a model stays."""
    workshop = Workshop(stand_ins, tmp_path, fails=True)
    with pytest.raises(TrainingError, match=r"(?s)simulate.* ended with exit code 1.*\| model train: refused"):
        workshop.train()
    assert list(workshop.cache.iterdir()) == []


def test_the_fingerprint_covers_every_input(tmp_path: Path):
    """Another catalog, features version or number of requests means another model; the same inputs the same one."""
    catalog = tmp_path / "catalog.json"
    catalog.write_text("{}")
    first = fingerprint(FEATURES, str(catalog), 20)
    assert fingerprint(FEATURES, str(catalog), 20) == first
    assert fingerprint(FEATURES, str(catalog), 21) != first
    assert fingerprint(FEATURES.replace("abc", "abd"), str(catalog), 20) != first
    catalog.write_text("{} ")
    assert fingerprint(FEATURES, str(catalog), 20) != first


def test_features_without_a_version_are_said():
    """What `bidder features` printed is in the error."""
    with pytest.raises(TrainingError, match="expected JSON with features_version"):
        fingerprint('{"version": 1}', "catalog.json", 20)
