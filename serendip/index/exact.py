"""Exact search: every item that could be in the list is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from serendip.index.chosen import best_of, bit_of, codes_of, count_of, excluded, listed
from serendip.kernels.topk import check, is_batch, part, top_k
from serendip.types import ABSENT, Floats, Ids, Recs, unpack_mask

if TYPE_CHECKING:
    from serendip.kernels.search import Blocks

Precision = Literal["float32", "int8"]

_BLOCK = 1 << 24  # scores held at a time where a request is answered (64 MB)
_FEW = 0.25  # share of allowed items below which it pays to look at those alone
_SOME = 4  # queries up to which scores are looked at while they are in the cache
_FIRST, _STEP = 1 << 12, 1 << 16  # items at a time then; few at first, for among them all are hits


class Exact:
    """The items of highest inner product, found without approximation.

    A request is answered by one pass over the vectors (``4·n·d`` bytes): of at most `_STEP` items in NumPy, of more by
    `kernels.dots`, which is compiled here, before anybody waits. A large batch goes through `kernels.search`, which
    compiles on first use and keeps a second copy of the vectors. All give the same lists, up to rounding of the scores.
    Where few items are allowed, only their vectors are read.

    A row of ``vectors`` with a NaN marks an item that cannot be recommended; a query with a NaN gets an empty list.
    """

    def __init__(self, vectors: Floats, threads: int | None = None, *, precision: Precision = "float32") -> None:
        """Index the item vectors ``[n, d]`` float32.

        Args:
            vectors: kept, not copied, unless some row is NaN; may be memory-mapped.
            threads: of batches; None: all cores this process may run on.
            precision: ``float32``; or ``int8``, where requests too go through `kernels.search`, which on processors
                that multiply bytes reads ``n·d`` bytes and looks up in full what they do not rule out. The lists are
                the same. It is compiled here, before anybody waits.

        Raises:
            TypeError: vectors that are not float32.
            ValueError: vectors that are not ``[n, d]``, or another precision.
        """
        _check_vectors("vectors", vectors)
        if precision not in ("float32", "int8"):
            raise ValueError(f"precision must be float32 or int8. Got {precision!r} instead.")
        self._known = ~_any_nan(vectors)
        self._all = bool(self._known.all())
        self._vectors = vectors if self._all else np.where(self._known[:, None], vectors, np.float32(0))
        self._blocks: Blocks | None = None
        self.threads = threads
        self.precision = precision
        if precision == "int8" and min(vectors.shape):
            self._search_batch(self._vectors[:1], 1, None, None)
        self._rows = self._vectors.view(np.ndarray) if len(vectors) > _STEP else None
        for codes in (None, np.zeros(1, np.int32)) if self._rows is not None else ():
            self._products(codes, 0, 1, np.zeros((1, self.dimensions), np.float32), np.empty(1, np.float32))

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def vectors(self) -> Floats:
        """``[n, d]``, 0 where an item cannot be recommended."""
        return self._vectors

    @property
    def known(self) -> NDArray[np.bool_]:
        """``[n]`` which items can be recommended."""
        return self._known

    @property
    def dimensions(self) -> int:
        """``d``."""
        return int(self._vectors.shape[1])

    def search(
        self,
        vectors: Floats,
        k: int,
        exclude: Ids | None = None,
        allow: NDArray[np.uint8] | None = None,
        count: int | None = None,
    ) -> Recs:
        """The k best allowed items per query vector ``[q, d]`` (float32); masks and order of ties as in `top_k`.

        ``count``: of the items that a single mask allows, where the caller has counted them.

        Raises:
            TypeError: vectors that are not float32.
            ValueError: vectors of another dimension, or masks that do not fit.
        """
        _check_vectors("query vectors", vectors)
        if vectors.shape[1] != self.dimensions:
            raise ValueError(f"query vectors must be [q, {self.dimensions}]. Got shape {vectors.shape} instead.")
        q, n = len(vectors), len(self)
        check((q, n), k, exclude, allow)
        if k and q and self.dimensions and n:
            if is_batch(q, n):
                return self._search_batch(vectors, k, exclude, allow)
            if allow is not None and len(allow) == 1 and (count_of(allow[0]) if count is None else count) < _FEW * n:
                return self.among(codes_of(allow[0], n), vectors, k, exclude)
            if self.precision == "int8":
                return self._search_batch(vectors, k, exclude, allow)
            if q <= _SOME and n > _STEP:
                return self._scan(None, vectors, k, exclude, allow)
        items, scores = np.empty((q, k), np.int32), np.empty((q, k), np.float32)
        step = max(1, _BLOCK // max(n, 1))
        for start in range(0, q, step):
            rows = slice(start, start + step)
            found = self._answer(vectors[rows], k, part(exclude, rows), part(allow, rows))
            items[rows], scores[rows] = found.items, found.scores
        return Recs(items, scores)

    def among(self, codes: Ids, vectors: Floats, k: int, exclude: Ids | None = None) -> Recs:
        """As `search`, of these items alone, which are ascending and known to be in the index."""
        if len(vectors) <= _SOME:
            return self._scan(codes, vectors, k, exclude, None)
        sub = Exact(np.where(self._known[codes, None], self._vectors.take(codes, axis=0), np.float32(np.nan)))
        inside = None
        if exclude is not None:
            place = np.searchsorted(codes, exclude)
            there = codes[np.minimum(place, len(codes) - 1)] == exclude if len(codes) else np.zeros(exclude.shape, bool)
            inside = np.where(there, place, ABSENT).astype(np.int32)
        found = sub.search(vectors, k, inside)
        held = found.items != ABSENT
        return Recs(np.where(held, codes[np.where(held, found.items, 0)] if len(codes) else ABSENT, ABSENT).astype(
            np.int32), found.scores)  # fmt: skip

    def _scan(
        self, codes: Ids | None, vectors: Floats, k: int, exclude: Ids | None, allow: NDArray[np.uint8] | None
    ) -> Recs:
        """A few queries: blocks of scores are looked at while they are in the cache, against the k-th best so far."""
        q, total = len(vectors), len(self) if codes is None else len(codes)
        unknown = _any_nan(vectors)
        queries = np.where(unknown[:, None], np.float32(0), vectors)
        banned = None if exclude is None else np.sort(exclude, axis=1)
        row, code, value = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32)
        worst = np.where(unknown, np.inf, -np.inf).astype(np.float32)
        room = np.empty(q * min(_STEP, total), np.float32)
        start, step = 0, min(max(_FIRST, k), _STEP)
        while start < total:
            stop = min(start + step, total)
            scores = self._products(codes, start, stop, queries, room)
            hits = np.flatnonzero(scores >= worst[:, None])
            who, at = np.divmod(hits, stop - start)
            what = (at + start).astype(np.int32) if codes is None else codes[start + at]
            may = (scores.ravel()[hits] > -np.inf) & ~unknown[who]
            if not self._all:
                may &= self._known[what]
            if allow is not None:
                may &= bit_of(allow, who, what)
            if banned is not None:
                may &= ~excluded(banned, who, what)
            if may.any():
                who, what, new = who[may], what[may], scores.ravel()[hits[may]]
                row, code, value = best_of(
                    np.concatenate([row, who]), np.concatenate([code, what]), np.concatenate([value, new]), k
                )
                full = np.bincount(row, minlength=q) == k
                last = np.full(q, np.inf, np.float32)
                np.minimum.at(last, row, value)
                worst = np.where(full, last, worst)
            start, step = stop, min(4 * step, _STEP)
        return listed(q, k, row, code, value)

    def _products(self, codes: Ids | None, start: int, stop: int, queries: Floats, room: Floats) -> Floats:
        """``[q, stop - start]`` the scores of items from one place to another, of all or of ``codes``, in ``room``."""
        scores = room[: len(queries) * (stop - start)].reshape(len(queries), stop - start)
        if self._rows is None:
            block = self._vectors[start:stop] if codes is None else self._vectors.take(codes[start:stop], axis=0)
            with np.errstate(over="ignore", invalid="ignore"):
                return np.matmul(queries, block.T, out=scores)
        from serendip.kernels.dots import dots, dots_at

        if codes is None:
            dots(self._rows, start, queries, scores)
        else:
            dots_at(self._rows, codes[start:stop], queries, scores)
        return scores

    def _answer(self, vectors: Floats, k: int, exclude: Ids | None, allow: NDArray[np.uint8] | None) -> Recs:
        unknown = _any_nan(vectors)
        with np.errstate(over="ignore", invalid="ignore"):  # an overflow ends as NaN or infinity, which top_k knows
            scores = np.where(unknown[:, None], np.float32(0), vectors) @ self._vectors.T
        scores[unknown] = -np.inf
        scores[:, ~self._known] = -np.inf
        return top_k(scores, k, exclude, allow)

    def _search_batch(self, vectors: Floats, k: int, exclude: Ids | None, allow: NDArray[np.uint8] | None) -> Recs:
        from serendip.kernels.search import Blocks, search

        if allow is not None and len(allow) == 1:
            mask = unpack_mask(allow, len(self))[0] & self._known
            if mask.mean() < _FEW:
                return search(Blocks.of(self._vectors, mask), vectors, k, exclude, None, self.threads)
        if self._blocks is None:
            self._blocks = Blocks.of(self._vectors, self._known)
        return search(self._blocks, vectors, k, exclude, allow, self.threads)


def _check_vectors(name: str, vectors: Floats) -> None:
    if vectors.dtype != np.float32:
        raise TypeError(f"{name} must be float32. Got {vectors.dtype} instead. Try vectors.astype(np.float32).")
    if vectors.ndim != 2:
        raise ValueError(f"{name} must be a matrix [rows, d]. Got an array of shape {vectors.shape} instead.")


def _any_nan(vectors: Floats) -> NDArray[np.bool_]:
    out = np.empty(len(vectors), bool)
    for start in range(0, len(vectors), _STEP):
        out[start : start + _STEP] = np.isnan(vectors[start : start + _STEP]).any(axis=1)
    return out
