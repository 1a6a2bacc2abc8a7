"""Features that the columns of unknown tables suggest: a first proposal, to be changed in the recipe."""

from __future__ import annotations

import re
from collections.abc import Iterable

import polars as pl

from serendip.data.features.declared import (
    Age,
    Category,
    Cycle,
    Feature,
    Hash,
    Number,
    Recency,
    Side,
    Text,
    Vector,
)
from serendip.data.schema import Schema
from serendip.data.times import SMALLEST_UNIX, parse

FEW_VALUES = 32
"""Whole numbers with at most so many values are taken for names of groups; of more texts, those that one row has alone
are out of the vocabulary where most are such, and where all are, nothing is left."""
MOST_VALUES = 100_000
"""A column with more values is hashed."""
NAMES = re.compile(r"(^|[^a-z0-9])(id|code)$", re.IGNORECASE)
"""Columns whose whole numbers are names."""
LONG_TEXT = 3.0
"""Texts with so many words on average, or more, are read as text."""


def suggest(
    schema: Schema, events: pl.DataFrame, users: pl.DataFrame | None = None, items: pl.DataFrame | None = None
) -> dict[str, Feature]:
    """A feature for every column of the tables that differs between rows, the context columns that are no labels and,
    where times are moments, the hour, the day of the week and the example age.

    Args:
        schema: what the columns mean.
        events, users, items: the tables.
    """
    unix = schema.time_kind == "unix"
    found: dict[str, Feature] = {}
    tables: tuple[tuple[Side, pl.DataFrame | None, str, Iterable[str]], ...] = (
        ("item", items, schema.item_key or schema.item, [] if items is None else items.columns),
        ("user", users, schema.user_key or schema.user, [] if users is None else users.columns),
        ("context", events, "", [name for name in schema.context if name not in (*schema.labels, schema.rating)]),
    )
    for side, table, key, columns in tables:
        for column in columns:
            if table is None or column == key:
                continue
            name = _free(column, side, found)
            made = _of_column(table[column], side, "" if name == column else column, schema, unix)
            if made is not None:
                found[name] = made
    if unix:
        found[_free("hour_of_day", "context", found)] = Cycle(period="day")
        found[_free("day_of_week", "context", found)] = Cycle(period="week")
        found[_free("example_age", "context", found)] = Age()
    return found


def _of_column(column: pl.Series, side: Side, named: str, schema: Schema, unix: bool) -> Feature | None:
    """The feature that a column suggests; None where it says nothing."""
    kind, known = column.dtype, column.drop_nulls()
    if kind.is_float():
        known = known.drop_nans()
    if not len(known):
        return None
    if isinstance(kind, pl.List | pl.Array):
        inner = kind.inner
        assert isinstance(inner, pl.DataType)
        return Vector(side=side, column=named) if inner.is_float() else _listed(side, named, inner)
    if kind.is_nested() or known.n_unique() < 2:
        return None
    name = column.name
    if side == "item" and name in (*schema.text, schema.title):
        return Text(side=side, column=named)
    if side == "item" and name in schema.categories:
        return Category(side=side, column=named, multivalent=_is_several(known, "|,"))
    if _holds_moments(known):
        return Recency(side=side, column=named) if unix and side != "context" else None
    if kind == pl.Boolean or (kind.is_integer() and known.n_unique() <= FEW_VALUES):
        return Category(side=side, column=named)
    if kind.is_numeric() and not (kind.is_integer() and NAMES.search(name)):
        return Number(side=side, column=named)
    return _of_text(known, side, named)


def _of_text(known: pl.Series, side: Side, named: str) -> Feature | None:
    text = known.cast(pl.String)
    if _is_several(text, "|"):
        return Category(side=side, column=named, multivalent=True)
    distinct = text.n_unique()
    words = float(text.str.count_matches(r"\S+").mean())  # type: ignore[arg-type]
    if words >= LONG_TEXT and 2 * distinct > len(text):
        return Text(side=side, column=named)
    if distinct > MOST_VALUES:
        return Hash(side=side, column=named)
    if distinct == len(text) > FEW_VALUES:
        return None
    mostly_unique = distinct > FEW_VALUES and 2 * distinct > len(text)
    return Category(side=side, column=named, min_count=2 if mostly_unique else 1)


def _listed(side: Side, named: str, inner: pl.DataType) -> Feature | None:
    return None if inner.is_nested() else Category(side=side, column=named, multivalent=True)


def _is_several(column: pl.Series, separators: str) -> bool:
    if column.dtype != pl.String:
        return False
    return any(bool(column.str.contains(sign, literal=True).any()) for sign in separators)


def _holds_moments(known: pl.Series) -> bool:
    """Dates, ISO texts, or numbers as large as moments are; not years."""
    if known.dtype in (pl.Boolean, pl.Time, pl.Duration) or isinstance(known.dtype, pl.Categorical | pl.Enum):
        return False
    if known.dtype.is_numeric():
        return known.dtype.is_integer() and bool((known.cast(pl.Int64, strict=False) >= SMALLEST_UNIX).all())
    if known.dtype == pl.String and known.str.strip_chars().cast(pl.Float64, strict=False).is_not_null().any():
        return False
    read = parse(known, "unix")
    return read is not None and not read.bad.any()


def _free(column: str, side: Side, taken: Iterable[str]) -> str:
    """A name for the feature of a column that no other feature has."""
    plain = re.sub(r"[^\w-]+", "_", column).strip("_")[:80] or side
    name, number = plain if plain not in taken else f"{side}_{plain}"[:90], 2
    while name in taken:
        name, number = f"{side}_{plain}"[:80] + f"_{number}", number + 1
    return name
