"""Points in a plane, as SVG in the manner of `serendip.report.plots`: what was tried against what it was worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from serendip.report.plots import (
    AXIS,
    HEIGHT,
    MOST_STEPS,
    drawing,
    figure,
    height_of,
    line_at,
    percent,
    segment,
    shape,
    words,
)

MARGIN = 0.03
"""Share of the width left free at both ends."""
DONE, BEST, OUT = 0, 1, 4
"""Series, for colour and mark: a value, the best one, and what has no value or one beyond the axis."""


@dataclass(frozen=True, slots=True)
class Point:
    """One thing that was tried.

    Attributes:
        x: where it stands: a number, or a value that has a name of its own.
        y: what it was worth; None where that is not known.
        said: what it is, for those who point at it.
        best: whether it is the best of all.
    """

    x: Any
    y: float | None
    said: str
    best: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """A stretch of numbers, evenly or by orders of magnitude."""

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value stands, from 0 to 1; one beyond the ends stands at the end."""
        low, high, at = (
            math.log(part) if self.log else part for part in (self.low, self.high, max(value, self._least))
        )
        return min(max((at - low) / (high - low), 0.0), 1.0) if high > low else 0.5

    def ticks(self) -> list[float]:
        """Round numbers within the ends."""
        if self.log and self.high / self.low >= 10:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            every = math.ceil(len(powers) / MOST_STEPS)
            return [10.0**power for power in powers][::every]
        step = _step(self.high - self.low)
        first = math.ceil(self.low / step - 1e-9)
        return [step * place for place in range(first, math.floor(self.high / step + 1e-9) + 1)]

    @property
    def _least(self) -> float:
        return self.low if self.log else -math.inf


def worth(points: Sequence[Point], minimise: bool) -> Axis:
    """An axis for the values, from the best to what is not far worse than the median; the rest stands at its edge."""
    values = sorted((point.y for point in points if point.y is not None), reverse=not minimise)
    if not values:
        return Axis(0.0, 1.0)
    best, median = values[0], values[len(values) // 2]
    far = median + (median - best) * 2
    worst = min(values[-1], far) if minimise else max(values[-1], far)
    low, high = sorted((best, worst))
    room = 0.06 * (high - low) or abs(high) * 0.05 or 0.5
    return Axis(low - room, high + room)


def history(label: str, points: Sequence[Point], axis: Axis, minimise: bool) -> Markup:
    """Values in the order in which they were found, and the best so far as a line.

    Args:
        label: what the plot shows, for those who cannot see it.
        points: ``x`` counts from 0.
        axis: of the values; see `worth`.
        minimise: whether lower is better.
    """
    n = max(len(points), 1)
    along = Axis(0, max(n - 1, 1))
    parts = _levels(axis)
    so_far: list[tuple[float, float]] = []
    best: float | None = None
    for point in points:
        if point.y is not None and (best is None or (point.y < best) == minimise):
            best = point.y
        if best is not None:
            so_far.append((_inside(along.share(point.x)), height_of(axis.share(best))))
    for before, after in pairwise(so_far):
        corner = (after[0], before[1])
        parts += [segment(before, corner, BEST), *([segment(corner, after, BEST)] if corner != after else [])]
    parts += [_point(point, _inside(along.share(point.x)), axis) for point in points]
    parts += _below([(_inside(along.share(tick)), f"{tick:,.0f}") for tick in along.ticks() if tick == int(tick)])
    return drawing(label, HEIGHT + AXIS, parts, upright=True)


def scatter(label: str, points: Sequence[Point], axis: Axis, *, across: Axis | None = None) -> Markup:
    """Values over numbers, or over named values side by side.

    Args:
        label: what the plot shows, for those who cannot see it.
        points: what was tried.
        axis: of the values; see `worth`.
        across: of the numbers; None: ``x`` has names, in the order in which they first occur.
    """
    parts = _levels(axis)
    if across is None:
        names = list(dict.fromkeys(str(point.x) for point in points))
        places = {name: (at + 0.5) / len(names) for at, name in enumerate(names)}
        parts += [_point(point, places[str(point.x)], axis) for point in points]
        parts += _below([(place, name) for name, place in places.items()])
        return drawing(label, HEIGHT + AXIS, parts, upright=True)
    parts += [_point(point, _inside(across.share(point.x)), axis) for point in points]
    parts += _below([(_inside(across.share(tick)), figure(tick)) for tick in across.ticks()])
    return drawing(label, HEIGHT + AXIS, parts, upright=True)


def _levels(axis: Axis) -> list[Markup]:
    return [line_at(axis.share(tick), figure(tick)) for tick in axis.ticks()]


def _below(ticks: Sequence[tuple[float, str]]) -> list[Markup]:
    return [words(at, HEIGHT + 16, text, "middle", "tick") for at, text in ticks]


def _inside(share: float) -> float:
    return MARGIN + (1 - 2 * MARGIN) * share


def _point(point: Point, x: float, axis: Axis) -> Markup:
    beyond = point.y is None or not axis.low <= point.y <= axis.high
    series = BEST if point.best else OUT if beyond else DONE
    y = height_of(0.0 if point.y is None else axis.share(point.y))
    said = Markup("<title>{}</title>").format(point.said)
    return Markup("<g>{}{}</g>").format(said, shape(percent(x), y, series))


def _step(span: float) -> float:
    """A round number of which at most six fit into the span."""
    if span <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / MOST_STEPS))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor * MOST_STEPS >= span * (1 - 1e-9))


__all__ = ["Axis", "Point", "history", "scatter", "worth"]
