"""Line charts as inline SVG.

The rule: no script, no style sheet of their own, no external resource; colours are CSS variables of the page, so that
it can be light or dark. A value that is not there leaves a gap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 520, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 12, 30

Point = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    points: Sequence[Point]
    colour: str  # a CSS colour
    filled: bool = False
    dashed: bool = False
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """`place` says where a value stands, in any linear unit; ticks are values with their labels."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    place: Callable[[float], float] = float

    def share(self, value: float) -> float:
        low, high = self.place(self.low), self.place(self.high)
        return (self.place(value) - low) / (high - low) if high > low else 0.0


def linear(highest: float, unit: str = "", *, exact: bool = False) -> Axis:
    """From 0 to a round number at or above `highest`, or `exact`ly to it; about five ticks, on round numbers."""
    step = _round_step(max(highest, 1e-9) / 5)
    count = max(1, math.ceil(highest / step - 1e-9))
    ticks = [(each * step, f"{_short(each * step)}{unit}") for each in range(count + 1)]
    if exact and highest > 0:
        return Axis(0, highest, [tick for tick in ticks if tick[0] <= highest * (1 + 1e-9)])
    return Axis(0, count * step, ticks)


def nines(highest: float) -> Axis:
    """Percentiles on HdrHistogram's axis: each further nine takes as much room as the last."""
    marks = [mark for mark in (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999) if mark <= highest + 1e-9]
    return Axis(0.0, max(highest, 50.0), [(mark, f"{mark:g}%") for mark in marks], lambda p: -math.log10(1 - p / 100))


def line_chart(series: Sequence[Series], x: Axis, y: Axis, *, rule: tuple[float, str] | None = None) -> str:
    """`rule` is a horizontal line with a label, such as a limit."""
    what = escape(", ".join(each.name for each in series))
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{what}">']
    for value, label in y.ticks:
        at = _y(y, value)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{escape(label)}</text>')
    for value, label in x.ticks:
        at = _x(x, value)
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(label)}</text>')
    if rule is not None and y.low <= rule[0] <= y.high:
        at = _y(y, rule[0])
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" class="rule"/>')
        parts.append(f'<text x="{LEFT + 6}" y="{at - 5:.1f}" class="rule">{escape(rule[1])}</text>')
    for each in series:
        parts += _drawn(each, x, y)
    parts.append("</svg>")
    names = "".join(f'<span><i style="background:{s.colour}"></i>{escape(s.name)}</span>' for s in series)
    return f'{"".join(parts)}<p class="legend">{names}</p>'


def _drawn(series: Series, x: Axis, y: Axis) -> list[str]:
    parts, dashes = [], ' stroke-dasharray="4 4"' if series.dashed else ""
    for run in _runs(series.points):
        places = [(_x(x, at), _y(y, value)) for at, value in run]
        line = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
        if series.filled:
            base = HEIGHT - BOTTOM
            area = f"{places[0][0]:.1f},{base} {line} {places[-1][0]:.1f},{base}"
            parts.append(f'<polygon points="{area}" fill="{series.colour}" opacity=".14"/>')
        parts.append(f'<polyline points="{line}" fill="none" stroke="{series.colour}" stroke-width="1.8"{dashes}/>')
        if series.dots or len(places) == 1:
            parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{series.colour}"/>' for px, py in places]
    return parts


def _runs(points: Sequence[Point]) -> list[list[tuple[float, float]]]:
    """The points between gaps."""
    runs: list[list[tuple[float, float]]] = [[]]
    for at, value in points:
        if value is not None:
            runs[-1].append((at, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.share(value) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - min(1.0, axis.share(value)) * (HEIGHT - TOP - BOTTOM)


def _round_step(least: float) -> float:
    """1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}"
