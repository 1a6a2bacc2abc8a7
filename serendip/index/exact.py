"""Exact search: every item that could be in the list is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from serendip.kernels.topk import check, is_batch, part, top_k
from serendip.types import Floats, Ids, Recs, unpack_mask

if TYPE_CHECKING:
    from serendip.kernels.search import Blocks

_BLOCK = 1 << 24  # scores held at a time where a request is answered (64 MB)
_FEW = 0.25  # share of allowed items below which it pays to lay out those alone


class Exact:
    """The items of highest inner product, found without approximation.

    A request is answered by one pass over the vectors (``4·n·d`` bytes) in NumPy; a large batch by `kernels.search`,
    which compiles on first use and keeps a second copy of the vectors. Both give the same lists, up to rounding of the
    scores.

    A row of ``vectors`` with a NaN marks an item that cannot be recommended; a query with a NaN gets an empty list.
    """

    def __init__(self, vectors: Floats, threads: int | None = None) -> None:
        """Index the item vectors ``[n, d]`` float32; ``threads`` None: all cores this process may run on.

        Raises:
            TypeError: vectors that are not float32.
            ValueError: vectors that are not ``[n, d]``.
        """
        _check_vectors("vectors", vectors)
        self._known = ~_any_nan(vectors)
        self._vectors = vectors if self._known.all() else np.where(self._known[:, None], vectors, np.float32(0))
        self._blocks: Blocks | None = None
        self.threads = threads

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def dimensions(self) -> int:
        """``d``."""
        return int(self._vectors.shape[1])

    def search(
        self, vectors: Floats, k: int, exclude: Ids | None = None, allow: NDArray[np.uint8] | None = None
    ) -> Recs:
        """The k best allowed items per query vector ``[q, d]`` (float32); masks and order of ties as in `top_k`.

        Raises:
            TypeError: vectors that are not float32.
            ValueError: vectors of another dimension, or masks that do not fit.
        """
        _check_vectors("query vectors", vectors)
        if vectors.shape[1] != self.dimensions:
            raise ValueError(f"query vectors must be [q, {self.dimensions}]. Got shape {vectors.shape} instead.")
        q, n = len(vectors), len(self)
        check((q, n), k, exclude, allow)
        if is_batch(q, n) and k and self.dimensions:
            return self._search_batch(vectors, k, exclude, allow)
        items, scores = np.empty((q, k), np.int32), np.empty((q, k), np.float32)
        step = max(1, _BLOCK // max(n, 1))
        for start in range(0, q, step):
            rows = slice(start, start + step)
            found = self._answer(vectors[rows], k, part(exclude, rows), part(allow, rows))
            items[rows], scores[rows] = found.items, found.scores
        return Recs(items, scores)

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
    return np.asarray(np.isnan(vectors).any(axis=1))
