"""Vectors of queries by a network, vectors of items kept beside it: what models with two towers answer with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from serendip.scorers.asked import Asked
from serendip.scorers.common import blocks, products
from serendip.types import Floats, Ids, Queries, as_rows


@dataclass(frozen=True, eq=False)
class TowerScorer(Asked):
    """``score_j = f(query) · v_j + b_j``: the vector of a query by a network, those of items as they are kept.

    Attributes: as of `serendip.scorers.asked.Asked`.
    """

    kind: ClassVar[str] = "towers"

    def item_vectors(self) -> Floats:
        """As `Embedder.item_vectors`."""
        return self.items

    def query_vectors(self, queries: Queries) -> Floats:
        """As `Embedder.query_vectors`."""
        out = np.full((len(queries), self.items.shape[1]), np.nan, np.float32)
        for rows, vectors in self._asked(queries):
            sound = np.isfinite(vectors).all(axis=1)
            out[rows[sound], : vectors.shape[1]] = vectors[sound]
            if self.biased:
                out[rows[sound], -1] = 1
        return out

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return products(self.query_vectors(queries), self.items, as_rows(items, len(queries), self.n_items))


@dataclass(frozen=True, eq=False)
class MaxSimScorer(Asked):
    """``score_j = max_h f(query)_h · v_j + b_j``: several vectors of a query, of which the nearest to an item counts.

    Attributes: as of `serendip.scorers.asked.Asked`.
    """

    kind: ClassVar[str] = "towers_maxsim"
    heads: ClassVar[bool] = True

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        codes = as_rows(items, len(queries), self.n_items)
        out = np.full((len(queries), self.n_items if codes is None else codes.shape[-1]), -np.inf, np.float32)
        for rows, vectors in self._asked(queries):
            widened = np.ones((*vectors.shape[:2], self.items.shape[1]), np.float32)
            widened[:, :, : vectors.shape[2]] = vectors
            for part in blocks(len(rows), vectors.shape[1] * out.shape[1]):
                own = codes if codes is None or codes.ndim == 1 else codes[rows[part]]
                for head in range(vectors.shape[1]):
                    found = products(widened[part, head], self.items, own)
                    out[rows[part]] = np.maximum(out[rows[part]], found)
        return out


__all__ = ["MaxSimScorer", "TowerScorer"]
