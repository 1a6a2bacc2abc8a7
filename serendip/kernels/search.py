"""The items of highest inner product for many queries, without ever storing the scores.

Items are laid out once in blocks of falling norm. Tiles of queries × items are multiplied in registers (`tile`), and
only what reaches a query's k-th best score so far leaves them. A query is done when its norm times that of the next
block's longest item cannot reach that score any more (Cauchy-Schwarz), so vectors of uneven norms, as most trained ones
are, need a part of the product only.

Where the processor multiplies bytes, most products are not worked out in full, see `coarse`.

Bound: at most ``2·q·n·d`` operations at the rate of a matrix product; memory of the items once per chunk of queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.kernels import pool
from serendip.kernels.best import add, close_up, decode, keep, key_of, listed, room, score_of
from serendip.kernels.coarse import Coarse, look
from serendip.kernels.jit import compiled
from serendip.kernels.tile import ROWS, WIDTH, lowest_bit, packed, tile
from serendip.types import ABSENT, Floats, Ids, Recs

_CHUNK = 256  # queries that share a pass over the items
_REPACK = 16  # blocks between looking for queries that are done
_INFINITY = np.float32(np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Item vectors laid out for `search`.

    Attributes:
        values: ``[blocks · d · WIDTH]`` the vectors in order of falling norm, see `tile.packed`.
        codes: ``[blocks · WIDTH]`` the item code of each, `ABSENT` for filling.
        norms: ``[blocks]`` float64, the largest norm in each block.
        coarse: the same vectors as `coarse` takes them, in the place of ``values``; None where that is of no use.
        n: the number of item codes.
        d: dimensions.
    """

    values: Floats
    codes: Ids
    norms: NDArray[np.float64]
    n: int
    d: int
    coarse: Coarse | None = None

    @classmethod
    def of(cls, vectors: Floats, chosen: NDArray[np.bool_]) -> Blocks:
        """Lay out the chosen (``[n]``) of the vectors ``[n, d]``."""
        n, d = vectors.shape
        norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
        order = np.flatnonzero(chosen)
        order = order[np.argsort(-norms[order], kind="stable")]
        codes = np.full(-(-len(order) // WIDTH) * WIDTH, ABSENT, np.int32)
        codes[: len(order)] = order
        coarse = Coarse.of(vectors[order])
        values = packed(vectors[order], WIDTH) if coarse is None else np.empty(0, np.float32)
        return cls(values, codes, norms[order][::WIDTH].copy(), n, d, coarse)


def search(
    blocks: Blocks, queries: Floats, k: int, exclude: Ids | None, allow: NDArray[np.uint8] | None, threads: int | None
) -> Recs:
    """The k best of the items in ``blocks`` per query ``[q, d]``, masked and ordered as by `topk.top_k`; d, k ≥ 1.

    Arguments are checked by the caller. A query with a NaN gets an empty list.
    """
    q = len(queries)
    items, scores = np.empty((q, k), np.int32), np.empty((q, k), np.float32)
    excluded = np.empty((q, 0), np.int32) if exclude is None else np.ascontiguousarray(exclude, np.int32)
    bits = np.empty((1, 0), np.uint8) if allow is None else np.ascontiguousarray(allow)

    def task(start: int, stop: int) -> None:
        rows = slice(start, stop)
        keys = np.zeros((stop - start, room(k)), np.uint64)
        chunk = np.ascontiguousarray(queries[rows])
        allowed = bits if len(bits) == 1 else bits[rows]
        rest = (blocks.codes, blocks.norms, blocks.n, chunk, k, excluded[rows], allowed, keys)
        if (coarse := blocks.coarse) is None:
            _search(blocks.values, *rest)
        else:
            look(coarse.vectors, coarse.coarse, coarse.shift, coarse.scales, coarse.errors, *rest)
        decode(keys, items[rows], scores[rows])

    pool.rows(task, q, chunk=_CHUNK, threads=threads)
    return Recs(items, scores)


@compiled
def _search(
    values: Any, codes: Any, norms: Any, n: int, queries: Any, k: int, exclude: Any, allow: Any, keys: Any
) -> None:
    q, d = queries.shape
    reach = _norms(queries) * (1 + (d + 8) * 2.0**-23) + 1e-300  # what rounding may add to a sum
    seen = np.empty(exclude.shape, np.int32)
    seen_count = np.empty(q, np.int64)
    for row in range(q):
        seen_count[row] = close_up(exclude[row], n, seen[row])
    count = np.zeros(q, np.int64)
    mark = np.zeros(q, np.uint64)

    slots = -(-q // ROWS) * ROWS
    rows = np.arange(q)  # the query in each slot; those beyond `open_rows` are done
    kept = np.empty_like(rows)
    open_rows = q
    worst = np.empty(slots, np.float32)  # the score that slot's query has yet to reach
    lanes = np.empty(slots * d, np.float32)
    sums, hits = np.empty(ROWS * WIDTH, np.float32), np.empty(ROWS, np.uint64)
    for block in range(len(norms)):
        if block % _REPACK == 0:
            left = _still_open(rows[:open_rows], reach, norms[block], mark, kept)
            if block == 0 or -(-left // ROWS) < -(-open_rows // ROWS):
                open_rows = left
                rows[:left] = kept[:left]
                _fill(queries, rows, left, mark, lanes, worst)
            if open_rows == 0:
                break
        for first in range(0, open_rows, ROWS):
            if not tile(lanes, first * d, values, block * d * WIDTH, worst, first, sums, 0, hits, 0, d):
                continue
            for at in range(min(ROWS, open_rows - first)):
                if not hits[at]:
                    continue
                row = rows[first + at]
                best, told = keys[row], seen[row][: seen_count[row]]
                bits = allow[min(row, len(allow) - 1)]
                found, seen_now, mark_now = hits[at], count[row], mark[row]
                while found:
                    lane = np.int64(lowest_bit(found))
                    found &= found - np.uint64(1)
                    score, code = sums[at * WIDTH + lane], codes[block * WIDTH + lane]
                    if code == ABSENT or score == -np.inf:
                        continue
                    key = key_of(score, code)
                    if key < mark_now or listed(told, len(told), code):
                        continue
                    if len(bits) and not bits[code >> 3] >> (code & 7) & 1:
                        continue
                    seen_now, mark_now = add(best, seen_now, k, key, mark_now)
                count[row], mark[row] = seen_now, mark_now
                worst[first + at] = score_of(mark_now)
    for row in range(q):
        if count[row] > k:
            keep(keys[row], count[row], k)


@compiled
def _norms(vectors: Any) -> Any:
    norms = np.empty(len(vectors), np.float64)
    for row in range(len(vectors)):
        total = 0.0
        for value in vectors[row]:
            total += np.float64(value) * np.float64(value)
        norms[row] = np.sqrt(total)
    return norms


@compiled
def _still_open(rows: Any, reach: Any, norm: float, mark: Any, kept: Any) -> int:
    """Copy those of the queries that an item of that norm may still reach into ``kept``, and count them."""
    count = 0
    for row in rows:
        if reach[row] * norm + 1e-37 >= score_of(mark[row]):
            kept[count] = row
            count += 1
    return count


@compiled
def _fill(queries: Any, rows: Any, count: int, mark: Any, lanes: Any, worst: Any) -> None:
    """Lay the queries ``rows[:count]`` out in blocks of `ROWS`, with their marks; slots left over can reach nothing."""
    d = queries.shape[1]
    for slot in range(-(-count // ROWS) * ROWS):
        start = slot // ROWS * ROWS * d + slot % ROWS
        worst[slot] = score_of(mark[rows[slot]]) if slot < count else _INFINITY
        for at in range(d):
            lanes[start + at * ROWS] = queries[rows[slot], at] if slot < count else np.float32(0)
