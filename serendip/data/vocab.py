"""External ids ↔ dense codes: frozen, translated once, at the edge."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.types import ABSENT, Ids, SerendipError

ExternalId = int | str
INTEGER = re.compile(r"-?[0-9]{1,19}")
EXACT_IN_FLOAT = 2.0**53


@dataclass(frozen=True, eq=False)
class Vocab:
    """The distinct external ids of one kind; an id's position is its code.

    Attributes:
        ids: ``[n]`` distinct ids, Int64 or String. Sorted when built from data, so that codes do not depend on the
            order of rows; `extend` appends, so that codes already given stay what they are.
    """

    ids: pl.Series

    def __post_init__(self) -> None:
        if self.ids.dtype not in (pl.Int64, pl.String):
            raise TypeError(f"Vocab ids must be Int64 or String. Got {self.ids.dtype} instead.")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_integer(self) -> bool:
        """Whether the stored ids are integers (replies use the stored type)."""
        return self.ids.dtype == pl.Int64

    @classmethod
    def build(cls, *columns: pl.Series) -> Vocab:
        """The sorted distinct ids of the columns, nulls left out: Int64 where all are integers, String otherwise.

        Raises:
            SerendipError: a column that cannot hold ids.
        """
        parts = [normalise(column).drop_nulls() for column in columns]
        if any(part.dtype == pl.String and len(part) for part in parts):
            parts = [part.cast(pl.String) for part in parts]
        else:
            parts = [part.cast(pl.Int64) for part in parts] or [pl.Series(dtype=pl.Int64)]
        return cls(pl.concat([part.rename("id").unique() for part in parts]).unique().sort())

    def encode(self, values: pl.Series | NDArray[Any] | Sequence[Any]) -> Ids:
        """Codes ``[m]`` int32 of external ids; `ABSENT` for an unknown or null one.

        Integers and their texts are the same id, as in `find`; blanks around a text do not count.

        Raises:
            SerendipError: values that cannot be ids.
        """
        column = normalise(values if isinstance(values, pl.Series) else _series(values))
        if self.is_integer:
            return self._encode_integers(_integers(column) if column.dtype == pl.String else column)
        frame = pl.DataFrame({"id": column.cast(pl.String).str.strip_chars()})
        codes = frame.join(self._lookup, on="id", how="left", maintain_order="left")["code"]
        return codes.fill_null(ABSENT).to_numpy().astype(np.int32, copy=False)

    def decode(self, codes: Ids) -> pl.Series:
        """External ids of the codes, null where `ABSENT`."""
        known = codes != ABSENT
        if known.all():
            return self.ids[codes]
        places = pl.select(pl.when(pl.Series(known)).then(pl.Series(codes, dtype=pl.Int64))).to_series()
        return self.ids.gather(places)

    def find(self, value: object) -> int:
        """The code of one id as JSON or a command line gives it (``1`` and ``"1"`` are the same id), or `ABSENT`."""
        if isinstance(value, bool) or not isinstance(value, int | str):
            return ABSENT
        text = str(value).strip()
        if not self.is_integer:
            return self._codes.get(text, ABSENT)
        if not INTEGER.fullmatch(text) or str(int(text)) != text:
            return ABSENT
        return self._codes.get(int(text), ABSENT)

    def extend(self, values: pl.Series) -> Vocab:
        """This vocabulary with the unknown ids of ``values`` appended, sorted among themselves.

        Raises:
            SerendipError: texts that are no integers where the ids are integers.
        """
        new = Vocab.build(values).ids
        if self.is_integer and new.dtype == pl.String:
            whole = _integers(new)
            if whole.null_count():
                odd = new.filter(whole.is_null())[0]
                raise SerendipError(f"ids must be integers, as those that are there. Got {odd!r} instead.")
            new = whole.sort()
        new = new.cast(self.ids.dtype)
        fresh = new.filter(pl.Series(self.encode(new) == ABSENT, dtype=pl.Boolean))
        return Vocab(pl.concat([self.ids, fresh.rename(self.ids.name)]))

    @cached_property
    def _codes(self) -> dict[ExternalId, int]:
        return {value: code for code, value in enumerate(self.ids.to_list())}

    @cached_property
    def _lookup(self) -> pl.DataFrame:
        return pl.DataFrame({"id": self.ids, "code": np.arange(len(self.ids), dtype=np.int32)})

    @cached_property
    def _order(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ids = self.ids.to_numpy()
        order = np.argsort(ids, kind="stable")
        return ids[order], order

    def _encode_integers(self, column: pl.Series) -> Ids:
        if len(self) == 0:
            return np.full(len(column), ABSENT, np.int32)
        null = column.is_null().to_numpy()
        values = column.fill_null(0).to_numpy()
        ids, order = self._order
        place = np.minimum(np.searchsorted(ids, values), len(ids) - 1)
        return np.where((ids[place] == values) & ~null, order[place], ABSENT).astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A column of ids as positions in its distinct values.

    Attributes:
        codes: ``[m]`` positions, `ABSENT` where the id is missing.
        values: ``[d]`` distinct ids, Int64 or String, in the order of their first row.
    """

    codes: Ids
    values: pl.Series


def factorise(column: pl.Series) -> Coded:
    """The distinct ids of a column and where each row's id is among them.

    Raises:
        SerendipError: a column that cannot hold ids.
    """
    encoded = normalise(column).to_arrow().dictionary_encode()
    codes = encoded.indices.fill_null(ABSENT).to_numpy()
    return Coded(codes.astype(np.int32, copy=False), pl.Series("id", encoded.dictionary))


def normalise(column: pl.Series) -> pl.Series:
    """An id column as Int64 or String: integers of any width (beyond 64 bits as text), integral floats, categories.

    Raises:
        SerendipError: a column that cannot hold ids: fractions, floats too large to be exact, booleans, lists, dates.
    """
    dtype = column.dtype
    if dtype == pl.String:
        return column
    if dtype == pl.Null or isinstance(dtype, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    if dtype.is_integer() or dtype.is_decimal():
        exact = column.cast(pl.Int64, strict=False)
        if exact.null_count() == column.null_count() and (dtype.is_integer() or bool((exact == column).all())):
            return exact
        if dtype.is_integer():
            return column.cast(pl.String)
    if dtype.is_float():
        known = column.fill_nan(None)
        odd = known.filter(~known.is_finite() | (known != known.floor()) | (known.abs() > EXACT_IN_FLOAT))
        if not len(odd):
            return known.cast(pl.Int64)
        raise SerendipError(f"ids must be integers or text. Got the number {odd[0]} instead.")
    raise SerendipError(f"ids must be integers or text. Got {dtype} instead.")


def _series(values: NDArray[Any] | Sequence[Any]) -> pl.Series:
    """Ids from plain Python or NumPy; integers and texts may be mixed."""
    plain = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if any(isinstance(value, str) for value in plain):
        return pl.Series([None if value is None else str(value) for value in plain], dtype=pl.String)
    return pl.Series(plain, strict=False)


def _integers(column: pl.Series) -> pl.Series:
    """Texts as the integers they are the usual way to write, null where they are none: ``007`` is not the id 7."""
    trimmed = column.str.strip_chars()
    whole = trimmed.cast(pl.Int64, strict=False)
    return pl.select(pl.when(whole.cast(pl.String) == trimmed).then(whole)).to_series()
