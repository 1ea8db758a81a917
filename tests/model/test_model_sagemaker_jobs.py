"""What SageMaker is told of the training job is what the training job does: names, ranges, patterns, channel."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from infra import sample_requests
from infra.training_contract import (
    CHANNEL,
    HYPERPARAMETERS,
    METRICS,
    OBJECTIVE,
    RANGES,
    TUNING_HYPERPARAMETERS,
    pattern,
)
from model import log, wire
from model.container import Job
from model.hyperparameters import Hyperparameters


def found(metric: str, log: str) -> list[str]:
    return re.findall(pattern(metric), log)


def test_every_metric_is_found_in_what_the_job_prints(container: Any) -> None:
    """Once each, with the printed value; and nothing that is printed is left out."""
    printed = dict(line.split("=") for line in container.printed.splitlines() if "=" in line)
    assert set(METRICS) == set(printed)
    for metric in METRICS:
        assert found(metric, container.printed) == [printed[metric]]


def test_a_metric_is_found_in_a_line_of_its_own(container: Any) -> None:
    """Whether the platform searches line by line or the whole log."""
    for metric in METRICS:
        by_line = [value for line in container.printed.splitlines() for value in found(metric, line)]
        assert by_line == found(metric, container.printed)


@pytest.mark.parametrize("text", ["auc=nan", "auc=", "auc=inf", "the auc=n/a"])
def test_what_is_no_number_is_no_metric(text: str) -> None:
    """So that a figure which could not be had counts as missing, and the gate refuses."""
    assert found("auc", text) == []


@pytest.mark.parametrize("value", ["1e-05", "1.23457e+06", "0.5", "12", "-0.25"])
def test_numbers_are_read_in_every_form_that_the_job_prints(value: str) -> None:
    """Python's %g, which is what `model train` formats with."""
    assert found("logloss", f"logloss={value}\n") == [value]
    assert f"{float(value):g}" == value


@pytest.mark.parametrize("fixed", [HYPERPARAMETERS, TUNING_HYPERPARAMETERS], ids=["training", "tuning"])
def test_the_job_takes_both_ends_of_every_range(fixed: dict[str, str]) -> None:
    """With what is fixed beside them, and with the name that a tuning job adds."""
    for end in ("low", "high"):
        tuned = {each.name: f"{getattr(each, end):g}" for each in RANGES}
        read = Hyperparameters.parse({**fixed, **tuned, "_tuning_objective_metric": OBJECTIVE})
        for each in RANGES:
            assert getattr(read, each.name) == getattr(each, end)


def test_ranges_are_whole_where_the_job_wants_whole_numbers() -> None:
    """And none is fixed at the same time, which SageMaker refuses."""
    for each in RANGES:
        assert each.whole == isinstance(getattr(Hyperparameters(), each.name), int)
        assert each.low < each.high
        assert each.low > 0 or not each.logarithmic
        assert each.name not in TUNING_HYPERPARAMETERS


def test_the_channel_is_where_the_job_looks(tmp_path: Any) -> None:
    """SageMaker mounts a channel at input/data/<its name>."""
    assert Job.in_container(tmp_path, {}, {}).train == tmp_path / "input/data" / CHANNEL


def test_the_objective_is_a_metric() -> None:
    """Tuning can only follow what is reported."""
    assert OBJECTIVE in METRICS


def test_sample_requests_are_such_as_the_container_reads(container: Any, tmp_path: Path) -> None:
    """The features of the log's rows, without ids and label, so many a request."""
    target = tmp_path / "sample.tar.gz"
    assert sample_requests.main([str(container.log), str(target), "--rows", "8", "--requests", "5"]) == 0
    events = log.read(container.log)
    with tarfile.open(target) as tar:
        files = [tar.extractfile(name) for name in sorted(tar.getnames())]
        read = [wire.decode_csv(file.read(), len(events.header.features)) for file in files if file]
    assert len(read) == 5
    for number, rows in enumerate(read):
        assert (rows == events.rows[8 * number : 8 * number + 8]).all()


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", '#{"format": "bidder-rows/1"}\n', '#{"features": ["x"]}\na,b,c,x\n']
)
def test_what_holds_no_rows_makes_no_sample(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says why."""
    source = tmp_path / "rows.csv"
    source.write_text(text)
    assert sample_requests.main([str(source), str(tmp_path / "out.tar.gz")]) == 1
    assert str(source) in capsys.readouterr().err
    assert not (tmp_path / "out.tar.gz").exists()
