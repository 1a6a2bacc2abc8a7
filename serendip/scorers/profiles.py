"""Items by what they are, people by what they took up."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.data.features.terms import NO_TERMS, Terms
from serendip.scorers.common import Counts, history_matrix, in_blocks, require, spread, voted
from serendip.scorers.reasons import Rows, explained
from serendip.types import Floats, Ids, Queries, Recs

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False)
class Profiles:
    """The angle between what an item is and the mean of what the history's items are: ``cos(Σ_i h_i x_i, x_j)``.

    An item that shares nothing with the history, or of which nothing is known, scores ``-inf``.

    Attributes:
        features: ``[n, f]`` float32, the rows of length 1, or empty where nothing is known of the item.
        counts: what an item in a history weighs (``h_i``).
        terms: what makes such rows of further items (`serendip.data.features.terms`), as bytes; empty: nothing.
    """

    kind: ClassVar[str] = "profiles"
    features: csr_array
    counts: Counts = "binary"
    terms: NDArray[np.uint8] = field(default_factory=lambda: NO_TERMS)

    def __post_init__(self) -> None:
        n, columns = self.features.shape
        require(self, columns <= max(self.features.nnz, 1), "features must have no more columns than values")
        rows = np.repeat(np.arange(n), np.diff(self.features.indptr))
        lengths = np.bincount(rows, self.features.data.astype(np.float64) ** 2, n)[np.diff(self.features.indptr) > 0]
        require(self, bool((np.abs(lengths - 1) < 1e-3).all()), "a row of features must be of length 1, or empty")
        if self.terms.size:
            require(self, len(self._terms.tokens) == columns, "there must be a term for each column of features")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return int(self.features.shape[0])

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return in_blocks(self._full, queries, items, self.n_items)

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """The items at the smallest angle (a cosine above 0)."""
        return voted(self, items, k)

    def explain(self, queries: Queries, items: Ids, k: int = 3) -> Recs:
        """As `Explainer.explain`: item i of the history adds ``h_i x_i · x_j / ‖Σ_i h_i x_i‖``."""
        seen = history_matrix(queries, self.n_items, self.counts)
        length = _lengths(seen @ self.features)

        def said(rows: Rows, history: Ids, asked: Ids) -> NDArray[np.float64]:
            common = (self.features[history] * self.features[asked]).sum(axis=1, dtype=np.float64)
            return np.asarray(common / np.where(length > 0, length, 1)[rows])

        return explained(seen, items, k, said, width=1 + self.features.nnz // max(self.n_items, 1))

    def rows(self, table: pl.DataFrame) -> csr_array:
        """``[c, f]`` the features of the items of a table."""
        return self._terms.rows(table)

    @cached_property
    def _terms(self) -> Terms:
        return Terms.unpack(self.terms)

    @cached_property
    def _by_feature(self) -> csr_array:
        return self.features.T.tocsr()

    def _full(self, queries: Queries, out: Floats) -> None:
        profile = history_matrix(queries, self.n_items, self.counts) @ self.features
        rows = np.repeat(np.arange(len(queries)), np.diff(profile.indptr))
        length = _lengths(profile)
        profile.data /= np.where(length > 0, length, 1)[rows].astype(np.float32)
        spread(profile @ self._by_feature, out)


def _lengths(rows: csr_array) -> NDArray[np.float64]:
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    return np.sqrt(np.bincount(row, rows.data.astype(np.float64) ** 2, rows.shape[0]))
