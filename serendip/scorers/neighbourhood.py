"""Vectors of people as sums over the vectors of what they took up, with something of their own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from serendip.scorers.common import Mask, history_matrix, nearest, products, require
from serendip.types import Floats, Ids, Queries, Recs, as_rows


@dataclass(frozen=True, eq=False)
class NeighbourSums:
    """What `serendip.models.lightgcn` learned: ``w = o_u + |H|^−½ Σ_{i∈H} l_i``, and the score is ``w · r_j``.

    H are the items of the history at hand, so that the answer follows new events; o_u is 0 for somebody unknown.

    Attributes:
        own: o, ``[users, d]`` float32, by user code.
        left: l, ``[n, d]`` float32; a row of NaN for an item that did not occur in training.
        right: r, ``[n, d]`` float32, with the same rows of NaN.
    """

    kind: ClassVar[str] = "neighbour_sums"
    own: Floats
    left: Floats
    right: Floats

    def __post_init__(self) -> None:
        require(self, self.right.ndim == 2, "right must be [n, d]")
        require(self, self.left.shape == self.right.shape, "left and right must have one shape")
        require(
            self,
            self.own.ndim == 2 and self.own.shape[1] == self.right.shape[1],
            f"own must be [users, {self.right.shape[1]}]",
        )
        known, both = self._known, (self.left, self.right)
        require(self, bool(np.isfinite(self.own).all()), "own must be finite")
        require(
            self,
            all(bool(np.isfinite(side[known]).all() and np.isnan(side[~known]).all()) for side in both),
            "a row of left and of right must be finite, or all NaN in both",
        )

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return len(self.right)

    def item_vectors(self) -> Floats:
        """As `Embedder.item_vectors`."""
        return self.right

    def query_vectors(self, queries: Queries) -> Floats:
        """As `Embedder.query_vectors`. Somebody unknown whose history holds nothing known has none."""
        history = history_matrix(queries, self.n_items, "binary", self._known)
        lengths = np.diff(history.indptr)
        vectors: Floats = (history @ self._left) / np.sqrt(np.maximum(lengths, 1), dtype=np.float32)[:, None]
        inside = (queries.users >= 0) & (queries.users < len(self.own))
        vectors[inside] += self.own[queries.users[inside]]
        vectors[(lengths == 0) & ~self._own_known(queries.users, inside)] = np.nan
        return vectors

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return products(self.query_vectors(queries), self.right, as_rows(items, len(queries), self.n_items))

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """The items at the smallest angle (a cosine above 0)."""
        codes = np.asarray(items, np.int32)
        inside = (codes >= 0) & (codes < self.n_items)
        vectors = np.full((len(codes), self.right.shape[1]), np.nan, np.float32)
        vectors[inside] = self._unit[codes[inside]]
        return nearest(lambda rows: products(vectors[rows], self._unit, None), codes, self.n_items, k)

    def _own_known(self, users: Ids, inside: Mask) -> Mask:
        """Whether the asker has a vector of their own; a user without events has 0."""
        known = np.zeros(len(users), bool)
        known[inside] = self.own[users[inside]].any(axis=1)
        return known

    @cached_property
    def _known(self) -> Mask:
        return np.asarray(~np.isnan(self.right[:, 0])) if self.right.shape[1] else np.zeros(len(self.right), bool)

    @cached_property
    def _left(self) -> Floats:
        return np.asarray(np.where(self._known[:, None], self.left, 0), np.float32)

    @cached_property
    def _unit(self) -> Floats:
        length = np.sqrt(np.einsum("nd,nd->n", self.right, self.right))
        return np.asarray(self.right / np.where(length > 0, length, np.nan)[:, None], np.float32)
