"""What models share that take in new events without being fitted again: what changed, and putting rows in place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from serendip.data.change import Change
from serendip.models._weighting import matrix_of
from serendip.scorers import Counts

Places = NDArray[np.int64]


def changed(before: csr_array, after: csr_array) -> csr_array:
    """The difference of two matrices of one shape; nothing stored where they are equal."""
    difference = csr_array(after - before)
    difference.eliminate_zeros()
    return difference


def touched_items(change: Change, counts: Counts) -> Places:
    """The items of which anybody's events amount to something else than before."""
    difference = changed(matrix_of(change.before, counts), matrix_of(change.after, counts))
    return np.unique(difference.indices).astype(np.int64)


def in_place(rows: csr_array, places: Places, n: int) -> csr_array:
    """These rows as rows ``places`` (ascending) of a matrix of n, the others empty; entries keep their order."""
    counts = np.zeros(n, np.int64)
    counts[places] = np.diff(rows.indptr)
    return csr_array((rows.data, rows.indices, np.concatenate([[0], np.cumsum(counts)])), shape=(n, rows.shape[1]))


def with_rows(known: csr_array, places: Places, rows: csr_array) -> csr_array:
    """A square matrix of the size of ``rows`` ``[places, n]`` with those in their places and the known ones elsewhere.

    The order within rows is kept.
    """
    n = rows.shape[1]
    wide = csr_array((known.data, known.indices, known.indptr), shape=(known.shape[0], n))
    empty = csr_array((1, n), dtype=known.dtype)
    order = np.minimum(np.arange(n), known.shape[0])  # beyond what is known: the empty row
    order[places] = known.shape[0] + 1 + np.arange(len(places))
    return csr_array(csr_array(vstack([wide, empty, rows], "csr"))[order])
