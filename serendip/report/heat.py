"""A heat map, as SVG in the manner of `serendip.report.plots`: how strong what stands in a row is with each column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from serendip.report.plots import drawing, figure, percent, words

NAMES = 0.3
"""Share of the width that the names of the rows take."""
ROW = 22
MOST = 24
"""Rows and columns that are drawn: what has the strongest of all is kept."""
WRITTEN = 8
"""Columns up to which the figures stand in the cells."""


def heat(label: str, names: Sequence[str], values: NDArray[np.floating]) -> Markup:
    """A cell for each row and column, the more covered with colour the larger its value, 0 or more.

    Args:
        label: what the plot shows, for those who cannot see it.
        names: ``[f]`` of the rows, and of the columns, which have their numbers.
        values: ``[f, f]``.
    """
    kept = strongest(values, MOST)
    shown, top, n = values[np.ix_(kept, kept)], float(values.max(initial=0)) or 1.0, len(kept)
    width = (1 - NAMES) / max(n, 1)
    parts = [words(NAMES + (at + 0.5) * width, ROW - 8, str(at + 1), "middle", "tick") for at in range(n)]
    for row, code in enumerate(kept):
        y = ROW * (row + 1)
        parts.append(words(0, y + 15, f"{row + 1} {names[code]}", "start", "tick"))
        for column, other in enumerate(kept):
            value = float(shown[row, column])
            said = f"{names[code]} by {names[other]}: {figure(value)}"
            parts.append(_cell(NAMES + column * width, y, width, value / top, said))
            if n <= WRITTEN:
                parts.append(words(NAMES + (column + 0.5) * width, y + 15, figure(value), "middle", "over"))
    return drawing(label, ROW * (n + 1), parts)


def strongest(values: NDArray[np.floating], most: int) -> list[int]:
    """Rows, in their order, as many as there may be: those whose largest value off the diagonal is largest."""
    apart = np.where(np.eye(len(values), dtype=bool), 0, np.maximum(values, values.T))
    order = np.argsort(-apart.max(axis=1, initial=0), kind="stable")
    return sorted(int(at) for at in order[:most])


def _cell(x: float, y: float, width: float, share: float, said: str) -> Markup:
    cell = '<rect class="heat" x="{}" y="{}" width="{}" height="{}" fill-opacity="{:.3f}"><title>{}</title></rect>'
    return Markup(cell).format(percent(x), y, percent(width), ROW, share, said)


__all__ = ["heat", "strongest"]
