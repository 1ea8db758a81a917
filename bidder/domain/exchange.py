"""Where is bid, and in which money: what differs between exchanges, and currency rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True, frozen=True)
class Exchange:
    """What differs between exchanges, as data."""

    name: str
    default_tmax_ms: int = 100
    network_margin_ms: int = 10
    no_bid_body: bool = False  # True: 200 with {"id": …, "nbr": …}; False: 204
    currency: str = "USD"  # preferred where the request leaves a choice
    price_macro: str = "${AUCTION_PRICE}"
    version: str = "2.6"
    seats: Mapping[str, str] = field(default_factory=dict)  # our seat → this exchange's seat id; absent: ours is sent


@dataclass(slots=True, frozen=True)
class Rates:
    """Currency rates: how many units of each currency one unit of `base` buys, on `date` (ISO)."""

    date: str
    base: str
    per_base: Mapping[str, float]

    def knows(self, currency: str) -> bool:
        return currency == self.base or currency in self.per_base

    def exact(self, micros: int, source: str, target: str) -> float:
        """`micros` of `source` in micro-units of `target`, unrounded. KeyError: a currency without a rate."""
        out = 1.0 if target == self.base else self.per_base[target]
        into = 1.0 if source == self.base else self.per_base[source]
        return micros * out / into

    def convert(self, micros: int, source: str, target: str) -> int:
        """The same, rounded to nearest."""
        return micros if source == target else round(self.exact(micros, source, target))
