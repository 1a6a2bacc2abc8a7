"""What the models of a bundle foretell of somebody and an item: of each task a number, beside the score."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.bundle.ask import Desk
from serendip.bundle.ids import known_codes
from serendip.bundle.reasons import asked_for, given_by, paired
from serendip.pipeline import Rank, Retrieve, before, coded, scoring
from serendip.run import Shown
from serendip.types import Floats, Foreteller, Ids, Paired, Queries, Recs, Stage


@dataclass(frozen=True, eq=False)
class Foretold:
    """What one model foretells.

    Attributes:
        part: whose it is.
        rows: ``[m]`` of the queries.
        scores: ``[m, 1]``.
        tasks: ``[m, 1]`` by task.
    """

    part: Retrieve | Rank
    rows: NDArray[np.int64]
    scores: Floats
    tasks: Mapping[str, Floats]


def foretold(desk: Desk, pipeline: Stage, users: Any, items: Any, history: Sequence[Any] | None) -> pl.DataFrame:
    """See `serendip.bundle.bundle.Bundle.foretold`."""
    asked, wanted = paired(users, items)
    codes = known_codes(desk.item_ids, "items", wanted)
    request = asked_for(desk, asked, 1, history)
    ids = desk.item_ids.ids
    frames = [_frame(np.empty(0, np.int64), request.users[:0], ids[:0], np.empty((0, 1), np.float32), "", {})]
    for rows in request.blocks():
        for one in foretold_of(pipeline, request.queries(rows), codes[rows]):
            at = one.rows + rows.start
            frames.append(_frame(at, request.users[at], ids[codes[at]], one.scores, one.part.name, one.tasks))
    return pl.concat(frames).sort("pair", maintain_order=True).drop("pair")


def foretold_of(pipeline: Stage, queries: Queries, items: Ids, without: Collection[str] = ()) -> Iterator[Foretold]:
    """What is foretold of each query and an item ``[q]``, those together that one model foretells.

    Args:
        pipeline: whose models.
        queries: who asks.
        items: ``[q]`` codes.
        without: names of models that are not to be asked.
    """
    parts = sorted(scoring(pipeline), key=lambda part: not isinstance(part, Rank))
    parts = [part for part in parts if part.name not in without]
    for part, rows in given_by(parts, queries, items):
        if part is not None and isinstance(part.scorer, Foreteller):
            asked, codes = _told(pipeline, part, queries.take(rows), items[rows]), items[rows, None]
            yield Foretold(part, rows, part.scorer.score(asked, codes), part.scorer.foretold(asked, codes))


def _told(pipeline: Stage, part: Retrieve | Rank, queries: Queries, items: Ids) -> Queries:
    """The queries with what a ranker is told of the items: what would name them, and how high they would stand."""
    if not (isinstance(part, Rank) and isinstance(part.scorer, Paired) and part.scorer.pair_names):
        return queries
    named = before(pipeline, part)
    lists = Recs.empty(len(queries)) if named is None else named(queries)
    if "source" not in lists.columns:
        return queries
    rows = np.arange(len(queries), dtype=np.int32)
    said = Shown(lists.items, rows, *coded(lists)).said(rows, items[:, None])
    own = {name: value for name, value in said.items() if name in part.scorer.pair_names}
    return replace(queries, pairs={**queries.pairs, **own})


def _frame(
    pair: Any, users: pl.Series, items: pl.Series, scores: Any, source: str, told: Mapping[str, Floats]
) -> pl.DataFrame:
    m, tasks = len(pair), list(told)
    row = np.repeat(np.arange(m), len(tasks))
    values = np.column_stack([told[name][:, 0] for name in tasks]) if tasks else np.empty((m, 0), np.float32)
    return pl.DataFrame(
        {
            "pair": np.asarray(pair, np.int64)[row],
            "user_id": users[row],
            "item_id": items[row],
            "score": np.asarray(scores, np.float32)[row, 0],
            "task": pl.Series(tasks * m, dtype=pl.String),
            "foretold": np.asarray(values, np.float32).ravel(),
            "source": pl.Series([source] * len(row), dtype=pl.String),
        }
    )


__all__ = ["Foretold", "foretold", "foretold_of"]
