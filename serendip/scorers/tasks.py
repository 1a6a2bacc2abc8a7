"""Scores by a formula over what a network foretells of several tasks."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from serendip.scorers.common import products, require
from serendip.scorers.formula import Formula
from serendip.scorers.ranked import RankScorer
from serendip.types import Floats, Ids, Queries, as_rows


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

    def scored_by(self, formula: str) -> TaskScorer:
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


RETRIEVAL = "retrieval"
"""What the product of the vectors is called among the tasks."""


@dataclass(frozen=True, eq=False)
class JointScorer(TaskScorer):
    """``score_j = f(query) · v_j``, the first of the tasks, and beside it what is foretold of the others.

    Attributes: as of `TaskScorer`; the vectors of queries and items are those of the product.
    """

    kind: ClassVar[str] = "joint"

    def __post_init__(self) -> None:
        sound = self.tasks[:1] == (RETRIEVAL,) == (self.formula,)
        require(self, sound, f"{RETRIEVAL} must be the first of the tasks, and the formula")
        super().__post_init__()

    def item_vectors(self) -> Floats:
        """As `Embedder.item_vectors`."""
        return self.items

    def query_vectors(self, queries: Queries) -> Floats:
        """As `Embedder.query_vectors`."""
        out = np.full((len(queries), self.items.shape[1]), np.nan, np.float32)
        for rows, vectors in self._asked(queries):
            sound = np.isfinite(vectors).all(axis=1)
            out[rows[sound]] = vectors[sound]
        return out

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return products(self.query_vectors(queries), self.items, as_rows(items, len(queries), self.n_items))

    def scored_by(self, formula: str) -> TaskScorer:
        """The same with another formula, which is asked of the network for every item."""
        return self if formula == RETRIEVAL else TaskScorer(**{**_fields(self), "formula": formula})


def _fields(scorer: TaskScorer) -> dict[str, Any]:
    """The fields of a scorer by name."""
    return {one.name: getattr(scorer, one.name) for one in fields(scorer)}


__all__ = ["RETRIEVAL", "JointScorer", "TaskScorer"]
