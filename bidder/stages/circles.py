"""Circles on the globe: who targets a place, found by the one-degree cell that a position lies in.

The rule kept here: the grid is only a shortcut, the distance decides. A circle over more cells than a country has is
looked at for every position.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from math import ceil, cos, floor, inf, pi, radians, sin
from struct import Struct

from bidder.domain import Campaign, Circle
from bidder.stages.tables import Kept, Table

EARTH_RADIUS_KM = 6371.0
MAX_CELLS = 1024
MAX_KEPT = 256
WIDE = "wide"
NOWHERE: tuple[int, ...] = ()
_FIGURES = Struct("4d")


def circles_of(campaign: Campaign) -> tuple[Circle, ...]:
    return campaign.targeting.circles


def grid(circles: Sequence[Circle]) -> tuple[bytes, dict[str | int, list[int]]]:
    """The circles' figures, four each: where the centre is on a sphere of radius 1, and the square of the chord from
    there to the rim; and which of them, by number, reach into which cell."""
    figures = array("d")
    cells: dict[str | int, list[int]] = {}
    for number, circle in enumerate(circles):
        figures.extend((*on_sphere(circle.latitude, circle.longitude), _chord_squared(circle.radius_km)))
        for cell in _cells(circle):
            cells.setdefault(cell, []).append(number)
    return figures.tobytes(), cells


class Circles:
    """A catalog's circles, found by position."""

    __slots__ = ("_cells", "_figures", "_wide")

    def __init__(self, figures: memoryview, cells: Table) -> None:
        self._figures = figures
        self._cells: Kept[tuple[int, int], tuple[int, ...]] = Kept(lambda cell: cells.numbers(_cell(*cell)), MAX_KEPT)
        self._wide = cells.numbers(WIDE)

    def around(self, latitude: float | None, longitude: float | None) -> tuple[int, ...]:
        """The numbers of those that the position lies in. Unknown is outside of all."""
        if latitude is None or longitude is None:
            return NOWHERE
        near = self._cells[floor(latitude), floor(longitude)]
        if self._wide:
            near = (*near, *self._wide)
        if not near:
            return NOWHERE
        # Chords in place of arcs: four trigonometric functions a position, and none a circle.
        x, y, z = on_sphere(latitude, longitude)
        inside: list[int] = []
        for number in near:
            its_x, its_y, its_z, farthest = _FIGURES.unpack_from(self._figures, _FIGURES.size * number)
            across, along, up = its_x - x, its_y - y, its_z - z
            if across * across + along * along + up * up <= farthest:
                inside.append(number)
        return tuple(inside)


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


def on_sphere(latitude: float, longitude: float) -> tuple[float, float, float]:
    """A position on a sphere of radius 1."""
    up, around = radians(latitude), radians(longitude)
    return cos(up) * cos(around), cos(up) * sin(around), sin(up)


def _chord_squared(distance_km: float) -> float:
    """From one end of an arc to the other, on a sphere of radius 1; beyond half way round everything is inside."""
    half = distance_km / EARTH_RADIUS_KM / 2
    return (2 * sin(half)) ** 2 if half < pi / 2 else inf
