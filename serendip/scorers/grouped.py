"""What is popular among those who are like the one who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.scorers.common import in_blocks, require
from serendip.scorers.feeds import Feed, fault, plain
from serendip.types import ABSENT, Floats, Ids, Queries


@dataclass(frozen=True, eq=False)
class GroupedScores:
    """``score_i = c_i Π_f (c_fi / p_i + m) / (c_f + m)`` with ``p_i = c_i / Σ_j c_j``.

    c are counts of all, ``c_fi`` those of the group that the query is in by feature f, and ``c_f`` their sum. Of whom
    nothing is known gets what all get.

    Attributes:
        scores: ``[n]`` float32 (c), 0 or more.
        counts: ``[s, n]`` float32, a row for each value of a feature, those of one feature after those of the other.
        feeds: the features of users and moments that are read, codes all of them.
        shrink: m, 0 or more.
    """

    kind: ClassVar[str] = "grouped_scores"
    scores: Floats
    counts: csr_array
    feeds: tuple[Feed, ...]
    shrink: float

    def __post_init__(self) -> None:
        require(self, self.scores.ndim == 1, "scores must be [n]")
        require(self, bool((np.isfinite(self.scores) & (self.scores >= 0)).all()), "scores must be 0 or more")
        what = fault(self.feeds)
        require(self, what is None, str(what))
        sizes = [feed.size or 0 for feed in self.feeds]
        coded = all(feed.of == "feature" for feed in self.feeds) and 0 not in sizes
        require(self, coded and bool(sizes), "feeds must be features that are codes")
        require(self, self.counts.shape == (sum(sizes), len(self.scores)), "counts must be [s, n]")
        require(self, bool((self.counts.data >= 0).all()), "counts must be 0 or more")
        require(self, 0 <= self.shrink < np.inf, "shrink must be 0 or more")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return len(self.scores)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """As `serendip.types.Featured.feature_names`."""
        return tuple(feed.name for feed in self.feeds)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return in_blocks(self._full, queries, items, self.n_items)

    def _full(self, queries: Queries, out: Floats) -> None:
        out[:] = self.scores
        whole = float(self.scores.sum(dtype=np.float64))
        share = self.scores / np.float32(whole or 1)
        per_share = np.divide(1, share, out=np.zeros_like(share), where=share > 0)
        start = 0
        for feed in self.feeds:
            rows = self.counts[start : start + (feed.size or 0)]
            start += feed.size or 0
            codes = plain(feed, queries.features.get(feed.name), len(queries)).reshape(len(queries), max(feed.width, 1))
            groups, inverse = np.unique(codes, axis=0, return_inverse=True)
            for number, group in enumerate(groups):
                if (group != ABSENT).any():
                    out[inverse.ravel() == number] *= self._ratio(rows, group, per_share)

    def _ratio(self, rows: csr_array, codes: NDArray[np.int64], per_share: Floats) -> Floats:
        """``[n]`` how much more likely an item is in a group than among all."""
        own = np.asarray(rows[codes[codes != ABSENT]].sum(axis=0), np.float64).ravel()
        if own.sum() + self.shrink <= 0:
            return np.ones(len(own), np.float32)
        return np.asarray((own * per_share + self.shrink) / (own.sum() + self.shrink), np.float32)


__all__ = ["GroupedScores"]
