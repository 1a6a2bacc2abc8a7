"""`top_k` for large matrices, compiled.

Bound: reading each score once, ``4·q·n`` bytes; few of them become keys (see `best`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.kernels import pool
from serendip.kernels.best import add, close_up, decode, keep, key_of, listed, room, score_of
from serendip.kernels.jit import compiled
from serendip.types import Floats, Ids, Recs

_LANES = 64


def select(
    scores: Floats, k: int, exclude: Ids | None, allow: NDArray[np.uint8] | None, threads: int | None = None
) -> Recs:
    """As `topk.top_k`, with checked arguments and k of 1 or more."""
    scores = np.ascontiguousarray(scores, np.float32)
    items = np.empty((len(scores), k), np.int32)
    best = np.empty((len(scores), k), np.float32)
    excluded = np.empty((len(scores), 0), np.int32) if exclude is None else np.ascontiguousarray(exclude, np.int32)
    bits = np.empty((1, 0), np.uint8) if allow is None else np.ascontiguousarray(allow)

    def task(start: int, stop: int) -> None:
        keys = np.zeros((stop - start, room(k)), np.uint64)
        _select(scores[start:stop], k, excluded[start:stop], bits if len(bits) == 1 else bits[start:stop], keys)
        decode(keys, items[start:stop], best[start:stop])

    pool.rows(task, len(scores), chunk=64, threads=threads)
    return Recs(items, best)


@compiled
def _select(scores: Any, k: int, exclude: Any, allow: Any, keys: Any) -> None:
    q, n = scores.shape
    seen = np.empty(exclude.shape[1], np.int32)
    for row in range(q):
        line, best = scores[row], keys[row]
        listed_count = close_up(exclude[row], n, seen)
        bits = allow[min(row, len(allow) - 1)]
        mark = np.uint64(0)
        worst = score_of(mark)
        count = 0
        for left in range(0, n, _LANES):
            right = min(left + _LANES, n)
            hit = False
            for code in range(left, right):
                hit |= line[code] >= worst
            if not hit:
                continue
            for code in range(left, right):
                score = line[code]
                if score >= worst and score > -np.inf:
                    key = key_of(score, code)
                    if key < mark or listed(seen, listed_count, code):
                        continue
                    if len(bits) and not bits[code >> 3] >> (code & 7) & 1:
                        continue
                    count, mark = add(best, count, k, key, mark)
                    worst = score_of(mark)
        if count > k:
            keep(best, count, k)
