"""The nearest columns of each column of a sparse matrix, by what they have in common.

The products ``c_ij = Σ_u x_ui x_uj`` of one column i with all others are summed row by row (F. G. Gustavson, "Two fast
algorithms for sparse matrices", ACM TOMS 4, 1978) into an array of all columns. Those touched are listed on the way,
unless they are about all. Of their similarities only the ones above a mark, estimated from a sample, are looked at
again. Columns are renumbered by falling count, so that most sums fall into a small part of that array.

Bound: ``Σ_u |row u|²`` multiply-adds to places in the second-level cache, and one look at each ``c_ij`` that is not 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.best import decode, keep, key_of, score_of
from serendip.kernels.jit import compiled
from serendip.types import ABSENT, Floats, Ids

_CHUNK = 64
_SAMPLE = 64
_DENSE = 2  # multiply-adds per column of the matrix from which nearly all places are taken to be touched
_LEAST = np.finfo(np.float32).smallest_subnormal
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


def nearest(matrix: csr_array, k: int, denominator: Denominator, *, threads: int | None = None) -> csr_array:
    """The k columns j ≠ i of highest similarity ``c_ij / denominator`` for each column i of ``matrix`` ``[m, n]``.

    Only similarities above 0 and below infinity count. Gives ``[n, n]`` float32, best first within each row, of equal
    ones the lower column first. The result does not depend on the number of threads.

    Raises:
        ValueError: k below 1, or a denominator for another number of columns.
    """
    n = matrix.shape[1]
    if k < 1:
        raise ValueError(f"k must be 1 or more. Got {k} instead.")
    for name, side in (("left", denominator.left), ("right", denominator.right)):
        if np.shape(side) != (n,):
            raise ValueError(f"{name} must have one number per column ({n}). Got shape {np.shape(side)} instead.")
    if n == 0:
        return csr_array((0, 0), dtype=np.float32)
    work = _Work.of(matrix, denominator)
    lists: dict[int, _Lists] = {}

    def task(start: int, stop: int) -> None:
        lists[start] = work.lists(start, stop, min(k, n))

    pool.rows(task, n, chunk=_CHUNK, threads=threads)
    counts, items, similarities = zip(*(lists[start] for start in sorted(lists)), strict=True)
    starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    return csr_array((np.concatenate(similarities), np.concatenate(items), starts), shape=(n, n))


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """The matrix with its columns renumbered by falling count, by row and by column.

    Attributes:
        rank, codes: ``[n]`` the new number of each column, and back.
        row_starts, columns, values: the matrix by row; no values where all are 1.
        column_starts, rows, values_by_column: the matrix by column.
        steps: ``[n]`` how many multiply-adds each column takes.
        left, right, shrink, overlap: of the denominator; overlap is NaN for none.
    """

    rank: Ids
    codes: Ids
    row_starts: NDArray[np.int64]
    columns: _Places
    values: Floats
    column_starts: NDArray[np.int64]
    rows: _Places
    values_by_column: Floats
    steps: NDArray[np.int64]
    left: Floats
    right: Floats
    shrink: np.float32
    overlap: np.float32

    @classmethod
    def of(cls, matrix: csr_array, denominator: Denominator) -> _Work:
        codes = np.argsort(-np.bincount(matrix.indices, minlength=matrix.shape[1]), kind="stable").astype(np.int32)
        rank = np.empty_like(codes)
        rank[codes] = np.arange(len(codes), dtype=np.int32)
        by_row = csr_array((matrix.data, rank[matrix.indices], matrix.indptr), shape=matrix.shape)
        by_column = by_row.tocsc()
        weighted = slice(None if (matrix.data != 1).any() else 0)
        lengths = np.diff(by_row.indptr).astype(np.int64)
        steps = np.concatenate([[0], np.cumsum(lengths[by_column.indices])])[by_column.indptr]
        return cls(
            rank,
            codes,
            by_row.indptr.astype(np.int64),
            by_row.indices.astype(np.uint16 if len(codes) <= 1 << 16 else np.uint32),
            by_row.data[weighted].astype(np.float32),
            by_column.indptr.astype(np.int64),
            by_column.indices.astype(np.uint32),
            by_column.data[weighted].astype(np.float32),
            np.diff(steps),
            denominator.left[codes].astype(np.float32),
            denominator.right[codes].astype(np.float32),
            np.float32(denominator.shrink),
            np.float32(np.nan if denominator.overlap is None else denominator.overlap),
        )

    def lists(self, start: int, stop: int, k: int) -> _Lists:
        """Of these columns: how many neighbours each has, and all of those with their similarities."""
        keys = np.zeros((stop - start, k), np.uint64)
        _nearest(
            self.rank[start:stop], self.codes, self.row_starts, self.columns, self.values, self.column_starts,
            self.rows, self.values_by_column, self.steps, self.left, self.right, self.shrink, self.overlap, keys,
        )  # fmt: skip
        items, similarities = np.empty(keys.shape, np.int32), np.empty(keys.shape, np.float32)
        decode(keys, items, similarities)
        kept = items != ABSENT
        return kept.sum(axis=1), items[kept], similarities[kept]


@compiled
def _nearest(
    chosen: Any, codes: Any, row_starts: Any, columns: Any, values: Any, column_starts: Any, rows: Any,
    values_by_column: Any, steps: Any, left: Any, right: Any, shrink: Any, overlap: Any, keys: Any,
) -> None:  # fmt: skip
    n = len(codes)
    k = keys.shape[1]
    sums = np.zeros(n, np.float32)
    touched = np.empty(_DENSE * n + 1, np.uint32)
    similar = np.empty(len(touched), np.float32)
    found = np.empty(len(touched), np.uint64)
    sample = np.empty(_SAMPLE, np.uint64)
    every = np.arange(n).astype(np.uint32)
    for at in range(len(chosen)):
        own = chosen[at]
        entries = slice(column_starts[own], column_starts[own + 1])
        weights = values_by_column[entries] if len(values) else values_by_column
        if steps[own] > _DENSE * n:
            _add_up(rows[entries], weights, row_starts, columns, values, sums)
            count, places = n, every
        else:
            count = _add_up_and_list(rows[entries], weights, row_starts, columns, values, sums, touched)
            places = touched
        sums[own] = 0
        _compare(places, count, sums, left[own], right, shrink, overlap, similar)
        least = _estimate(similar, count, k, sample)
        size = _gather(places, count, similar, least, codes, found)
        if size < k and least > _LEAST:
            size = _gather(places, count, similar, _LEAST, codes, found)
        if size > k:
            keep(found, size, k)
        for place in range(min(size, k)):
            keys[at, place] = found[place]


@compiled
def _add_up(rows: Any, weights: Any, row_starts: Any, columns: Any, values: Any, sums: Any) -> None:
    """Add the rows, times the weights, to the sums."""
    for at in range(len(rows)):
        row = rows[at]
        if len(values):
            for entry in range(row_starts[row], row_starts[row + 1]):
                sums[columns[entry]] += weights[at] * values[entry]
        else:
            for entry in range(row_starts[row], row_starts[row + 1]):
                sums[columns[entry]] += np.float32(1)


@compiled
def _add_up_and_list(
    rows: Any, weights: Any, row_starts: Any, columns: Any, values: Any, sums: Any, touched: Any
) -> int:
    """As `_add_up`; writes down each place whose sum was 0 and counts them. One whose sum stays 0 comes up again."""
    count = 0
    for at in range(len(rows)):
        row = rows[at]
        for entry in range(row_starts[row], row_starts[row + 1]):
            place = columns[entry]
            before = sums[place]
            touched[count] = place
            count += before == 0
            sums[place] = before + (weights[at] * values[entry] if len(values) else np.float32(1))
    return count


@compiled
def _compare(
    places: Any, count: int, sums: Any, left: Any, right: Any, shrink: Any, overlap: Any, similar: Any
) -> None:
    """Write the similarity at each place, and set its sum back to 0."""
    if np.isnan(overlap):
        for at in range(count):
            place = places[at]
            similar[at] = sums[place] / (left * right[place] + shrink)
            sums[place] = 0
    else:
        for at in range(count):
            place = places[at]
            similar[at] = sums[place] / (left + right[place] - overlap * sums[place] + shrink)
            sums[place] = 0


@compiled
def _estimate(similar: Any, count: int, k: int, sample: Any) -> Any:
    """A similarity that more than k very likely reach, by an even sample; the least of all where k is no small part."""
    size = len(sample)
    expected = size * k / max(count, 1)
    place = int(expected + 2 * np.sqrt(expected)) + 2
    if count < size or place >= size // 2:
        return _LEAST
    step = count // size
    for at in range(size):
        value = similar[at * step]
        sample[at] = key_of(value if value > 0 else np.float32(0), at)
    return max(score_of(keep(sample, size, place)), _LEAST)


@compiled
def _gather(places: Any, count: int, similar: Any, least: Any, codes: Any, found: Any) -> int:
    """Write the keys of the similarities from ``least`` up to below infinity, and count them."""
    size = 0
    for at in range(count):
        value = similar[at]
        found[size] = at
        size += (value >= least) & (value < np.inf)
    for at in range(size):
        entry = found[at]
        found[at] = key_of(similar[entry], codes[places[entry]])
    return size
