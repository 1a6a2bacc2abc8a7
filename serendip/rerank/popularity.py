"""Less of what everybody knows: a penalty ``r(i) − w · log(1 + c_i) / log(1 + max c)``, or a quota of other items.

c is how many events an item has, relevance r is 0 … 1. The head are the fewest items that have a given share of all
events. With a quota, items of the head beyond it stand behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serendip.rerank.alike import held
from serendip.rerank.limits import limited
from serendip.rerank.lists import Doubles, by_value, front, places, relevance
from serendip.types import ABSENT, Ids, Queries, Recs


@dataclass(frozen=True, eq=False)
class PenaltyStage:
    """Made by `serendip.rerank.bind` of `serendip.rerank.Popularity` with a weight.

    Attributes:
        fame: ``[n + 1]`` 0 … 1 per item, 0 in the last row.
        weight: w.
    """

    fame: Doubles
    weight: float

    def __call__(self, queries: Queries, recs: Recs) -> Recs:
        """The same items."""
        return by_value(recs, relevance(recs) - self.weight * self.fame[held(recs.items, len(self.fame))])


@dataclass(frozen=True, eq=False)
class QuotaStage:
    """Made by `serendip.rerank.bind` of `serendip.rerank.Popularity` with a quota.

    Attributes:
        head: ``[n + 1, 1]`` 0 for items of the head, `ABSENT` for others.
        quota: share of the places asked for that others hold, rounded up.
    """

    head: Ids
    quota: float

    def __call__(self, queries: Queries, recs: Recs) -> Recs:
        """The same items."""
        n = places(queries, recs)
        codes = self.head[held(recs.items, len(self.head))]
        chosen = limited(codes, recs.items != ABSENT, n - int(np.ceil(self.quota * n)), n)
        return recs.ordered(front(chosen, recs.items.shape[1]))


def fame(counts: NDArray[np.int64]) -> Doubles:
    """``[n + 1]`` the logarithms of counts over the greatest, 0 for what has none."""
    logs = np.log1p(np.append(counts, 0).astype(np.float64))
    found: Doubles = logs / max(logs.max(), 1e-12)
    return found


def head(counts: NDArray[np.int64], share: float) -> Ids:
    """``[n + 1, 1]`` 0 for the fewest items that have this share of all events, `ABSENT` for others."""
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    out = np.full((len(counts) + 1, 1), ABSENT, np.int32)
    out[order[(before < share * counts.sum()) & (counts[order] > 0)]] = 0
    return out


__all__ = ["PenaltyStage", "QuotaStage", "fame", "head"]
