"""Small logs made directly, so that these tests depend on no reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from serendip.data.dataset import Dataset, Events
from serendip.data.schema import Schema, TimeKind
from serendip.data.vocab import Vocab
from serendip.types import Ids, Queries, Recs

Row = tuple[int, int, int, float]  # user, item, time, weight


def log(
    rows: Sequence[Row],
    *,
    time_kind: TimeKind = "unix",
    users: Iterable[int] = (),
    items: Iterable[int] = (),
    categories: Mapping[int, list[str]] | None = None,
) -> Dataset:
    """A log of (user, item, time, weight); ``users`` and ``items`` are the ids that the tables list."""
    listed_items = sorted({*items, *(categories or {})})
    user_ids = Vocab.build(pl.Series([row[0] for row in rows] + list(users), dtype=pl.Int64))
    item_ids = Vocab.build(pl.Series([row[1] for row in rows] + listed_items, dtype=pl.Int64))
    table = pl.DataFrame({"item_id": item_ids.ids})
    if categories is not None:
        values = [categories.get(item) for item in item_ids.ids]
        table = table.with_columns(pl.Series("genre", values, dtype=pl.List(pl.String)))
    schema = Schema(
        timestamp=None if time_kind == "none" else "timestamp",
        time_kind=time_kind,
        categories=("genre",) if categories is not None else (),
    )
    times = np.array([row[2] for row in rows], np.int64)
    return Dataset(
        schema=schema,
        events=Events.sort(
            user_ids.encode([row[0] for row in rows]),
            item_ids.encode([row[1] for row in rows]),
            np.array([row[3] for row in rows], np.float32),
            n_users=len(user_ids),
            time=None if time_kind == "none" else times,
            labels={"rating": np.array([row[3] for row in rows], np.float32)},
        ),
        user_ids=user_ids,
        item_ids=item_ids,
        users=pl.DataFrame({"user_id": user_ids.ids}),
        items=table,
        users_listed=np.isin(user_ids.ids.to_numpy(), list(users)),
        items_listed=np.isin(item_ids.ids.to_numpy(), listed_items),
    )


def rows_of(data: Dataset) -> list[Row]:
    """The events of a log by external ids (without times: by their place within the user)."""
    events = data.events
    times = np.arange(len(events)) - events.indptr[events.users] if events.time is None else events.time
    users, items = data.user_ids.ids.to_list(), data.item_ids.ids.to_list()
    columns = (events.users, events.items, times, events.weight)
    return [(users[u], items[i], int(t), float(w)) for u, i, t, w in zip(*columns, strict=True)]


class Fixed:
    """A stage that shows the same list to everybody, without what is excluded."""

    def __init__(self, items: Sequence[int]) -> None:
        self.items = np.array(items, np.int32)

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        lists = Recs(
            np.tile(self.items, (len(queries), 1)),
            np.tile(-np.arange(len(self.items), dtype=np.float32), (len(queries), 1)),
        )
        return (lists if queries.exclude is None else lists.without(queries.exclude)).top(queries.k)


class Known:
    """A scorer that knows the answers: ``scores`` ``[users, items]``, and how many queries it was asked at a time."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores.astype(np.float32)
        self.n_items = scores.shape[1]
        self.asked: list[int] = []

    def score(self, queries: Queries, items: Ids | None = None) -> np.ndarray:
        self.asked.append(len(queries))
        return self.scores[queries.users] if items is None else self.scores[queries.users[:, None], items]
