"""Circles on the globe: who targets a place, found by the one-degree cell that a position lies in.

The rule kept here: the grid is only a shortcut, the distance decides. A circle over more cells than a country has is
looked at for every position.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from math import asin, ceil, cos, floor, radians, sin, sqrt

from bidder.domain import Campaign, Circle
from bidder.stages.tables import Kept, Masks, Table

EARTH_RADIUS_KM = 6371.0
MAX_CELLS = 1024
MAX_KEPT = 256
WIDE = "wide"


def circles_of(campaign: Campaign) -> tuple[Circle, ...]:
    return campaign.targeting.circles


def grid(circles: Sequence[Circle]) -> tuple[bytes, dict[str | int, list[int]]]:
    """The circles' figures, and which of them, by number, reach into which cell."""
    figures = array("d")
    cells: dict[str | int, list[int]] = {}
    for number, circle in enumerate(circles):
        figures.extend((circle.latitude, circle.longitude, circle.radius_km))
        for cell in _cells(circle):
            cells.setdefault(cell, []).append(number)
    return figures.tobytes(), cells


class Circles:
    """Who takes which position. `inside`: by a circle's number."""

    __slots__ = ("_cells", "_figures", "_inside", "_wide", "anywhere")

    def __init__(self, figures: memoryview, cells: Table, inside: Masks, anywhere: int) -> None:
        self._figures = figures.cast("d")
        self._cells: Kept[str, tuple[int, ...]] = Kept(cells.numbers, MAX_KEPT)
        self._wide = cells.numbers(WIDE)
        self._inside: Kept[int, int] = Kept(inside.of, MAX_KEPT)
        self.anywhere = anywhere

    def __bool__(self) -> bool:
        """Whether any campaign targets one."""
        return len(self._figures) > 0

    def of(self, latitude: float | None, longitude: float | None) -> int:
        """Unknown is outside of all."""
        mask = self.anywhere
        if latitude is None or longitude is None:
            return mask
        for number in (*self._cells[_cell(floor(latitude), floor(longitude))], *self._wide):
            lat, lon, radius_km = self._figures[3 * number : 3 * number + 3]
            if distance_km(latitude, longitude, lat, lon) <= radius_km:
                mask |= self._inside[number]
        return mask


def _cell(latitude: int, longitude: int) -> str:
    """180° east is 180° west."""
    return f"{latitude},{(longitude + 180) % 360 - 180}"


def _cells(circle: Circle) -> Iterator[str]:
    height = circle.radius_km / 111.0
    narrowest = cos(radians(min(89.0, abs(circle.latitude) + height)))
    width = min(180.0, height / narrowest)
    latitudes = range(floor(circle.latitude - height), ceil(circle.latitude + height) + 1)
    longitudes = range(floor(circle.longitude - width), ceil(circle.longitude + width) + 1)
    if len(latitudes) * len(longitudes) > MAX_CELLS:
        yield WIDE
        return
    yield from dict.fromkeys(_cell(latitude, longitude) for latitude in latitudes for longitude in longitudes)


def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance by the haversine formula."""
    a = sin(radians(lat2 - lat1) / 2) ** 2
    b = cos(radians(lat1)) * cos(radians(lat2)) * sin(radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(min(1.0, a + b)))
