"""A pipeline with other scorers in the places of some of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from serendip.pipeline.composite import Composite
from serendip.pipeline.ranking import Rank
from serendip.pipeline.stages import Retrieve
from serendip.types import Scorer, Stage


def with_scorers(stage: Stage, scorers: Mapping[str, Scorer]) -> Stage:
    """The stage with these scorers, by the names of their stages; the others stay, and may know fewer items."""
    if isinstance(stage, Retrieve | Rank):
        return replace(stage, scorer=scorers.get(stage.name, stage.scorer))
    if isinstance(stage, Composite):
        return replace(stage, stages=tuple(with_scorers(part, scorers) for part in stage.stages))
    return stage


__all__ = ["with_scorers"]
