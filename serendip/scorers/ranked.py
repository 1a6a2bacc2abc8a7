"""Scores by a network of a query and an item together: what rankers answer with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from serendip.network.network import Arrays, Network
from serendip.network.onnxfile import Port
from serendip.scorers.asked import NO_NETWORK, TOLD, VECTOR, Asked
from serendip.scorers.common import BLOCK, require
from serendip.scorers.feeds import Feed, fault, of_pairs
from serendip.types import Floats, Ids, Queries, as_rows

QUERY, ITEM, ROW, SCORE = "query", "item", "row", "score"
"""The inputs of the network, and its output."""

Places = NDArray[np.int64]

_PLACES = Port(np.dtype(np.int64), (None,))
_WORK = 8
"""About how many arrays of the size of its inputs the network holds while it is run."""


@dataclass(frozen=True, eq=False)
class RankScorer(Asked):
    """``score_j = g( f(query), v_j )``: what is known of a query by one network, once; its scores by another.

    Attributes: as of `serendip.scorers.asked.Asked`; and
        ranker: the bytes of the network g, from ``query`` ``[q, e]``, ``item`` ``[b, d]``, ``row`` ``[b]`` which of the
            queries asks about each, and what is known of both together, to ``score`` ``[b]``. So it may do once for a
            query what does not depend on the item.
        pair_feeds: what it is told of a query and an item together, from ``Queries.pairs`` or bags.
        names: ``[f]`` of the fields that it crosses, where it tells how strongly; empty: it does not.
        crosses: ``[f, f]`` how strongly it crosses each two of them; see `serendip.scorers.crossed`.
    """

    ranker: NDArray[np.uint8] = field(default_factory=lambda: NO_NETWORK)
    pair_feeds: tuple[Feed, ...] = ()
    names: tuple[str, ...] = ()
    crosses: Floats = field(default_factory=lambda: np.empty((0, 0), np.float32))

    kind: ClassVar[str] = "ranker"

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        out = self._blank(queries, items, -np.inf)
        for rows, places, found in self._answers(queries, items):
            scores = self._score(found)
            out[rows, places] = np.where(np.isfinite(scores), scores, -np.inf)
        return out

    @property
    def pair_names(self) -> tuple[str, ...]:
        """As `serendip.types.Paired.pair_names`."""
        return tuple(feed.name for feed in self.pair_feeds if feed.of == "pair")

    @property
    def bag_names(self) -> tuple[str, ...]:
        """As `serendip.types.Bagged.bag_names`."""
        return (*super().bag_names, *(feed.name for feed in self.pair_feeds if feed.of == "passed"))

    def _blank(self, queries: Queries, items: Ids | None, value: float) -> Floats:
        """``[q, c]`` of that value."""
        codes = as_rows(items, len(queries), self.n_items)
        return np.full((len(queries), self.n_items if codes is None else codes.shape[-1]), value, np.float32)

    def _answers(self, queries: Queries, items: Ids | None) -> Iterator[tuple[Places, Places, NDArray[Any]]]:
        """Rows and columns of what can be scored, and what the network gives for each of them."""
        codes = as_rows(items, len(queries), self.n_items)
        every = np.arange(self.n_items, dtype=np.int32) if codes is None else codes
        width = every.shape[-1]
        pairs = of_pairs(queries, self.pair_feeds, codes, self.n_items)
        for rows, vectors in self._asked(queries) if width else ():
            step = max(1, BLOCK // (width * (vectors.shape[1] + self.items.shape[1])))
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                own = np.broadcast_to(every if every.ndim == 1 else every[part], (len(part), width))
                inside = (own >= 0) & (own < self.n_items)
                row, place = np.nonzero(inside & self._scored[np.where(inside, own, 0)])
                if len(row):
                    said = {name: value[part[row], place] for name, value in pairs.items()}
                    yield part[row], place, self._run(vectors[start : start + step], row, own[row, place], said)

    def _run(self, vectors: Floats, row: Places, items: Ids, pairs: Mapping[str, Floats]) -> NDArray[Any]:
        """What the network gives for items ``[b]``, each for the query whose vector is in that row, rising."""

        def some(start: int, stop: int) -> Arrays:
            first = row[start]
            asked = {QUERY: vectors[first : row[stop - 1] + 1], ROW: row[start:stop] - first}
            own = {name: value[start:stop] for name, value in pairs.items()}
            return {**asked, ITEM: self.items[items[start:stop]], **own}

        size = vectors.shape[1] + self.items.shape[1] + sum(value[0].size for value in pairs.values())
        return self._ranker.run(some, len(row), chunk=max(1, BLOCK // (_WORK * size)))[SCORE]

    def _score(self, found: NDArray[Any]) -> NDArray[Any]:
        """``[b]`` from what the network gives for so many pairs."""
        return found

    @property
    def _outputs(self) -> tuple[int | None, ...]:
        """The shape of what the network gives."""
        return (None,)

    @cached_property
    def _ranker(self) -> Network:
        return Network(f"the ranking network of the scorer {self.kind!r}", self.ranker)

    @cached_property
    def _scored(self) -> NDArray[np.bool_]:
        return np.asarray(~np.isnan(self.items[:, 0]))

    def _check_networks(self) -> None:
        require(self, not self.biased, "it has no biases")
        require(self, self.crosses.shape == (len(self.names),) * 2, "crosses must be one for each two names")
        require(self, bool((self.crosses >= 0).all() and np.isfinite(self.crosses).all()), "crosses must be 0 or more")
        float32, d, e = np.dtype(np.float32), self.items.shape[1], self._told.shape[1]
        wide = self._ranker.signature.inputs.get(QUERY)
        width = wide.shape[1] if wide is not None and len(wide.shape) == 2 else None
        what = fault(self.pair_feeds)
        require(self, what is None, str(what))
        sound = all(feed.of in ("pair", "passed") and feed.size is None for feed in self.pair_feeds)
        sound &= not any(feed.of == "passed" and feed.width for feed in self.pair_feeds)
        require(self, sound, "what it is told of a query and an item together must be numbers of the pair")
        require(
            self,
            not {QUERY, ITEM, ROW} & {feed.name for feed in self.pair_feeds},
            "its inputs must have different names",
        )
        pairs = dict(port for feed in self.pair_feeds for port in feed.ports(0))
        self._ranker.require(
            {QUERY: Port(float32, (None, width)), ITEM: Port(float32, (None, d)), ROW: _PLACES, **pairs},
            {SCORE: Port(float32, self._outputs)},
        )
        self._query.require(
            dict(port for feed in self.feeds for port in feed.ports(e)), {VECTOR: Port(float32, (None, width))}
        )
        if self._item is None:
            require(self, not self.item_feeds, "there must be no inputs of an item network where there is none")
        else:
            fed = dict(port for feed in self.item_feeds for port in feed.ports(0))
            told = {TOLD: Port(float32, (None, e))} if TOLD in self._item.signature.outputs else {}
            self._item.require(fed, {VECTOR: Port(float32, (None, d)), **told})


__all__ = ["ITEM", "QUERY", "ROW", "SCORE", "RankScorer"]
