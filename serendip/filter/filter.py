"""A parsed filter, and the items of a table that it allows."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from operator import and_, or_
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.features.values import separator_of
from serendip.filter.language import (
    Both,
    Compare,
    Condition,
    Either,
    FilterError,
    Has,
    In,
    Missing,
    Not,
    Value,
    names,
    read,
    written,
)
from serendip.types import pack_mask

SHOWN = 12
"""How many attributes an error names."""


@dataclass(frozen=True, eq=False)
class Allowed:
    """The items that a filter allows.

    Attributes:
        bits: ``[1, ceil(n/8)]`` as `serendip.types.Queries.allow` takes them.
        count: how many they are.
    """

    bits: NDArray[np.uint8]
    count: int


@dataclass(frozen=True)
class Unmet:
    """A condition that an item does not fulfil.

    Attributes:
        condition: as a text.
        values: of the attributes that it is about, what the item has; None: it is missing.
    """

    condition: str
    values: tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Filter:
    """Conditions on the attributes of items. Made by `parse`.

    What is missing fulfils no condition but ``is missing``, and not its opposite either: neither ``price < 20`` nor
    ``not price < 20`` allows an item without a price.

    Attributes:
        text: as it was written.
        tree: its conditions.
    """

    text: str
    tree: Condition = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes that it is about."""
        return tuple(dict.fromkeys(names(self.tree)))

    def mask(self, items: pl.DataFrame) -> NDArray[np.bool_]:
        """``[n]`` which rows of a table of items it allows.

        Raises:
            FilterError: an attribute that the table does not have, or a value of another type than the attribute's.
        """
        if items.height == 0:
            _expression(self.tree, items)
            return np.zeros(0, bool)
        found = items.select(_expression(self.tree, items).fill_null(False).alias("allowed"))["allowed"]
        return np.broadcast_to(found.to_numpy(), (items.height,)).copy()

    def allowed(self, items: pl.DataFrame) -> Allowed:
        """As `mask`, packed.

        Raises:
            FilterError: as `mask`.
        """
        mask = self.mask(items)
        return Allowed(pack_mask(mask), int(mask.sum()))

    def unmet(self, items: pl.DataFrame) -> tuple[Unmet, ...]:
        """What keeps the one row of a table from being allowed; nothing where it is.

        Of conditions that must all hold, those that do not; of some of which one must, all of them together.

        Raises:
            FilterError: as `mask`.
        """
        return tuple(
            Unmet(written(part), tuple((name, items[name].to_list()[0]) for name in dict.fromkeys(names(part))))
            for part in _unmet(self.tree, items)
        )


def parse(text: str) -> Filter:
    """Read a filter such as ``category in ["a", "b"] and price < 20``; `serendip.filter.language` has the grammar.

    * ``==  !=  <  <=  >  >=`` compare a number, a text, a truth value (the first two signs) or a date, written as a
      text such as ``"2026-01-31"`` or ``"2026-01-31T12:00:00"``.
    * ``in [...]`` and ``not in [...]``: one of several values.
    * ``has`` and ``not has``: of an attribute with several values (a list, or a text parted by ``|`` or ``,``), one.
    * ``is missing`` and ``is not missing``.
    * ``and``, ``or``, ``not`` and parentheses; ``and`` binds more strongly than ``or``.

    Raises:
        FilterError: what is wrong, where, and what was expected.
    """
    return Filter(text, read(text))


def _unmet(tree: Condition, items: pl.DataFrame) -> Iterator[Condition]:
    """The smallest conditions that must all hold, and do not of the one row."""
    if isinstance(tree, Both):
        for part in tree.parts:
            yield from _unmet(part, items)
    elif not items.select(_expression(tree, items).fill_null(False).alias("allowed"))["allowed"][0]:
        yield tree


def _expression(tree: Condition, items: pl.DataFrame) -> pl.Expr:
    match tree:
        case Not(part):
            return ~_expression(part, items)
        case Both(parts):
            return reduce(and_, (_expression(part, items) for part in parts))
        case Either(parts):
            return reduce(or_, (_expression(part, items) for part in parts))
        case Missing(name):
            return _known(_column(name, items)).is_null()
        case Compare(name, order, value):
            return _compared(_column(name, items), order, value)
        case In(name, values):
            column = _column(name, items)
            wanted = [_literal(column, value, "in") for value in values]
            if not wanted:
                return pl.when(_known(column).is_not_null()).then(pl.lit(False))
            return reduce(or_, (_known(column) == one for one in wanted))
        case Has(name, value):
            return _has(_column(name, items), value)


def _column(name: str, items: pl.DataFrame) -> pl.Series:
    if name in items.columns:
        return items[name]
    there = items.columns
    near = difflib.get_close_matches(name, there, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise FilterError(f"A filter must be about attributes of the items: {_some(there)}. Got {name!r} instead.{hint}")


def _known(column: pl.Series) -> pl.Expr:
    """The column, null where it is missing or no number."""
    one = pl.col(column.name)
    if column.dtype.is_float():
        return one.fill_nan(None)
    return one.cast(pl.String) if isinstance(column.dtype, pl.Categorical | pl.Enum) else one


def _compared(column: pl.Series, order: str, value: Value) -> pl.Expr:
    literal, known = _literal(column, value, order), _known(column)
    match order:
        case "==":
            return known == literal
        case "!=":
            return known != literal
        case "<":
            return known < literal
        case "<=":
            return known <= literal
        case ">":
            return known > literal
    return known >= literal


def _has(column: pl.Series, value: Value) -> pl.Expr:
    kind, inner = _kind(column.dtype), _inner(column.dtype)
    if kind == "several values" and inner is not None:
        within = pl.Series(column.name, [], dtype=inner)
        several = pl.col(column.name)
        if isinstance(column.dtype, pl.Array):
            several = several.arr.to_list()
        return several.list.eval(_known_element(inner) == _literal(within, value, "has")).list.any()
    if kind != "text":
        raise _misfit(column, "has must be about an attribute with several values", value)
    if not isinstance(value, str):
        raise _misfit(column, "has must come with a text in quotes", value)
    text = _known(column)
    parts = text.str.split(separator_of(column)).list.eval(pl.element().str.strip_chars() == pl.lit(value))
    return parts.list.any()


def _known_element(inner: pl.DataType) -> pl.Expr:
    return pl.element().cast(pl.String) if isinstance(inner, pl.Categorical | pl.Enum) else pl.element()


def _literal(column: pl.Series, value: Value, order: str) -> pl.Expr:
    """The value as the column holds such.

    Raises:
        FilterError: it holds no such.
    """
    kind = _kind(column.dtype)
    match kind:
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            return pl.lit(value)
        case "text" if isinstance(value, str):
            return pl.lit(value)
        case "true or false" if isinstance(value, bool) and order in ("==", "!=", "in", "has"):
            return pl.lit(value)
        case "date" if isinstance(value, str):
            return pl.lit(_moment(column, value)).cast(column.dtype)
        case "several values":
            raise _misfit(column, f"{order} cannot be about an attribute with several values. Try: has", value)
        case "something else":
            raise _misfit(column, "no condition but is missing can be about an attribute of this type", value)
    wanted = {
        "number": "a number",
        "text": "a text in quotes",
        "true or false": "true or false, after == or !=",
        "date": 'a date in quotes, such as "2026-01-31"',
    }[kind]
    raise _misfit(column, f"{order} must come with {wanted}", value)


def _moment(column: pl.Series, text: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise _misfit(column, 'a date must be written such as "2026-01-31" or "2026-01-31T12:00:00"', text) from None
    zone = getattr(column.dtype, "time_zone", None)
    if moment.tzinfo is None:
        return moment if zone is None else moment.replace(tzinfo=datetime.UTC)
    utc = moment.astimezone(datetime.UTC)
    return utc if zone is not None else utc.replace(tzinfo=None)


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_numeric():
        return "number"
    if dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum):
        return "text"
    if dtype == pl.Boolean:
        return "true or false"
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        return "date"
    inner = _inner(dtype)
    plain = inner is not None and _kind(inner) in ("number", "text", "true or false", "date")
    return "several values" if plain else "something else"


def _inner(dtype: pl.DataType) -> pl.DataType | None:
    return cast("pl.DataType", dtype.inner) if isinstance(dtype, pl.List | pl.Array) else None


def _misfit(column: pl.Series, rule: str, value: Value) -> FilterError:
    return FilterError(
        f"The filter does not fit the attribute {column.name!r} ({_kind(column.dtype)}): {rule}. Got {value!r:.80}."
    )


def _some(names_: Iterable[str]) -> str:
    all_names = list(names_)
    return ", ".join(all_names[:SHOWN]) + (" …" if len(all_names) > SHOWN else "")
