"""The best of all items by a scorer without vectors; by a shorter way than a score for each, where it knows one."""

from __future__ import annotations

import numpy as np

from serendip.index.chosen import best_of, bit_of, excluded, listed
from serendip.kernels.topk import top_k
from serendip.scorers import ItemToItem, StaticScores
from serendip.types import ABSENT, Queries, Recs, Scorer

FEW = 64
"""Queries up to which the shorter way is taken: of more, compiled code looks at all scores."""


def best(scorer: Scorer, queries: Queries, k: int) -> Recs:
    """The k best items of each query that are allowed and not excluded, ``[q, k]``, in the order of `top_k`."""
    if len(queries) <= FEW and isinstance(scorer, StaticScores) and (queries.allow is None or len(queries.allow) == 1):
        return _in_order(scorer, queries, k)
    if len(queries) <= FEW and isinstance(scorer, ItemToItem):
        return _of_entries(scorer, queries, k)
    return top_k(scorer.score(queries), k, queries.exclude, queries.allow)


def _in_order(scorer: StaticScores, queries: Queries, k: int) -> Recs:
    """The first of an order that is the same for everybody."""
    order = scorer.order
    if queries.allow is not None:
        order = order[bit_of(queries.allow, order, order)]
    spare = 0 if queries.exclude is None else queries.exclude.shape[1]
    items = np.repeat(order[None, : k + spare], len(queries), axis=0)
    recs = Recs(items, scorer.scores[items])
    recs = (recs if queries.exclude is None else recs.without(queries.exclude)).top(k)
    room = ((0, 0), (0, k - recs.items.shape[1]))
    return (
        Recs(np.pad(recs.items, room, constant_values=ABSENT), np.pad(recs.scores, room, constant_values=-np.inf))
        if room[1][1]
        else recs
    )


def _of_entries(scorer: ItemToItem, queries: Queries, k: int) -> Recs:
    """The best of the few items that each query has scores for."""
    found, q = scorer.entries(queries), len(queries)
    row = np.repeat(np.arange(q), np.diff(found.indptr))
    code, value = found.indices, found.data
    may = value > -np.inf
    if queries.allow is not None:
        may &= bit_of(queries.allow, row, code)
    if queries.exclude is not None:
        may &= ~excluded(np.sort(queries.exclude, axis=1), row, code)
    if not may.all():
        row, code, value = row[may], code[may], value[may]
    if q == 1 and len(value) > k:
        near = value >= np.partition(value, -k)[-k]
        row, code, value = row[near], code[near], value[near]
    return listed(q, k, *best_of(row, code, value, k))


__all__ = ["best"]
