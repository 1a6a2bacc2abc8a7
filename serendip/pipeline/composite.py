"""Stages that are made of others, and how a stage is asked by another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from serendip.pipeline.lists import permitted
from serendip.types import ABSENT, Queries, Recs, SerendipError, Stage


class Lawful:
    """Base of stages that never show what a query excludes or does not allow, so that nobody need look after them."""


@dataclass(frozen=True, eq=False)
class Composite(Lawful, ABC):
    """Base of the stages that ask other stages; ``replace(stage, stages=…)`` is the same of others.

    Attributes:
        stages: that it asks, in order.
    """

    stages: tuple[Stage, ...]

    @abstractmethod
    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """As `serendip.types.Stage`."""


def asked(stage: Stage, queries: Queries, recs: Recs | None = None) -> Recs:
    """Call a stage; one from elsewhere is held to the rule that nothing excluded or disallowed is shown.

    Raises:
        SerendipError: a stage that does not return one list per query; whatever the stage raises.
    """
    answer = stage(queries, recs)
    if isinstance(stage, Lawful):
        return answer
    if not isinstance(answer, Recs) or len(answer) != len(queries):
        came = f"{len(answer)} lists" if isinstance(answer, Recs) else type(answer).__name__
        raise SerendipError(f"A stage must return one list per query ({len(queries)}). Got {came} from {stage!r}.")
    return permitted(answer.keep(np.isfinite(answer.scores) & (answer.items != ABSENT)), queries)


__all__ = ["Composite", "Lawful", "asked"]
