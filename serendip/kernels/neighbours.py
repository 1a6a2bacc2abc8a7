"""The nearest columns of each column of a sparse matrix, by what they have in common; see `common` for how.

Bound: that of `common`; before it each entry is written once by row and once by column, some 20 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.best import decode_filled
from serendip.kernels.common import BLOCK, most_alike
from serendip.kernels.jit import compiled
from serendip.types import Floats, Ids

_CHUNKS = 192  # enough for even work, few enough that what each sets up does not count
_Places = NDArray[np.uint16] | NDArray[np.uint32]  # unsigned: compiled loops need not test for negative ones
_Lists = tuple[NDArray[np.int64], Ids, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class Denominator:
    """What ``c_ij`` is divided by, from a number or two per column.

    Without ``overlap`` it is ``left_i · right_j + shrink``: the cosine where both are the columns' norms. With it,
    ``left_i + right_j − overlap · c_ij + shrink``: Jaccard's index where both are the columns' counts and overlap is 1,
    Dice's where they are half the counts and overlap is 0.

    Attributes:
        left, right: ``[n]``.
        shrink: larger: trust small ``c_ij`` less.
        overlap: see above.
    """

    left: NDArray[Any]
    right: NDArray[Any]
    shrink: float = 0.0
    overlap: float | None = None


def nearest(
    matrix: csr_array,
    k: int,
    denominator: Denominator,
    *,
    only: NDArray[np.int64] | None = None,
    threads: int | None = None,
) -> csr_array:
    """The k columns j ≠ i of highest similarity ``c_ij / denominator`` for each column i of ``matrix`` ``[m, n]``.

    Only similarities above 0 and below infinity count. Gives ``[n, n]`` float32, best first within each row, of equal
    ones the lower column first. The result does not depend on the number of threads.

    With ``only``, rows are given for these columns i alone, ``[len(only), n]``, in their order.

    Raises:
        ValueError: k below 1, or a denominator for another number of columns, or with a negative or infinite number for
            a column that is not empty.
    """
    n = matrix.shape[1]
    if k < 1:
        raise ValueError(f"k must be 1 or more. Got {k} instead.")
    counts = np.bincount(matrix.indices, minlength=n)
    for name, side in (("left", denominator.left), ("right", denominator.right)):
        if np.shape(side) != (n,):
            raise ValueError(f"{name} must have one number per column ({n}). Got shape {np.shape(side)} instead.")
        wrong = np.asarray(side)[(counts > 0) & ~((side >= 0) & (side < np.inf))]
        if len(wrong):
            raise ValueError(
                f"{name} must be finite and 0 or more wherever a column has entries. Got {wrong[0]} instead."
            )
    wanted = np.arange(n) if only is None else only
    if len(wanted) == 0:
        return csr_array((0, n), dtype=np.float32)
    work = _Work.of(matrix, counts, denominator)
    lists: dict[int, _Lists] = {}

    def task(start: int, stop: int) -> None:
        lists[start] = work.lists(wanted[start:stop], min(k, n))

    pool.rows(task, len(wanted), chunk=max(16, len(wanted) // _CHUNKS), threads=threads, blas=False)
    lengths, items, similarities = zip(*(lists[start] for start in sorted(lists)), strict=True)
    starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    if starts[-1] <= np.iinfo(np.int32).max:
        starts = starts.astype(np.int32)  # otherwise SciPy makes the items as wide
    return csr_array((np.concatenate(similarities), np.concatenate(items), starts), shape=(len(wanted), n))


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """The matrix with its columns renumbered by falling ``right``, by row and by column.

    Attributes:
        rank, codes: ``[n]`` the new number of each column, and back.
        row_starts, columns, values: the matrix by row; no values where all are 1.
        column_starts, rows, values_by_column: the matrix by column.
        steps: ``[n]`` how many additions each column takes.
        unit: what the product of two values typically is.
        left, right, shrink, overlap: of the denominator; right is filled up, and overlap is NaN for none.
    """

    rank: Ids
    codes: Ids
    row_starts: NDArray[np.int64]
    columns: _Places
    values: Floats
    column_starts: NDArray[np.int64]
    rows: NDArray[np.uint32]
    values_by_column: Floats
    steps: NDArray[np.int64]
    unit: np.float32
    left: Floats
    right: Floats
    shrink: np.float32
    overlap: np.float32

    @classmethod
    def of(cls, matrix: csr_array, counts: NDArray[np.int64], denominator: Denominator) -> _Work:
        n = matrix.shape[1]
        left, right = (
            np.where(counts > 0, side, 0).astype(np.float32) for side in (denominator.left, denominator.right)
        )
        codes = np.lexsort((-counts, -right)).astype(np.int32)
        rank = np.empty_like(codes)
        rank[codes] = np.arange(n, dtype=np.int32)
        values = matrix.data.astype(np.float32)
        values = values[: len(values) if (values != 1).any() else 0]
        row_starts = matrix.indptr.astype(np.int64)
        column_starts = np.concatenate([[0], np.cumsum(counts[codes])]).astype(np.int64)
        columns = np.empty(matrix.nnz, np.uint16 if n <= 1 << 16 else np.uint32)
        rows, values_by_column, steps = np.empty(matrix.nnz, np.uint32), np.empty_like(values), np.zeros(n, np.int64)
        _turn(row_starts, rank[matrix.indices], values, column_starts.copy(), columns, rows, values_by_column, steps)
        return cls(
            rank,
            codes,
            row_starts,
            columns,
            values,
            column_starts,
            rows,
            values_by_column,
            steps,
            np.float32(values.mean() ** 2 if len(values) else 1),
            left[codes],
            np.pad(right[codes], (0, -n % BLOCK), mode="edge"),
            np.float32(denominator.shrink),
            np.float32(np.nan if denominator.overlap is None else denominator.overlap),
        )

    def lists(self, wanted: NDArray[np.int64], k: int) -> _Lists:
        """Of these columns: how many neighbours each has, and all of those with their similarities."""
        keys = np.zeros((len(wanted), k), np.uint64)
        most_alike(
            self.rank[wanted], self.codes, self.row_starts, self.columns, self.values, self.column_starts,
            self.rows, self.values_by_column, self.steps, self.unit, self.left, self.right, self.shrink, self.overlap,
            keys,
        )  # fmt: skip
        return decode_filled(keys)


@compiled
def _turn(
    row_starts: Any, numbers: Any, values: Any, free: Any, columns: Any, rows: Any, values_by_column: Any, steps: Any
) -> None:
    """Write down the matrix by column, with the rows in order; ``free`` is where each column's next entry goes."""
    for row in range(len(row_starts) - 1):
        length = row_starts[row + 1] - row_starts[row]
        for entry in range(row_starts[row], row_starts[row + 1]):
            column = numbers[entry]
            place = free[column]
            free[column] = place + 1
            columns[entry] = column
            rows[place] = row
            steps[column] += length
            if len(values):
                values_by_column[place] = values[entry]
