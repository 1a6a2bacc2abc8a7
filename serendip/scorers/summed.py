"""Vectors of items and users that are sums of what is known of them, the history at hand included."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.data.features.terms import NO_TERMS, Terms
from serendip.scorers.common import Mask, history_matrix, nearest, products, require
from serendip.scorers.feeds import Feed, fault, plain
from serendip.types import ABSENT, Floats, Ids, Queries, Recs, as_rows

if TYPE_CHECKING:
    import polars as pl

Normalize = Literal["l2", "l1", "none"]
_NONE: Floats = np.empty((0, 0), np.float32)


@dataclass(frozen=True, eq=False)
class Summed:
    """``score_j = z · v_j`` with ``z = w_u + |H|^−p Σ_{i∈H} y_i`` and 1 in the last place, which holds j's bias.

    H are the distinct items of the history of which something is known. A user without a vector is what the history
    says, and one without history what is known of the user; of whom neither is known gets ``-inf``. A user of whom
    nothing is kept is what the features of the query say, each value the sum of ``r_s``.

    Attributes:
        items: ``[n, d + 1]`` float32 (v); a row of NaN for an item of which nothing is known.
        history: ``[n, d]`` float32, what an item says of somebody who had it (y); NaN in the same rows.
        users: ``[m, d]`` float32 (w); a row of NaN for a user of whom nothing but a history is known.
        power: p in 0 … 1.
        terms: what items are described by (`serendip.data.features.terms`), as bytes; empty: nothing but their ids.
        by_term: ``[f, 2d + 1]`` float32, what a term adds to v and, behind it, to y; a row of NaN where nothing was
            learned of it.
        own: ``[n]`` float32, what terms weigh in an item that was learned by itself, too; 0: it is its terms. May be
            empty where there are no terms.
        feeds: features of users that are read, codes all of them.
        by_value: ``[s, d]`` float32 (r), the values of one feature after those of the other; NaN where nothing was
            learned.
        normalize: whether a row of terms or values is made of length 1 (l2), of sum 1 (l1), or left.
    """

    kind: ClassVar[str] = "summed"
    items: Floats
    history: Floats
    users: Floats
    power: float
    terms: NDArray[np.uint8] = field(default_factory=lambda: NO_TERMS)
    by_term: Floats = field(default_factory=lambda: _NONE)
    own: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    feeds: tuple[Feed, ...] = ()
    by_value: Floats = field(default_factory=lambda: _NONE)
    normalize: Normalize = "l2"

    def __post_init__(self) -> None:
        require(self, self.items.ndim == 2 and self.items.shape[1] > 1, "items must be [n, d + 1]")
        n, d = len(self.items), self.items.shape[1] - 1
        require(self, self.history.shape == (n, d), "history must be [n, d]")
        require(self, self.users.ndim == 2 and self.users.shape[1] == d, "users must be [m, d]")
        for name in ("items", "history", "users"):
            table = getattr(self, name)
            absent = np.isnan(table[:, 0])
            sound = np.isfinite(table[~absent]).all() and np.isnan(table[absent]).all()
            require(self, bool(sound), f"a row of {name} must be finite, or all NaN")
        same = bool((np.isnan(self.history[:, 0]) == ~self._known).all())
        require(self, same, "history must be NaN in the rows in which items is")
        require(self, 0 <= self.power <= 1, "power must be in 0 … 1")
        self._check_described(n, d)

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return len(self.items)

    def item_vectors(self) -> Floats:
        """As `Embedder.item_vectors`."""
        return self.items

    def query_vectors(self, queries: Queries) -> Floats:
        """As `Embedder.query_vectors`."""
        had = history_matrix(queries, self.n_items, "binary", self._known)
        size = np.diff(had.indptr)
        said = (had @ self._said) * (np.maximum(size, 1).astype(np.float32) ** np.float32(-self.power))[:, None]
        inside = (queries.users >= 0) & (queries.users < len(self.users))
        own = np.full((len(queries), self.users.shape[1]), np.nan, np.float32)
        own[inside] = self.users[queries.users[inside]]
        if self.feeds:
            strangers = np.flatnonzero(np.isnan(own[:, 0]))
            own[strangers] = self._valued(queries.take(strangers))
        listed = ~np.isnan(own[:, 0])
        vectors = np.ones((len(queries), self.items.shape[1]), np.float32)
        vectors[:, :-1] = said + np.where(listed[:, None], own, 0)
        vectors[(size == 0) & ~listed] = np.nan
        return vectors

    @property
    def feature_names(self) -> tuple[str, ...]:
        """As `serendip.types.Featured.feature_names`."""
        return tuple(feed.name for feed in self.feeds)

    def described(self, table: pl.DataFrame) -> Floats:
        """``[c, 2d + 1]`` what the terms of the items of a table add to v and to y; NaN where nothing is known."""
        return _summed(self._terms.rows(table), self.by_term, self.normalize)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return products(self.query_vectors(queries), self.items, as_rows(items, len(queries), self.n_items))

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """The items at the smallest angle (a cosine above 0), biases apart."""
        codes = np.asarray(items, np.int32)
        inside = (codes >= 0) & (codes < self.n_items)
        vectors = np.full((len(codes), self._unit.shape[1]), np.nan, np.float32)
        vectors[inside] = self._unit[codes[inside]]
        return nearest(lambda rows: products(vectors[rows], self._unit, None), codes, self.n_items, k)

    @cached_property
    def _terms(self) -> Terms:
        return Terms.unpack(self.terms)

    def _check_described(self, n: int, d: int) -> None:
        f = len(self._terms.tokens) if self.terms.size else 0
        shape = (f, 2 * d + 1) if self.terms.size else (0, 0)
        require(self, self.by_term.shape == shape, "by_term must be [f, 2d + 1]")
        require(self, len(self.own) == n or (not self.terms.size and not len(self.own)), "own must be [n]")
        require(self, bool((np.isfinite(self.own) & (self.own >= 0)).all()), "own must be 0 or more")
        what = fault(self.feeds)
        require(self, what is None, str(what))
        sizes = [feed.size or 0 for feed in self.feeds]
        require(
            self, all(feed.of == "feature" for feed in self.feeds) and 0 not in sizes, "feeds must be codes of users"
        )
        require(self, self.by_value.shape == ((sum(sizes), d) if self.feeds else (0, 0)), "by_value must be [s, d]")
        for table in (self.by_term, self.by_value):
            rows = np.isfinite(table)
            require(self, bool((rows.all(axis=1) | (~rows).all(axis=1)).all()), "a row must be finite, or all NaN")

    def _valued(self, queries: Queries) -> Floats:
        """``[q, d]`` what the features of the queries say; NaN where that is nothing."""
        q, start = len(queries), 0
        rows, columns, weights = list[NDArray[np.int64]](), list[NDArray[np.int64]](), list[Floats]()
        for feed in self.feeds:
            codes = plain(feed, queries.features.get(feed.name), q).reshape(q, max(feed.width, 1))
            row, place = np.nonzero(codes != ABSENT)
            rows.append(row)
            columns.append(start + codes[row, place])
            weights.append((np.count_nonzero(codes != ABSENT, axis=1)[row] ** -0.5).astype(np.float32))
            start += feed.size or 0
        where = (np.concatenate(rows), np.concatenate(columns))
        values = csr_array((np.concatenate(weights), where), shape=(q, start))
        return _summed(values, self.by_value, self.normalize)

    @cached_property
    def _known(self) -> Mask:
        return np.asarray(~np.isnan(self.items[:, 0]))

    @cached_property
    def _said(self) -> Floats:
        """`history` with zeros for NaN: those rows are never asked for, but a product would spread them."""
        return np.where(self._known[:, None], self.history, np.float32(0))

    @cached_property
    def _unit(self) -> Floats:
        vectors = self.items[:, :-1]
        length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
        return np.asarray(vectors / np.where(length > 0, length, np.nan)[:, None], np.float32)


def _summed(rows: csr_array, vectors: Floats, normalize: Normalize) -> Floats:
    """``[c, …]`` the sum of the vectors of what each row has, those that were learned; NaN where there is none.

    What was not learned counts when a row is made of length or sum 1, as in training.
    """
    learned: Mask = np.asarray(np.isfinite(vectors).all(axis=1))
    power = {"l2": 2, "l1": 1, "none": 0}[normalize]
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    data = rows.data
    if power:
        norm = np.bincount(row, np.abs(data.astype(np.float64)) ** power, rows.shape[0]) ** (1 / power)
        data = (data / norm[row]).astype(np.float32)
    kept = csr_array((np.where(learned[rows.indices], data, 0), rows.indices, rows.indptr), shape=rows.shape)
    out = np.asarray(kept @ np.nan_to_num(vectors), np.float32)
    out[np.bincount(row[learned[rows.indices]], minlength=rows.shape[0]) == 0] = np.nan
    return out


__all__ = ["Normalize", "Summed"]
