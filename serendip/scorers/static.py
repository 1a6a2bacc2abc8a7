"""The same score for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
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

    @cached_property
    def order(self) -> Ids:
        """The items that may be named, the highest score first, of equal ones the lower code."""
        order = np.argsort(-self.scores, kind="stable").astype(np.int32)
        return order[: np.count_nonzero(self.scores > -np.inf)]

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        codes = as_rows(items, len(queries), self.n_items)
        same = np.broadcast_to(self.scores, (len(queries), self.n_items))
        return same.copy() if codes is None else gather(same, codes)

    def deviation(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `serendip.types.Uncertain.deviation`, of scores that are counts, perhaps with decay: ``√(score + 1)``.

        Of an item with n events the rate, in events per length of the log, is Gamma with shape n + 1 if any rate was as
        likely before (a Poisson likelihood with a flat prior).
        """
        scores = self.score(queries, items)
        held = np.isfinite(scores)
        return np.where(held, np.sqrt(np.maximum(np.where(held, scores, 0), 0) + 1), np.nan).astype(np.float32)
