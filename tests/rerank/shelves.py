"""A shelf of a few items, and lists of them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from serendip.rerank import Shelf
from serendip.types import ABSENT, Floats, Ids, Queries, Recs

FILMS = pl.DataFrame(
    {
        "item_id": ["a", "b", "c", "d", "e", "f"],
        "genres": ["Drama", "Drama", "Comedy|Drama", "Comedy", "War", None],
        "maker": ["X", "X", "X", "Y", "Y", None],
        "price": [1.0, 2.0, None, 4.0, float("nan"), 6.0],
        "year": [2000, 2001, 2002, 2003, 2004, 2005],
        "out": [datetime.date(2024, 1, day) for day in (1, 2, 3, 4, 5)] + [None],
        "nothing": pl.Series([None] * 6, dtype=pl.String),
        "nested": [[[1]]] * 6,
    }
)
COUNTS = np.array([50, 20, 10, 10, 5, 0])


class Toy:
    """Scores, vectors and deviations that are given."""

    def __init__(self, scores: Sequence[float], deviations: Sequence[float]) -> None:
        self.scores, self.deviations = np.array(scores, np.float32), np.array(deviations, np.float32)
        self.n_items = len(scores)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        assert items is not None
        return np.where(items == ABSENT, -np.inf, self.scores[items]).astype(np.float32)

    def deviation(self, queries: Queries, items: Ids | None = None) -> Floats:
        assert items is not None
        return self.deviations[items]


class Plain(Toy):
    """Scores alone."""

    deviation = None  # type: ignore[assignment]


class Vectors:
    """Vectors that are given."""

    def __init__(self, vectors: Any) -> None:
        self.vectors = np.array(vectors, np.float32)
        self.n_items = len(self.vectors)

    def item_vectors(self) -> Floats:
        return self.vectors

    def query_vectors(self, queries: Queries) -> Floats:
        return np.zeros((len(queries), self.vectors.shape[1]), np.float32)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        return np.zeros((len(queries), self.n_items), np.float32)


def shelf(scorers: Mapping[str, Any] | None = None, **said: Any) -> Shelf:
    return Shelf(FILMS, COUNTS, scorers or {}, **said)


def lists(*rows: Any, scores: Any = None, **columns: Any) -> Recs:
    """Lists of codes; by default the scores fall by 1 from place to place to 0."""
    width = max(map(len, rows), default=0)
    items = np.full((len(rows), width), ABSENT, np.int32)
    held = np.full((len(rows), width), -np.inf, np.float32)
    for at, row in enumerate(rows):
        items[at, : len(row)] = row
        held[at, : len(row)] = np.arange(len(row))[::-1] if scores is None else scores[at]
    return Recs(items, held, columns)


def asked(q: int = 1, k: int = 10, history: Sequence[Sequence[int]] | None = None) -> Queries:
    return Queries.of(history or [[]] * q, k=k)
