"""Scores by weights that add up: what a ranker without interactions answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from serendip.scorers.common import Mask
from serendip.scorers.ranked import RankScorer


@dataclass(frozen=True, eq=False)
class WeightScorer(RankScorer):
    """``score_j = Σ weights of the query + Σ weights of item j``: what is not known adds nothing.

    So everybody is answered. By weights alone no items are alike: it is no `serendip.types.Similar`.

    Attributes: as of `RankScorer`.
    """

    kind: ClassVar[str] = "weights"
    similar_items: ClassVar[None] = None  # type: ignore[assignment]

    def _answered(self, history: Mask, anything: Mask) -> Mask:
        return np.ones_like(history)


__all__ = ["WeightScorer"]
