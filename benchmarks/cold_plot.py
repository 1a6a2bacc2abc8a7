"""The picture of how well new people are answered after their first events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.scale_plot import style
from serendip.report.plots import Dot, lines, shape

WIDTH, HEIGHT, MARGIN, TOP = 640, 320, 56, 64


def curve(title: str, columns: Sequence[str], ways: Mapping[str, Sequence[float]]) -> str:
    """A line per way of answering over the number of events."""
    dots = [[Dot(name, series, value) for value in values] for series, (name, values) in enumerate(ways.items())]
    names = [
        f'<svg x="{MARGIN + 190 * place}" y="26" overflow="visible">{shape(6, -4, place)}<text x="18">{name}</text>'
        "</svg>"
        for place, name in enumerate(ways)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{title}">\n<style>{style()}</style>\n'
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>\n'
        + "\n".join(names)
        + f'\n<text class="note" x="{MARGIN}" y="{TOP - 8}">{title}</text>\n'
        f'<svg x="{MARGIN}" y="{TOP}" width="{WIDTH - 2 * MARGIN}" height="{HEIGHT - TOP}" overflow="visible">'
        f"{lines(title, columns, dots)}</svg>\n</svg>\n"
    )
