"""What can be tuned: names, defaults, and the range that each value must be in.

The rule: a name that is not known or a value out of range ends the job before it reads a row.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

_LIMITS: dict[str, tuple[float, float]] = {
    "num_round": (1, 2000),
    "early_stopping_rounds": (1, 2000),
    "eta": (0.001, 1),
    "max_depth": (1, 12),
    "min_child_weight": (0, 1e6),
    "subsample": (0.1, 1),
    "colsample_bytree": (0.1, 1),
    "reg_lambda": (0, 1e6),
    "smoothing": (0.01, 1e6),
    "min_count": (1, 1e9),
    "folds": (2, 20),
    "calibrate_percent": (5, 45),
    "held_out_percent": (5, 45),
    "min_sigma": (0, 10),
    "crosses": (0, 1),
    "nthread": (0, 256),
    "seed": (0, 2**31 - 1),
}


class ParameterError(ValueError):
    """A hyperparameter that is not known or out of range; the text says what would be right."""


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Every knob, with its default. In SageMaker's file all values are strings."""

    num_round: int = 150
    early_stopping_rounds: int = 20
    eta: float = 0.12
    max_depth: int = 4
    min_child_weight: float = 5.0
    subsample: float = 0.8
    colsample_bytree: float = 0.7
    reg_lambda: float = 5.0
    smoothing: float = 8.0  # how much evidence moves a category: its effect's variance is taken to be 1 / smoothing
    min_count: int = 10  # rows below which a category counts as unseen
    folds: int = 5
    calibrate_percent: int = 15
    held_out_percent: int = 20
    min_sigma: float = 3.0  # standard errors by which the AUC must beat 0.5 and the campaign prior
    campaign_feature: str = "campaign"
    goal_feature: str = "goal"  # the first feature whose name begins so
    crosses: int = 1  # 1: also learn each category per campaign; 20 us a call for half a point of AUC
    nthread: int = 0  # 0: the cores there are
    seed: int = 1

    @staticmethod
    def parse(values: dict[str, str]) -> Hyperparameters:
        """Reads strings; names that begin with `sagemaker_` or `_` are the platform's and skipped.

        (A tuning job names its objective to each training job in `_tuning_objective_metric`.) Raises ParameterError.
        """
        types: dict[str, type[int] | type[float] | type[str]] = {
            name: type(default) for name, default in asdict(Hyperparameters()).items()
        }
        known: dict[str, int | float | str] = {}
        for name, text in values.items():
            if name.startswith(("sagemaker_", "_")):
                continue
            if name not in types:
                raise ParameterError(f"hyperparameter {name!r} is not known; known are {', '.join(types)}")
            low, high = _LIMITS.get(name, (0, 0))
            try:
                value = types[name](text)
                good = isinstance(value, str) or low <= value <= high
            except (ValueError, TypeError):
                good = False
            if not good:
                raise ParameterError(
                    f"hyperparameter {name} is {text!r}, expected {types[name].__name__} in {low}..{high}"
                )
            known[name] = value
        return Hyperparameters(**known)  # type: ignore[arg-type]
