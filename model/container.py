"""SageMaker's training-container contract: where the job finds its input and where it leaves its results.

The rule: a flag goes before an SM_* variable, and that before the place under the base folder (/opt/ml). Outside a
container the same job runs on plain paths. A job that fails says why in `output/failure` and exits with 1, and writes
no model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model import artifact, log
from model.artifact import Artifact
from model.encoding import EncodingError
from model.hyperparameters import Hyperparameters, ParameterError
from model.train import TrainingError, train

BASE = Path("/opt/ml")
FAILURE_CHARACTERS = 1024  # what SageMaker shows of the failure file
Expected = (log.LogError, ParameterError, TrainingError, EncodingError, OSError)


@dataclass(frozen=True, slots=True)
class Job:
    """One training job's places; None: not wanted.

    `output` holds `failure`, `data` what is kept beside the model, `checkpoints` the trees of a job that may be
    interrupted.
    """

    train: Path
    validation: Path | None
    model: Path
    output: Path | None
    data: Path | None
    hyperparameters: Mapping[str, str]
    checkpoints: Path | None = None

    @staticmethod
    def in_container(base: Path, environment: Mapping[str, str], overrides: Mapping[str, str]) -> Job:
        """The places under `base`, or where SM_* variables say. Raises ParameterError on unreadable hyperparameters."""
        given = {
            name: Path(environment[name])
            for name in environment
            if name.startswith(("SM_CHANNEL_", "SM_MODEL_", "SM_OUTPUT_"))
        }
        validation = given.get("SM_CHANNEL_VALIDATION", base / "input/data/validation")
        output = given.get("SM_OUTPUT_DIR", base / "output")
        checkpoints = base / "checkpoints"  # there only if the job was asked to keep some
        return Job(
            given.get("SM_CHANNEL_TRAIN", base / "input/data/train"),
            validation if validation.exists() else None,
            given.get("SM_MODEL_DIR", base / "model"),
            output,
            given.get("SM_OUTPUT_DATA_DIR", output / "data"),
            {**_hyperparameters(base / "input/config/hyperparameters.json", environment.get("SM_HPS")), **overrides},
            checkpoints if checkpoints.exists() else None,
        )

    def run(self) -> Artifact:
        """Trains and writes the model. Raises what `Expected` names, after the failure file is written."""
        try:
            parameters = Hyperparameters.parse(dict(self.hyperparameters))
            events = log.read(self.train)
            validation = log.read(self.validation) if self.validation else None
            table = None
            if self.data is not None:
                self.data.mkdir(parents=True, exist_ok=True)
                table = self.data / "held_out.csv"
            result = train(events, validation, parameters, cores(), table, self.checkpoints)
            artifact.save(result, self.model)
        except Exception as error:
            write_failure(self.output, error)
            raise
        return result


def write_failure(output: Path | None, error: Exception) -> None:
    """Leaves the reason where SageMaker looks for it."""
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "failure").write_text(describe(error)[:FAILURE_CHARACTERS], encoding="utf-8")


def describe(error: Exception) -> str:
    """One line: the text of an error we expect, with its type if we do not."""
    text = " ".join(str(error).split())
    return text if isinstance(error, Expected) else f"{type(error).__name__}: {text}"


def cores() -> int:
    """The cores this process may use; SM_NUM_CPUS, if set, is SageMaker's word for the same."""
    given = os.environ.get("SM_NUM_CPUS", "")
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(int(given), usable) if given.isdigit() and int(given) > 0 else usable


def _hyperparameters(path: Path, variable: str | None) -> dict[str, str]:
    if path.exists():
        text, name = path.read_text(encoding="utf-8"), str(path)
    elif variable:
        text, name = variable, "SM_HPS"
    else:
        return {}
    try:
        values = json.loads(text)
        return {str(key): str(value) for key, value in values.items()}
    except (ValueError, AttributeError) as error:
        raise ParameterError(f"{name}: expected a JSON object of strings") from error
