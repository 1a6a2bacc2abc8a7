"""The lower triangle of ``XᵀX`` of a sparse matrix, dense, compiled.

Row i of the product is the sum of the rows of X that have an entry in column i, times that entry, as far as column i.
Each row of the product is summed on one thread and in one order, so that threads change nothing.

Bound: ``Σ_u |row u|² / 2`` multiply-adds to places in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.jit import compiled

_CHUNK = 64


def gram(matrix: csr_array, out: NDArray[Any], *, threads: int | None = None) -> None:
    """Write ``XᵀX`` of ``matrix`` ``[m, n]`` into ``out`` ``[n, n]`` (float32 or float64, C order) up to the diagonal.

    What stands above the diagonal is overwritten with 0. Sums are kept in the type of ``out``.

    Raises:
        ValueError: out of another shape.
    """
    n = matrix.shape[1]
    if out.shape != (n, n):
        raise ValueError(f"out must be [{n}, {n}]. Got an array of shape {out.shape} instead.")
    matrix = matrix.sorted_indices()
    by_column = matrix.tocsc()
    parts = tuple(
        np.ascontiguousarray(part, dtype)
        for side in (matrix, by_column)
        for part, dtype in ((side.indptr, np.int64), (side.indices, np.int32), (side.data, out.dtype))
    )
    pool.rows(lambda start, stop: _rows(*parts, start, out[start:stop]), n, chunk=_CHUNK, threads=threads)


@compiled
def _rows(
    row_starts: Any, columns: Any, values: Any, column_starts: Any, rows: Any, by_column: Any, start: Any, out: Any
) -> None:
    """The rows of the product from ``start`` on, ``out`` ``[b, n]``; columns ascend within each row."""
    out[:] = 0
    for place in range(len(out)):
        line = out[place]
        for entry in range(column_starts[start + place], column_starts[start + place + 1]):
            row, value = rows[entry], by_column[entry]
            for at in range(row_starts[row], row_starts[row + 1]):
                if columns[at] > start + place:
                    break
                line[columns[at]] += value * values[at]
