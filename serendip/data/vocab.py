"""External ids ↔ dense codes: frozen, translated once, at the edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.types import ABSENT, Ids

ExternalId = int | str
INTEGER_TEXT_DIGITS = 18


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
        """The sorted distinct ids of the columns: Int64 where all are integers, String otherwise."""
        parts = [normalise(column) for column in columns]
        if any(part.dtype == pl.String for part in parts):
            parts = [part.cast(pl.String) for part in parts]
        return cls(pl.concat([part.unique() for part in parts]).unique().sort().rename("id"))

    def encode(self, values: pl.Series | NDArray[Any] | Sequence[Any]) -> Ids:
        """Codes ``[m]`` int32 of external ids; `ABSENT` for an unknown or null one. Ids given as text find integers."""
        column = normalise(values if isinstance(values, pl.Series) else pl.Series(values, strict=False))
        if self.is_integer:
            return self._encode_integers(column.cast(pl.Int64, strict=False))
        frame = pl.DataFrame({"id": column.cast(pl.String)})
        codes = frame.join(self._lookup, on="id", how="left", maintain_order="left")["code"]
        return codes.fill_null(ABSENT).to_numpy().astype(np.int32, copy=False)

    def decode(self, codes: Ids) -> pl.Series:
        """External ids of the codes, null where `ABSENT`."""
        index = pl.Series(np.where(codes == ABSENT, None, codes)) if (codes == ABSENT).any() else pl.Series(codes)
        return self.ids.gather(index.cast(pl.UInt32))

    def find(self, value: object) -> int:
        """The code of one id as it comes from JSON or a command line (``1`` and ``"1"`` are the same id), or `ABSENT`."""
        if isinstance(value, bool) or not isinstance(value, int | str):
            return ABSENT
        if self.is_integer:
            if isinstance(value, str):
                text = value.strip()
                if not text.lstrip("-").isdecimal() or len(text) > INTEGER_TEXT_DIGITS:
                    return ABSENT
                value = int(text)
            return self._codes.get(value, ABSENT)
        return self._codes.get(str(value), ABSENT)

    def extend(self, values: pl.Series) -> Vocab:
        """This vocabulary with the unknown ids of ``values`` appended, sorted among themselves."""
        new = Vocab.build(values).ids.cast(self.ids.dtype)
        fresh = new.filter(pl.Series(self.encode(new) == ABSENT))
        return Vocab(pl.concat([self.ids, fresh.alias(self.ids.name)]))

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


def normalise(column: pl.Series) -> pl.Series:
    """An id column as Int64 or String: integers of any width, integral floats and categories are accepted.

    Raises:
        TypeError: for a column that cannot hold ids (fractional numbers, lists, dates).
    """
    if column.dtype == pl.Null:
        return column.cast(pl.String)
    if column.dtype.is_integer():
        return column.cast(pl.Int64)
    if column.dtype == pl.String:
        return column
    if column.dtype in (pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    if column.dtype.is_float() and bool((column.drop_nulls().is_finite() & (column.drop_nulls() % 1 == 0)).all()):
        return column.cast(pl.Int64)
    raise TypeError(f"ids must be integers or text. Got {column.dtype} instead.")
