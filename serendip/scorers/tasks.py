"""Scores by a formula over what a network foretells of several tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from serendip.scorers.calibrate import Calibration, Kind
from serendip.scorers.common import products, require
from serendip.scorers.formula import Formula
from serendip.scorers.ranked import RankScorer
from serendip.types import Floats, Ids, Queries, as_rows

APART = 1e-3
"""The share of what a network foretells in a calibrated probability, lest those that differ become one: isotonic
regression is level over whole ranges."""


@dataclass(frozen=True)
class TaskCalibration:
    """``(1 − ε) c(p) + ε p`` for what a network foretells of a binary task, ε being `APART` and c a `Calibration`.

    Attributes:
        task: its name.
        kind, slope, intercept, centres, levels: of c, whose scores are probabilities.
    """

    task: str
    kind: Kind
    slope: float = 1.0
    intercept: float = 0.0
    centres: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()

    @classmethod
    def of(cls, task: str, learned: Calibration) -> TaskCalibration:
        """For a task, from what was learned of its probabilities."""
        curve = (tuple(learned.centres.tolist()), tuple(learned.levels.tolist()))
        return cls(task, learned.kind, learned.slope, learned.intercept, *curve)

    def __call__(self, probabilities: NDArray[Any]) -> Floats:
        """Of the same shape; NaN stays."""
        return np.asarray((1 - APART) * self._curve(probabilities) + APART * probabilities, np.float32)

    @cached_property
    def _curve(self) -> Calibration:
        points = np.array(self.centres, np.float64), np.array(self.levels, np.float64)
        return Calibration(self.kind, True, self.slope, self.intercept, *points)


@dataclass(frozen=True, eq=False)
class TaskScorer(RankScorer):
    """``score_j = formula( g( f(query), v_j ) )``: g foretells something of each task, the formula weighs it.

    Attributes: as of `RankScorer`, but that its network gives ``score`` ``[b, t]``; and
        tasks: the names of what it gives.
        formula: how one score is made of it, as `serendip.scorers.formula` reads it.
        calibrations: of tasks whose probabilities come true as often as they say only by these.
    """

    tasks: tuple[str, ...] = ()
    formula: str = ""
    calibrations: tuple[TaskCalibration, ...] = ()

    kind: ClassVar[str] = "tasks"

    def __post_init__(self) -> None:
        require(self, len(set(self.tasks)) == len(self.tasks) > 0, "tasks must be one or more different names")
        named = [one.task for one in self.calibrations]
        sound = len(set(named)) == len(named) and set(named) <= set(self.tasks)
        require(self, sound, "calibrations must be of its tasks, of each at most one")
        for one in self.calibrations:
            _ = one._curve  # checks it
        super().__post_init__()
        _ = self._formula  # reads it

    def foretold(self, queries: Queries, items: Ids | None = None) -> dict[str, Floats]:
        """What is foretold of each task, ``[q, c]`` by name, NaN where nothing is; arguments as of `Scorer.score`."""
        out = {name: self._blank(queries, items, np.nan) for name in self.tasks}
        for rows, places, found in self._answers(queries, items):
            for name, values in self._said(found).items():
                out[name][rows, places] = values
        return out

    def calibrated(self, by: Sequence[TaskCalibration]) -> TaskScorer:
        """The same with other calibrations, or without any."""
        return replace(self, calibrations=tuple(by))

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
        return self._formula(self._said(found))

    def _said(self, found: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """What is foretold of each task, ``[b]`` by name, from what the network gives."""
        said = {name: found[:, column] for column, name in enumerate(self.tasks)}
        return {**said, **{one.task: one(said[one.task]) for one in self.calibrations}}


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


__all__ = ["RETRIEVAL", "JointScorer", "TaskCalibration", "TaskScorer"]
