"""Users like the one who asks: they are found from the history at hand, and their items are what is recommended."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels.topk import top_k
from serendip.scorers.common import Counts, blocks, history_matrix, in_blocks, require, saturated, spread, voted
from serendip.scorers.reasons import Rows, explained, pair_weights
from serendip.types import ABSENT, Floats, Ids, Queries, Recs

Similarity = Literal["cosine", "jaccard", "dice"]


@dataclass(frozen=True, eq=False)
class UserNeighbours:
    """The K users most like the asker vote for what they took up: ``score_j = Σ_v s_uv r_vj``.

    With x the rows, as bm25 counts them if ``average`` says so, times ``emphasis``, and h the history made such a row,
    ``s_uv`` is

    - cosine: ``h·x_v / (‖h‖^2α ‖x_v‖^2(1−α) + shrink)``;
    - jaccard: ``h·x_v / (‖h‖² + ‖x_v‖² − h·x_v + shrink)``;
    - dice: ``2 h·x_v / (‖h‖² + ‖x_v‖² + 2 shrink)``.

    An asker with a user code is no neighbour of their own. An item that no neighbour has scores ``-inf``.

    Attributes:
        rows: ``[users, n]`` float32 above 0, what each user's events amount to (r).
        emphasis: ``[n]`` float32, 0 or more: how much an item says about a user.
        neighbours: K.
        similarity, alpha, shrink: see above.
        counts: what an item in a history weighs.
        average: of bm25, what the events of a user amount to in the mean; 0: rows are compared as they are.
    """

    kind: ClassVar[str] = "user_neighbours"
    rows: csr_array
    emphasis: Floats
    neighbours: int
    similarity: Similarity = "cosine"
    alpha: float = 0.5
    shrink: float = 0.0
    counts: Counts = "binary"
    average: float = 0.0

    def __post_init__(self) -> None:
        require(self, self.emphasis.shape == (self.rows.shape[1],), "emphasis must be [n]")
        require(self, bool(((self.emphasis >= 0) & (self.emphasis < np.inf)).all()), "emphasis must be 0 or more")
        require(self, bool((self.rows.data > 0).all()), "rows must hold values above 0")
        require(self, self.neighbours > 0, "neighbours must be above 0")
        require(self, 0 <= self.alpha <= 1, "alpha must be in 0 … 1")
        require(self, 0 <= self.shrink < np.inf, "shrink must be 0 or more")
        require(self, 0 <= self.average < np.inf, "average must be 0 or more")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return int(self.rows.shape[1])

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return in_blocks(self._full, queries, items, self.n_items)

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """What the users who have the item and little else take up."""
        return voted(self, items, k)

    def similar_users(self, queries: Queries, k: int) -> Recs:
        """The k users most like each asker, the most alike first: user codes and similarities above 0, ``[q, k]``."""
        parts = [Recs.empty(0, k)]
        for rows in blocks(len(queries), self.rows.shape[0]):
            asked = queries.take(rows)
            history = self._told(history_matrix(asked, self.n_items, self.counts))
            parts.append(top_k(self._alike(history), k, exclude=asked.users[:, None]))
        return Recs(np.concatenate([part.items for part in parts]), np.concatenate([part.scores for part in parts]))

    def explain(self, queries: Queries, items: Ids, k: int = 3) -> Recs:
        """As `Explainer.explain`: what each item of the history adds to the likeness of the neighbours who vote.

        A likeness is what is in common over a denominator; item i adds to what is in common, ``h_i x_vi`` times its
        emphasis squared, while neighbours and denominators stay as they are.
        """
        n, users = self.n_items, self.rows.shape[0]
        history = self._told(history_matrix(queries, n, self.counts))
        asked = _times(history, self.emphasis)
        found = self.similar_users(queries, min(self.neighbours, users))
        row, place = np.nonzero(found.items != ABSENT)
        voters, alike = found.items[row, place], found.scores[row, place].astype(np.float64)
        common = np.zeros(len(row))
        for some in blocks(len(row), 1 + asked.nnz // max(len(queries), 1)):
            common[some] = (asked[row[some]] * self._emphasised[voters[some]]).sum(axis=1, dtype=np.float64)
        codes = np.asarray(items, np.int32)[row]
        votes = alike / common * pair_weights(self.rows, voters, codes)
        matrix = csr_array((votes, (row, voters)), shape=(len(queries), users)) @ self._emphasised

        def said(rows: Rows, history: Ids, asked: Ids) -> NDArray[np.float64]:
            return self.emphasis[history] * pair_weights(matrix, rows.astype(np.int32), history)

        return explained(history, items, k, said)

    def _told(self, matrix: csr_array) -> csr_array:
        """What rows say about their users: as they are, or as bm25 counts them."""
        if not self.average:
            return matrix
        sizes = np.diff(matrix.indptr)
        rows = np.repeat(np.arange(len(sizes)), sizes)
        length = np.bincount(rows, matrix.data, len(sizes)) / self.average
        values = saturated(matrix.data.astype(np.float64), length[rows]).astype(np.float32)
        return csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)

    @cached_property
    def _emphasised(self) -> csr_array:
        return _times(self._told(self.rows), self.emphasis)

    @cached_property
    def _by_item(self) -> csr_array:
        return csr_array(self._emphasised.T.tocsr())

    @cached_property
    def _squares(self) -> NDArray[np.float64]:
        return _squares(self._emphasised)

    def _full(self, queries: Queries, out: Floats) -> None:
        found = self.similar_users(queries, min(self.neighbours, self.rows.shape[0]))
        kept = found.items != ABSENT
        starts = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
        votes = csr_array((found.scores[kept], found.items[kept], starts), shape=(len(queries), self.rows.shape[0]))
        spread(csr_array(votes @ self.rows), out)

    def _alike(self, history: csr_array) -> Floats:
        """``[q, users]`` the similarities; ``-inf`` where nothing is in common."""
        asked = _times(history, self.emphasis)
        own = _squares(asked)
        common = csr_array(asked @ self._by_item)
        rows = np.repeat(np.arange(common.shape[0]), np.diff(common.indptr))
        product, left, right = common.data.astype(np.float64), own[rows], self._squares[common.indices]
        if self.similarity == "cosine":
            below = left**self.alpha * right ** (1 - self.alpha) + self.shrink
        elif self.similarity == "jaccard":
            below = left + right - product + self.shrink
        else:
            below = (left + right) / 2 + self.shrink
        with np.errstate(invalid="ignore", divide="ignore"):
            similar = product / below
        common.data = np.where((product > 0) & (similar < np.inf), similar, -np.inf).astype(np.float32)
        out = np.empty(common.shape, np.float32)
        spread(common, out)
        return out


def _times(matrix: csr_array, emphasis: Floats) -> csr_array:
    return csr_array((matrix.data * emphasis[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape)


def _squares(matrix: csr_array) -> NDArray[np.float64]:
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return np.asarray(np.bincount(rows, matrix.data.astype(np.float64) ** 2, matrix.shape[0]), np.float64)
