"""Plots as inline SVG: small functions from numbers to markup, without scripts, fonts or fixed widths.

Horizontal positions are in per cent of the width and vertical ones in pixels, so that a plot fills whatever room there
is while its text keeps its size. Colours are classes (``s0`` … ``s5``), which the page's style fills in for light, dark
and paper; every series has a mark of its own as well. Each plot says what it shows in its ``aria-label``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

SERIES = 6
"""How many colours there are; marks differ as well."""
ROW_TOP = 22
ROW_STEP = 15
ROW_GAP = 12
AXIS = 24
HEIGHT = 190
TEXT_GAP = 8
MOST_STEPS = 5


@dataclass(frozen=True, slots=True)
class Dot:
    """A figure with its interval.

    Attributes:
        name: of the series.
        series: its number, for colour and mark.
        value: the figure; None leaves the place empty.
        low, high: its interval, or None.
    """

    name: str
    series: int
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A labelled line of dots.

    Attributes:
        label: what the dots are about.
        note: a few words at the right end.
        dots: one per series.
    """

    label: str
    note: str
    dots: Sequence[Dot]


def whiskers(label: str, rows: Sequence[Row]) -> Markup:
    """Dots with whiskers, a row for each label, on one horizontal axis that begins at 0.

    Args:
        label: what the plot shows, for those who cannot see it.
        rows: from top to bottom.
    """
    ends = [end for row in rows for dot in row.dots for end in (dot.value, dot.high) if end is not None]
    ticks = steps(max(ends, default=0.0))
    top = ticks[-1] or 1.0
    height = sum(ROW_TOP + ROW_STEP * len(row.dots) + ROW_GAP for row in rows)
    parts = [_grid(tick / top, height, figure(tick)) for tick in ticks]
    y = 0
    for row in rows:
        parts.append(words(0, y + ROW_TOP - 7, row.label, "start", "label"))
        parts.append(words(1, y + ROW_TOP - 7, row.note, "end", "note"))
        for place, dot in enumerate(row.dots):
            parts.append(_whisker(dot, top, y + ROW_TOP + ROW_STEP * (place + 0.5)))
        y += ROW_TOP + ROW_STEP * len(row.dots) + ROW_GAP
    return drawing(label, height + AXIS, parts)


def lines(label: str, columns: Sequence[str], series: Sequence[Sequence[Dot]]) -> Markup:
    """A line per series over named columns, on a vertical axis that begins at 0; a missing value breaks the line."""
    values = [dot.value for one in series for dot in one if dot.value is not None]
    ticks = steps(max(values, default=0.0))
    top = ticks[-1] or 1.0
    parts = [line_at(tick / top, figure(tick)) for tick in ticks]
    for column, name in enumerate(columns):
        parts.append(words((column + 0.5) / len(columns), HEIGHT + 16, name, "middle", "tick"))
    for one in series:
        points = [
            None if dot.value is None else ((place + 0.5) / len(columns), height_of(dot.value / top))
            for place, dot in enumerate(one)
        ]
        for before, after in pairwise(points):
            if before is not None and after is not None:
                parts.append(segment(before, after, one[0].series))
        for dot, point in zip(one, points, strict=True):
            if point is not None:
                parts.append(_mark(*point, dot))
    return drawing(label, HEIGHT + AXIS, parts, upright=True)


def bars(label: str, starts: Sequence[str], counts: Sequence[int]) -> Markup:
    """A bar per stretch of time; the first, a middle and the last one are named below."""
    ticks = steps(float(max(counts, default=0)))
    top = ticks[-1] or 1.0
    n = max(len(counts), 1)
    parts = [line_at(tick / top, f"{tick:,.0f}") for tick in ticks]
    for place, (start, count) in enumerate(zip(starts, counts, strict=True)):
        y = height_of(count / top)
        parts.append(
            Markup(
                '<rect class="bar" x="{}" y="{:.1f}" width="{}" height="{:.1f}"><title>{}: {:,}</title></rect>'
            ).format(percent((place + 0.08) / n), y, percent(0.84 / n), HEIGHT - y, start, count)
        )
    named = {0: "start", n // 2: "middle", n - 1: "end"} if n > 2 else dict.fromkeys(range(n), "middle")
    for place, anchor in named.items():
        at = {"start": 0.0, "end": 1.0}.get(anchor, (place + 0.5) / n)
        parts.append(words(at, HEIGHT + 16, starts[place] if starts else "", anchor, "tick"))
    return drawing(label, HEIGHT + AXIS, parts, upright=True)


def curve(label: str, values: Sequence[float], points: int = 160) -> Markup:
    """Falling values as an area on a logarithmic axis: the first at the left, the last at the right."""
    top = max(math.ceil(math.log10(max(values[0], 10) if len(values) else 10) - 1e-9), 1)
    parts = [line_at((power + 0.15) / (top + 0.15), f"{10**power:,}") for power in range(top + 1)]
    n = len(values)
    places = sorted({round(place * (n - 1) / max(points - 1, 1)) for place in range(points)}) if n else []
    shape = []
    for place in places:
        level = (math.log10(values[place]) + 0.15) / (top + 0.15) if values[place] >= 1 else 0.0
        shape.append(f"{1000 * place / max(n - 1, 1):.1f},{1000 * (1 - level):.1f}")
    area = Markup(
        '<svg x="0" y="{0}" width="100%" height="{1}" viewBox="0 0 1000 1000" preserveAspectRatio="none">'
        '<polygon class="area" points="0,1000 {2} 1000,1000"/>'
        '<polyline class="edge" points="{2}" vector-effect="non-scaling-stroke"/></svg>'
    ).format(TEXT_GAP, HEIGHT - TEXT_GAP, " ".join(shape))
    ends = [(0.0, "start", "most popular item"), (1.0, "end", f"item {n:,}")]
    parts += [area, *(words(at, HEIGHT + 16, text, anchor, "tick") for at, anchor, text in ends)]
    return drawing(label, HEIGHT + AXIS, parts, upright=True)


def legend(names: Sequence[str]) -> Markup:
    """What the colours and marks mean."""
    entries = Markup().join(
        Markup('<li><svg class="key" width="16" height="16" aria-hidden="true">{}</svg>{}</li>').format(
            shape(Markup("50%"), 8, series), name
        )
        for series, name in enumerate(names)
    )
    return Markup('<ul class="legend">{}</ul>').format(entries)


def steps(top: float) -> list[float]:
    """At most six round numbers from 0 to at least ``top``; they lie 1, 2, 2.5 or 5 times a power of 10 apart."""
    if top <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(top / MOST_STEPS))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor * MOST_STEPS >= top * (1 - 1e-9))
    count = min(math.ceil(top / step - 1e-9), MOST_STEPS)
    return [step * place for place in range(count + 1)]


def figure(value: float) -> str:
    """A number as short as it can be said on an axis."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


def drawing(label: str, height: float, parts: Sequence[Markup], *, upright: bool = False) -> Markup:
    """The plot; ``upright`` ones have a margin at the left for the values of their axis."""
    kind = "plot upright" if upright else "plot"
    return Markup('<svg class="{}" role="img" height="{:.0f}" aria-label="{}">{}</svg>').format(
        kind, height, label, Markup().join(parts)
    )


def percent(share: float) -> str:
    """A share of the width."""
    return f"{100 * share:.2f}%"


def height_of(share: float) -> float:
    """The vertical position of a share of the upright axis, in pixels."""
    return TEXT_GAP + (HEIGHT - TEXT_GAP) * (1 - share)


def words(x: float, y: float, text: str, anchor: str, kind: str) -> Markup:
    """A text at a share of the width and a height in pixels."""
    return Markup('<text class="{}" x="{}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        kind, percent(x), y, anchor, text
    )


def _grid(share: float, height: float, text: str) -> Markup:
    """A vertical line of the grid, its value below."""
    anchor = "start" if share == 0 else "end" if share == 1 else "middle"
    line = Markup('<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(percent(share), ROW_TOP, height)
    return line + words(share, height + 16, text, anchor, "tick")


def line_at(share: float, text: str) -> Markup:
    """A horizontal line of the grid, its value in the margin at its left."""
    y = height_of(share)
    line = Markup('<line class="grid" x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>').format(y)
    return line + Markup('<text class="tick" x="0" dx="-8" y="{:.1f}" text-anchor="end">{}</text>').format(y + 4, text)


def _whisker(dot: Dot, top: float, y: float) -> Markup:
    if dot.value is None:
        return Markup("")
    parts = []
    if dot.low is not None and dot.high is not None:
        line = '<line class="whisker s{}" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
        parts.append(
            Markup(line).format(dot.series % SERIES, percent(max(dot.low, 0) / top), percent(dot.high / top), y, y)
        )
    parts.append(_mark(dot.value / top, y, dot))
    return Markup().join(parts)


def _mark(x: float, y: float, dot: Dot) -> Markup:
    bounds = "" if dot.low is None or dot.high is None else f" [{dot.low:.4f}, {dot.high:.4f}]"
    said = Markup("<title>{}: {:.4f}{}</title>").format(dot.name, dot.value, bounds)
    return Markup("<g>{}{}</g>").format(said, shape(percent(x), y, dot.series))


def segment(before: tuple[float, float], after: tuple[float, float], series: int) -> Markup:
    """A piece of the line of a series, between two positions."""
    line = '<line class="line s{}" x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}"/>'
    return Markup(line).format(series % SERIES, percent(before[0]), before[1], percent(after[0]), after[1])


def shape(x: object, y: float, series: int) -> Markup:
    """The mark of a series around a point; where colours come again, the marks are others."""
    paths = (
        '<circle r="5"/>',
        '<rect x="-4.5" y="-4.5" width="9" height="9"/>',
        '<path d="M0-6.2 6.2 0 0 6.2-6.2 0z"/>',
        '<path d="M0-5.8 5.6 4.2H-5.6z"/>',
        '<circle class="hollow" r="4.2"/>',
        '<path class="hollow" d="M-4.4-4.4 4.4 4.4M4.4-4.4-4.4 4.4"/>',
    )
    inner = Markup(paths[(series + series // SERIES) % len(paths)])
    place = Markup('<svg class="mark s{}" x="{}" y="{:.1f}" overflow="visible">{}</svg>')
    return place.format(series % SERIES, escape(x), y, inner)


__all__ = [
    "HEIGHT",
    "Dot",
    "Row",
    "bars",
    "curve",
    "drawing",
    "figure",
    "height_of",
    "legend",
    "line_at",
    "lines",
    "percent",
    "segment",
    "shape",
    "steps",
    "whiskers",
    "words",
]
