"""The price file: a figure, its unit, AWS's page for it, and whether the figure was seen on a page that can be named.

The rule kept here: a price that is not in the file is an error that says so; nothing is guessed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from math import inf, isfinite
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "prices"


class PriceError(Exception):
    """The price file is missing, broken, or has no such price."""


@dataclass(frozen=True, slots=True)
class Tier:
    """`usd` a unit for what lies below `up_to` units a month and above the tier before."""

    up_to: float
    usd: float


@dataclass(frozen=True, slots=True)
class Price:
    """One price. `source` is AWS's page; `verified` if the figure was read somewhere that `read` names."""

    name: str
    unit: str
    tiers: tuple[Tier, ...]
    source: str
    verified: bool

    @property
    def usd(self) -> float:
        """Of the first unit."""
        return self.tiers[0].usd

    def cost(self, quantity: float) -> float:
        """USD for so many units in a month."""
        total, floor = 0.0, 0.0
        for tier in self.tiers:
            total += max(min(quantity, tier.up_to) - floor, 0.0) * tier.usd
            floor = tier.up_to
        return total


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices of a region as of a day."""

    region: str
    date: date
    prices: dict[str, Price]

    def __getitem__(self, name: str) -> Price:
        try:
            return self.prices[name]
        except KeyError:
            raise PriceError(f"no price {name!r} for {self.region}{self._near(name)}") from None

    def _near(self, name: str) -> str:
        """The other prices of the same kind, to choose from."""
        kind = name.split("_")[0] + "_"
        others = [other for other in self.prices if other.startswith(kind)]
        return f"; there are {', '.join(others)}" if others else ""


def load(region: str, folder: Path = FOLDER) -> PriceList:
    """The price list of a region. Raises PriceError."""
    path = folder / f"{region}.json"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.json"))) or "none"
        raise PriceError(f"no price file for region {region!r}; there are: {known}")
    try:
        document = json.loads(path.read_text())
        day = date.fromisoformat(document["date"])
        return PriceList(document["region"], day, {name: _price(name, it) for name, it in document["prices"].items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PriceError(f"{path}: {error!r}") from error


def _price(name: str, entry: dict[str, Any]) -> Price:
    tiers = tuple(Tier(tier.get("up_to", inf), tier["usd"]) for tier in entry.get("tiers", [entry]))
    bounds = [tier.up_to for tier in tiers]
    if not all(isfinite(tier.usd) and tier.usd >= 0 for tier in tiers):
        raise ValueError(f"{name}: a price is a number from 0")
    if bounds != sorted(set(bounds)) or bounds[-1] != inf:
        raise ValueError(f"{name}: tiers rise, and the last has no `up_to`")
    if entry["verified"] and not entry.get("read"):
        raise ValueError(f"{name}: verified, but `read` does not say where")
    return Price(name, entry["unit"], tiers, entry["source"], entry["verified"])
