"""Item-to-item weights as the sum of a sparse matrix and one of low rank, which is never written out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.scorers.common import Counts, Mask, history_matrix, in_blocks, require, silent, voted
from serendip.scorers.reasons import Rows, explained, pair_weights
from serendip.types import Floats, Ids, Queries, Recs

BATCH = 64  # queries from which compiled code pays; requests to a server are smaller
LARGE = 1 << 20  # scores from which it does


@dataclass(frozen=True, eq=False)
class SparsePlusLowRank:
    """Each item of a history votes for all others: ``score_j = Σ_i h_i · (W_ij + l_i · r_j)``.

    A query whose history says nothing of any other item has no scores.

    Attributes:
        weights: W, ``[n, n]`` float32; row i: what i says of the others.
        left, right: l and r, ``[n, d]`` float32.
        known: ``[n]`` whether the item occurred in training; others score ``-inf`` and count for nothing.
        counts: what an item in a history weighs (``h_i``).
    """

    kind: ClassVar[str] = "sparse_plus_low_rank"
    weights: csr_array
    left: Floats
    right: Floats
    known: Mask
    counts: Counts = "binary"

    def __post_init__(self) -> None:
        n = len(self.known)
        require(self, self.known.ndim == 1, "known must be [n]")
        require(self, self.weights.shape == (n, n), f"weights must be [n, n] with n = {n}")
        require(self, self.left.ndim == 2 and len(self.left) == n, f"left must be [n, d] with n = {n}")
        require(self, self.right.shape == self.left.shape, "left and right must have one shape")
        require(self, bool(np.isfinite(self.left).all() and np.isfinite(self.right).all()), "vectors must be finite")

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
        """As `Explainer.explain`: item i of the history adds ``h_i · (W_ij + l_i · r_j)``."""

        def said(rows: Rows, history: Ids, asked: Ids) -> NDArray[np.float64]:
            product = np.einsum("ed,ed->e", self.left[history], self.right[asked])
            return np.where(self.known[asked], pair_weights(self.weights, history, asked) + product, 0)

        seen = history_matrix(queries, self.n_items, self.counts, self.known)
        return explained(seen, items, k, said, width=self.left.shape[1])

    def _full(self, queries: Queries, out: Floats) -> None:
        history = history_matrix(queries, self.n_items, self.counts, self.known)
        np.matmul(history @ self.left, self.right.T, out=out)
        if len(queries) >= BATCH and out.size >= LARGE:
            from serendip.kernels.votes import add_product

            add_product(history, self.weights, out)
        else:
            votes = history @ self.weights
            out[np.repeat(np.arange(len(queries)), np.diff(votes.indptr)), votes.indices] += votes.data
        out[silent(out, history)] = -np.inf
        out[:, ~self.known] = -np.inf
