"""Exact search: every item is looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serendip.kernels.topk import check, top_k
from serendip.types import Floats, Ids, Recs


class Exact:
    """The items with the highest inner product, found by looking at all of them.

    A row of ``vectors`` with a NaN marks an item that cannot be recommended; a query with a NaN gets an empty list.
    """

    def __init__(self, vectors: Floats, threads: int | None = None) -> None:
        """Index the item vectors ``[n, d]`` float32; ``threads`` None: all cores this process may run on.

        Raises:
            TypeError: vectors that are not float32.
            ValueError: vectors that are not ``[n, d]``.
        """
        _check_vectors("vectors", vectors)
        self._absent: NDArray[np.bool_] = np.asarray(np.isnan(vectors).any(axis=1))
        self._vectors = np.where(self._absent[:, None], np.float32(0), vectors)
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
        check((len(vectors), len(self)), k, exclude, allow)
        unknown: NDArray[np.bool_] = np.asarray(np.isnan(vectors).any(axis=1))
        scores = np.where(unknown[:, None], np.float32(0), vectors) @ self._vectors.T
        scores[unknown] = -np.inf
        scores[:, self._absent] = -np.inf
        return top_k(scores, k, exclude, allow)


def _check_vectors(name: str, vectors: Floats) -> None:
    if vectors.dtype != np.float32:
        raise TypeError(f"{name} must be float32. Got {vectors.dtype} instead. Try vectors.astype(np.float32).")
    if vectors.ndim != 2:
        raise ValueError(f"{name} must be a matrix [rows, d]. Got an array of shape {vectors.shape} instead.")
