"""What each part of a query carries of a score: the score, less the score with that part unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from serendip.scorers.described import ItemFeatures, Said, beside, parts_of
from serendip.types import ABSENT, Bagged, Floats, Ids, Paired, Queries, Scorer

NOISE = 1e-6
"""Of a score: what is smaller than that comes of rounding."""
LATEST = 100
"""How many items of a history are left out one by one: the latest ones."""

Side = Literal["history", "user", "context", "item", "event", "source"]
"""Of what a part is: an item of the history, or all of it; a feature of the user, the moment or the item; the events of
another kind; what named the item, and how high."""


@dataclass(frozen=True)
class Part:
    """Something that may be left out.

    Attributes:
        side: of what it is.
        name: of the feature, of the kind of events, or of what named the item; ``history`` for all of it.
        item: for one item of a history, its code.
    """

    side: Side
    name: str
    item: int = ABSENT


@dataclass(frozen=True)
class Share:
    """What a part carries.

    Attributes:
        part: what was left out.
        value: the score less the score without it; infinite where there is none without it.
    """

    part: Part
    value: float


def shares(
    scorer: Scorer,
    queries: Queries,
    item: int,
    *,
    groups: Mapping[tuple[Side, str], Sequence[str]],
    score: Callable[[Queries, Ids], Floats] | None = None,
) -> list[Share]:
    """What each part of a query carries of an item's score, the most first; parts that carry nothing left out.

    All variants of the query are scored in one call. Parts overlap: what two of them say only together counts for both,
    and what both say for neither; so they need not sum to the score.

    Args:
        scorer: what scores.
        queries: who asks, ``[1]``, with whatever is said of this item in ``pairs``, ``[1, 1]``.
        item: its code.
        groups: the arrays of features by their side and their name as declared, of those that the scorer reads.
        score: in place of the scorer's own.
    """
    asked = [*_events(scorer, queries), *(Part(*key) for key in groups if key[0] in ("user", "context"))]
    asked += [Part("source", name) for name in _pairs(scorer, queries)]
    if len(queries) and queries.users[0] != ABSENT:
        asked.append(Part("user", "user"))
    rows = queries.take(np.zeros(1 + len(asked), np.int64))
    rows = replace(rows, exclude=None, allow=None)
    for row, part in enumerate(asked, 1):
        _leave_out(rows, row, part, groups.get((part.side, part.name), ()))
    found = (score or scorer.score)(_aligned(rows), np.full((len(rows), 1), item, np.int32))[:, 0].astype(np.float64)
    whole = float(found[0])
    return _sorted((Share(part, whole - float(value)) for part, value in zip(asked, found[1:], strict=True)), whole)


def _events(scorer: Scorer, queries: Queries) -> list[Part]:
    """All of the history, its latest items, and the kinds of other events that are read."""
    own = queries.history[0][queries.history[0] != ABSENT]
    items = list(dict.fromkeys(own[::-1].tolist()))[:LATEST]
    parts = [Part("history", "history", item) for item in items]
    if len(items) > 1:
        parts.append(Part("history", "history"))
    bags = scorer.bag_names if isinstance(scorer, Bagged) else ()
    return [*parts, *(Part("event", name) for name in dict.fromkeys(bags) if name in queries.bags)]


def _pairs(scorer: Scorer, queries: Queries) -> list[str]:
    reads = scorer.pair_names if isinstance(scorer, Paired) else ()
    return [name for name in reads if name in queries.pairs and not np.isnan(queries.pairs[name]).all()]


def _leave_out(rows: Queries, row: int, part: Part, names: Sequence[str]) -> None:
    """Blank a part of one row, in place."""
    if part.side == "history":
        gone = rows.history[row] == part.item if part.item != ABSENT else np.ones(rows.history.shape[1], bool)
        rows.history[row, gone] = ABSENT
    elif part.side == "event":
        rows.bags[part.name][row] = ABSENT
    elif part.side == "source":
        rows.pairs[part.name][row] = np.nan
    elif names:
        for name in names:
            array = rows.features[name]
            array[row] = np.nan if array.dtype.kind == "f" else ABSENT
    else:
        rows.users[row] = ABSENT


def _aligned(rows: Queries) -> Queries:
    """Histories with what was left out on their left, and what is aligned with them likewise."""
    order = np.argsort(rows.history != ABSENT, axis=1, kind="stable")
    gone = np.take_along_axis(rows.history, order, axis=1) == ABSENT
    bags = dict(rows.bags)
    for name in ("weight", "time"):
        if name in bags:
            bags[name] = np.where(gone, 0, np.take_along_axis(bags[name], order, axis=1)).astype(bags[name].dtype)
    return replace(rows, history=np.take_along_axis(rows.history, order, axis=1), bags=bags)


def columns(
    scorer: Scorer, queries: Queries, item: int, row: pl.DataFrame, features: ItemFeatures | None
) -> list[Share]:
    """What each column of the items table carries of an item's score, for a scorer that knows items by what is said of
    them; the most first, those that carry nothing left out.

    Args:
        scorer: what scores.
        queries: as of `shares`.
        item: its code.
        row: what is said of the item.
        features: made of such rows, where scorers read features.
    """
    if parts_of(scorer, Said(np.array([item], np.int32), row, row, features)) is None:
        return []
    names = [name for name in row.columns if name != "item_id" and row[name][0] is not None]
    blank = [row.with_columns(pl.lit(None, row.schema[name]).alias(name)) for name in names]
    now = pl.concat([row, *blank])
    said = Said(np.full(len(now), item, np.int32), now, pl.concat([row] * len(now)), features)
    described = beside(scorer, said)
    if described is None:
        return []
    codes = np.arange(scorer.n_items, described.n_items, dtype=np.int32)
    pairs = {name: np.repeat(value, len(codes), axis=1) for name, value in queries.pairs.items()}
    asked = replace(queries, exclude=None, allow=None, pairs=pairs)
    found = described.score(asked, codes[None])[0].astype(np.float64)
    if not np.isfinite(found[0]):
        return []
    values = zip(names, (found[0] - found[1:]).tolist(), strict=True)
    return _sorted((Share(Part("item", name), value) for name, value in values), found[0])


def _sorted(found: Iterable[Share], whole: float) -> list[Share]:
    kept = [one for one in found if abs(one.value) > NOISE * abs(whole)]
    return sorted(kept, key=lambda one: -one.value)


__all__ = ["LATEST", "Part", "Share", "Side", "columns", "shares"]
