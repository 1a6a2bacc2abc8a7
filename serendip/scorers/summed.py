"""Vectors of items and users that are sums of what is known of them, the history at hand included."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from serendip.scorers.common import Mask, history_matrix, nearest, products, require
from serendip.types import Floats, Ids, Queries, Recs, as_rows


@dataclass(frozen=True, eq=False)
class Summed:
    """``score_j = z · v_j`` with ``z = w_u + |H|^−p Σ_{i∈H} y_i`` and 1 in the last place, which holds j's bias.

    H are the distinct items of the history of which something is known. A user without a vector is what the history
    says, and one without history what is known of the user; of whom neither is known gets ``-inf``.

    Attributes:
        items: ``[n, d + 1]`` float32 (v); a row of NaN for an item of which nothing is known.
        history: ``[n, d]`` float32, what an item says of somebody who had it (y); NaN in the same rows.
        users: ``[m, d]`` float32 (w); a row of NaN for a user of whom nothing but a history is known.
        power: p in 0 … 1.
    """

    kind: ClassVar[str] = "summed"
    items: Floats
    history: Floats
    users: Floats
    power: float

    def __post_init__(self) -> None:
        require(self, self.items.ndim == 2 and self.items.shape[1] > 1, "items must be [n, d + 1]")
        n, d = len(self.items), self.items.shape[1] - 1
        require(self, self.history.shape == (n, d), "history must be [n, d]")
        require(self, self.users.ndim == 2 and self.users.shape[1] == d, "users must be [m, d]")
        for name in ("items", "history", "users"):
            table = getattr(self, name)
            absent = np.isnan(table[:, 0])
            sound = np.isfinite(table[~absent]).all() and np.isnan(table[absent]).all()
            require(self, bool(sound), f"a row of {name} must be finite, or all NaN")
        same = bool((np.isnan(self.history[:, 0]) == ~self._known).all())
        require(self, same, "history must be NaN in the rows in which items is")
        require(self, 0 <= self.power <= 1, "power must be in 0 … 1")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return len(self.items)

    def item_vectors(self) -> Floats:
        """As `Embedder.item_vectors`."""
        return self.items

    def query_vectors(self, queries: Queries) -> Floats:
        """As `Embedder.query_vectors`."""
        had = history_matrix(queries, self.n_items, "binary", self._known)
        size = np.diff(had.indptr)
        said = (had @ self._said) * (np.maximum(size, 1).astype(np.float32) ** np.float32(-self.power))[:, None]
        inside = (queries.users >= 0) & (queries.users < len(self.users))
        own = np.full((len(queries), self.users.shape[1]), np.nan, np.float32)
        own[inside] = self.users[queries.users[inside]]
        listed = ~np.isnan(own[:, 0])
        vectors = np.ones((len(queries), self.items.shape[1]), np.float32)
        vectors[:, :-1] = said + np.where(listed[:, None], own, 0)
        vectors[(size == 0) & ~listed] = np.nan
        return vectors

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return products(self.query_vectors(queries), self.items, as_rows(items, len(queries), self.n_items))

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """The items at the smallest angle (a cosine above 0), biases apart."""
        codes = np.asarray(items, np.int32)
        inside = (codes >= 0) & (codes < self.n_items)
        vectors = np.full((len(codes), self._unit.shape[1]), np.nan, np.float32)
        vectors[inside] = self._unit[codes[inside]]
        return nearest(lambda rows: products(vectors[rows], self._unit, None), codes, self.n_items, k)

    @cached_property
    def _known(self) -> Mask:
        return np.asarray(~np.isnan(self.items[:, 0]))

    @cached_property
    def _said(self) -> Floats:
        """`history` with zeros for NaN: those rows are never asked for, but a product would spread them."""
        return np.where(self._known[:, None], self.history, np.float32(0))

    @cached_property
    def _unit(self) -> Floats:
        vectors = self.items[:, :-1]
        length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
        return np.asarray(vectors / np.where(length > 0, length, np.nan)[:, None], np.float32)
