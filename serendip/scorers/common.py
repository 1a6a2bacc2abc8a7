"""How arrays become scores: what the scorers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels.topk import top_k
from serendip.types import ABSENT, Floats, Ids, Queries, Recs, Scorer, SerendipError, as_rows

Counts = Literal["binary", "count", "weight"]
"""What an item in a history weighs: 1 however often it occurs, how often it occurs, or the sum of its weights."""

Mask = NDArray[np.bool_]

BLOCK = 1 << 22  # numbers computed at a time: bounds the temporaries to a few times 16 MB


K1, B = 1.2, 0.75


def saturated(values: NDArray[Any], relative: NDArray[Any]) -> NDArray[Any]:
    """What events amount to, as bm25 counts words: ``(k₁ + 1) x / (k₁ (1 − b + b l) + x)``, never above ``k₁ + 1``.

    ``relative``: l, the length of the document over the mean. Source: S. Robertson and S. Walker, SIGIR 1994.
    """
    return np.asarray((K1 + 1) * values / (K1 * (1 - B + B * relative) + values))


class HistoryRows(NamedTuple):
    """What histories hold, in the arrays of a sparse matrix ``[q, n]`` with sorted columns, each once.

    Attributes:
        indptr: ``[q + 1]`` where each query's begin.
        indices: item codes.
        data: float32, what each weighs.
    """

    indptr: NDArray[Any]
    indices: NDArray[Any]
    data: Floats


def history_rows(
    queries: Queries, n: int, counts: Counts, known: Mask | None = None, length: int | None = None
) -> HistoryRows:
    """What each query's history holds.

    Item codes outside ``0 … n-1`` and, with ``counts="weight"``, events without a positive finite weight are left out.
    A query without ``bags["weight"]`` gives each event the weight 1.

    Args:
        queries: who asks.
        n: how many items there are.
        counts: what an item weighs.
        known: ``[n]`` items that count; None: all.
        length: how many of the latest events count; None: all.
    """
    latest = slice(max(queries.history.shape[1] - length, 0) if length is not None else 0, None)
    history = queries.history[:, latest]
    keep = (history >= 0) & (history < n)
    if known is not None and n:
        keep &= known[np.where(keep, history, 0)]
    weight = queries.bags.get("weight") if counts == "weight" else None
    if weight is not None:
        weight = weight[:, latest]
        keep &= (weight > 0) & (weight < np.inf)
    codes = np.where(keep, history, n)  # what is left out comes last
    if counts == "binary":
        codes.sort(axis=1)
    else:
        order = np.argsort(codes, axis=1, kind="stable")
        codes = np.take_along_axis(codes, order, axis=1)
    fresh = codes < n
    fresh[:, 1:] &= codes[:, 1:] != codes[:, :-1]
    indptr = np.zeros(len(codes) + 1, np.int64)
    np.cumsum(np.count_nonzero(fresh, axis=1), out=indptr[1:])
    # Of the type that weights have, too: SciPy would convert all of theirs for every product.
    index = np.int32 if indptr[-1] <= np.iinfo(np.int32).max else np.int64
    if counts == "binary" or not indptr[-1]:
        data = np.ones(indptr[-1], np.float32)
    else:
        value = np.where(keep, 1 if weight is None else weight, 0).astype(np.float32)
        data = np.add.reduceat(np.take_along_axis(value, order, axis=1).ravel(), np.flatnonzero(fresh))
    return HistoryRows(indptr.astype(index), codes[fresh].astype(index), data)


def history_matrix(
    queries: Queries, n: int, counts: Counts, known: Mask | None = None, length: int | None = None
) -> csr_array:
    """As `history_rows`, ``[q, n]``."""
    rows = history_rows(queries, n, counts, known, length)
    return csr_array((rows.data, rows.indices, rows.indptr), shape=(len(queries), n))


def silent(scores: Floats, history: csr_array) -> Mask:
    """``[q]`` whose history says nothing of any other item: scores ``[q, n]`` are 0 but for those of its own items.

    So are those of whoever is known only by new items that nobody else has. Another model answers such queries better
    than a list in no order.
    """
    row = np.repeat(np.arange(len(scores)), np.diff(history.indptr))
    own = np.bincount(row, scores[row, history.indices] != 0, minlength=len(scores))
    return np.asarray(np.count_nonzero(scores, axis=1) == own)


def require(scorer: Any, holds: bool, what: str) -> None:
    """Raise a `SerendipError` that names the scorer's kind unless ``holds``."""
    if not holds:
        raise SerendipError(f"the scorer {scorer.kind!r} is not sound: {what}.")


def blocks(rows: int, width: int) -> Iterator[slice]:
    """Slices of so many rows that one holds no more than `BLOCK` numbers."""
    step = max(1, BLOCK // max(width, 1))
    return (slice(start, start + step) for start in range(0, rows, step))


def gather(scores: Floats, codes: Ids) -> Floats:
    """Of each row of scores ``[q, n]`` those of the codes, ``[c]`` or ``[q, c]``; ``-inf`` for a code outside."""
    chosen = np.broadcast_to(codes, (len(scores), codes.shape[-1]))
    out = np.full(chosen.shape, -np.inf, np.float32)
    row, place = np.nonzero((chosen >= 0) & (chosen < scores.shape[1]))
    out[row, place] = scores[row, chosen[row, place]]
    return out


def in_blocks(full: Callable[[Queries, Floats], None], queries: Queries, items: Ids | None, n: int) -> Floats:
    """The scores of all items, or of the chosen ones, from a function that writes those of all items ``[q, n]``."""
    codes = as_rows(items, len(queries), n)
    out = np.empty((len(queries), n if codes is None else codes.shape[-1]), np.float32)
    for rows in blocks(len(queries), n):
        part = queries.take(rows)
        scores = out[rows] if codes is None else np.empty((len(part), n), np.float32)
        full(part, scores)
        if codes is not None:
            out[rows] = gather(scores, codes if codes.ndim == 1 else codes[rows])
    return out


def spread(scores: csr_array, out: Floats) -> None:
    """Write sparse scores, which hold no place twice, into ``out`` ``[q, n]``; ``-inf`` where nothing is stored."""
    out[:] = -np.inf
    out[np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr)), scores.indices] = scores.data


def products(vectors: Floats, items: Floats, codes: Ids | None) -> Floats:
    """Inner products of vectors ``[q, d]`` with all items ``[n, d]``, or with the chosen; ``-inf`` instead of NaN."""
    n, d = items.shape
    if codes is None:
        scores = vectors @ items.T
    elif codes.ndim == 1:
        inside = (codes >= 0) & (codes < n)
        scores = np.full((len(vectors), len(codes)), np.nan, np.float32)
        scores[:, inside] = vectors @ items[codes[inside]].T
    else:
        scores = np.full(codes.shape, np.nan, np.float32)
        for rows in blocks(len(codes), codes.shape[1] * d):
            row, place = np.nonzero((codes[rows] >= 0) & (codes[rows] < n))
            scores[rows][row, place] = np.einsum("md,md->m", vectors[rows][row], items[codes[rows][row, place]])
    np.fmax(scores, np.float32(-np.inf), out=scores)
    return scores


def voted(scorer: Scorer, items: Ids, k: int) -> Recs:
    """The items that score highest for somebody who knows just the one item."""
    codes = np.asarray(items, np.int32)

    def score(rows: slice) -> Floats:
        history = codes[rows, None]
        return scorer.score(Queries(np.full(len(history), ABSENT, np.int32), history))

    return nearest(score, codes, scorer.n_items, k)


def nearest(score: Callable[[slice], Floats], codes: Ids, n: int, k: int) -> Recs:
    """The k best of each row of ``score(rows)`` ``[b, n]`` that are above 0 and not the item ``codes[row]`` itself."""
    parts = [Recs.empty(0, k)]
    for rows in blocks(len(codes), n):
        scores = score(rows)
        parts.append(top_k(np.where(scores > 0, scores, np.float32(-np.inf)), k, exclude=codes[rows, None]))
    return Recs(np.concatenate([part.items for part in parts]), np.concatenate([part.scores for part in parts]))
