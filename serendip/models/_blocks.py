"""Features of users, items and days as blocks that many ratings share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from serendip.data.schema import split_categories
from serendip.types import SerendipError

BINS = 10
FEW = 20  # distinct numbers up to which each is a category of its own
DAY = 86_400


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Rows of features, and which row each rating has.

    Attributes:
        case: ``[m]`` row of each rating.
        features: ``[rows, c]``.
        groups: ``[c]`` the group of each feature, within the block: those share a prior.
        names: of the groups.
    """

    case: NDArray[np.int32]
    features: csr_array
    groups: NDArray[np.int64]
    names: tuple[str, ...]

    @classmethod
    def of(cls, case: NDArray[np.int32], parts: Sequence[tuple[str, csr_array]]) -> Block:
        """A block of features side by side, a group for each part."""
        groups = np.repeat(np.arange(len(parts)), [part.shape[1] for _, part in parts])
        features = csr_array(hstack([part for _, part in parts], "csr"), dtype=np.float64)
        return cls(case.astype(np.int32), features, groups, tuple(name for name, _ in parts))


def one_each(n: int) -> csr_array:
    """A feature of its own for each row."""
    return csr_array((np.ones(n), np.arange(n), np.arange(n + 1)), shape=(n, n))


def sets(rows: NDArray[np.int32], members: NDArray[np.int32], shape: tuple[int, int]) -> csr_array:
    """What belongs to each row, each with weight ``1 / √(size of the set)``."""
    matrix = csr_array((np.ones(len(rows)), (rows, members)), shape=shape)
    matrix.sum_duplicates()
    size = np.diff(matrix.indptr)
    matrix.data = np.repeat(np.maximum(size, 1) ** -0.5, size)
    return matrix


def chosen_columns(model: str, option: str, wanted: str, table: pl.DataFrame, leave: Sequence[str]) -> list[str]:
    """The columns that ``auto``, ``none`` or a list of names separated by commas stands for.

    ``auto`` takes every column but those in ``leave`` and those that tell nearly every row apart (more distinct values
    than half of the rows, numbers excepted).

    Raises:
        SerendipError: a name that is not a column, with the columns there are.
    """
    columns = table.columns[1:]
    if wanted.strip() in ("none", ""):
        return []
    if wanted.strip() != "auto":
        names = [name.strip() for name in wanted.split(",") if name.strip()]
        for name in names:
            if name not in columns:
                listed = ", ".join(columns) or "none"
                raise SerendipError(
                    f"{model}: {option} must name columns of the table. Got {name!r} instead. It has: {listed}."
                )
        return names
    return [name for name in columns if name not in leave and _shared(table[name])]


def _shared(column: pl.Series) -> bool:
    values = column.drop_nulls()
    if column.dtype.is_nested():
        values = values.explode().drop_nulls()
    return len(values) > 0 and (column.dtype.is_numeric() or values.n_unique() <= len(values) / 2)


def attribute(column: pl.Series, categories: bool) -> csr_array:
    """``[rows, values]`` what a column says of each row; a row of which it says nothing is empty.

    Numbers of more than `FEW` kinds become bins that hold about equally many; lists, and columns of categories, weigh
    ``1 / √(how many)`` each.
    """
    if categories or column.dtype.is_nested():
        lists = split_categories(column)
        table = pl.DataFrame({"row": np.arange(len(lists), dtype=np.int32), "value": lists})
        table = table.explode("value").drop_nulls()
    else:
        values = _binned(column) if column.dtype.is_numeric() else column.cast(pl.String)
        table = pl.DataFrame({"row": np.arange(len(values), dtype=np.int32), "value": values}).drop_nulls()
    kinds = table["value"].unique().sort()
    place = table["value"].replace_strict(kinds, np.arange(len(kinds)), return_dtype=pl.Int32)
    return sets(table["row"].to_numpy(), place.to_numpy(), (len(column), len(kinds)))


def _binned(column: pl.Series) -> pl.Series:
    numbers = column.cast(pl.Float64).fill_nan(None)
    given = numbers.drop_nulls()
    if given.n_unique() <= FEW:
        return numbers
    edges = np.unique(np.quantile(given.to_numpy(), np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = pl.Series(column.name, np.searchsorted(edges, numbers.fill_null(0).to_numpy(), side="right"))
    return bins.to_frame().select(pl.when(numbers.is_not_null()).then(pl.col(column.name))).to_series()
