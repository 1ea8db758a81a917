"""What a run must hold: `p99<20ms`, `errors<0.1%`, `answers_per_s>=2000`.

The rule: a threshold that cannot be read is an error before the run; a figure that is not there does not hold one.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_PARTS = re.compile(r"\s*([a-z_]\w*(?:\.\d+)?)\s*(<=|>=|==|<|>)\s*(\d+(?:\.\d+)?)\s*(us|ms|s|%)?\s*")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
_IN_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_LATENCY = re.compile(r"p\d{1,2}(?:\.\d+)?|max|mean")
COUNTS = {
    "errors": "errors",
    "timeouts": "timed_out",
    "bad_statuses": "bad_status",
    "wrong_ids": "wrong_ids",
    "unreadable": "unreadable",
    "connection_errors": "connection_error",
    "dropped": "dropped",
    "late_sends": "late_sends",
    "strays": "strays",
    "violations": "violations",
    "bids": "bid",
    "no_bids": "no_bid",
    "shed": "shed",
}
"""Names of counts, and where they are in a document's summary. With % they are shares of the requests due."""
RATES = {"answers_per_s": "answers_per_s"}


@dataclass(frozen=True, slots=True)
class Threshold:
    text: str
    figure: str
    comparison: str
    limit: float  # milliseconds for latencies; a share for percents
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Raises ValueError, with what would be right."""
        found = _PARTS.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no threshold, expected one such as p99<20ms or errors<0.1%")
        figure, comparison, number, unit = found.groups()
        if _LATENCY.fullmatch(figure):
            if unit not in _IN_MS:
                raise ValueError(f"{text!r}: a latency needs a unit, us, ms or s")
            return cls(text, figure, comparison, float(number) * _IN_MS[unit], is_share=False)
        if figure not in COUNTS and figure not in RATES:
            known = ", ".join(("p50 to p99.999, max, mean", *COUNTS, *RATES))
            raise ValueError(f"{text!r}: {figure!r} is not known; there are {known}")
        if unit not in ("%", None) or (unit and figure in RATES):
            raise ValueError(f"{text!r}: {figure} has no unit {unit!r}")
        return cls(text, figure, comparison, float(number) / (100 if unit else 1), is_share=unit is not None)

    def value(self, summary: Mapping[str, Any], latency_ms: Callable[[float], float]) -> float:
        """The figure of a run; NaN if it has none."""
        if self.figure.startswith("p"):
            return latency_ms(float(self.figure[1:]))
        if self.figure in ("max", "mean"):
            return _number(summary["latency_ms"][self.figure])
        value = _number(summary[COUNTS.get(self.figure, self.figure)])
        whole = summary["judged"] if self.figure == "violations" else summary["due"]
        if not self.is_share:
            return value
        return value / whole if whole else math.nan

    def holds(self, value: float) -> bool:
        return _OPERATORS[self.comparison](value, self.limit)

    def shown(self, value: float) -> str:
        if math.isnan(value):
            return "none"
        if self.is_share:
            return f"{value:.3%}"
        return f"{value:.2f} ms" if self.figure not in COUNTS and self.figure not in RATES else f"{value:,.0f}"


ALWAYS = tuple(Threshold.parse(text) for text in ("wrong_ids==0", "strays==0", "violations==0"))
"""What no load excuses: answers mixed up, and bids that break a rule."""


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
