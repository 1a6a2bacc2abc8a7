"""What stages do with lists: hold them to a query's rules, join them, and say why one is empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.types import ABSENT, Ids, Queries, Recs, blank_of, unpack_mask

BLOCK_BYTES = 1 << 28
"""The most memory that what is computed for one block of queries and all items may take."""


def block_rows(row_bytes: int) -> int:
    """How many queries may be worked on at a time."""
    return max(1, BLOCK_BYTES // max(row_bytes, 1))


def permitted(recs: Recs, queries: Queries) -> Recs:
    """The lists without items that their query excludes or does not allow."""
    if queries.exclude is not None:
        recs = recs.without(queries.exclude)
    if queries.allow is None:
        return recs
    return recs.keep(queries.allowed(recs.items))


def besides(queries: Queries, items: Ids) -> Queries:
    """Ask for other items than these (``[q, m]``) too."""
    exclude = items if queries.exclude is None else np.concatenate([queries.exclude, items], axis=1)
    return replace(queries, exclude=exclude)


def within(queries: Queries, n: int) -> Queries:
    """The queries as a stage that knows n items understands them: the mask of what is allowed is no wider."""
    width = (n + 7) // 8
    if queries.allow is None or queries.allow.shape[1] <= width:
        return queries
    return replace(queries, allow=np.ascontiguousarray(queries.allow[:, :width]))


def append(left: Recs, right: Recs) -> Recs:
    """Both lists one after the other, without repeats, as wide as the longest."""
    room = replace(Recs.empty(len(left), left.items.shape[1] + right.items.shape[1]), notes=left.notes)
    joined = room.fill(left).fill(right)
    return joined.top(int(joined.counts.max(initial=0)))


def spread(recs: Recs, rows: NDArray[np.int64], q: int) -> Recs:
    """Lists for some rows of a batch as lists for the whole batch, empty elsewhere."""
    if len(rows) == q:
        return recs
    blank = recs.keep(np.zeros(recs.items.shape, bool))

    def wide(part: NDArray[Any], nothing: NDArray[Any]) -> NDArray[Any]:
        out = np.empty((q, part.shape[1]), part.dtype)
        out[:] = nothing[:1]
        out[rows] = part
        return out

    return Recs(
        wide(recs.items, blank.items),
        wide(recs.scores, blank.scores),
        {name: wide(value, blank.columns[name]) for name, value in recs.columns.items()},
        recs.notes,
    )


def stack(parts: Sequence[Recs]) -> Recs:
    """The lists of one block of queries after the other, as wide as the widest, with the columns and notes of all."""
    if len(parts) == 1:
        return parts[0]
    width = max(part.items.shape[1] for part in parts)
    kinds: dict[str, np.dtype[Any]] = {}
    for part in parts:
        for name, value in part.columns.items():
            kinds[name] = np.result_type(value.dtype, kinds.get(name, value.dtype))

    def column(name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        blank = blank_of(dtype)
        return _below([part.columns.get(name, np.full((len(part), 0), blank, dtype)) for part in parts], width, blank)

    return Recs(
        _below([part.items for part in parts], width, ABSENT),
        _below([part.scores for part in parts], width, -np.inf),
        {name: column(name, dtype) for name, dtype in kinds.items()},
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _below(parts: Sequence[NDArray[Any]], width: int, blank: Any) -> NDArray[Any]:
    """One block of rows below the other, filled up on the right."""
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=blank) for part in parts])


def reasons(name: str, queries: Queries, recs: Recs, n: int) -> tuple[str, ...]:
    """Why lists are empty, for those that are."""
    q = len(queries)
    if queries.k < 1:
        return (f"{name}: {queries.k} items were asked for",)
    nothing = (recs.items[:, :1] == ABSENT).all(axis=1)
    if not nothing.any():
        return ()
    empty = np.flatnonzero(nothing)
    shut = int(_shut(queries.take(empty), n).sum())
    return tuple(
        f"{name}: {why} for {count} of {q} queries"
        for why, count in (
            ("every item is listed already, excluded or not allowed", shut),
            ("no item can be scored", len(empty) - shut),
        )
        if count
    )


def _shut(queries: Queries, n: int) -> NDArray[np.bool_]:
    """``[q]`` whether the exclusions and the allowed items leave nothing to show."""
    shut = np.zeros(len(queries), bool)
    open_items = n if queries.allow is None else np.bitwise_count(queries.allow).sum(axis=1)
    closed = 0 if queries.exclude is None else (queries.exclude != ABSENT).sum(axis=1)
    doubtful = np.flatnonzero(np.broadcast_to(open_items <= closed, shut.shape))
    step = block_rows(n)
    for rows in (doubtful[at : at + step] for at in range(0, len(doubtful), step)):
        block = queries.take(rows)
        may = np.ones((len(block), n), bool)
        if block.allow is not None:
            may &= unpack_mask(block.allow, n)
        if block.exclude is not None:
            row, place = np.nonzero((block.exclude >= 0) & (block.exclude < n))
            may[row, block.exclude[row, place]] = False
        shut[rows] = ~may.any(axis=1)
    return shut
