"""Ratings by the nearest users or items that are rated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.scorers.common import BLOCK, in_blocks, require
from serendip.scorers.ratings import Rated, inside
from serendip.types import Changed, Floats, Ids, Queries


@dataclass(frozen=True, eq=False)
class RatingNeighbours(Rated):
    """``c_ui + σ_t Σ_j s_tj z_j / Σ_j s_tj`` over the k most alike of those that are rated.

    By items, the target t is the item i, and j runs over the items that u rated; by users t is u, and j runs over the
    users who rated i. z is a rating less its centre c, over the deviation σ of its target. Without a neighbour the
    answer is ``b_ui``.

    Attributes:
        by: what the targets are.
        k: how many neighbours count.
        similar: ``[targets, targets]`` float32 s > 0, columns ascending.
        rated: ``[others, targets]`` float32 z, zeros stored, columns ascending.
        centre, scale: ``[targets]`` float32 c and σ.
        baseline_centred: whether c is ``b_ui`` instead of the target's centre.
    """

    kind: ClassVar[str] = "rating_neighbours"
    by: Literal["user", "item"]
    k: int
    similar: csr_array
    rated: csr_array
    centre: Floats
    scale: Floats
    baseline_centred: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        targets, others = self._sides(len(self.user_bias), len(self.item_bias))
        require(self, self.similar.shape == (targets, targets), "similar must be [targets, targets]")
        require(self, self.rated.shape == (others, targets), "rated must be [others, targets]")
        require(self, self.centre.shape == self.scale.shape == (targets,), "centre and scale must be [targets]")
        finite = bool(np.isfinite(self.centre).all() and np.isfinite(self.scale).all())
        require(self, finite and self.k >= 1, "centre and scale must be finite, and k at least 1")
        require(self, bool((self.similar.data > 0).all()), "similar must hold values above 0")
        for part in (self.similar, self.rated):
            require(self, bool((np.diff(_keys(part)) > 0).all()), "the columns of similar and rated must ascend")

    def update(self, change: Changed, *, threads: int | None = None) -> RatingNeighbours:
        """As `Updatable.update`: see `Rated.joined`."""
        return self.joined(change)

    def predict(self, users: Ids, items: Ids, time: NDArray[np.int64] | None = None) -> Floats:
        """As `serendip.types.Predictor.predict`."""
        users, items = np.asarray(users), np.asarray(items)
        out = self.baseline(users, items)
        both = np.flatnonzero(inside(self.user_bias, users) & inside(self.item_bias, items))
        targets, others = self._sides(users[both], items[both])
        ends = np.cumsum(np.diff(self.rated.indptr)[others])
        start = 0
        while start < len(both):
            stop = max(start + 1, int(np.searchsorted(ends, (ends[start - 1] if start else 0) + BLOCK // 8)))
            rows = both[start:stop]
            out[rows] = self._vote(targets[start:stop], others[start:stop], out[rows])
            start = stop
        return self.clipped(out)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`: the predicted rating; ``-inf`` where the user or the item is not known."""
        return in_blocks(self._full, queries, items, self.n_items)

    def _full(self, queries: Queries, out: Floats) -> None:
        out[:] = -np.inf
        rows, columns = np.flatnonzero(inside(self.user_bias, queries.users)), np.flatnonzero(~np.isnan(self.item_bias))
        users = np.repeat(queries.users[rows], len(columns))
        ratings = self.predict(users, np.tile(columns.astype(np.int32), len(rows)))
        out[np.ix_(rows, columns)] = ratings.reshape(len(rows), len(columns))

    def _sides(self, user: Any, item: Any) -> tuple[Any, Any]:
        """What belongs to the targets, and what to the others."""
        return (item, user) if self.by == "item" else (user, item)

    @cached_property
    def _similar_keys(self) -> NDArray[np.int64]:
        return _keys(self.similar)

    def _vote(self, targets: Ids, others: Ids, base: Floats) -> Floats:
        """The ratings of pairs of which both sides are known; ``base`` ``[m]`` where nothing is alike."""
        begin, count = self.rated.indptr[others], np.diff(self.rated.indptr)[others]
        pair = np.repeat(np.arange(len(targets)), count)
        flat = np.repeat(begin - np.concatenate([[0], np.cumsum(count)[:-1]]), count) + np.arange(len(pair))
        wanted = targets[pair].astype(np.int64) * self.similar.shape[1] + self.rated.indices[flat]
        keys = self._similar_keys
        if not len(keys):
            return base
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found = np.flatnonzero(keys[place] == wanted)
        pair, flat, similar = pair[found], flat[found], self.similar.data[place[found]].astype(np.float64)
        order = np.lexsort((-similar, pair))
        size = np.bincount(pair, minlength=len(targets))
        rank = np.arange(len(order)) - (np.cumsum(size) - size)[pair[order]]
        chosen = order[rank < self.k]
        votes = similar[chosen] * self.rated.data[flat[chosen]]
        above = np.bincount(pair[chosen], votes, len(targets))
        below = np.bincount(pair[chosen], similar[chosen], len(targets))
        centre = base if self.baseline_centred else self.centre[targets]
        mean = np.divide(above, below, out=np.zeros(len(targets)), where=below > 0)
        return np.where(below > 0, centre + self.scale[targets] * mean, base).astype(np.float32)


def _keys(matrix: csr_array) -> NDArray[np.int64]:
    """Row and column of each entry as one number."""
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    keys: NDArray[np.int64] = rows * max(matrix.shape[1], 1) + matrix.indices
    return keys


__all__ = ["RatingNeighbours"]
