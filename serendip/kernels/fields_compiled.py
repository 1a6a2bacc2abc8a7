"""The loops of `fields`, compiled; all arrays are flat.

Bound: as of `fields`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serendip.kernels.jit import compiled


@compiled
def fill(
    table: Any, codes: Any, size: int, repeat: int, out: Any, offset: int, step: int, d: int, start: int, stop: int
) -> None:
    """``out[row·step + offset + ·] = table[(codes[row / repeat] + 1)·d + ·]`` for rows ``start … stop-1``."""
    width = np.uint64(d)
    for row in range(start, stop):
        code = np.int64(codes[row // repeat])
        where = np.uint64(code + 1 if 0 <= code < size else 0) * width
        to = np.uint64(row * step + offset)
        for column in range(width):
            out[to + column] = table[where + column]


@compiled
def add(
    gradients: Any, offset: int, step: int, codes: Any, size: int, repeat: int, table: Any, d: int, rows: int
) -> None:
    """``table[(codes[row / repeat] + 1)·d + ·] += gradients[row·step + offset + ·]`` for rows ``0 … rows-1``."""
    width = np.uint64(d)
    for row in range(rows):
        code = np.int64(codes[row // repeat])
        if 0 <= code < size:
            to = np.uint64(code + 1) * width
            where = np.uint64(row * step + offset)
            for column in range(width):
                table[to + column] += gradients[where + column]
