"""What a bundle knows of its users, and what is said of whoever asks, made into the features of queries."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.bundle.ids import some
from serendip.data.dataset import Dataset
from serendip.data.features import Features
from serendip.pipeline import scoring
from serendip.types import Featured, Ids, Queries, SerendipError, Stage

Said = Mapping[str, Any]
NUMERIC = re.compile(r"\s*[-+]?[\d.]+(e[-+]?\d+)?\s*", re.IGNORECASE)
MOMENT = "is when events were, and was left out: when it is asked is said by time"
"""What is said of an attribute that is named like the column with the times of events."""
SCALARS = (str, bool, int, float, datetime.date)


def read_by(pipeline: Stage) -> frozenset[str]:
    """The names of the features that scorers of the pipeline read."""
    scorers = [part.scorer for part in scoring(pipeline)]
    return frozenset(name for one in scorers if isinstance(one, Featured) for name in one.feature_names)


@dataclass(frozen=True, eq=False)
class Attributes:
    """Features of those who ask.

    Attributes:
        features: that some scorer reads.
        users: ``user_id`` and the columns that features of users read; row i for code i.
    """

    features: Features
    users: pl.DataFrame

    @classmethod
    def of(cls, data: Dataset, pipeline: Stage, items: Mapping[str, str]) -> Attributes | None:
        """What the scorers of a pipeline need of the data they were fitted on; None where they read no features.

        Args:
            data: with the features.
            pipeline: whose scorers.
            items: new names of columns of the items.

        Raises:
            SerendipError: a scorer reads features that the data do not have.
        """
        names = read_by(pipeline)
        if not names:
            return None
        known = {one.name for one in data.features.inputs} if data.features is not None else set()
        if data.features is None or not names <= known:
            raise SerendipError(
                "A bundle's data must have the features that its pipeline reads. "
                f"Lacking: {some(sorted(names - known))}. Try: declare them in [features], and fit on the same data."
            )
        features = data.features.only(names).renamed("item", items)
        columns = [name for name in features.columns("user") if name in data.users.columns and name != "user_id"]
        return cls(features, plain(data.users.select("user_id", *columns)))

    @cached_property
    def columns(self) -> frozenset[str]:
        """The columns that features of those who ask read."""
        return frozenset((*self.features.columns("user"), *self.features.columns("context")))

    def read(self, said: Any, q: int, *, single: bool) -> tuple[list[Said | None], tuple[str, ...]]:
        """What is said of each query by column, and a note on what no feature reads.

        Args:
            said: a mapping per query (None: nothing), or one mapping where ``single``.
            q: how many queries there are.
            single: whether the query was asked for by one id, not by a list.

        Raises:
            SerendipError: something else, or values that are neither texts nor numbers nor lists of them.
        """
        parts = [said] if single and isinstance(said, Mapping) else said
        listed = list(parts) if isinstance(parts, Iterable) and not isinstance(parts, str | Mapping) else []
        if len(listed) != q or not all(part is None or isinstance(part, Mapping) for part in listed):
            raise SerendipError(
                f"attributes must hold one mapping of columns (or None) per user, {q} in all. Got {said!r:.80}."
            )
        for part in listed:
            for name, value in (part or {}).items():
                _check(name, value)
        strange = dict.fromkeys(name for part in listed for name in part or {} if name not in self.columns)
        notes = [f"attributes: {some([name])} {MOMENT}" for name in strange if self.is_moment(name)]
        unread = [name for name in strange if not self.is_moment(name)]
        if unread:
            notes.append(f"attributes: {len(unread)} that no model reads: {some(unread)}")
        return listed, tuple(notes)

    def is_moment(self, name: str) -> bool:
        """Whether the column is that of the times of events: when somebody asks is said by ``time``, not by it."""
        return bool(name) and name == self.features.clock and name not in self.columns

    def filled(self, queries: Queries, said: Sequence[Said | None] | None = None) -> Queries:
        """The queries with their features: of the users as they are known, or as is said now.

        What is said of a known user replaces what is stored column by column.

        Raises:
            SerendipError: values of another type than in training.
        """
        asked = self.features.asked(queries, self._of(queries.users))
        told = {row: part for row, part in enumerate(said or ()) if part}
        if not told:
            return asked
        where = np.array(list(told))
        users = self._told(queries.users[where], list(told.values()))
        moments = {name: [part.get(name) for part in told.values()] for name in self.features.columns("context")}
        features = {name: array.copy() for name, array in asked.features.items()}
        for rows in alike([*users.values(), *moments.values()], len(told)):
            some = self.features.users(_frame(users, rows))
            part = self.features.asked(queries.take(where[rows]), some, _frame(moments, rows))
            for name, array in features.items():
                array[where[rows]] = part.features[name]
        return replace(asked, features=features)

    def _of(self, codes: Ids) -> dict[str, NDArray[Any]]:
        """``[q]`` arrays of known users, nothing for the others."""
        known = (codes >= 0) & (codes < len(self.users))
        rows = np.where(known, codes, len(self.users))
        return {name: table[rows] for name, table in self._tables.items()}

    @cached_property
    def _tables(self) -> dict[str, NDArray[Any]]:
        """The arrays of all users, and a last row of somebody of whom nothing is known."""
        nobody = pl.DataFrame({name: [None] for name in self.users.columns}, schema=self.users.schema)
        return self.features.users(pl.concat([self.users, nobody]))

    def _told(self, codes: Ids, said: Sequence[Said]) -> dict[str, list[Any]]:
        """What is known of the users, as is said now where something is."""
        stored = self.users.select(pl.all().gather(_places(codes, len(self.users))))
        out: dict[str, list[Any]] = {}
        for name in self.features.columns("user"):
            known = stored[name].to_list() if name in stored.columns else [None] * len(said)
            out[name] = [part.get(name, value) for part, value in zip(said, known, strict=True)]
        return out


def alike(columns: Sequence[Sequence[Any]], q: int) -> list[NDArray[np.int64]]:
    """Rows that may stand in one table: no column then holds values of several kinds, which would be read in another
    way beside each other than alone. What is missing goes with any."""
    kinds = [[_kind(value) for value in column] for column in columns]
    mixed = [column for column in kinds if len(set(column) - {None}) > 1]
    groups: dict[tuple[str | None, ...], list[int]] = {}
    for row in range(q):
        groups.setdefault(tuple(column[row] for column in mixed), []).append(row)
    return [np.array(rows) for rows in groups.values()]


def _places(codes: Ids, n: int) -> pl.Series:
    """Codes as rows of a table of n, null for nobody."""
    known = pl.Series((codes >= 0) & (codes < n), dtype=pl.Boolean)
    return pl.Series(codes, dtype=pl.Int64).set(~known, None)


def plain(table: pl.DataFrame) -> pl.DataFrame:
    """The table in types that Parquet keeps."""
    return table.with_columns(
        pl.col(name).cast(pl.String) for name, kind in table.schema.items() if kind in (pl.Categorical, pl.Enum)
    )


def _check(name: Any, value: Any) -> None:
    parts = value if isinstance(value, list | tuple) else [value]
    if not isinstance(name, str) or not all(part is None or isinstance(part, SCALARS) for part in parts):
        raise SerendipError(
            f"attributes must be texts, numbers or lists of them, by column. Got {name!r}: {value!r:.80} instead."
        )


def _frame(columns: Mapping[str, Sequence[Any]], rows: NDArray[np.int64]) -> pl.DataFrame:
    return pl.DataFrame([_series(name, [values[row] for row in rows]) for name, values in columns.items()])


def _kind(value: Any) -> str | None:
    """How a value is read: None for nothing."""
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return "texts" if any(isinstance(part, str | datetime.date) for part in value) else "list"
    if isinstance(value, str):
        return "digits" if NUMERIC.fullmatch(value) else "text"
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return "digits"
    return "text" if isinstance(value, datetime.date) else "number"


def _series(name: str, values: Sequence[Any]) -> pl.Series:
    """Plain values as a column: lists where one is a list, texts where one is a text, a date or beyond 64 bits."""
    nested = any(isinstance(value, list | tuple) for value in values)
    lists = [None if value is None else list(value) if isinstance(value, list | tuple) else [value] for value in values]
    inner = [part for one in lists if one is not None for part in one if part is not None]
    if any(isinstance(part, str | datetime.date) or (isinstance(part, int) and abs(part) >= 1 << 63) for part in inner):
        lists = [None if one is None else [None if part is None else _text(part) for part in one] for one in lists]
    shown = lists if nested else [None if one is None else one[0] for one in lists]
    return pl.Series(name, shown, strict=False)


def _text(value: Any) -> str:
    """A value as features read it among texts."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


__all__ = ["Attributes", "alike", "plain", "read_by"]
