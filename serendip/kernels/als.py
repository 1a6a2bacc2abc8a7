"""Half a step of alternating least squares for implicit feedback: one side solved for, the other held fixed.

Row r of a sparse matrix, with weights ``c_ri`` at the places i of its entries, gets the vector

``w_r = (α₀ VᵀV + Σ_i c_ri v_i v_iᵀ + λ_r I)⁻¹ Σ_i c_ri v_i``,    ``λ_r = λ (Σ_i c_ri + α₀ n)^ν``

(Y. Hu, Y. Koren and C. Volinsky, ICDM 2008; the scaling of λ as in S. Rendle, W. Krichene, L. Zhang and Y. Koren,
"Revisiting the performance of iALS on item recommendation benchmarks", RecSys 2022, with the sum of the weights for the
count of entries, which it is where all are 1).

How: in the eigenbasis of ``VᵀV`` the part that all rows share is diagonal, ``D_r = α₀ S + λ_r I``, so that a row costs
what its entries cost, see `als_block` (exactly, or block by block) and `als_cg`. Where both sides are at hand they stay
in the eigenbasis, which changes no product of the two: nothing is turned back.

Bound: beside the rows, ``3·n·d²`` operations for ``VᵀV`` (half of a product, being symmetric) and the turn, and
``9·d³`` for the eigenvectors, see `dense_work` and `row_work`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.normal import SIDE
from serendip.types import Floats

Solver = Literal["cholesky", "cg", "block"]
Doubles = NDArray[np.float64]

_ROWS = 128  # solved at a time
_STRETCH = 1024  # rows of a product
_PARTS = 16  # of a sum over all vectors: few, as each is [d, d], and the same on any number of threads


@dataclass(frozen=True)
class Method:
    """How rows are solved for.

    Attributes:
        solver: ``cholesky`` (exactly), ``cg`` (conjugate gradients) or ``block`` (block by block).
        cg_steps: of cg.
        block_size: of block; rounded up to whole registers.
    """

    solver: Solver = "cholesky"
    cg_steps: int = 3
    block_size: int = 128


@dataclass(frozen=True, eq=False)
class Equations:
    """What of the rows' equations does not change with the vectors.

    Attributes:
        starts: ``[rows + 1]`` int64.
        places: ``[entries]`` int32, columns.
        weights: ``[entries]``, ``c``.
        strength: ``[rows]``, ``λ_r``.
        alpha0: α₀.
        reg: λ.
    """

    starts: NDArray[np.int64]
    places: NDArray[np.int32]
    weights: Floats
    strength: Doubles
    alpha0: float
    reg: float

    @classmethod
    def of(cls, matrix: csr_array, *, alpha0: float, reg: float, nu: float) -> Self:
        """Of the rows of a matrix.

        Raises:
            ValueError: a negative weight.
        """
        if matrix.nnz and not matrix.data.min() >= 0:
            raise ValueError(f"weights must be 0 or more. Got {matrix.data.min()} instead.")
        total = np.asarray(matrix.sum(axis=1, dtype=np.float64))
        return cls(
            matrix.indptr.astype(np.int64),
            matrix.indices.astype(np.int32),
            matrix.data.astype(np.float32),
            reg * (total + alpha0 * matrix.shape[1]) ** nu,
            alpha0,
            reg,
        )

    def __len__(self) -> int:
        return len(self.strength)


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

    Exactly. A row whose weights are all 0 gets 0. The result does not depend on the number of threads. Where ``reg`` is
    too small for single precision, vectors may be NaN.

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
    equations = Equations.of(matrix, alpha0=alpha0, reg=reg, nu=nu)
    d = other.shape[1]
    result = np.empty((rows, d), np.float32) if out is None else out
    if d == 0:
        return result
    turned = padded(other)
    shared, basis = _eigenbasis(turned, d, np.float64, threads)
    _turn(turned, basis, threads)
    solved = np.empty((rows, turned.shape[1]), np.float32)
    _solve(equations, turned, alpha0 * shared, Method(), solved, threads)

    def back(begin: int, end: int) -> None:
        with np.errstate(invalid="ignore", over="ignore"):  # where single precision did not do, NaN says so
            np.matmul(solved[begin:end, :d], basis.T, out=result[begin:end])

    pool.rows(back, rows, chunk=_STRETCH, threads=threads)
    return result


def step(equations: Equations, own: Floats, other: Floats, d: int, method: Method, threads: int | None = None) -> None:
    """Solve for ``own``, the vectors of the rows, given ``other``, the columns', both as `padded` makes them, in place.

    Both are left in the eigenbasis of ``otherᵀ other``. With cholesky and cg it does not matter what ``own`` was; with
    block it must be in the same basis as ``other`` and is improved. The number of threads makes no difference.

    Raises:
        FloatingPointError: ``other`` holds what is not finite, as it does where λ is too small for single precision.
    """
    exact = method.solver == "cholesky"
    shared, basis = _eigenbasis(other, d, np.float64 if exact else np.float32, threads)
    _turn(other, basis, threads)
    if method.solver == "block":
        _turn(own, basis, threads)
    _solve(equations, other, equations.alpha0 * shared, method, own, threads)


def cheapest(sides: Sequence[Equations], d: int, cg_steps: int) -> Solver:
    """``cholesky`` where solving the rows exactly takes about as little time as conjugate gradients, else ``cg``.

    A multiplication of the exact solution, kept in registers, is taken to cost a third of one with vectors that are
    read again in every step.
    """
    exact, by_steps = (
        sum(row_work(np.diff(side.starts), d, Method(solver, cg_steps)) for side in sides)
        for solver in ("cholesky", "cg")
    )
    return "cholesky" if exact <= 3 * by_steps else "cg"


def row_work(lengths: NDArray[np.integer[Any]], d: int, method: Method) -> float:
    """Multiplications with additions that rows of these lengths take, the eigenbasis being given."""
    wide = -(-d // SIDE) * SIDE
    m = lengths[lengths > 0].astype(np.float64)
    if method.solver == "cg":
        return float(((1 + 2 * method.cg_steps) * m * wide).sum())
    size = min(wide, -(-method.block_size // SIDE) * SIDE) if method.solver == "block" else wide
    near = np.ceil(m / SIDE) * SIDE
    small, large = np.minimum(near, size), np.maximum(near, size)
    once = small**2 * large / 2 + small**3 / 6
    return float((once * (wide / size) + (3 * m * wide if size < wide else 0)).sum())


def dense_work(rows: int, columns: int, d: int, method: Method) -> float:
    """Multiplications with additions of half a step beside the rows' own: ``VᵀV``, its eigenvectors, and the turns."""
    turned = columns + (rows if method.solver == "block" else 0)
    return columns * d**2 / 2 + 4.5 * d**3 + turned * d**2


def padded(vectors: Floats) -> Floats:
    """A copy ``[n, wide]`` with the dimensions filled up with 0 to a multiple of `SIDE`."""
    n, d = vectors.shape
    out = np.zeros((n, -(-d // SIDE) * SIDE), np.float32)
    out[:, :d] = vectors
    return out


def _eigenbasis(
    vectors: Floats, d: int, precision: type[np.floating[Any]], threads: int | None
) -> tuple[Doubles, Floats]:
    """The eigenvalues ``[wide]``, rising, and eigenvectors ``[d, d]`` of ``VᵀV`` for V ``[n, wide]``.

    ``VᵀV`` is summed in double precision of products in the precision given: with single precision the small
    eigenvalues are lost to rounding where they are 10⁷ times smaller than the largest.
    """
    n, wide = vectors.shape
    parts: dict[int, Doubles] = {}

    def add(begin: int, end: int) -> None:
        total = np.zeros((d, d))
        for first in range(begin, end, _STRETCH):
            part = vectors[first : min(first + _STRETCH, end), :d].astype(precision, copy=False)
            total += part.T @ part
        parts[begin] = total

    with np.errstate(invalid="ignore", over="ignore"):
        pool.rows(add, n, chunk=max(_STRETCH, -(-n // _PARTS)), threads=threads)
        gram = sum((parts[begin] for begin in sorted(parts)), np.zeros((d, d)))
    if not np.isfinite(gram).all():
        raise FloatingPointError("the vectors are not finite")
    with pool.one_blas_thread():
        values, basis = np.linalg.eigh(gram)
    shared = np.zeros(wide)
    shared[:d] = np.maximum(values, 0)
    return shared, basis.astype(np.float32)


def _turn(vectors: Floats, basis: Floats, threads: int | None) -> None:
    """Turn ``[n, wide]`` into the basis ``[d, d]``, in place."""
    d = len(basis)

    def task(begin: int, end: int) -> None:
        vectors[begin:end, :d] = vectors[begin:end, :d] @ basis

    pool.rows(task, len(vectors), chunk=_STRETCH, threads=threads)


def _solve(
    equations: Equations, other: Floats, shared: Doubles, method: Method, own: Floats, threads: int | None
) -> None:
    """All rows in the eigenbasis, into ``own`` ``[rows, wide]``; ``shared`` is the diagonal they have in common."""
    from serendip.kernels import als_block, als_cg

    starts, places, strength = equations.starts, equations.places, equations.strength
    wide = other.shape[1]
    roots = equations.weights if method.solver == "cg" else np.sqrt(equations.weights)
    size = min(wide, -(-method.block_size // SIDE) * SIDE) if method.solver == "block" else wide

    def task(begin: int, end: int) -> None:
        rows = starts[begin : end + 1], places, roots, other, shared, strength[begin:end]
        if method.solver == "cg":
            als_cg.solve_rows(*rows, method.cg_steps, own[begin:end])
        else:
            als_block.solve_rows(*rows, size, own[begin:end])

    pool.rows(task, len(equations), chunk=_ROWS, threads=threads)
