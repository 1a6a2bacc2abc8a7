"""The same score for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from serendip.scorers.common import gather, require
from serendip.types import Floats, Ids, Queries, as_rows


@dataclass(frozen=True, eq=False)
class StaticScores:
    """The same score for everybody.

    Attributes:
        scores: ``[n]`` float32; ``-inf`` for an item never to be named.
    """

    kind: ClassVar[str] = "static_scores"
    scores: Floats

    def __post_init__(self) -> None:
        require(self, self.scores.ndim == 1, "scores must be [n]")
        require(self, bool((self.scores < np.inf).all()), "scores must be below infinity, and none NaN")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return len(self.scores)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        codes = as_rows(items, len(queries), self.n_items)
        same = np.broadcast_to(self.scores, (len(queries), self.n_items))
        return same.copy() if codes is None else gather(same, codes)
