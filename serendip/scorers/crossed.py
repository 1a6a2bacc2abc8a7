"""How strongly a ranker crosses its fields: what it has learned to look at two by two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from serendip.scorers.blend import Blend
from serendip.scorers.calibrated import Calibrated
from serendip.scorers.ranked import RankScorer
from serendip.types import Floats, Scorer


@dataclass(frozen=True, eq=False)
class Crosses:
    """The strengths of a ranker.

    Attributes:
        names: ``[f]`` of the fields: those of a query, ``history`` first, and those of an item, ``item`` first.
        strengths: ``[f, f]`` 0 or more: the Frobenius norm of the block of the matrix by which numbers of the one field
            (row) are multiplied with those of the other (column).
    """

    names: tuple[str, ...]
    strengths: Floats

    def pairs(self) -> list[tuple[str, str, float]]:
        """Each two different fields, both ways taken together: ``√(s_ij² + s_ji²)``; the strongest first."""
        both = np.sqrt(np.square(self.strengths) + np.square(self.strengths.T))
        one, other = np.triu_indices(len(self.names), 1)
        order = np.argsort(-both[one, other], kind="stable")
        return [
            (self.names[i], self.names[j], float(both[i, j])) for i, j in zip(one[order], other[order], strict=True)
        ]


def crosses_of(name: str, scorer: Scorer) -> Mapping[str, Crosses]:
    """What a scorer tells of its crosses, by its name, or those of the parts of a blend; nothing if it crosses none."""
    if isinstance(scorer, Blend):
        parts = [crosses_of(f"{name}, part {at + 1}", part) for at, part in enumerate(scorer.parts)]
        return {key: value for part in parts for key, value in part.items()}
    if isinstance(scorer, Calibrated):
        return crosses_of(name, scorer.part)
    if isinstance(scorer, RankScorer) and scorer.names:
        return {name: Crosses(scorer.names, scorer.crosses)}
    return {}


__all__ = ["Crosses", "crosses_of"]
