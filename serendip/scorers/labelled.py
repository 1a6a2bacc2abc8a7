"""Scores by a network that learned one label of the events, and so foretells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Self

import numpy as np

from serendip.data.scales import on_scale
from serendip.data.schema import LabelKind
from serendip.scorers.common import require
from serendip.scorers.ranked import RankScorer
from serendip.scorers.weights import WeightScorer
from serendip.types import Floats, Ids, Queries

MEANING: Mapping[LabelKind, str] = {
    "binary": "the log-odds that {} is 1, not calibrated",
    "count": "the logarithm of the {} expected",
    "rating": "the {} expected",
    "duration": "the logarithm of 1 + {}, as expected",
}
"""What the scores of such a network are, by what the label measures."""


@dataclass(frozen=True, eq=False)
class LabelScorer(RankScorer):
    """The scores of a ranker as they are, and beside them what they say of the label that it learned.

    Attributes: as of `RankScorer`; and
        label: its name.
        measures: what it measures.
    """

    label: str = ""
    measures: LabelKind = "binary"

    kind: ClassVar[str] = "label_ranker"

    @classmethod
    def of(cls, scorer: RankScorer, label: str, measures: LabelKind) -> Self:
        """The scorer with what it learned."""
        return cls(**{one.name: getattr(scorer, one.name) for one in fields(scorer)}, label=label, measures=measures)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, bool(self.label), "it must name a label")

    @property
    def tasks(self) -> tuple[str, ...]:
        """As `serendip.types.Foreteller.tasks`."""
        return (self.label,)

    def foretold(self, queries: Queries, items: Ids | None = None) -> Mapping[str, Floats]:
        """As `serendip.types.Foreteller.foretold`."""
        found = on_scale(self.measures, self.score(queries, items))
        return {self.label: np.where(np.isneginf(found), np.nan, found).astype(np.float32)}

    def meaning(self) -> str:
        """What a score is, in words."""
        return MEANING[self.measures].format(self.label)


@dataclass(frozen=True, eq=False)
class LabelWeights(LabelScorer, WeightScorer):
    """Weights that add up, of a label.

    Attributes: as of `LabelScorer`.
    """

    kind: ClassVar[str] = "label_weights"


__all__ = ["LabelScorer", "LabelWeights"]
