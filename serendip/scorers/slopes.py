"""Ratings by the mean difference between each two items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.scorers.common import blocks, in_blocks, require
from serendip.scorers.ratings import Rated, inside
from serendip.types import Changed, Floats, Ids, Queries


@dataclass(frozen=True, eq=False)
class Slopes(Rated):
    """``Σ_j w_ji (r_uj + dev_ij) / Σ_j w_ji`` over the items j that u rated; ``b_ui`` where no j was rated with i.

    Attributes:
        weights: ``[n, n]`` float32 ``w_ji``, row j, column i; above 0, without the diagonal.
        differences: ``[n, n]`` float32 ``w_ji dev_ij``.
        rated: ``[users, n]`` float32 ratings, zeros stored.
    """

    kind: ClassVar[str] = "slopes"
    weights: csr_array
    differences: csr_array
    rated: csr_array

    def __post_init__(self) -> None:
        super().__post_init__()
        n = len(self.item_bias)
        square = self.weights.shape == self.differences.shape == (n, n)
        require(self, square, "weights and differences must be [n, n]")
        require(self, self.rated.shape == (len(self.user_bias), n), "rated must be [users, n]")
        require(self, bool((self.weights.data > 0).all()), "weights must be above 0")

    def update(self, change: Changed, *, threads: int | None = None) -> Slopes:
        """As `Updatable.update`: see `Rated.joined`."""
        return self.joined(change)

    def predict(self, users: Ids, items: Ids, time: NDArray[np.int64] | None = None) -> Floats:
        """As `serendip.types.Predictor.predict`."""
        users, items = np.asarray(users), np.asarray(items)
        out = self.baseline(users, items)
        both = np.flatnonzero(inside(self.user_bias, users) & inside(self.item_bias, items))
        both = both[np.argsort(users[both], kind="stable")]
        asked, place = np.unique(users[both], return_inverse=True)
        for rows in blocks(len(asked), self.n_items):
            part = both[slice(*np.searchsorted(place, [rows.start, rows.stop]))]
            ratings = self._ratings(asked[rows])
            out[part] = ratings[np.searchsorted(asked[rows], users[part]), items[part]]
        return self.clipped(out)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`: the predicted rating; ``-inf`` where the user or the item is not known."""
        return in_blocks(self._full, queries, items, self.n_items)

    def _full(self, queries: Queries, out: Floats) -> None:
        out[:] = -np.inf
        rows, columns = np.flatnonzero(inside(self.user_bias, queries.users)), ~np.isnan(self.item_bias)
        out[np.ix_(rows, columns)] = self.clipped(self._ratings(queries.users[rows])[:, columns])

    def _ratings(self, users: Ids) -> Floats:
        """``[b, n]`` of known users."""
        rated = self.rated[users]
        which = csr_array((np.ones_like(rated.data), rated.indices, rated.indptr), shape=rated.shape)
        above = (rated @ self.weights + which @ self.differences).toarray()
        below = (which @ self.weights).toarray()
        base = self.baseline(users[:, None], np.arange(self.n_items)[None])
        np.divide(above, below, out=base, where=below > 0)
        return base


__all__ = ["Slopes"]
