"""Maximal marginal relevance: next is the item of the greatest ``w · r(i) − (1 − w) · max of alike(i, j)``, j chosen.

Relevance r is 0 … 1, see `serendip.rerank.lists.relevance`. Source: J. Carbonell and J. Goldstein, "The use of MMR,
diversity-based reranking for reordering documents and producing summaries", SIGIR 1998. There the similarity of the
first item to those before it is 0, as here.

Against all, ``Σ of alike(i, j) / (k − 1)`` stands for the greatest, k being the number of places: greedy search for the
list of the greatest ``w Σ r − (1 − w) k / 2 · mean of alike`` over its pairs. Source: S. Gollapudi and A. Sharma, "An
axiomatic approach for result diversification", WWW 2009 (max-sum diversification); the search is that of A. Borodin,
H. C. Lee and Y. Ye, "Max-sum diversification, monotone submodular functions and dynamic updates", PODS 2012, without
their factor of 1/2 for relevance, which the weight holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from serendip.rerank.alike import Alike
from serendip.rerank.lists import by_place, front, places, relevance
from serendip.types import ABSENT, Queries, Recs


@dataclass(frozen=True, eq=False)
class MmrStage:
    """Made by `serendip.rerank.bind` of `serendip.rerank.Mmr`.

    Attributes:
        alike: by what.
        weight: w, 0 … 1.
        sort: whether the chosen stand in the order that they came in.
        whole: whether against all of those chosen, not the nearest.
    """

    alike: Alike
    weight: float
    sort: bool = False
    whole: bool = False

    def __call__(self, queries: Queries, recs: Recs) -> Recs:
        """The same items; the first ``queries.k`` places are chosen one after the other."""
        held = recs.items != ABSENT
        worth = np.where(held, self.weight * relevance(recs), -np.inf)  # of what is left
        rows, each = self.alike.among(recs.items), np.arange(len(recs))
        chosen = np.empty((len(recs), places(queries, recs)), np.int64)
        near = np.zeros(worth.shape)
        share = 1 / max(chosen.shape[1] - 1, 1)
        for place in range(chosen.shape[1]):
            chosen[:, place] = at = (worth - (1 - self.weight) * near).argmax(axis=1)
            worth[each, at] = -np.inf
            if self.whole:
                near += share * rows(at)
            else:
                near = np.maximum(near, rows(at)) if place else rows(at)
        chosen[np.arange(chosen.shape[1]) >= held.sum(axis=1, keepdims=True)] = ABSENT  # nothing was left
        chosen = by_place(chosen) if self.sort else chosen
        return recs.ordered(front(chosen, worth.shape[1]))


__all__ = ["MmrStage"]
