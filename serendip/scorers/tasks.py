"""Scores by a formula over what a network foretells of several tasks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from serendip.scorers.common import require
from serendip.scorers.formula import Formula
from serendip.scorers.ranked import RankScorer
from serendip.types import Floats, Ids, Queries


@dataclass(frozen=True, eq=False)
class TaskScorer(RankScorer):
    """``score_j = formula( g( f(query), v_j ) )``: g foretells something of each task, the formula weighs it.

    Attributes: as of `RankScorer`, but that its network gives ``score`` ``[b, t]``; and
        tasks: the names of what it gives.
        formula: how one score is made of it, as `serendip.scorers.formula` reads it.
    """

    tasks: tuple[str, ...] = ()
    formula: str = ""

    kind: ClassVar[str] = "tasks"

    def __post_init__(self) -> None:
        require(self, len(set(self.tasks)) == len(self.tasks) > 0, "tasks must be one or more different names")
        super().__post_init__()
        _ = self._formula  # reads it

    def foretold(self, queries: Queries, items: Ids | None = None) -> dict[str, Floats]:
        """What is foretold of each task, ``[q, c]`` by name, NaN where nothing is; arguments as of `Scorer.score`."""
        out = {name: self._blank(queries, items, np.nan) for name in self.tasks}
        for rows, places, found in self._answers(queries, items):
            for column, name in enumerate(self.tasks):
                out[name][rows, places] = found[:, column]
        return out

    def scored_by(self, formula: str) -> Self:
        """The same with another formula; nothing is learned anew.

        Raises:
            SerendipError: it is no formula over these tasks.
        """
        return replace(self, formula=formula)

    @cached_property
    def _formula(self) -> Formula:
        return Formula.of(self.formula, self.tasks)

    @property
    def _outputs(self) -> tuple[int | None, ...]:
        return (None, len(self.tasks))

    def _score(self, found: NDArray[Any]) -> NDArray[Any]:
        return self._formula({name: found[:, column] for column, name in enumerate(self.tasks)})


__all__ = ["TaskScorer"]
