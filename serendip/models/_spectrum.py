"""What the graph filters share: a matrix with its degrees divided out, its Gram matrix, and the leading eigenpairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.topk import top_k
from serendip.types import ABSENT, Floats

MORE = 32  # vectors iterated beyond those wanted
PASSES = 2
SMALL = 1024  # columns up to which the eigenpairs are computed exactly
LEAST = 1e-6  # of the largest eigenvalue: what is smaller is the rounding of float32
_CHUNK = 512
_DENSE = 1 << 24  # numbers of rows written out at a time

Doubles = NDArray[np.float64]


def degrees(matrix: csr_array) -> tuple[Doubles, Doubles]:
    """The sums of the rows and of the columns, each divided by the mean of those that are not 0."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    sums = [
        np.bincount(places, matrix.data, size)
        for places, size in zip((rows, matrix.indices), matrix.shape, strict=True)
    ]
    by_row, by_column = (total / (total[total > 0].mean() if (total > 0).any() else 1) for total in sums)
    return by_row, by_column


def power(degree: Doubles, exponent: float) -> Doubles:
    """``degree ** exponent``; 0 stays 0, whatever the exponent."""
    out = np.zeros_like(degree)
    np.power(degree, exponent, out=out, where=degree > 0)
    return out


def scaled(matrix: csr_array, by_row: Doubles, by_column: Doubles) -> csr_array:
    """The matrix with its rows and columns multiplied, float32; of values up to 1."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    values = matrix.data / np.float64(matrix.data.max(initial=0) or 1) * by_row[rows] * by_column[matrix.indices]
    return csr_array((values.astype(np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)


def eigenpairs(
    matrix: csr_array, k: int, seed: int, threads: int | None, start: Floats | None = None
) -> tuple[Doubles, Floats]:
    """The k largest eigenvalues of ``AᵀA`` that are not 0, falling, and their vectors ``[n, ≤ k]``, for A ``[m, n]``.

    By randomised subspace iteration (N. Halko, P.-G. Martinsson and J. Tropp, SIAM Review 53, 2011); exactly where n is
    small. With ``start`` ``[n, ≤ k]``, the vectors of a matrix little different from this one, one pass fewer will do.
    """
    n = matrix.shape[1]
    width = min(k + MORE, *matrix.shape)
    if width == 0 or matrix.nnz == 0:
        return np.zeros(0), np.zeros((n, 0), np.float32)
    if n <= SMALL:
        basis = np.eye(n, dtype=np.float32)
    else:
        turned = csr_array(matrix.T.tocsr())
        basis = np.random.default_rng(seed).standard_normal((n, width), np.float32)
        if start is not None:
            basis[:, : start.shape[1]] = start[:, :width]
        for _ in range(PASSES if start is None else PASSES - 1):
            basis = _orthonormal(times(turned, times(matrix, basis, threads), threads), threads)
    image = times(matrix, basis, threads)
    with pool.blas_threads(threads):
        values, turn = np.linalg.eigh(_gram(image))
        kept = np.flatnonzero(values > LEAST * values[-1])[::-1][:k]
        return values[kept], np.asarray(basis @ turn[:, kept], np.float32)


def times(matrix: csr_array, dense: Floats, threads: int | None) -> Floats:
    """``matrix @ dense``, rows dealt out to threads."""
    out = np.empty((matrix.shape[0], dense.shape[1]), np.float32)

    def task(start: int, stop: int) -> None:
        out[start:stop] = matrix[start:stop] @ dense

    pool.rows(task, len(out), chunk=_CHUNK, threads=threads)
    return out


def gram(matrix: csr_array, left: Doubles, right: Doubles, most: int | None, threads: int | None) -> csr_array:
    """``diag(left) AᵀA diag(right)`` for A ``[m, n]``, float32; of each row the ``most`` largest values, None: all."""
    turned = csr_array(matrix.T.tocsr())
    n = matrix.shape[1]
    parts: dict[int, csr_array] = {}

    def task(start: int, stop: int) -> None:
        part = csr_array(turned[start:stop] @ matrix)
        rows = np.repeat(np.arange(start, stop), np.diff(part.indptr))
        part.data = (part.data * left[rows] * right[part.indices]).astype(np.float32)
        parts[start] = part if most is None else _largest(part, most)

    chunk = _CHUNK if most is None else max(1, min(_CHUNK, _DENSE // max(n, 1)))
    pool.rows(task, n, chunk=chunk, threads=threads)
    ordered = [parts.pop(start) for start in sorted(parts)]
    counts = [np.zeros(1, np.int64), *(np.diff(part.indptr) for part in ordered)]
    starts = np.cumsum(np.concatenate(counts), dtype=np.int64)
    index = np.int32 if starts[-1] <= np.iinfo(np.int32).max else np.int64
    columns = np.concatenate([np.zeros(0, index), *(part.indices for part in ordered)])
    values = np.concatenate([np.zeros(0, np.float32), *(part.data for part in ordered)])
    return csr_array((values, columns, starts.astype(index)), shape=(n, n))


def _largest(part: csr_array, most: int) -> csr_array:
    dense = part.toarray()
    recs = top_k(np.where(dense > 0, dense, np.float32(-np.inf)), min(most, dense.shape[1]), threads=1)
    kept = recs.items != ABSENT
    starts = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return csr_array((recs.scores[kept], recs.items[kept], starts), shape=part.shape)


def _gram(columns: Floats) -> Doubles:
    """``XᵀX`` in double precision, without a copy of all of X in it."""
    total = np.zeros((columns.shape[1],) * 2)
    for start in range(0, len(columns), 1 << 14):
        part = columns[start : start + (1 << 14)].astype(np.float64)
        total += part.T @ part
    return total


def _orthonormal(columns: Floats, threads: int | None) -> Floats:
    """Orthonormal columns that span what these do, but for what is lost to rounding."""
    with pool.blas_threads(threads):
        values, turn = np.linalg.eigh(_gram(columns))
        kept = values > 1e-12 * values[-1]
        onto: Any = turn[:, kept] / np.sqrt(values[kept])
        return np.asarray(columns @ onto.astype(np.float32), np.float32)
