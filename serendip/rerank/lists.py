"""What re-rankers do with lists: how relevant each item is, and another order of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serendip.types import ABSENT, Queries, Recs

RELEVANCE = "relevance"
"""The column of the relevance that lists came with; it goes with its items through all re-rankers."""

Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]


def places(queries: Queries, recs: Recs) -> int:
    """How many places a re-ranker decides: those that are asked for, where the lists are so long."""
    return max(0, min(queries.k, int(recs.items.shape[1])))


def scaled(recs: Recs) -> Doubles:
    """``[q, c]`` scores between 0 (the last item) and 1 (the first), never rising along a list; 0 where there is none.

    A score that is above one before it counts as that one: scores of different sources do not compare, and the order of
    a list is what the stages before it decided. 0 where all are equal.
    """
    held = (recs.items != ABSENT) & np.isfinite(recs.scores)
    falling = np.minimum.accumulate(np.where(held, recs.scores.astype(np.float64), np.inf), axis=1)
    low = np.where(held, falling, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    high = np.where(held, falling, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
    some = high > low
    span = np.where(some, np.where(some, high, 1) - np.where(some, low, 0), 1)
    return np.where(held & some, np.where(held, falling, 0) - np.where(some, low, 0), 0) / span


def relevance(recs: Recs) -> Doubles:
    """``[q, c]`` how relevant the item at each place is, 0 … 1: as they came, dealt out to the places in their order.

    So what an earlier re-ranker decided holds: of two items the one before is never less relevant.
    """
    given = recs.columns.get(RELEVANCE)
    values = scaled(recs) if given is None else given
    return -np.sort(-np.where((recs.items != ABSENT) & (values > 0), values, 0.0), axis=1)


def by_value(recs: Recs, values: Doubles) -> Recs:
    """The lists by falling value ``[q, c]``; equal ones stay in their order."""
    order = np.argsort(-np.where(recs.items != ABSENT, values, -np.inf), axis=1, kind="stable")
    return recs.ordered(order)


def front(chosen: Places, width: int) -> Places:
    """The order ``[q, width]`` in which what is ``chosen`` ``[q, k]`` (`ABSENT`: nothing) comes first, the rest behind
    in the order that it has."""
    key = np.empty((len(chosen), width), np.int64)
    key[:] = np.arange(chosen.shape[1], chosen.shape[1] + width)
    row, place = np.nonzero(chosen != ABSENT)
    key[row, chosen[row, place]] = place
    return np.argsort(key, axis=1, kind="stable")


def by_place(chosen: Places) -> Places:
    """What was chosen ``[q, k]`` in the order in which it stood, `ABSENT` last."""
    last = np.iinfo(np.int64).max
    rising = np.sort(np.where(chosen == ABSENT, last, chosen), axis=1)
    return np.where(rising == last, ABSENT, rising)


def best(gain: Doubles, left: Mask) -> Places:
    """``[q]`` the place of the greatest gain among those that are left, the first of equals; `ABSENT` where none is."""
    return np.where(left.any(axis=1), np.where(left, gain, -np.inf).argmax(axis=1), ABSENT)


def take(left: Mask, chosen: Places) -> None:
    """Strike what was chosen ``[q]`` from what is left."""
    rows = np.flatnonzero(chosen != ABSENT)
    left[rows, chosen[rows]] = False


__all__ = ["RELEVANCE", "best", "by_place", "by_value", "front", "places", "relevance", "scaled", "take"]
