"""What lists do besides being right: coverage, exposure, novelty, popularity, diversity. Truth plays no part here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.data.dataset import Dataset
from serendip.types import ABSENT, Ids

Values = NDArray[np.float64]

_CELLS = 1 << 22  # entries of a sparse sum held at a time by `diversity`


def exposure(items: Ids, n_items: int) -> NDArray[np.int64]:
    """``[n]`` how many places of the lists ``[q, k]`` each item holds."""
    return np.bincount(items[items != ABSENT], minlength=n_items)


def coverage(counts: NDArray[np.int64]) -> float:
    """Share of the catalogue with at least one place; ``counts`` ``[n]`` as of `exposure`. NaN without any item."""
    return float(np.mean(counts > 0)) if len(counts) else float("nan")


def gini(counts: NDArray[np.int64]) -> float:
    """Gini coefficient of ``counts`` ``[n]``: ``Σ_i (2i − n − 1) c_(i) / (n Σ c)``, c ascending, i from 1.

    0 where all items have equally many places, ``1 − 1/n`` where one has them all; NaN without any place.
    """
    n, total = len(counts), counts.sum()
    if total == 0:
        return float("nan")
    weights = 2 * np.arange(1, n + 1) - n - 1
    return float(weights @ np.sort(counts).astype(np.float64) / (n * total))


def holders(train: Dataset) -> NDArray[np.int64]:
    """``[n]`` how many training users have each item (an event with interest)."""
    matrix = train.matrix()
    return np.bincount(matrix.indices, minlength=train.n_items)


def novelty(items: Ids, having: NDArray[np.int64], n_users: int) -> Values:
    """Mean self-information ``−log2 p`` of the items of each list, p being the share of users who have the item.

    An item that nobody has counts as one user's. NaN for an empty list.
    Source: Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 107(10), 2010.

    Shapes: items ``[q, k]``; having ``[n]`` as of `holders`; the result ``[q]``.
    """
    information = -np.log2(np.maximum(having, 1) / max(n_users, 1))
    return _list_mean(items, information)


def popularity(items: Ids, having: NDArray[np.int64]) -> Values:
    """Mean of ``having`` (as of `holders`) over the items of each list ``[q, k]``; NaN for an empty list."""
    return _list_mean(items, having.astype(np.float64))


def _list_mean(items: Ids, values: Values) -> Values:
    shown = items != ABSENT
    total = (np.append(values, 0.0)[items] * shown).sum(axis=1)
    count = shown.sum(axis=1)
    mean: Values = np.divide(total, count, out=np.full(len(items), np.nan), where=count > 0)
    return mean


@dataclass(frozen=True, slots=True, eq=False)
class ItemSpace:
    """What `diversity` compares items by.

    Attributes:
        basis: ``categories`` or ``users``.
        vectors: ``[n, f]`` rows of length 1; a row without entries for an item about which nothing is known.
    """

    basis: str
    vectors: csr_array


def item_space(train: Dataset) -> ItemSpace:
    """The categories of the items (one dimension each) where any item has one, their training users otherwise."""
    categories = _categories(train)
    if categories.nnz:
        return ItemSpace("categories", _unit_rows(categories))
    return ItemSpace("users", _unit_rows(csr_array(train.matrix().T)))


def diversity(items: Ids, space: ItemSpace) -> Values:
    """Mean of 1 − cosine over all pairs of items of each list; items without a vector are left out.

    NaN for a list with fewer than two items that have a vector.
    Source: Ziegler et al., "Improving recommendation lists through topic diversification", WWW 2005 (the mean instead
    of their sum, a distance instead of a similarity).

    Shapes: items ``[q, k]``; the result ``[q]``. Since rows have length 1, ``Σ_{i≠j} v_i·v_j = |Σ v_i|² − m``.
    """
    sizes = np.append(np.diff(space.vectors.indptr), 0)[items]
    known = sizes > 0
    count = known.sum(axis=1)
    out = np.full(len(items), np.nan)
    ends = np.cumsum(sizes.sum(axis=1))
    for rows in np.split(np.arange(len(items)), np.flatnonzero(np.diff(ends // _CELLS)) + 1):
        place = known[rows]
        chosen = items[rows][place]
        indptr = np.concatenate([[0], np.cumsum(place.sum(axis=1))])
        shape = (len(rows), space.vectors.shape[0])
        total = csr_array((np.ones(len(chosen)), chosen, indptr), shape=shape) @ space.vectors
        squares = np.bincount(np.repeat(np.arange(len(rows)), np.diff(total.indptr)), total.data**2, len(rows))
        m = count[rows]
        cosine = np.divide(squares - m, m * (m - 1), out=np.full(len(rows), np.nan), where=m > 1)
        out[rows] = np.clip(1 - cosine, 0, 2)
    return out


def _unit_rows(matrix: csr_array) -> csr_array:
    data = matrix.data.astype(np.float64)
    owner = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    length = np.sqrt(np.bincount(owner, data**2, matrix.shape[0]))
    return csr_array((data / length[owner], matrix.indices, matrix.indptr), shape=matrix.shape)


def _categories(train: Dataset) -> csr_array:
    """Items × distinct (column, category), 1 where the item has it."""
    parts = []
    for column in train.schema.categories:
        if column not in train.items.columns:
            continue
        values = pl.DataFrame({"code": np.arange(train.n_items), "value": train.items[column]})
        if isinstance(values.schema["value"], pl.List):
            values = values.explode("value")
        parts.append(values.drop_nulls().with_columns(pl.lit(column).alias("column"), pl.col("value").cast(pl.String)))
    if not parts:
        return csr_array((train.n_items, 0), dtype=np.float64)
    table = pl.concat(parts).unique(maintain_order=True)
    label = table.select(pl.struct("column", "value").rank("dense")).to_series().to_numpy().astype(np.int64)
    shape = (train.n_items, int(label.max(initial=0)))
    return csr_array((np.ones(len(table)), (table["code"].to_numpy(), label - 1)), shape=shape)
