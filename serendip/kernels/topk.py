"""The best k of each row of a score matrix.

The order is total, so that every path and every number of threads gives the same lists: the higher score first, and of
equal scores the lower item code. NaN and ``-inf`` mean "not to be recommended".

Bound: reading each score once, ``4·q·n`` bytes; a few queries, which NumPy answers, take some passes over theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.types import ABSENT, Floats, Ids, Recs, unpack_mask

_BLOCK = 1 << 22  # scores handled at a time: bounds the temporaries to a few times 16 MB
_BATCH = 128  # rows below which a request is served, not a batch: those never wait for a compiler
_LARGE = 1 << 24  # scores from which compiled code pays


def top_k(
    scores: Floats,
    k: int,
    exclude: Ids | None = None,
    allow: NDArray[np.uint8] | None = None,
    threads: int | None = None,
) -> Recs:
    """The k best items of each row that are allowed and not excluded.

    Shapes:
        scores ``[q, n]`` float32, not modified; exclude ``[q, e]`` item codes in any order, of which `ABSENT` and any
        other code outside ``0 … n-1`` exclude nothing; allow ``[1 | q, ceil(n/8)]`` bits as of `pack_mask`; the lists
        are ``[q, k]``.

    Raises:
        ValueError: scores that are not ``[q, n]``, ``k < 0``, or exclude or allow of another number of rows or items.
    """
    check(scores.shape, k, exclude, allow)
    q, n = scores.shape
    if is_batch(q, n) and k:
        from serendip.kernels.select import select

        return select(scores, k, exclude, allow, threads)
    items = np.full((q, k), ABSENT, np.int32)
    best = np.full((q, k), -np.inf, np.float32)
    step = max(1, _BLOCK // max(n, 1))
    for start in range(0, q, step):
        rows = slice(start, start + step)
        _select(masked(scores[rows], part(exclude, rows), part(allow, rows)), items[rows], best[rows])
    return Recs(items, best)


def is_batch(q: int, n: int) -> bool:
    """Whether q queries over n items are a job for compiled code and threads, rather than a request to be answered."""
    return q >= _BATCH and q * n >= _LARGE


def check(shape: tuple[int, ...], k: int, exclude: Ids | None, allow: NDArray[np.uint8] | None) -> None:
    """That a search over ``shape = (q, n)`` for k items fits its masks.

    Raises:
        ValueError: saying which argument does not fit, and how.
    """
    if len(shape) != 2:
        raise ValueError(f"scores must be [q, n]. Got an array of shape {shape} instead.")
    q, n = shape
    if k < 0:
        raise ValueError(f"k must be 0 or more. Got {k} instead.")
    if exclude is not None and (exclude.ndim != 2 or len(exclude) != q):
        raise ValueError(f"exclude must be [{q}, e] item codes. Got an array of shape {exclude.shape} instead.")
    width = (n + 7) // 8
    if allow is not None and (allow.ndim != 2 or len(allow) not in (1, q) or allow.shape[1] != width):
        raise ValueError(
            f"allow must be [1, {width}] or [{q}, {width}] bits for {n} items (see pack_mask). "
            f"Got an array of shape {allow.shape} instead."
        )


def part(mask: NDArray[Any] | None, rows: slice) -> NDArray[Any] | None:
    """The rows of an exclude or allow mask; a single row stands for all."""
    return mask if mask is None or len(mask) == 1 else mask[rows]


def masked(scores: Floats, exclude: Ids | None, allow: NDArray[np.uint8] | None) -> Floats:
    """A copy of scores ``[q, n]`` with ``-inf`` wherever an item may not be shown or its score is NaN."""
    out = np.fmax(scores, np.float32(-np.inf), dtype=np.float32)
    n = scores.shape[1]
    if allow is not None:
        np.copyto(out, -np.inf, where=~unpack_mask(allow, n))
    if exclude is not None:
        row, column = np.nonzero((exclude >= 0) & (exclude < n))
        out[row, exclude[row, column]] = -np.inf
    return out


def _select(scores: Floats, items: Ids, best: Floats) -> None:
    """Write the best of each row of scores ``[q, n]`` (no NaN) into ``items`` and ``best`` ``[q, k]``."""
    q, n = scores.shape
    k = min(items.shape[1], n)
    if q == 0 or k == 0:
        return
    # The k-th best score decides: above it all are in, and of those equal to it the lowest codes.
    last = np.partition(scores, n - k, axis=1)[:, n - k, None] if k < n else np.full((q, 1), -np.inf, np.float32)
    row, code = np.nonzero(scores >= last) if k < n else np.nonzero(scores > last)
    value = scores[row, code]
    tied = value == last[row, 0]
    keep = ~tied | ((_place(row, tied, q) < (k - _count(row[~tied], q))[row]) & (value > -np.inf))
    row, code, value = row[keep], code[keep], value[keep]
    place = _place(row, np.ones(len(row), bool), q)
    items[row, place], best[row, place] = code, value
    order = np.argsort(-best[:, :k], axis=1, kind="stable")
    items[:, :k] = np.take_along_axis(items[:, :k], order, axis=1)
    best[:, :k] = np.take_along_axis(best[:, :k], order, axis=1)


def _count(row: NDArray[np.int64], q: int) -> NDArray[np.int64]:
    return np.bincount(row, minlength=q)


def _place(row: NDArray[np.int64], counted: NDArray[np.bool_], q: int) -> NDArray[np.int64]:
    """How many counted entries of the same row stand before each entry; rows ascend."""
    before: NDArray[np.int64] = np.cumsum(counted) - counted
    first = np.concatenate([[0], np.cumsum(np.bincount(row, weights=counted, minlength=q))]).astype(np.int64)
    return before - first[row]
