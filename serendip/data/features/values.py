"""Columns of whatever type as what features are made of: texts, numbers, moments and vectors; missing stays missing.

The same value gives the same text however it comes: ``3`` and ``3.0`` are ``"3"``, true is ``"1"``, blanks around a
text do not count, and composed and decomposed letters are one (Unicode NFC). NaN and empty texts are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.times import kind_of, parse
from serendip.data.vocab import factorise
from serendip.types import ABSENT, Floats, Ids, SerendipError

Doubles = NDArray[np.float64]

EXACT_IN_FLOAT = 2.0**53


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Rows that features are made of.

    Attributes:
        rows: how many.
        frame: their columns; one that is not there is missing in every row.
        clock: what the column with the times of events is called, or "".
        times: ``[rows]`` unix seconds of the event or request, or None.
        previous: ``[rows]`` unix seconds of the user's event before, NaN where there is none; or None.
        learning: whether these are examples to learn from, which have an age.
    """

    rows: int
    frame: pl.DataFrame
    clock: str = ""
    times: NDArray[np.int64] | None = None
    previous: Doubles | None = None
    learning: bool = False

    def column(self, name: str) -> pl.Series:
        """The column of that name; the times themselves under the name that they have in the events."""
        if name in self.frame.columns:
            return self.frame[name]
        if name and name == self.clock and self.times is not None:
            return pl.Series(name, self.times)
        return pl.Series(name, [None] * self.rows, dtype=pl.Null)


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Texts of some rows, several of a row in their order.

    Attributes:
        height: how many rows there are.
        rows: ``[v]`` the row of each value, rising.
        texts: ``[v]`` the values, String.
    """

    height: int
    rows: NDArray[np.int64]
    texts: pl.Series

    @property
    def widest(self) -> int:
        """The most values that a row has."""
        return int(np.bincount(self.rows, minlength=1).max(initial=0))

    def padded(self, codes: NDArray[Any], width: int) -> Ids:
        """``[height, width]`` the first codes of each row, `ABSENT` on the right; ``[height]`` for width 0."""
        first = np.searchsorted(self.rows, np.arange(self.height))
        place = np.arange(len(self.rows)) - first[self.rows]
        kept = place < max(width, 1)
        out = np.full((self.height, max(width, 1)), ABSENT, np.int32)
        out[self.rows[kept], place[kept]] = codes[kept]
        return out if width else out[:, 0]

    def map(self, code: Any) -> NDArray[Any]:
        """``[v, …]`` what ``code(distinct texts)`` gives for each value."""
        coded = factorise(self.texts)
        table: NDArray[Any] = code(coded.values.to_list())
        return table[coded.codes]


def single(name: str, column: pl.Series) -> Values:
    """One value a row.

    Raises:
        SerendipError: a column of lists.
    """
    if isinstance(column.dtype, pl.List | pl.Array):
        raise SerendipError(
            f"features.{name}: the column must hold one value a row. Got lists instead. Try one value, or, where "
            "the features are declared, multivalent = true."
        )
    rows = np.arange(len(column))
    if column.dtype == pl.Null:
        return Values(len(rows), rows[:0], pl.Series("value", [], dtype=pl.String))
    text = texts(name, column)
    if text.null_count():
        rows, text = rows[text.is_not_null().to_numpy()], text.drop_nulls()
    return Values(len(column), rows, text)


def several(name: str, column: pl.Series, separator: str) -> Values:
    """Several values a row: lists, or texts parted by ``separator``; each value once a row."""
    rows = np.arange(len(column))
    if column.dtype == pl.Null:
        return Values(len(rows), rows[:0], pl.Series("value", [], dtype=pl.String))
    if not isinstance(column.dtype, pl.List | pl.Array):
        column = texts(name, column).str.split(separator)
    elif isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    long = pl.DataFrame({"row": rows, "value": column}).explode("value")
    flat = pl.DataFrame({"row": long["row"], "value": texts(name, long["value"])}).drop_nulls()
    coded = factorise(flat["value"])
    once = np.unique(flat["row"].to_numpy() * len(coded.values) + coded.codes, return_index=True)[1]
    flat = flat if len(once) == len(flat) else flat[np.sort(once)]
    return Values(len(rows), flat["row"].to_numpy(), flat["value"])


def separator_of(column: pl.Series) -> str:
    """What parts the values of a text: ``|`` if any holds one, else ``,``."""
    if column.dtype != pl.String:
        return "|"
    return "|" if column.str.contains("|", literal=True).any() else ","


def prose(name: str, column: pl.Series) -> pl.Series:
    """As `texts`; a list of texts is taken for one text, a blank between its parts.

    Raises:
        SerendipError: neither texts nor lists of texts.
    """
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    if isinstance(column.dtype, pl.List) and not column.dtype.inner.is_nested():
        column = column.cast(pl.List(pl.String)).list.join(" ", ignore_nulls=True)
    return texts(name, column)


def texts(name: str, column: pl.Series) -> pl.Series:
    """The column as String, null where missing.

    Raises:
        SerendipError: values that are neither texts nor numbers nor dates.
    """
    kind, value = column.dtype, pl.col("value")
    if kind == pl.Boolean:
        text = value.cast(pl.Int8).cast(pl.String)
    elif kind.is_float() or kind.is_decimal():
        number = value.cast(pl.Float64).fill_nan(None)
        whole = (number == number.floor()) & (number.abs() < EXACT_IN_FLOAT)
        text = (
            pl.when(whole).then(number.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(number.cast(pl.String))
        )
    elif not kind.is_nested() and kind not in (pl.Object, pl.Binary):
        text = value.cast(pl.String)
    else:
        raise SerendipError(f"features.{name}: the column must hold texts or numbers. Got {kind} instead.")
    clean = text.str.strip_chars().str.normalize("NFC")
    made = pl.when(clean != "").then(clean).alias("value")
    frame = pl.DataFrame([column.alias("value")])
    if kind == pl.String:  # to look at values once takes a fraction of the time that every row does
        distinct = frame.unique()
        if distinct.select(made).equals(distinct):
            return frame["value"]
    return frame.select(made)["value"]


def numbers(name: str, column: pl.Series) -> Doubles:
    """The column as numbers, NaN where missing or infinite.

    Raises:
        SerendipError: values that are no numbers.
    """
    if column.dtype == pl.Null:
        return np.full(len(column), np.nan)
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        given = text.set(text == "", None)
        number = given.cast(pl.Float64, strict=False)
        odd = given.filter(number.is_null() & given.is_not_null())
        if len(odd):
            raise SerendipError(
                f"features.{name}: the column must hold numbers. Got {odd[0]!r:.80} instead. "
                'Try a number, or, where the features are declared, kind = "category".'
            )
    elif column.dtype.is_numeric() or column.dtype == pl.Boolean:
        number = column.cast(pl.Float64)
    else:
        raise SerendipError(f"features.{name}: the column must hold numbers. Got {column.dtype} instead.")
    values = number.fill_null(np.nan).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def unit_of(name: str, column: pl.Series) -> int:
    """How many units make a second, where a column holds moments as numbers; 0 where it says so by its type.

    Raises:
        SerendipError: numbers too small to be moments.
    """
    if not column.dtype.is_numeric():
        return 0
    if kind_of(column) == "rank":
        raise SerendipError(
            f"features.{name}: the column must hold dates or times, such as 2024-01-31 or unix seconds. "
            f'Got {column.drop_nulls()[0]} instead. Try a date, or, where the features are declared, kind = "number".'
        )
    read = parse(column, "unix")
    return 0 if read is None or read.note.startswith("dates") else read.per_second


def seconds(name: str, column: pl.Series, per_second: int) -> Doubles:
    """The column as unix seconds, NaN where missing; ``per_second`` as `unit_of` gave it for the training column.

    Raises:
        SerendipError: values that are no moments.
    """
    if column.dtype == pl.Null:
        return np.full(len(column), np.nan)
    if per_second and column.dtype.is_numeric():
        return numbers(name, column) / per_second
    read = parse(column, "unix")
    if read is None or (read.bad & column.is_not_null().to_numpy()).any():
        came = column.dtype if read is None else repr(column.filter(pl.Series(read.bad) & column.is_not_null())[0])
        raise SerendipError(
            f"features.{name}: the column must hold dates or times, such as 2024-01-31 or unix seconds. "
            f"Got {came} instead."
        )
    return np.where(read.bad, np.nan, read.key / read.per_second)


def vectors(name: str, column: pl.Series, width: int) -> Floats:
    """``[m, width]`` the lists of a column, NaN where a row has none; width 0: as wide as the first.

    Raises:
        SerendipError: no lists of numbers, or of unequal length.
    """
    lists = column.arr.to_list() if isinstance(column.dtype, pl.Array) else column
    inner = lists.dtype.inner if isinstance(lists.dtype, pl.List) else None
    if column.dtype == pl.Null or inner == pl.Null:
        return np.full((len(column), width), np.nan, np.float32)
    if inner is None or not inner.is_numeric():
        raise SerendipError(f"features.{name}: the column must hold lists of numbers. Got {column.dtype} instead.")
    lengths = lists.list.len()
    given = lists.is_not_null() & (lengths > 0).fill_null(False)
    wanted = width or int(lengths.filter(given).head(1).sum())
    odd = lengths.filter(given & (lengths != wanted))
    if len(odd):
        raise SerendipError(
            f"features.{name}: every list must have {wanted} numbers, as in training. Got one of {odd[0]} instead."
        )
    out = np.full((len(column), wanted), np.nan, np.float32)
    flat = lists.filter(given).explode().cast(pl.Float32).fill_null(np.nan).to_numpy()
    out[given.to_numpy()] = flat.reshape(-1, wanted)
    out[~np.isfinite(out)] = np.nan
    return out
