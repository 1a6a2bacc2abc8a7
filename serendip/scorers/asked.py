"""What scorers do whose queries are asked of a network, beside which what is known of the items is kept."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from serendip.kernels import pool
from serendip.network.network import Network
from serendip.network.onnxfile import Port
from serendip.scorers.common import BLOCK, Mask, nearest, products, require
from serendip.scorers.feeds import Feed, Items, fault, of_queries, plain
from serendip.types import Floats, Ids, Queries, Recs, SerendipError

VECTOR, BIAS, TOLD = "vector", "bias", "told"
"""The outputs of the networks."""

NO_NETWORK: NDArray[np.uint8] = np.empty(0, np.uint8)

AT_ONCE = 4
"""About how many arrays of the size of what it is fed a network holds while it is run."""

_FLOAT = np.dtype(np.float32)


@dataclass(frozen=True, eq=False)
class Asked(ABC):
    """What all kinds do. Networks are ONNX models, run by ONNX Runtime, which is imported when one is first asked.

    The query network gives ``vector``, ``[q, d]`` or ``[q, h, d]``. Where nothing is known of the history there is no
    vector, unless ``alone``: then one of the other inputs suffices.

    Attributes:
        query: the bytes of the query network.
        feeds: its inputs.
        items: ``[n, d]`` float32, or ``[n, d + 1]`` with the bias of each item in the last column; a row of NaN for an
            item that cannot be scored.
        told: ``[n, e]`` float32, what the networks are told of the items of a history instead of their codes; a row of
            NaN for an item that does not count there; ``[n, 0]`` where ``tied`` or where they are given codes.
        tied: whether what the networks are told of an item is its own vector.
        biased: whether ``items`` has the column of biases.
        alone: whether a query without a history may be answered.
        item: the bytes of the item network, from features to ``vector`` ``[c, d]``, and ``bias`` ``[c]`` and ``told``
            ``[c, e]`` where they are needed; empty: none.
        item_feeds: its inputs, all of them features.
    """

    query: NDArray[np.uint8]
    feeds: tuple[Feed, ...]
    items: Floats
    told: Floats
    tied: bool = False
    biased: bool = False
    alone: bool = False
    item: NDArray[np.uint8] = field(default_factory=lambda: NO_NETWORK)
    item_feeds: tuple[Feed, ...] = ()

    kind: ClassVar[str]
    heads: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(self, self.items.ndim == 2 and self.items.shape[1] > self.biased, "items must be [n, d], d above 0")
        require(self, self.told.ndim == 2 and len(self.told) == len(self.items), "told must be [n, e]")
        require(self, not (self.tied and self.told.shape[1]), "told must be empty where it is tied to the items")
        for name, table in (("items", self.items), ("told", self.told)):
            absent = np.isnan(table[:, 0]) if table.shape[1] else np.zeros(len(table), bool)
            sound = np.isfinite(table[~absent]).all() and np.isnan(table[absent]).all()
            require(self, bool(sound), f"a row of {name} must be finite, or all NaN")
        for feeds in (self.feeds, self.item_feeds):
            what = fault(feeds)
            require(self, what is None, str(what))
        require(
            self,
            all(feed.of not in ("pair", "passed") for feed in self.feeds),
            "a query network is fed of queries only",
        )
        require(self, all(feed.of == "feature" for feed in self.item_feeds), "an item network is fed features only")
        given = any(feed.vectors for feed in self.feeds)
        require(self, given == (self._told.shape[1] > 0), "told, or the vectors of items, must be what a feed is given")
        self._check_networks()

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return len(self.items)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """As `serendip.types.Featured.feature_names`."""
        return tuple(feed.name for feed in (*self.feeds, *self.item_feeds) if feed.of == "feature")

    @property
    def bag_names(self) -> tuple[str, ...]:
        """As `serendip.types.Bagged.bag_names`."""
        return tuple(feed.name for feed in self.feeds if feed.of == "bag")

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """The items at the smallest angle (a cosine above 0), biases apart."""
        codes = np.asarray(items, np.int32)
        inside = (codes >= 0) & (codes < self.n_items)
        vectors = np.full((len(codes), self._unit.shape[1]), np.nan, np.float32)
        vectors[inside] = self._unit[codes[inside]]
        return nearest(lambda rows: products(vectors[rows], self._unit, None), codes, self.n_items, k)

    def with_items(self, codes: Ids, features: Mapping[str, NDArray[Any]]) -> Self:
        """The scorer with the item network's vectors for these items, known or new; this one stays as it is.

        Args:
            codes: ``[c]`` which items; those beyond the vocabulary make it larger, and items in between that are not
                given cannot be scored.
            features: arrays ``[c]`` or ``[c, m]`` by name; one that is missing is unknown for all.

        Raises:
            SerendipError: there is no item network, an array is of another shape, or a code is negative.
        """
        if len(codes) and int(codes.min()) < 0:
            raise SerendipError(f"codes of items must be 0 or more. Got {int(codes.min())} instead.")
        n = max(self.n_items, int(codes.max(initial=-1)) + 1)
        tables: dict[str, Any] = {"items": _taller(self.items, n), "told": _taller(self.told, n)}
        for name, rows in self.described(len(codes), features).items():
            tables[name][codes] = rows
        return replace(self, **tables)

    def described(self, c: int, features: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
        """By field, ``[c, …]`` what the item network says of items with these features; a row of NaN: nothing.

        Args:
            c: how many.
            features: as of `with_items`.

        Raises:
            SerendipError: there is no item network, or an array is of another shape.
        """
        if self._item is None:
            raise SerendipError(
                f"the scorer {self.kind!r} has no network for items: their vectors are learned one by one. "
                "Try: a model that learns from item features."
            )
        inputs = {feed.name: plain(feed, features.get(feed.name), c) for feed in self.item_feeds}
        if not c:
            return {"items": self.items[:0].copy()}
        found = self._item.run(inputs, c, chunk=_chunk(self.item_feeds, self.items.shape[1]))
        vectors = found[VECTOR] if not self.biased else np.column_stack([found[VECTOR], found[BIAS]])
        out = {"items": _all_or_nothing(vectors)}
        return out if TOLD not in found else {**out, "told": _all_or_nothing(found[TOLD])}

    @cached_property
    def _query(self) -> Network:
        return Network(f"the query network of the scorer {self.kind!r}", self.query)

    @cached_property
    def _item(self) -> Network | None:
        return Network(f"the item network of the scorer {self.kind!r}", self.item) if self.item.size else None

    @property
    def _told(self) -> Floats:
        return self._vectors if self.tied else self.told

    @property
    def _vectors(self) -> Floats:
        """``[n, d]`` without the biases."""
        return self.items[:, : self.items.shape[1] - self.biased]

    @cached_property
    def _known(self) -> Mask:
        table = self.told if self.told.shape[1] else self.items
        return np.asarray(~np.isnan(table[:, 0]))

    @cached_property
    def _unit(self) -> Floats:
        length = np.sqrt(np.einsum("nd,nd->n", self._vectors, self._vectors))
        return np.asarray(self._vectors / np.where(length > 0, length, np.nan)[:, None], np.float32)

    def _check_networks(self) -> None:
        d, e = self._vectors.shape[1], self._told.shape[1]
        vector = Port(_FLOAT, (None, None, d) if self.heads else (None, d))
        self._query.require(dict(port for feed in self.feeds for port in feed.ports(e)), {VECTOR: vector})
        if self._item is None:
            require(self, not self.item_feeds, "there must be no inputs of an item network where there is none")
            return
        outputs = {VECTOR: Port(_FLOAT, (None, d))}
        if self.biased:
            outputs[BIAS] = Port(_FLOAT, (None,))
        if self.told.shape[1]:
            outputs[TOLD] = Port(_FLOAT, (None, e))
        self._item.require(dict(port for feed in self.item_feeds for port in feed.ports(0)), outputs)

    def _answered(self, history: Mask, anything: Mask) -> Mask:
        """``[q]`` which queries have an answer, given of which a history and of which anything is known."""
        return anything if self.alone else history

    def _asked(self, queries: Queries) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """The rows that have a vector, and these, ``[b, d]`` or ``[b, h, d]``, block by block."""
        chunk = _chunk(self.feeds, self._told.shape[1] or self._vectors.shape[1])
        step = chunk * pool.count() if len(queries) > chunk else chunk
        for start in range(0, len(queries), step):
            part = queries if len(queries) <= step else queries.take(slice(start, start + step))
            inputs, history, anything = of_queries(part, self.feeds, Items(self._known, self._told))
            rows = np.flatnonzero(self._answered(history, anything))
            if len(rows):
                fed = inputs if len(rows) == len(part) else {name: value[rows] for name, value in inputs.items()}
                yield start + rows, self._query.run(fed, len(rows), chunk=chunk)[VECTOR]


def _chunk(feeds: tuple[Feed, ...], dimensions: int) -> int:
    """How many queries a thread works on at a time: attention takes memory by the square of a history's length."""
    size = sum(max(feed.width, 1) * (dimensions + (feed.width if feed.of != "feature" else 0)) for feed in feeds)
    return max(1, BLOCK // max(AT_ONCE * size, 1))


def _taller(table: Floats, n: int) -> Floats:
    out = np.full((n, table.shape[1]), np.nan, np.float32)
    out[: len(table)] = table
    return out


def _all_or_nothing(rows: Floats) -> Floats:
    out: Floats = rows.copy()
    out[~np.isfinite(rows).all(axis=1)] = np.nan
    return out


__all__ = ["AT_ONCE", "BIAS", "NO_NETWORK", "TOLD", "VECTOR", "Asked"]
