"""Versions of operating systems: how they are compared, and who takes which.

The rule kept here: an unknown version, or system, passes only campaigns that name no lowest version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bidder.domain import Campaign
from bidder.stages.tables import Masks


def version_of(text: str) -> tuple[int, ...]:
    """ "14.2.1" → (14, 2, 1), without trailing zeros so that "14" and "14.0" are equal. Unreadable: (), below all."""
    numbers: list[int] = []
    for part in text.replace("_", ".").split(".")[:4]:
        if not (part.isascii() and part.isdigit() and len(part) <= 9):
            break
        numbers.append(int(part))
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def thresholds_of(campaign: Campaign) -> list[str]:
    """The lowest versions that a campaign names, as values of a table."""
    return [f"{system} {lowest}" for system, lowest in campaign.targeting.os_min_versions]


def by_system(thresholds: Sequence[str]) -> dict[str, list[str]]:
    """The values of `thresholds_of`, by system."""
    systems: dict[str, list[str]] = {}
    for threshold in thresholds:
        systems.setdefault(threshold.rpartition(" ")[0], []).append(threshold)
    return systems


class Versions:
    """Who takes which version of which system. `systems`: who names a lowest version of it; `lowest`: who names this
    one; `thresholds`: those that are named, by system."""

    __slots__ = ("_anywhere", "_everyone", "_lowest", "_named", "_systems")

    def __init__(
        self, systems: Masks, lowest: Masks, thresholds: Mapping[str, Sequence[str]], everyone: int, anywhere: int
    ) -> None:
        self._systems, self._lowest, self._everyone, self._anywhere = systems, lowest, everyone, anywhere
        self._named = {
            system: [(version_of(each.rpartition(" ")[2]), each) for each in values]
            for system, values in thresholds.items()
        }

    def __bool__(self) -> bool:
        """Whether any campaign names a version."""
        return bool(self._named)

    def of(self, system: str, version: str) -> int:
        if system not in self._named:
            return self._everyone if system else self._anywhere
        at = version_of(version)
        taken = self._lowest.any_of([value for threshold, value in self._named[system] if threshold <= at])
        return self._everyone & ~self._systems.of(system) | taken
