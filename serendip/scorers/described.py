"""Items by what is said of them: vectors and rows for those that came or changed, without a fit.

A scorer that reads features gives a new item what its features say. Of an item that it has learned, what the features
say is exchanged, and what it learned of the item itself stays: ``v' = v + a (g(now) − g(before))``, a being the weight
that features have beside the item's own vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from serendip.data.features.terms import Terms
from serendip.scorers.asked import Asked
from serendip.scorers.blend import Blend
from serendip.scorers.calibrated import Calibrated
from serendip.scorers.grouped import GroupedScores
from serendip.scorers.grown import grown
from serendip.scorers.profiles import Profiles
from serendip.scorers.static import StaticScores
from serendip.scorers.summed import Summed
from serendip.types import Floats, Ids, Scorer

if TYPE_CHECKING:
    import polars as pl

CLOSE = 1e-3
"""How far from 1 the lengths of vectors may be that were scaled to 1."""


class ItemFeatures(Protocol):
    """As `serendip.data.features.Features`, as far as it is needed."""

    def items(self, frame: pl.DataFrame) -> Mapping[str, NDArray[Any]]:
        """Arrays of the items of a table, one row each."""
        ...


@dataclass(frozen=True, eq=False)
class Said:
    """What is said of some items.

    Attributes:
        codes: ``[c]`` which, each once; those that a scorer does not know come after all that it knows.
        now: a row of each, with the columns of the items.
        before: what was said when the scorer learned, row by row; of new items it counts for nothing.
        features: made of such rows, where scorers read features.
    """

    codes: Ids
    now: pl.DataFrame
    before: pl.DataFrame
    features: ItemFeatures | None = None


def parts_of(scorer: Scorer, said: Said) -> dict[str, Any] | None:
    """By field of the scorer, ``[c, …]`` what it has for these items; None where it knows items by their ids alone.

    NaN, ``-inf`` or an empty row stands for items of which nothing is known.
    """
    if isinstance(scorer, StaticScores | GroupedScores):
        known = scorer.scores[np.isfinite(scorer.scores)]
        least = known.min() if len(known) else 0
        kept = np.full(len(said.codes), least, np.float32)
        inside = said.codes < scorer.n_items
        kept[inside] = scorer.scores[said.codes[inside]]
        return {"scores": kept}
    if isinstance(scorer, Profiles):
        return {"features": scorer.rows(said.now)} if scorer.terms.size else None
    if isinstance(scorer, Summed):
        return _summed(scorer, said) if scorer.terms.size else None
    if isinstance(scorer, Asked) and scorer.item.size and said.features is not None:
        return _asked(scorer, said)
    return None


def told(scorer: Scorer, said: Said) -> Scorer | None:
    """A scorer that knows these items by what is said of them; None where it knows items by their ids alone.

    One of several parts knows them if one of its parts does. This one stays as it is.
    """
    if isinstance(scorer, Calibrated):
        part = told(scorer.part, said)
        return None if part is None else replace(scorer, part=part)
    n = max(scorer.n_items, int(said.codes.max(initial=-1)) + 1)
    if isinstance(scorer, Blend):
        parts = [told(part, said) for part in scorer.parts]
        if all(part is None for part in parts):
            return None
        grow = (grown(old, 0, n) if part is None else part for old, part in zip(scorer.parts, parts, strict=True))
        return replace(scorer, parts=tuple(grow))
    found = parts_of(scorer, said)
    if found is None:
        return None
    value: Any = grown(scorer, 0, n)
    changes = {name: _put(getattr(value, name), said.codes, rows) for name, rows in found.items()}
    made: Scorer = replace(value, **changes)
    return made


def beside(scorer: Scorer, said: Said) -> Scorer | None:
    """A scorer that knows what it would know of these items, were this said of them, behind all items that it knows.

    So several descriptions of one item can be compared: ``said.codes`` may name it more than once. None where the
    scorer knows items by their ids alone, or is made of several.
    """
    found = parts_of(scorer, said)
    if found is None:
        return None
    codes = np.arange(scorer.n_items, scorer.n_items + len(said.codes), dtype=np.int32)
    value: Any = grown(scorer, 0, scorer.n_items + len(codes))
    changes = {name: _put(getattr(value, name), codes, rows) for name, rows in found.items()}
    made: Scorer = replace(value, **changes)
    return made


def renamed(scorer: Scorer, names: Mapping[str, str]) -> Scorer:
    """The scorer, reading columns of the items by their new names where it reads any by itself."""
    if isinstance(scorer, Calibrated):
        return replace(scorer, part=renamed(scorer.part, names))
    if isinstance(scorer, Blend):
        return replace(scorer, parts=tuple(renamed(part, names) for part in scorer.parts))
    if isinstance(scorer, Profiles | Summed) and scorer.terms.size:
        return replace(scorer, terms=Terms.unpack(scorer.terms).renamed(names).pack())
    return scorer


def _put(table: Any, codes: Ids, rows: Any) -> Any:
    if isinstance(table, csr_array):
        order = np.arange(table.shape[0])
        order[codes] = table.shape[0] + np.arange(len(codes))
        return csr_array(vstack([table, rows], "csr")[order])
    out = table.copy()
    out[codes] = rows
    return out


def _summed(scorer: Summed, said: Said) -> dict[str, Any]:
    d = scorer.items.shape[1]
    now = scorer.described(said.now)
    inside = said.codes < scorer.n_items
    codes = said.codes[inside]
    weight = scorer.own[codes][:, None]
    before = scorer.described(said.before[np.flatnonzero(inside).tolist()])
    had = np.concatenate([scorer.items[codes], scorer.history[codes]], axis=1)
    moved = had + weight * (np.nan_to_num(now[inside]) - np.nan_to_num(before))
    now[inside] = np.where(weight > 0, moved, now[inside])
    return {"items": now[:, :d], "history": now[:, d:], "own": _own(scorer, said.codes)}


def _own(scorer: Summed, codes: Ids) -> Floats:
    """What features weigh beside the items' own vectors: new items have none."""
    own = np.zeros(len(codes), np.float32)
    inside = codes < scorer.n_items
    own[inside] = scorer.own[codes[inside]]
    return own


def _asked(scorer: Asked, said: Said) -> dict[str, Any]:
    assert said.features is not None
    now = scorer.described(len(said.codes), said.features.items(said.now))
    inside = said.codes < scorer.n_items
    codes, rows = said.codes[inside], np.flatnonzero(inside)
    if not len(rows):
        return now
    before = scorer.described(len(rows), said.features.items(said.before[rows.tolist()]))
    for name, table in now.items():
        had = getattr(scorer, name)[codes]
        table[rows] = _moved(had, table[rows], before[name], table.shape[1] - (scorer.biased and name == "items"))
    return now


def _moved(had: Floats, now: Floats, before: Floats, d: int) -> Floats:
    """What was learned of items, with what is said of them exchanged. Vectors of length 1 stay so.

    Args:
        had: ``[c, d]`` or ``[c, d + 1]`` with biases, as learned; NaN where nothing was.
        now, before: what the features say.
        d: how many numbers are the vector.
    """
    out = had + now - before
    for table in (had, now, before):
        lengths = np.linalg.norm(table[:, :d], axis=1)
        if not (np.abs(lengths[np.isfinite(lengths)] - 1) < CLOSE).all():
            break
    else:
        out[:, :d] /= np.maximum(np.linalg.norm(out[:, :d], axis=1, keepdims=True), np.finfo(np.float32).tiny)
    found: Floats = np.where(np.isfinite(had).all(axis=1, keepdims=True), out, now)
    return found


__all__ = ["ItemFeatures", "Said", "beside", "parts_of", "renamed", "told"]
