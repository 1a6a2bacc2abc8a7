"""Ridge regressions of many rows of a sparse matrix on the factors of its columns, each solved exactly.

Bound: ``m d²`` multiply-adds for the normal equations of m values, and ``d³ / 6`` a row to solve them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.jit import summed

Values = NDArray[np.float64]

_CHUNK = 32


def solve(matrix: csr_array, columns: Values, reg: float, out: Values, *, threads: int | None = None) -> None:
    """For each row, the vector and bias that explain its values best.

    Minimises ``Σ_j (x_j − c_j − b − p · q_j)² + reg · n (‖p‖² + b²)`` over the n values of the row, and writes (p, b)
    into ``out`` ``[rows, d + 1]``; 0 for a row without values.

    Args:
        matrix: ``[rows, n]`` x; zeros that are stored are values.
        columns: ``[n, d + 1]`` (q, c) of each column.
        reg: 0 or more.
        out: ``[rows, d + 1]``.
        threads: see `serendip.kernels.pool.count`.
    """

    def task(start: int, stop: int) -> None:
        _solve(start, stop, matrix.indptr, matrix.indices, matrix.data, columns, reg, out)

    pool.rows(task, matrix.shape[0], chunk=_CHUNK, threads=threads)


@summed
def _solve(start: int, stop: int, indptr: Any, indices: Any, values: Any, columns: Any, reg: float, out: Any) -> None:
    d = out.shape[1]
    gram, right = np.empty((d, d)), np.empty(d)
    for row in range(start, stop):
        gram[:], right[:] = 0, 0
        count = indptr[row + 1] - indptr[row]
        for at in range(indptr[row], indptr[row + 1]):
            column = columns[indices[at]]
            left = values[at] - column[d - 1]
            for f in range(d):
                weight = column[f] if f < d - 1 else 1.0
                right[f] += weight * left
                for g in range(f):
                    gram[f, g] += weight * column[g]
                gram[f, f] += weight * weight
        largest = 0.0
        for f in range(d):
            largest = max(largest, gram[f, f])
        # Never below the rounding error of the sums, so that there always is one solution.
        ridge = max(reg * count, 1e-10 * largest)
        for f in range(d):
            gram[f, f] += ridge
        if count:
            _cholesky_solve(gram, right)
        out[row] = right


@summed
def _cholesky_solve(gram: Any, right: Any) -> None:
    """Solve in place; only the lower triangle of ``gram`` is read."""
    d = len(right)
    for f in range(d):
        for g in range(f):
            total = gram[f, g]
            for h in range(g):
                total -= gram[f, h] * gram[g, h]
            gram[f, g] = total / gram[g, g]
        total = gram[f, f]
        for h in range(f):
            total -= gram[f, h] * gram[f, h]
        gram[f, f] = np.sqrt(total)
    for f in range(d):
        total = right[f]
        for g in range(f):
            total -= gram[f, g] * right[g]
        right[f] = total / gram[f, f]
    for f in range(d - 1, -1, -1):
        total = right[f]
        for g in range(f + 1, d):
            total -= gram[g, f] * right[g]
        right[f] = total / gram[f, f]
