"""Whether features that were declared can be made of a data set, before any of them is fitted."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from serendip.data.features.declared import Age, Declared, Feature, Recency, Text, column_of
from serendip.types import SerendipError

if TYPE_CHECKING:
    from serendip.data.dataset import Dataset

NAME = re.compile(r"[\w-]{1,100}")
OWN = ("side", "column", "multivalent", "width", "pooling", "words", "characters", "chunks")
"""Options in which features that share a table may differ."""
WHERE = {"user": "the users table", "item": "the items table", "context": "the events"}


def as_declared(features: Any) -> dict[str, Feature]:
    """Features by name, given of their kinds or as a recipe has them: ``{"kind": "category", "side": "item"}``.

    Raises:
        SerendipError: something else.
    """
    try:
        plain = {name: msgspec.to_builtins(one) for name, one in dict(features).items()}
        return msgspec.convert(plain, dict[str, Feature])
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise SerendipError(
            'features must be declared by name, such as {"brand": {"kind": "category", "side": "item"}}. '
            f"Got {features!r:.80} instead: {error}."
        ) from error


def check(data: Dataset, declared: Mapping[str, Declared]) -> None:
    """That every feature has a column, the times it needs, and agrees with those it shares a table with.

    Raises:
        SerendipError: naming the feature, and what to try.
    """
    there = {
        "user": tuple(data.users.columns),
        "item": tuple(data.items.columns),
        "context": tuple(data.events.context) + ((data.schema.timestamp,) if data.schema.timestamp else ()),
    }
    for name, feature in declared.items():
        _check_name(name, feature)
        _check_use(data, name, feature)
        _check_times(data, name, feature)
        _check_column(name, feature, there)
    _check_tables(declared)


def _check_name(name: str, feature: Declared) -> None:
    for what, given in (("name", name), ("table", getattr(feature, "table", "") or name)):
        if not NAME.fullmatch(given):
            raise SerendipError(
                f"features.{name}: its {what} must be of letters, digits, _ and -. Got {given!r} instead. "
                "Try another one; the column may be called anything."
            )


def _check_use(data: Dataset, name: str, feature: Declared) -> None:
    """What would learn nothing, or the answer itself."""
    if isinstance(feature, Text) and not feature.words and not feature.characters:
        raise SerendipError(f"features.{name}: words must be 1 or more where no characters are read. Got 0 instead.")
    if feature.side == "context" and column_of(name, feature) == data.schema.item:
        raise SerendipError(
            f"features.{name}: the item of an event is what is to be foretold, and not known of the moment. "
            'Try another column, or side = "item".'
        )


def _check_times(data: Dataset, name: str, feature: Declared) -> None:
    """Whoever needs moments must have them: a rank says who came first, not when."""
    column = column_of(name, feature)
    of_log = isinstance(feature, Recency | Age) or column is None
    of_log |= feature.side == "context" and column == data.schema.timestamp
    if of_log and data.schema.time_kind != "unix":
        came = {"rank": 'ranks (the order within a user; time_kind is "rank")', "none": "none"}
        raise SerendipError(
            f"features.{name}: {_kind(feature)!r} needs events with times that are moments. "
            f"Got {came[data.schema.time_kind]}. Leave the feature out, or name a column with moments as timestamp."
        )


def _check_column(name: str, feature: Declared, there: Mapping[str, Sequence[str]]) -> None:
    column = column_of(name, feature)
    if column in there[feature.side] and (
        isinstance(feature, Age) or (isinstance(feature, Recency) and feature.side == "context")
    ):
        raise SerendipError(f"features.{name}: {_kind(feature)!r} of the moment takes no column. Leave it out.")
    require_column(name, feature, there)


def require_column(name: str, feature: Declared, there: Mapping[str, Sequence[str]]) -> None:
    """That a feature's column is among those of its side.

    Raises:
        SerendipError: with those that are there, and what to try.
    """
    column, known = column_of(name, feature), there[feature.side]
    if column is None or column in known:
        return
    close = difflib.get_close_matches(column, known, 1)
    elsewhere = [side for side, columns in there.items() if column in columns]
    hint = f" Did you mean {close[0]!r}?" if close else f' Try side = "{elsewhere[0]}".' if elsewhere else ""
    listed = ", ".join(known) or "none"
    raise SerendipError(
        f"features.{name}: expected a column {column!r} of {WHERE[feature.side]}. Got the columns {listed}.{hint}"
    )


def _check_tables(declared: Mapping[str, Declared]) -> None:
    """Features of one table must be of one kind, with the same options as far as the table goes."""
    first: dict[str, str] = {}
    for name, feature in declared.items():
        table = getattr(feature, "table", None)
        if table is None:
            continue
        other = first.setdefault(table or name, name)
        mine, its = _table_options(feature), _table_options(declared[other])
        if mine != its:
            odd = ", ".join(key for key in {**its, **mine} if mine.get(key) != its.get(key))
            raise SerendipError(
                f"features.{name} and features.{other} share the table {table or name!r} and must agree in {odd}. "
                "Try another table for one of them."
            )


def _table_options(feature: Declared) -> dict[str, object]:
    options = {key: value for key, value in msgspec.structs.asdict(feature).items() if key not in (*OWN, "table")}
    return {"kind": _kind(feature), **options}


def _kind(feature: Declared) -> str:
    return str(feature.__struct_config__.tag)
