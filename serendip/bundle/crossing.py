"""Which fields the rankers of a pipeline cross, and how strongly."""

from __future__ import annotations

import polars as pl

from serendip.pipeline import scoring
from serendip.scorers.crossed import Crosses, crosses_of
from serendip.types import SerendipError, Stage

SCHEMA = {"field": pl.String, "other": pl.String, "strength": pl.Float32, "source": pl.String}


def crosses(pipeline: Stage) -> dict[str, Crosses]:
    """By the name of the scorer; of those that tell."""
    return {name: one for part in scoring(pipeline) for name, one in crosses_of(part.name, part.scorer).items()}


def table(pipeline: Stage) -> pl.DataFrame:
    """See `serendip.bundle.Bundle.crosses`."""
    found = crosses(pipeline)
    if not found:
        names = ", ".join(part.name for part in scoring(pipeline))
        raise SerendipError(f"Only dcn_v2 tells how strongly it crosses fields. The bundle holds {names}.")
    rows = [(*pair, source) for source, one in found.items() for pair in one.pairs()]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


__all__ = ["crosses", "table"]
