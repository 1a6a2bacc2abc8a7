"""Re-rankers of a bundle joined to what it knows of its items."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from serendip.data.dataset import Histories
from serendip.pipeline import bound, rerankers, scoring
from serendip.rerank import Shelf
from serendip.scorers.calibrated import ranked_by
from serendip.types import Floats, Stage


def shelved(
    pipeline: Stage, items: pl.DataFrame, histories: Histories, vectors: Mapping[str, Floats] | None = None
) -> Stage:
    """The pipeline with re-rankers that know these items; as it is where it has none.

    Args:
        pipeline: of a bundle.
        items: row i for code i.
        histories: who did what, which may know fewer items.
        vectors: ``[n, d]`` by name of the scorer, where they are others than the scorer's own.

    Raises:
        SerendipError: a re-ranker that asks for a column that the items do not have, or for what no scorer has.
    """

    def shelf() -> Shelf:
        counts = np.bincount(histories.items, minlength=len(items))
        latest = None if histories.time is None or not len(histories.time) else int(histories.time.max())
        scorers = {part.name: ranked_by(part.scorer) for part in scoring(pipeline)}
        return Shelf(items, counts, scorers, latest, dict(vectors or {}))

    return bound(pipeline, shelf)


def reads_time(pipeline: Stage) -> bool:
    """Whether a re-ranker asks when a query is made."""
    return any(one.reads_time for one in rerankers(pipeline))


__all__ = ["reads_time", "shelved"]
