"""The picture of what diversity costs: relevance over diversity, a line per re-ranker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from benchmarks.scale_plot import style
from serendip.report.plots import AXIS, HEIGHT, drawing, height_of, line_at, percent, segment, shape, words
from serendip.report.scatter import Axis

WIDTH, TALL, MARGIN, TOP = 640, 330, 64, 72

Point = tuple[float, float]
"""Diversity gained and relevance lost, as shares."""


def trade(title: str, ways: Mapping[str, Sequence[Point]]) -> str:
    """A line per way of re-ranking through its weights, from the lists as they are."""
    points = [point for way in ways.values() for point in way]
    across = Axis(0.0, max((gain for gain, _ in points), default=0.0) * 1.05 or 1.0)
    down = Axis(-max((loss for _, loss in points), default=0.0) * 1.05 or -1.0, 0.02)
    parts = [line_at(down.share(tick), f"{tick:+.0%}") for tick in down.ticks()]
    parts += [words(across.share(tick), HEIGHT + 16, f"+{tick:.0%}", "middle", "tick") for tick in across.ticks()]
    for series, way in enumerate(ways.values()):
        at = [(across.share(gain), height_of(down.share(-loss))) for gain, loss in sorted(way)]
        parts += [segment(before, after, series) for before, after in pairwise(at)]
        parts += [shape(percent(x), y, series) for x, y in at]
    names = [
        f'<svg x="{MARGIN + 145 * place}" y="26" overflow="visible">{shape(6, -4, place)}<text x="18">{name}</text>'
        "</svg>"
        for place, name in enumerate(ways)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{TALL}" viewBox="0 0 {WIDTH} {TALL}" '
        f'role="img" aria-label="{title}">\n<style>{style()}</style>\n'
        f'<rect class="paper" width="{WIDTH}" height="{TALL}"/>\n'
        + "\n".join(names)
        + f'\n<text class="note" x="{MARGIN}" y="{TOP - 16}">{title}</text>\n'
        f'<svg x="{MARGIN}" y="{TOP}" width="{WIDTH - 2 * MARGIN}" height="{HEIGHT + AXIS}" overflow="visible">'
        f"{drawing(title, HEIGHT + AXIS, parts, upright=True)}</svg>\n</svg>\n"
    )


__all__ = ["trade"]
