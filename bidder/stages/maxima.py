"""Who may pay a floor: the campaigns by their maximum, in steps, so that nobody else is looked at.

The rule kept here: steps let through all who can pay, and of those just below the floor a few who cannot; the maximum
itself is held against the floor when a campaign is looked at.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from math import inf

from bidder.domain import NO_RATES, Campaign, Rates, Slot
from bidder.stages.floors import Floor, lowest_maximum
from bidder.stages.tables import Kept, Masks, Table

KEPT_FLOORS = 1024
_NONE_SO_HIGH = 1 << 20

Steps = tuple[int, ...]
"""By currency of the catalog: the step of the lowest maximum that pays a floor."""

Lowest = tuple[int | float, ...]
"""The same: that maximum itself; infinite where there is no rate."""


def step_of(micros: int) -> int:
    """Which of four steps an octave an amount lies in; never falls where amounts rise."""
    length = micros.bit_length()
    return 4 * length + (micros >> length - 3 & 3) if length > 2 else length


def maximum_of(campaign: Campaign) -> tuple[str]:
    """The campaign's currency and the step of its maximum, as a value of a table."""
    return (f"{campaign.currency} {step_of(campaign.max_cpm_micros)}",)


def _read(value: str) -> tuple[str, int]:
    currency, _, step = value.rpartition(" ")
    return currency, int(step)


class Floors:
    """Floors in the currencies of a catalog. `maxima`: the table of `maximum_of`."""

    __slots__ = ("_kept", "_rates", "currencies")

    def __init__(self, maxima: Table) -> None:
        self.currencies = tuple(sorted({_read(value)[0] for value in maxima}))
        self._keep_for(NO_RATES)

    def of(self, slot: Slot, rates: Rates) -> tuple[Steps, Lowest]:
        """What the slot's floor is. Kept as long as the rates are the same."""
        if rates is not self._rates:
            self._keep_for(rates)
        return self._kept[slot.floor_micros, slot.floor_currency]

    def _keep_for(self, rates: Rates) -> None:
        self._rates = rates
        self._kept: Kept[Floor, tuple[Steps, Lowest]] = Kept(partial(_in_each, self.currencies, rates), KEPT_FLOORS)


def _in_each(currencies: Sequence[str], rates: Rates, floor: Floor) -> tuple[Steps, Lowest]:
    lowest = tuple([lowest_maximum(floor, currency, rates) for currency in currencies])
    return tuple([_NONE_SO_HIGH if each == inf else step_of(int(each)) for each in lowest]), lowest


def paying(masks: Masks, currencies: Sequence[str]) -> Callable[[Steps], int]:
    """Which campaigns of a shard may pay a floor of so many steps. `masks`: of `maximum_of`; `currencies`: see
    `Floors`."""
    by_currency: dict[str, list[tuple[int, int]]] = {currency: [] for currency in currencies}
    for value, mask in masks.each():
        currency, step = _read(value)
        by_currency[currency].append((step, mask))
    ladders = [_ladder(each) for each in by_currency.values()]

    def of_steps(steps: Steps) -> int:
        mask = 0
        for (rungs, campaigns), step in zip(ladders, steps, strict=True):
            mask |= campaigns[bisect_left(rungs, step)]
        return mask

    return of_steps


def _ladder(by_step: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """The steps in order, and for each who reaches it; after the last nobody."""
    by_step.sort(reverse=True)
    reaching = [0]
    for _, campaigns in by_step:
        reaching.append(reaching[-1] | campaigns)
    return [step for step, _ in reversed(by_step)], reaching[::-1]
