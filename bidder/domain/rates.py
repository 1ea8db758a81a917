"""Currency rates of one day, and exact conversion between currencies.

The rule kept here: no float in money. A rate is the decimal that stands in the file, an amount is an integer of
micro-units, and what a conversion rounds, and where to, is said by whoever asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from fractions import Fraction

DAY_S = 86_400

Ratio = tuple[int, int, float]
"""What an amount is multiplied with, and divided by; and a number a little above the quotient: what an amount times
that does not reach, it does not come to, however it is rounded."""

NO_RATE: Ratio = 0, 1, 0.0
"""Makes nothing of every amount."""

_ABOVE = 1.0 + 1e-9
_NO_RATIOS: Mapping[str, Ratio] = {}


@dataclass(slots=True, frozen=True)
class Rates:
    """Currency rates: how many units of each currency one unit of `base` buys, on `date` (ISO), exact to 15 digits.

    `max_age_days`: when they are older, nothing is converted; None = there is no such age."""

    date: str
    base: str
    per_base: Mapping[str, float]
    max_age_days: float | None = None
    _ratios: dict[str, dict[str, Ratio]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _from_s: float = field(default=0.0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """ValueError: `date` is no date."""
        begins = datetime.combine(date.fromisoformat(self.date), time(), UTC)
        object.__setattr__(self, "_from_s", begins.timestamp())

    def knows(self, currency: str) -> bool:
        return currency == self.base or currency in self.per_base

    def converts(self, source: str, target: str) -> bool:
        """Whether an amount of `source` can be said in `target`: always where they are the same."""
        return source == target or (self.knows(source) and self.knows(target))

    def age_days(self, now_s: float) -> float:
        """Days since the beginning, in UTC, of the day of the rates. `now_s`: Unix seconds."""
        return (now_s - self._from_s) / DAY_S

    def at(self, now_s: float) -> Rates:
        """What may be used at `now_s`: these rates, or, once they are stale, none: amounts keep their currency."""
        if self.max_age_days is None or self.age_days(now_s) <= self.max_age_days:
            return self
        return NO_RATES

    def convert(self, micros: int, source: str, target: str) -> int:
        """`micros` of `source` in micro-units of `target`, to nearest. KeyError: a currency without a rate."""
        if source == target:
            return micros
        out, into, _ = self.ratio(source, target)
        return (2 * micros * out + into) // (2 * into)

    def convert_down(self, micros: int, source: str, target: str) -> int:
        """The same, rounded down: what can be paid."""
        if source == target:
            return micros
        out, into, _ = self.ratio(source, target)
        return micros * out // into

    def convert_up(self, micros: int, source: str, target: str) -> int:
        """The same, rounded up: what has to be paid."""
        if source == target:
            return micros
        out, into, _ = self.ratio(source, target)
        return -(-micros * out // into)

    def ratio(self, source: str, target: str) -> Ratio:
        """Exact. Kept: making it costs 4 µs. KeyError: a currency without a rate."""
        ratio = self.ratios(target).get(source) or self.ratio_if_any(source, target)
        if ratio is NO_RATE:
            raise KeyError(target if self.knows(source) else source)
        return ratio

    def ratios(self, target: str) -> Mapping[str, Ratio]:
        """Those into one currency that `ratio_if_any` has been asked for."""
        return self._ratios.get(target) or _NO_RATIOS

    def ratio_if_any(self, source: str, target: str) -> Ratio:
        """The same as `ratio`; NO_RATE: one of the currencies has none."""
        if not (self.knows(source) and self.knows(target)):
            return NO_RATE
        exact = self._rate(target) / self._rate(source)
        ratio = exact.numerator, exact.denominator, float(exact) * _ABOVE
        self._ratios.setdefault(target, {})[source] = ratio
        return ratio

    def _rate(self, currency: str) -> Fraction:
        # By way of the text: 0.1 in a file means a tenth, not the binary number next to it.
        return Fraction(1) if currency == self.base else Fraction(str(self.per_base[currency]))


NO_RATES = Rates("1970-01-01", "", {})
"""Knows no currency, so nothing is converted."""
