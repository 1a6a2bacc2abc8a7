"""How alike the rows of a sparse matrix are where both have a value.

For one row, the sums over the columns in common are added up for all other rows at once, column by column. Bound:
``Σ_o |column o|²`` steps of up to six multiply-adds, to places in the second-level cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.jit import summed
from serendip.types import Floats

_CHUNK = 32


def alike(
    matrix: csr_array,
    *,
    centred: bool,
    shrinkage: float,
    min_support: int,
    keep: int,
    threads: int | None = None,
) -> csr_array:
    """The cosine of each two rows of ``matrix`` ``[n, m]`` over the n columns C that both have a value in.

    ``Σ x y / √(Σ x² Σ y²)``, times ``(|C| − 1) / (|C| − 1 + shrinkage)`` where shrinkage is above 0.

    Args:
        matrix: zeros that are stored are values.
        centred: whether the mean over C is taken off first (Pearson's correlation).
        shrinkage: trust rows with few columns in common less.
        min_support: the least ``|C|``.
        keep: how many of the most alike each row keeps.
        threads: see `serendip.kernels.pool.count`.

    Returns:
        ``[n, n]`` float32: the values above 0, columns ascending, without the diagonal.
    """
    n = matrix.shape[0]
    by_row = csr_array(matrix, dtype=np.float64)
    by_column = by_row.tocsc()
    parts: dict[int, csr_array] = {}

    def task(start: int, stop: int) -> None:
        out = np.zeros((stop - start, n), np.float32)
        _alike(
            start, by_row.indptr, by_row.indices, by_row.data, by_column.indptr, by_column.indices, by_column.data,
            centred, shrinkage, min_support, out,
        )  # fmt: skip
        parts[start] = csr_array(_largest(out, keep))

    pool.rows(task, n, chunk=_CHUNK, threads=threads)
    blocks = [parts[start] for start in sorted(parts)]
    indptr = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(block.indptr) for block in blocks]))])
    data, indices = (np.concatenate([getattr(block, name) for block in blocks]) for name in ("data", "indices"))
    return csr_array((data, indices, indptr), shape=(n, n))


def _largest(values: Floats, keep: int) -> Floats:
    """The rows with all but their ``keep`` largest values set to 0."""
    if keep < values.shape[1]:
        order = np.argsort(-values, axis=1, kind="stable")
        np.put_along_axis(values, order[:, keep:], np.float32(0), axis=1)
    return values


@summed
def _alike(
    start: int, indptr: Any, indices: Any, values: Any, column_starts: Any, rows: Any, of_column: Any, centred: bool,
    shrinkage: float, min_support: int, out: Any,
) -> None:  # fmt: skip
    n = out.shape[1]
    count, xy, xx, yy, x_sum, y_sum = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for at in range(len(out)):
        own = start + at
        for entry in range(indptr[own], indptr[own + 1]):
            column, x = indices[entry], values[entry]
            for place in range(column_starts[column], column_starts[column + 1]):
                row, y = rows[place], of_column[place]
                count[row] += 1
                xy[row] += x * y
                xx[row] += x * x
                yy[row] += y * y
                if centred:
                    x_sum[row] += x
                    y_sum[row] += y
        for row in range(n):
            c = count[row]
            if row != own and c >= min_support:
                product, left, right = xy[row], xx[row], yy[row]
                least = 1e-12 * left * right
                if centred:
                    product -= x_sum[row] * y_sum[row] / c
                    left -= x_sum[row] * x_sum[row] / c
                    right -= y_sum[row] * y_sum[row] / c
                if left * right > least and product > 0:
                    share = (c - 1) / (c - 1 + shrinkage) if shrinkage > 0 else 1.0
                    out[at, row] = share * product / np.sqrt(left * right)
        count[:], xy[:], xx[:], yy[:], x_sum[:], y_sum[:] = 0, 0, 0, 0, 0, 0
