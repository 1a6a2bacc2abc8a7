"""What one item says of another: item-to-item weights, sparse or dense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.scorers.common import Counts, Mask, history_matrix, in_blocks, require, silent, spread, voted
from serendip.scorers.reasons import Rows, explained, pair_weights
from serendip.types import Floats, Ids, Queries, Recs


@dataclass(frozen=True, eq=False)
class ItemToItem:
    """Each item of a history votes for its neighbours: ``score_j = Σ_i h_i · W_ij``, sparse.

    An item that is no neighbour of anything in the history scores ``-inf``.

    Attributes:
        weights: ``[n, n]`` float32; row i: what i says of the others.
        counts: what an item in a history weighs (``h_i``).
        length: how many of the latest events count; None: all.
    """

    kind: ClassVar[str] = "item_to_item"
    weights: csr_array
    counts: Counts = "binary"
    length: int | None = None

    def __post_init__(self) -> None:
        require(self, self.length is None or self.length > 0, "length must be above 0, or None")
        require(self, self.weights.shape[0] == self.weights.shape[1], "weights must be square")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return int(self.weights.shape[0])

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return in_blocks(self._full, queries, items, self.n_items)

    def entries(self, queries: Queries) -> csr_array:
        """The scores that are not ``-inf``, ``[q, n]``."""
        found: csr_array = self._history(queries) @ self.weights
        return found

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """The items that each one says most for (a weight above 0)."""
        return voted(self, items, k)

    def explain(self, queries: Queries, items: Ids, k: int = 3) -> Recs:
        """As `Explainer.explain`: item i of the history adds ``h_i · W_ij``."""

        def said(rows: Rows, history: Ids, asked: Ids) -> NDArray[np.float64]:
            return pair_weights(self.weights, history, asked)

        return explained(self._history(queries), items, k, said)

    def _full(self, queries: Queries, out: Floats) -> None:
        spread(self.entries(queries), out)

    def _history(self, queries: Queries) -> csr_array:
        return history_matrix(queries, self.n_items, self.counts, length=self.length)


@dataclass(frozen=True, eq=False)
class DenseItemToItem:
    """As `ItemToItem` with a weight for every pair, so that every item that occurred in training gets a score.

    A query whose history says nothing of any other item has no scores.

    Attributes:
        weights: ``[n, n]`` float32; row i: what i says of the others.
        known: ``[n]`` whether the item occurred in training.
        counts: what an item in a history weighs.
    """

    kind: ClassVar[str] = "dense_item_to_item"
    weights: Floats
    known: Mask
    counts: Counts = "binary"

    def __post_init__(self) -> None:
        require(self, self.known.ndim == 1, "known must be [n]")
        require(
            self, self.weights.shape == (len(self.known),) * 2, f"weights must be [n, n] with n = {len(self.known)}"
        )
        require(self, all(bool(np.isfinite(row).all()) for row in self.weights), "weights must be finite")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return len(self.known)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return in_blocks(self._full, queries, items, self.n_items)

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """The items that each one says most for (a weight above 0)."""
        return voted(self, items, k)

    def explain(self, queries: Queries, items: Ids, k: int = 3) -> Recs:
        """As `Explainer.explain`: item i of the history adds ``h_i · W_ij``."""

        def said(rows: Rows, history: Ids, asked: Ids) -> NDArray[np.float64]:
            return np.where(self.known[asked], self.weights[history, asked].astype(np.float64), 0)

        return explained(history_matrix(queries, self.n_items, self.counts, self.known), items, k, said)

    def _full(self, queries: Queries, out: Floats) -> None:
        history = history_matrix(queries, self.n_items, self.counts, self.known)
        out[:] = history @ self.weights
        out[silent(out, history)] = -np.inf
        out[:, ~self.known] = -np.inf
