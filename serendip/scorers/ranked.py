"""Scores by a network of a query and an item together: what rankers answer with."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serendip.network.network import Network
from serendip.network.onnxfile import Port
from serendip.scorers.asked import NO_NETWORK, VECTOR, Asked
from serendip.scorers.common import BLOCK, require
from serendip.types import Floats, Ids, Queries, as_rows

QUERY, ITEM, SCORE = "query", "item", "score"
"""The inputs of the network, and its output."""

_WORK = 8
"""About how many arrays of the size of its inputs the network holds while it is run."""


@dataclass(frozen=True, eq=False)
class RankScorer(Asked):
    """``score_j = g( f(query), v_j )``: what is known of a query by one network, once; its scores by another.

    Where a query has nothing known of it there is no score, unless the ranker was given items alone.

    Attributes: as of `serendip.scorers.asked.Asked`; and
        ranker: the bytes of the network g, from ``query`` ``[b, e]`` and ``item`` ``[b, d]`` to ``score`` ``[b]``.
    """

    ranker: NDArray[np.uint8] = field(default_factory=lambda: NO_NETWORK)

    kind: ClassVar[str] = "ranker"

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        codes = as_rows(items, len(queries), self.n_items)
        width = self.n_items if codes is None else codes.shape[-1]
        out = np.full((len(queries), width), -np.inf, np.float32)
        if width == 0:
            return out
        every = np.arange(self.n_items, dtype=np.int32) if codes is None else codes
        for rows, vectors in self._asked(queries):
            step = max(1, BLOCK // (width * (vectors.shape[1] + self.items.shape[1])))
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                own = np.broadcast_to(every if every.ndim == 1 else every[part], (len(part), width))
                out[part] = self._of(vectors[start : start + step], own)
        return out

    def _of(self, vectors: Floats, codes: Ids) -> Floats:
        """``[b, c]`` of queries ``[b, e]`` and items ``[b, c]``."""
        out = np.full(codes.shape, -np.inf, np.float32)
        inside = (codes >= 0) & (codes < self.n_items)
        row, place = np.nonzero(inside)
        row, place = (chosen[self._scored[codes[row, place]]] for chosen in (row, place))
        if len(row):
            fed = {QUERY: vectors[row], ITEM: self.items[codes[row, place]]}
            size = sum(value.shape[1] for value in fed.values())
            found = self._ranker.run(fed, len(row), chunk=max(1, BLOCK // (_WORK * size)))[SCORE]
            out[row, place] = np.where(np.isfinite(found), found, -np.inf)
        return out

    @cached_property
    def _ranker(self) -> Network:
        return Network(f"the ranking network of the scorer {self.kind!r}", self.ranker)

    @cached_property
    def _scored(self) -> NDArray[np.bool_]:
        return np.asarray(~np.isnan(self.items[:, 0]))

    def _check_networks(self) -> None:
        require(self, not (self.biased or self.tied), "it has neither biases nor vectors that are read as well")
        float32, d, e = np.dtype(np.float32), self.items.shape[1], self._told.shape[1]
        wide = self._ranker.signature.inputs.get(QUERY)
        width = wide.shape[1] if wide is not None and len(wide.shape) == 2 else None
        self._ranker.require(
            {QUERY: Port(float32, (None, width)), ITEM: Port(float32, (None, d))}, {SCORE: Port(float32, (None,))}
        )
        self._query.require(
            dict(port for feed in self.feeds for port in feed.ports(e)), {VECTOR: Port(float32, (None, width))}
        )
        if self._item is None:
            require(self, not self.item_feeds, "there must be no inputs of an item network where there is none")
        else:
            fed = dict(port for feed in self.item_feeds for port in feed.ports(0))
            self._item.require(fed, {VECTOR: Port(float32, (None, d))})


__all__ = ["ITEM", "QUERY", "SCORE", "RankScorer"]
