"""Scores of a ranker as probabilities that come true as often as they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from serendip.scorers.calibrate import Calibration
from serendip.scorers.common import require, voted
from serendip.types import Bagged, Featured, Floats, Ids, Paired, Queries, Recs, Scorer, Similar


@dataclass(frozen=True, eq=False)
class Calibrated:
    """``p_j = c( s_j )`` for the scores s of a ranker and a calibration c that was learned from rows it had not seen.

    Items whose scores differ may have one probability; a list is ordered by the scores (`ranked_by`).

    Attributes:
        part: what scores.
        label: whose probability it is: the label, 0 or 1, that ``part`` learned.
        calibration: from its scores to probabilities.
    """

    kind: ClassVar[str] = "calibrated"
    part: Scorer
    label: str
    calibration: Calibration

    def __post_init__(self) -> None:
        require(self, not isinstance(self.part, Calibrated), "what it calibrates must not be calibrated already")
        require(self, bool(self.label), "it must name a label")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return self.part.n_items

    @property
    def feature_names(self) -> tuple[str, ...]:
        """As `serendip.types.Featured.feature_names`."""
        return self.part.feature_names if isinstance(self.part, Featured) else ()

    @property
    def bag_names(self) -> tuple[str, ...]:
        """As `serendip.types.Bagged.bag_names`."""
        return self.part.bag_names if isinstance(self.part, Bagged) else ()

    @property
    def pair_names(self) -> tuple[str, ...]:
        """As `serendip.types.Paired.pair_names`."""
        return self.part.pair_names if isinstance(self.part, Paired) else ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """As `serendip.types.Foreteller.tasks`."""
        return (self.label,)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return self.probabilities(self.part.score(queries, items))

    def foretold(self, queries: Queries, items: Ids | None = None) -> Mapping[str, Floats]:
        """As `serendip.types.Foreteller.foretold`."""
        found = self.score(queries, items)
        return {self.label: np.where(np.isneginf(found), np.float32(np.nan), found)}

    def probabilities(self, scores: Floats) -> Floats:
        """Of scores of any shape; ``-inf`` stays."""
        return np.where(np.isneginf(scores), np.float32(-np.inf), self.calibration(scores))

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """As of what scores; where it compares no items, those that score highest for somebody who knows just one."""
        return self.part.similar_items(items, k) if isinstance(self.part, Similar) else voted(self.part, items, k)

    def meaning(self) -> str:
        """What a score is, in words."""
        how = {"isotonic": "by isotonic regression", "platt": "by Platt's sigmoid"}[self.calibration.kind]
        said = "which no calibration makes better" if self.calibration.unchanged else f"calibrated {how}"
        return f"the probability that {self.label} is 1, {said}"


def ranked_by(scorer: Scorer) -> Scorer:
    """What puts items in order where this scorer is asked for a list: of one that is calibrated, what it calibrates."""
    return scorer.part if isinstance(scorer, Calibrated) else scorer


__all__ = ["Calibrated", "ranked_by"]
