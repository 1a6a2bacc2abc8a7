"""What the models of a bundle foretell of somebody and an item: of each task a number, beside the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from serendip.bundle.ask import Desk
from serendip.bundle.ids import known_codes
from serendip.bundle.reasons import asked_for, given_by, paired
from serendip.pipeline import Rank, Retrieve, before, coded, scoring
from serendip.run import Shown
from serendip.types import Foreteller, Ids, Paired, Queries, Recs, Stage


def foretold(desk: Desk, pipeline: Stage, users: Any, items: Any, history: Sequence[Any] | None) -> pl.DataFrame:
    """See `serendip.bundle.bundle.Bundle.foretold`."""
    asked, wanted = paired(users, items)
    codes = known_codes(desk.item_ids, "items", wanted)
    request = asked_for(desk, asked, 1, history)
    ids, parts = desk.item_ids.ids, sorted(scoring(pipeline), key=lambda part: not isinstance(part, Rank))
    frames = [_frame(np.empty(0, np.int64), request.users[:0], ids[:0], np.empty((0, 1), np.float32), "", {})]
    for rows in request.blocks():
        queries = request.queries(rows)
        for part, chosen in given_by(parts, queries, codes[rows]):
            if part is not None and isinstance(part.scorer, Foreteller):
                at = chosen + rows.start
                said = _said(part, _told(pipeline, part, queries.take(chosen), codes[at]), codes[at])
                frames.append(_frame(at, request.users[at], ids[codes[at]], *said))
    return pl.concat(frames).sort("pair", maintain_order=True).drop("pair")


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


def _said(part: Retrieve | Rank, queries: Queries, items: Ids) -> tuple[Any, str, dict[str, Any]]:
    """``[m, 1]`` scores, whose they are, and what is foretold, ``[m, 1]`` by task."""
    scorer: Any = part.scorer
    return scorer.score(queries, items[:, None]), part.name, dict(scorer.foretold(queries, items[:, None]))


def _frame(
    pair: Any, users: pl.Series, items: pl.Series, scores: Any, source: str, told: dict[str, Any]
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


__all__ = ["foretold"]
