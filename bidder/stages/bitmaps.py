"""Campaigns compiled to bitmaps: one bit a campaign, one integer a targeting value.

The rule kept here: a mask says exactly which campaigns a value lets through, so eligibility is `&` and `& ~` over
Python's integers. Campaigns stand best first, so the lowest set bits are the best ones. A shard is an index of a run
of campaigns that is complete in itself: the best few thousand are searched first, the long tail only if they do not
suffice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from math import asin, ceil, cos, floor, radians, sin, sqrt
from typing import Generic, TypeVar

from bidder.domain import Campaign, Circle

V = TypeVar("V", bound=Hashable)

EARTH_RADIUS_KM = 6371.0


class Masks(Generic[V]):
    """Which campaigns name which value."""

    __slots__ = ("by_value",)

    def __init__(self, campaigns: Sequence[Campaign], values_of: Callable[[Campaign], Iterable[V]]) -> None:
        bits: dict[V, list[int]] = {}
        for bit, campaign in enumerate(campaigns):
            for value in values_of(campaign):
                bits.setdefault(value, []).append(bit)
        self.by_value = {value: mask_of(numbers) for value, numbers in bits.items()}

    def any_of(self, values: Iterable[V]) -> int:
        """The campaigns that name at least one of `values`."""
        mask = 0
        get = self.by_value.get
        for value in values:
            mask |= get(value, 0)
        return mask


class Include(Generic[V]):
    """A targeting dimension: a campaign that names no value takes all, others take the values they name."""

    __slots__ = ("anywhere", "by_value")

    def __init__(self, campaigns: Sequence[Campaign], values_of: Callable[[Campaign], Iterable[V]]) -> None:
        named = Masks(campaigns, values_of).by_value
        self.anywhere = mask_of([bit for bit, campaign in enumerate(campaigns) if not tuple(values_of(campaign))])
        self.by_value = {value: mask | self.anywhere for value, mask in named.items()}

    def of(self, value: V) -> int:
        return self.by_value.get(value, self.anywhere)

    def any_of(self, values: Iterable[V]) -> int:
        mask = self.anywhere
        get = self.by_value.get
        for value in values:
            mask |= get(value, 0)
        return mask


class Versions:
    """Lowest operating system versions: for each system the thresholds in order and who is let through from each on."""

    __slots__ = ("anywhere", "by_system", "everyone")

    def __init__(self, campaigns: Sequence[Campaign]) -> None:
        self.everyone = everyone = (1 << len(campaigns)) - 1
        self.anywhere = mask_of(bit for bit, c in enumerate(campaigns) if not c.targeting.os_min_versions)
        named: dict[str, dict[tuple[int, ...], list[int]]] = {}
        for bit, campaign in enumerate(campaigns):
            for system, lowest in campaign.targeting.os_min_versions:
                named.setdefault(system, {}).setdefault(version_of(lowest), []).append(bit)
        self.by_system: dict[str, tuple[list[tuple[int, ...]], list[int]]] = {}
        for system, by_version in named.items():
            thresholds = sorted(by_version)
            mask = everyone & ~mask_of([bit for bits in by_version.values() for bit in bits])
            masks = [mask]
            for threshold in thresholds:
                mask |= mask_of(by_version[threshold])
                masks.append(mask)
            self.by_system[system] = (thresholds, masks)

    def of(self, system: str, version: str) -> int:
        """Who takes this version. An unknown version, or system, passes only campaigns that name no lowest version."""
        found = self.by_system.get(system)
        if found is None:
            return self.everyone if system else self.anywhere
        thresholds, masks = found
        return masks[bisect_right(thresholds, version_of(version))]


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


class Circles:
    """Circles on the globe, found by the one-degree cell that a position lies in."""

    __slots__ = ("anywhere", "cells")

    def __init__(self, campaigns: Sequence[Campaign]) -> None:
        self.anywhere = mask_of([bit for bit, campaign in enumerate(campaigns) if not campaign.targeting.circles])
        bits: dict[Circle, list[int]] = {}
        for bit, campaign in enumerate(campaigns):
            for circle in campaign.targeting.circles:
                bits.setdefault(circle, []).append(bit)
        self.cells: dict[tuple[int, int], list[tuple[Circle, int]]] = {}
        for circle, numbers in bits.items():
            mask = mask_of(numbers)
            for cell in _cells(circle):
                self.cells.setdefault(cell, []).append((circle, mask))

    def of(self, latitude: float | None, longitude: float | None) -> int:
        mask = self.anywhere
        if latitude is None or longitude is None or not self.cells:
            return mask
        for circle, inside in self.cells.get((floor(latitude), floor(longitude)), ()):
            if distance_km(latitude, longitude, circle.latitude, circle.longitude) <= circle.radius_km:
                mask |= inside
        return mask


def _cells(circle: Circle) -> Iterator[tuple[int, int]]:
    height = circle.radius_km / 111.0
    narrowest = cos(radians(min(89.0, abs(circle.latitude) + height)))
    width = min(180.0, height / narrowest)
    for latitude in range(floor(circle.latitude - height), ceil(circle.latitude + height) + 1):
        for longitude in range(floor(circle.longitude - width), ceil(circle.longitude + width) + 1):
            yield latitude, (longitude + 180) % 360 - 180


def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance by the haversine formula."""
    a = sin(radians(lat2 - lat1) / 2) ** 2
    b = cos(radians(lat1)) * cos(radians(lat2)) * sin(radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(min(1.0, a + b)))


def mask_of(bits: Iterable[int]) -> int:
    """The integer with these bits set, in time linear in its length."""
    ordered = sorted(bits)
    if not ordered:
        return 0
    octets = bytearray(ordered[-1] // 8 + 1)
    for bit in ordered:
        octets[bit >> 3] |= 1 << (bit & 7)
    return int.from_bytes(octets, "little")


_CHUNK_BITS = 1024
_CHUNK = (1 << _CHUNK_BITS) - 1


def bits_of(mask: int) -> Iterator[int]:
    """The set bits, lowest first. In chunks, so that finding a bit does not cost the length of the whole mask."""
    offset = 0
    while mask:
        chunk = mask & _CHUNK
        while chunk:
            low = chunk & -chunk
            yield offset + low.bit_length() - 1
            chunk ^= low
        mask >>= _CHUNK_BITS
        offset += _CHUNK_BITS
