"""Half a step of alternating least squares for implicit feedback: one side solved for exactly, the other held fixed.

Row r of a sparse matrix, with weights ``c_ri`` at the places i of its entries, gets the vector

``w_r = (α₀ VᵀV + Σ_i c_ri v_i v_iᵀ + λ_r I)⁻¹ Σ_i c_ri v_i``,    ``λ_r = λ (Σ_i c_ri + α₀ n)^ν``

(Y. Hu, Y. Koren and C. Volinsky, ICDM 2008; the scaling of λ as in S. Rendle, W. Krichene, L. Zhang and Y. Koren,
"Revisiting the performance of iALS on item recommendation benchmarks", RecSys 2022, with the sum of the weights for the
count of entries, which it is where all are 1).

How: in the eigenbasis of ``VᵀV`` the part that all rows share is diagonal, ``D_r = α₀ S + λ_r I``. With
``P = √c V D_r^-½`` for the m entries of a row, ``w_r = D_r^-½ Pᵀ (I + P Pᵀ)⁻¹ √c = D_r^-½ (I + Pᵀ P)⁻¹ Pᵀ √c``: the
first is a system of size m, the second of size d, and the smaller one is solved, see `normal`.

Bound: ``Σ_r min(m, d)² · max(m, d) + min(m, d)³/3`` operations over the rows, and one gather of ``4·d`` bytes an entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.gather import gather_columns
from serendip.kernels.jit import compiled
from serendip.kernels.normal import SIDE, add_gram, factor, solve, start
from serendip.types import Floats

_CHUNK = 64
_STRETCH = 256  # entries of a row handled at a time


def half_step(
    matrix: csr_array,
    other: Floats,
    *,
    alpha0: float,
    reg: float,
    nu: float,
    out: Floats | None = None,
    threads: int | None = None,
) -> Floats:
    """The vectors ``[rows, d]`` of the rows of ``matrix`` ``[rows, n]``, given ``other`` ``[n, d]``: its columns'.

    A row whose weights are all 0 gets 0. The result does not depend on the number of threads. Where ``reg`` is too
    small for single precision, vectors may be NaN.

    Args:
        matrix: the weights ``c``, 0 or more.
        other: finite float32.
        alpha0: α₀ ≥ 0.
        reg: λ > 0.
        nu: ν.
        out: written to and returned, if given.
        threads: see `pool.count`.

    Raises:
        ValueError: ``other`` of another length, or a negative weight.
    """
    rows, n = matrix.shape
    if other.ndim != 2 or len(other) != n:
        raise ValueError(f"other must be [{n}, d], a vector per column. Got an array of shape {other.shape} instead.")
    if matrix.nnz and not matrix.data.min() >= 0:
        raise ValueError(f"weights must be 0 or more. Got {matrix.data.min()} instead.")
    d = other.shape[1]
    result = np.empty((rows, d), np.float32) if out is None else out
    if d == 0:
        return result
    shared, basis, turned = _diagonal(other, threads)
    shared *= alpha0
    strength = reg * (np.asarray(matrix.sum(axis=1, dtype=np.float64)) + alpha0 * n) ** nu
    starts, places = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    weights = np.sqrt(matrix.data.astype(np.float32))

    def task(begin: int, end: int) -> None:
        solved = np.empty((end - begin, d), np.float32)
        _solve_rows(starts[begin : end + 1], places, weights, turned, shared, strength[begin:end], solved)
        with np.errstate(invalid="ignore", over="ignore"):  # where single precision did not do, NaN says so
            np.matmul(solved, basis.T, out=result[begin:end])

    pool.rows(task, rows, chunk=_CHUNK, threads=threads)
    return result


def _diagonal(vectors: Floats, threads: int | None) -> tuple[NDArray[np.float64], Floats, Floats]:
    """The eigenvalues ``[d]`` and eigenvectors ``[d, d]`` of ``VᵀV``, and V ``[n, wide]`` turned into their basis.

    ``VᵀV`` is summed in double precision, as the rows' own parts may be smaller than it by many orders, and in parts
    that do not depend on the number of threads. The dimensions are filled up with 0 to a multiple of `SIDE`.
    """
    n, d = vectors.shape
    chunk = max(_CHUNK * 64, -(-n // 16))
    parts: dict[int, NDArray[np.float64]] = {}
    turned = np.zeros((n, -(-d // SIDE) * SIDE), np.float32)

    def add(begin: int, end: int) -> None:
        part = vectors[begin:end].astype(np.float64)
        parts[begin] = part.T @ part

    def turn(begin: int, end: int) -> None:
        turned[begin:end, :d] = vectors[begin:end] @ basis

    pool.rows(add, n, chunk=chunk, threads=threads)
    with pool.one_blas_thread():
        values, exact = np.linalg.eigh(sum((parts[begin] for begin in sorted(parts)), np.zeros((d, d))))
    basis = exact.astype(np.float32)
    pool.rows(turn, n, chunk=chunk, threads=threads)
    return np.maximum(values, 0), basis, turned


@compiled
def _solve_rows(starts: Any, places: Any, weights: Any, vectors: Any, shared: Any, strength: Any, solved: Any) -> None:
    """Solve for each row in the eigenbasis; ``weights`` are the roots of ``c``."""
    d, wide = len(shared), vectors.shape[1]
    h = np.empty(wide * wide, np.float32)
    p = np.zeros(wide * max(wide, _STRETCH), np.float32)
    x = np.empty(wide, np.float32)
    root = np.zeros(wide, np.float32)
    for row in range(len(solved)):
        entries = slice(starts[row], starts[row + 1])
        near, weight = places[entries], weights[entries]
        solved[row] = 0
        if not weight.any():
            continue
        for at in range(d):
            root[at] = 1 / np.sqrt(shared[at] + strength[row])
        narrow = -(-len(near) // SIDE) * SIDE
        if narrow < wide:
            _by_entries(near, weight, vectors, root, narrow, h, p, x, solved[row])
        else:
            _by_dimensions(near, weight, vectors, root, wide, h, p, x, solved[row])


@compiled
def _by_entries(near: Any, weight: Any, vectors: Any, root: Any, n: int, h: Any, p: Any, x: Any, out: Any) -> None:
    """``D^-½ Pᵀ (I + P Pᵀ)⁻¹ √c``, added to ``out``; Pᵀ ``[d, n]`` is what is kept."""
    x[:n] = 0
    x[: len(weight)] = weight
    gather_columns(vectors, near, weight, root, n, p)
    start(h, n)
    add_gram(p, len(out), n, h)
    factor(h, n)
    solve(h, n, x)
    for entry in range(len(near)):
        scale, vector = weight[entry] * x[entry], vectors[near[entry]]
        for at in range(len(out)):
            out[at] += scale * vector[at]
    for at in range(len(out)):
        out[at] *= root[at] * root[at]


@compiled
def _by_dimensions(near: Any, weight: Any, vectors: Any, root: Any, n: int, h: Any, p: Any, x: Any, out: Any) -> None:
    """``D^-½ (I + Pᵀ P)⁻¹ Pᵀ √c``, with P ``[m, n]`` in stretches."""
    x[:n] = 0
    start(h, n)
    for first in range(0, len(near), _STRETCH):
        count = min(_STRETCH, len(near) - first)
        for entry in range(count):
            scale, vector = weight[first + entry], vectors[near[first + entry]]
            line = p[entry * n : entry * n + n]
            for at in range(n):
                value = scale * root[at] * vector[at]
                line[at] = value
                x[at] += scale * value
        add_gram(p, count, n, h)
    factor(h, n)
    solve(h, n, x)
    for at in range(len(out)):
        out[at] = root[at] * x[at]
