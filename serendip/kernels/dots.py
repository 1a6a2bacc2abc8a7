"""Inner products of a few queries with many rows, as fast as the rows can be read.

``scores[a, i] = queries[a] · rows[i]`` for rows that follow each other, or for those of given codes, which are then not
copied first. A product of a matrix and a vector by BLAS reads at half to two thirds of that rate.

Bound: ``4·d`` bytes a row at the rate at which one core reads memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serendip.kernels.jit import summed


@summed
def dots(rows: Any, start: int, queries: Any, scores: Any) -> None:
    """Fill ``scores`` ``[q, m]`` with the products of ``queries`` ``[q, d]`` and ``rows[start : start + m]``."""
    q, m = scores.shape
    for at in range(m):
        row = rows[start + at]
        for query in range(q):
            total = np.float32(0)
            for place in range(len(row)):
                total += row[place] * queries[query, place]
            scores[query, at] = total


@summed
def dots_at(rows: Any, codes: Any, queries: Any, scores: Any) -> None:
    """Fill ``scores`` ``[q, m]`` with the products of ``queries`` ``[q, d]`` and the rows of ``codes`` ``[m]``."""
    q, m = scores.shape
    for at in range(m):
        row = rows[codes[at]]
        for query in range(q):
            total = np.float32(0)
            for place in range(len(row)):
                total += row[place] * queries[query, place]
            scores[query, at] = total


__all__ = ["dots", "dots_at"]
