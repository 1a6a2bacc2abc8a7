"""Which items of a history speak for an item, and how strongly: what the explaining scorers share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.scorers.common import BLOCK
from serendip.types import Ids, Recs

Rows = NDArray[np.int64]
Said = Callable[[Rows, Ids, Ids], NDArray[np.float64]]
"""What items of histories say of the items asked about: from query, item of the history and item asked about of each
pair, to what it adds to the score per unit of what it weighs in the history."""


def explained(history: csr_array, items: Ids, k: int, said: Said, width: int = 1) -> Recs:
    """The k entries of each history that add most to the score of an item, those that add nothing left out.

    Args:
        history: ``[q, n]`` what counts of each query's history; columns that count for nothing are not stored.
        items: ``[q]`` the item asked about; a code outside the catalogue is explained by nothing.
        k: how many at most.
        said: see `Said`.
        width: how many numbers ``said`` works on per entry, so that memory stays bounded.
    """
    q, n = history.shape
    asked = np.asarray(items, np.int32)
    inside = (asked >= 0) & (asked < n)
    ends = np.cumsum(np.where(inside, np.diff(history.indptr), 0) * max(width, 1))
    parts, start = [Recs.empty(0, k)], 0
    while start < q:
        stop = max(start + 1, int(np.searchsorted(ends, (ends[start - 1] if start else 0) + BLOCK)))
        rows = np.flatnonzero(inside[start:stop]) + start
        some = history[rows]
        row = np.repeat(rows, np.diff(some.indptr))
        values = some.data * said(row, some.indices, asked[row])
        parts.append(_strongest(row - start, some.indices, values, stop - start, k))
        start = stop
    return Recs(np.concatenate([part.items for part in parts]), np.concatenate([part.scores for part in parts]))


def pair_weights(weights: csr_array, rows: Ids, columns: Ids) -> NDArray[np.float64]:
    """``weights[rows, columns]``, pair by pair, 0 where nothing is stored."""
    begin, count = weights.indptr[rows].astype(np.int64), np.diff(weights.indptr)[rows].astype(np.int64)
    out = np.zeros(len(rows))
    ends = np.cumsum(count)
    start = 0
    while start < len(rows):
        stop = max(start + 1, int(np.searchsorted(ends, (ends[start - 1] if start else 0) + BLOCK)))
        size = count[start:stop]
        pair = np.repeat(np.arange(start, stop), size)
        flat = np.repeat(begin[start:stop] - (np.cumsum(size) - size), size) + np.arange(len(pair))
        found = np.flatnonzero(weights.indices[flat] == columns[pair])
        out[pair[found]] = weights.data[flat[found]]
        start = stop
    return out


def _strongest(row: Rows, items: Ids, values: NDArray[np.float64], q: int, k: int) -> Recs:
    kept = np.flatnonzero((values != 0) & np.isfinite(values))
    order = kept[np.lexsort((items[kept], -values[kept], row[kept]))]
    size = np.bincount(row[order], minlength=q)
    place = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size)
    first = place < k
    out = Recs.empty(q, k)
    out.items[row[order[first]], place[first]] = items[order[first]]
    out.scores[row[order[first]], place[first]] = values[order[first]]
    return out
