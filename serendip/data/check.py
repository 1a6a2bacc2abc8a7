"""Checking columns: what is wrong with each goes to the findings, what is right comes back as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from msgspec.structs import replace
from numpy.typing import NDArray

from serendip.data.findings import Findings
from serendip.data.roles import listed, near
from serendip.data.schema import LabelKind, Schema
from serendip.data.table import Table
from serendip.data.times import SMALLEST_UNIX, Times, iso, parse
from serendip.data.vocab import Coded, factorise
from serendip.types import ABSENT, Floats, Ids, SerendipError

DAY = 86_400
MOST_EVENT_TYPES = 1000
MOST_OTHERS = 16
"""Kinds besides the target: each is a bag of its own in every query."""
LIKE_MISSING = ("nan", "none", "null", "na", "n/a", "nil", "undefined")
"""Texts that other tools write where a value is missing."""
ASIDE = "Try repairing these rows, or rejects=FILE (--rejects FILE), which sets them aside."
LARGEST_RATING = 1e6
"""Ratings beyond it, on either side of 0, are on no scale that people use; their squares would outweigh all others."""
LARGEST = 1e12
"""Counts and durations beyond it are no such thing: as milliseconds it is thirty years."""
RANGES: dict[LabelKind, str] = {
    "binary": "0 or 1",
    "count": "a whole number ≥ 0 and at most 1e12",
    "rating": "a number from -1e6 to 1e6",
    "duration": "a number ≥ 0 and at most 1e12",
}
SCALE = "Where it stands for no rating, make it empty; otherwise try a smaller scale."


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """The columns of an event log in the order of the file; refused rows hold anything.

    Attributes:
        users, items: ids.
        times: when, or None.
        weight: ``[m]`` strength of interest ≥ 0.
        kind: ``[m]`` int16 position in ``schema.event_types`` (`ABSENT`: not said), or None.
        labels, context: further columns by name.
        schema: with the event types that occur.
    """

    users: Coded
    items: Coded
    times: Times | None
    weight: Floats
    kind: NDArray[np.int16] | None
    labels: dict[str, Floats]
    context: dict[str, NDArray[Any]]
    schema: Schema


def check_events(table: Table, schema: Schema, now: float, found: Findings, *, part: bool = False) -> Log | None:
    """Check an event log; what is wrong goes to ``found``. None where a column is missing.

    Args:
        table: the log.
        schema: what its columns mean.
        now: unix seconds; events more than a day later are refused.
        found: takes the findings.
        part: whether this is a part of a log, which may hold nothing of the target.
    """
    found.ragged(table)
    asked = [schema.user, schema.item, schema.timestamp, schema.weight, schema.rating, schema.event_type]
    named = dict.fromkeys(name for name in [*asked, *schema.labels, *schema.context] if name is not None)
    if not has_columns(table, list(named), found):
        return None
    weight = np.ones(len(table.frame), np.float32)
    if schema.weight is not None:
        weight = _check_weight(table, schema.weight, found)
    labels = {name: _check_label(table, name, kind, found) for name, kind in schema.labels.items()}
    if schema.rating is not None:
        labels["rating"] = _check_rating(table, schema.rating, found)
        if schema.positive_from is not None:
            if not np.isfinite(schema.positive_from):
                found.error("positive_from", f"expected a finite number. Got {schema.positive_from} instead.", "")
            weight = np.where(labels["rating"] < schema.positive_from, np.float32(0), weight)
    kind = None
    if schema.event_type is not None:
        kind, schema = _check_kinds(table, schema.event_type, schema, found, part=part)
        factors = [*map(schema.weight_of, schema.event_types), 0.0 if schema.target else 1.0]
        weight = _times_kind(table, weight, np.array(factors)[kind], str(schema.event_type), found)
    total, most = float(weight.sum(dtype=np.float64)), float(np.finfo(np.float32).max)
    if total > most:
        what = f"expected weights whose sum is at most {most:.1e}, as 32 bits hold. Got {total:.1e} instead."
        found.error(table.name, what, "Try smaller ones, such as their logarithms.")
    timed = schema.timestamp is not None and schema.time_kind != "none"
    return Log(
        check_ids(table, schema.user, found),
        check_ids(table, schema.item, found),
        _check_times(table, str(schema.timestamp), schema, now, found) if timed else None,
        weight,
        kind,
        labels,
        {name: _plain(table.frame[name]) for name in schema.context},
        schema,
    )


def has_columns(table: Table, names: list[str], found: Findings) -> bool:
    """Whether the table has these columns; those that it lacks are errors."""
    missing = [name for name in names if name not in table.frame.columns]
    columns = table.frame.columns
    for name in missing:
        what = f'expected a column "{name}". Got the columns {listed(columns)} instead.'
        found.error(table.name, what, near(name, columns) or f"Try {found.naming}.")
    return not missing


def check_ids(table: Table, column: str, found: Findings) -> Coded:
    """The ids of a column: missing and blank ones are refused, blanks around an id are removed."""
    series = table.frame[column]
    try:
        coded = factorise(series)
    except SerendipError as error:
        hint = "Try casting the column to text or to whole numbers."
        found.error(f'{table.name}: column "{column}"', str(error), hint)
        return Coded(np.full(len(series), ABSENT, np.int32), pl.Series("id", [], dtype=pl.Int64))
    codes, values = coded.codes, coded.values
    if values.dtype == pl.String:
        trimmed = values.str.strip_chars()
        blank, padded = (trimmed == "").to_numpy(), (trimmed != values).to_numpy()
        if blank.any() or padded.any():
            # One more place, so that ABSENT (the last) finds False.
            around = np.append(padded & ~blank, False)[codes]
            repaired = f"blanks around ids were removed: {int(around.sum()):,}."
            found.repair(table, column, around, "an id without blanks around it", repaired, ASIDE)
            merged = factorise(trimmed)
            codes = np.append(np.where(blank, ABSENT, merged.codes), ABSENT)[codes].astype(np.int32)
            values = merged.values
        _warn_of_missing(table, column, codes, values, found)
    found.refuse(table, column, codes == ABSENT, "an id", ASIDE)
    return Coded(codes, values)


def _warn_of_missing(table: Table, column: str, codes: Ids, values: pl.Series, found: Findings) -> None:
    odd = values.str.to_lowercase().is_in(LIKE_MISSING)
    if odd.any():
        rows = np.flatnonzero(np.append(odd.to_numpy(), False)[codes])
        what = f"ids that look like missing values: {listed(values.filter(odd))}. They are kept."
        found.warn(table.where(rows, column), what, "Where they stand for no id, make them empty.", len(rows))


def _check_times(table: Table, column: str, schema: Schema, now: float, found: Findings) -> Times | None:
    rank = schema.time_kind == "rank"
    times = parse(table.frame[column], schema.time_kind)
    if times is None:
        wanted = "whole numbers that order a user's events" if rank else "unix times, ISO texts or dates"
        what = f"expected {wanted}. Got {table.frame[column].dtype} instead."
        hint = "" if rank else "Try time_kind='rank' (--time-kind rank) for an order, or 'none'."
        found.error(f'{table.name}: column "{column}"', what, hint)
        return None
    expected = "a whole number" if rank else "a time (unix number, ISO 8601 text or date)"
    found.refuse(table, column, times.bad, expected, ASIDE)
    if rank:
        found.note(f'{table.name}: column "{column}" is an order within each user, not a moment (time_kind="rank").')
    else:
        found.note(f'{table.name}: column "{column}" holds {times.note}.')
        hint = f"{ASIDE} If the column only orders a user's events, try time_kind='rank' (--time-kind rank)."
        found.refuse(table, column, (times.key < 0) & ~times.bad, "a time after 1970", hint)
        late = times.key > int((now + DAY) * times.per_second)
        found.refuse(table, column, late, f"a time before {iso(int(now) + DAY)}", hint)
    known = times.key if not times.bad.any() else times.key[~times.bad]
    if not rank and len(known):
        _warn_of_early(table, column, times, known, found)
    if len(known) > 1 and known.min() == known.max():
        what = "all events have the same time, so it says nothing."
        found.warn(f'{table.name}: column "{column}"', what, "", len(known))
    return times


def _warn_of_early(table: Table, column: str, times: Times, known: NDArray[np.int64], found: Findings) -> None:
    """Times around 1970 are an order where most are such, and missing values or another unit where few are."""
    least = SMALLEST_UNIX * times.per_second
    if known.min() >= least:
        return
    if np.median(known) < least:
        what = f"half of the times are before {iso(SMALLEST_UNIX)}, which is early for a log."
        found.warn(f'{table.name}: column "{column}"', what, "If they are an order, try time_kind='rank'.", len(known))
        return
    early = np.flatnonzero((times.key < least) & (times.key >= 0) & ~times.bad)
    if len(early):
        what = f"times before {iso(SMALLEST_UNIX)}, far from the others: {len(early):,}. They are kept."
        hint = "Check that none stands for a missing time, and that all are in one unit."
        found.warn(table.where(early, column), what, hint, len(early))


def _numbers(table: Table, column: str, found: Findings) -> pl.Series | None:
    """The column as Float32, null where there is nothing; text that is no number is refused. None for other types."""
    series = table.frame[column]
    if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        return series.cast(pl.Float32)
    if isinstance(series.dtype, pl.String | pl.Categorical | pl.Enum):
        numbers = series.cast(pl.String).str.strip_chars().cast(pl.Float32, strict=False)
        found.refuse(table, column, _worded(series, numbers), "a number", ASIDE)
        return numbers
    hint = f"Try casting the column, or {found.naming}."
    found.error(f'{table.name}: column "{column}"', f"expected numbers. Got {series.dtype} instead.", hint)
    return None


def _worded(series: pl.Series, numbers: pl.Series) -> NDArray[np.bool_]:
    """``[m]`` where a column holds text that is no number."""
    if series.dtype.is_numeric() or not numbers.null_count():
        return np.zeros(len(series), bool)
    text = series.cast(pl.String).str.strip_chars()
    return (numbers.is_null() & (text != "").fill_null(False)).to_numpy()


def _floats(numbers: pl.Series) -> Floats:
    return numbers.fill_null(float("nan")).to_numpy()


def _check_weight(table: Table, column: str, found: Findings) -> Floats:
    numbers = _numbers(table, column, found)
    if numbers is None:
        return np.ones(len(table.frame), np.float32)
    weight = _floats(numbers)
    bad = ~(np.isfinite(weight) & (weight >= 0))
    found.refuse(table, column, bad & ~_worded(table.frame[column], numbers), "a finite weight ≥ 0", ASIDE)
    good = weight[~bad] if bad.any() else weight
    if len(good) > 1 and good.min() == good.max():
        what = f"all weights are {good[0]:g}, so they say nothing."
        found.warn(f'{table.name}: column "{column}"', what, "", len(good))
    return np.where(bad, np.float32(0), weight)


def _times_kind(table: Table, weight: Floats, factor: NDArray[np.float64], column: str, found: Findings) -> Floats:
    """Weights times those of the kinds, which must stay within 32 bits."""
    with np.errstate(invalid="ignore"):  # a kind of infinite weight is an error already
        product = weight * factor
    bad = product > np.finfo(np.float32).max
    found.refuse(table, column, bad, "a weight that stays finite times that of its kind", ASIDE)
    return np.where(bad, 0, product).astype(np.float32)


def _check_rating(table: Table, column: str, found: Findings) -> Floats:
    numbers = _numbers(table, column, found)
    if numbers is None:
        return np.full(len(table.frame), np.nan, np.float32)
    bad = (~(numbers.abs() <= LARGEST_RATING)).fill_null(False).to_numpy()
    found.refuse(table, column, bad, "a rating from -1e6 to 1e6", f"{SCALE} {ASIDE}")
    zeros = (numbers == 0).fill_null(False).to_numpy()
    if zeros.any():
        what = f"ratings of 0: {int(zeros.sum()):,}. They are kept as ratings."
        hint = "Where 0 means not rated, make it empty."
        found.warn(table.where(np.flatnonzero(zeros), column), what, hint, int(zeros.sum()))
    unrated = numbers.null_count()
    if unrated:
        what = f"events without a rating: {unrated:,}. They are kept."
        found.warn(table.where(np.flatnonzero(numbers.is_null().to_numpy()), column), what, "", unrated)
    return _floats(numbers)


def fitting(kind: LabelKind, numbers: pl.Expr) -> pl.Expr:
    """Whether numbers are labels of that kind; null where there is none."""
    long = numbers.is_finite() & (numbers >= 0) & (numbers <= LARGEST)
    return {
        "binary": numbers.is_in([0.0, 1.0]),
        "count": long & (numbers == numbers.floor()),
        "rating": numbers.is_finite() & (numbers.abs() <= LARGEST_RATING),
        "duration": long,
    }[kind]


def _check_label(table: Table, column: str, kind: LabelKind, found: Findings) -> Floats:
    numbers = _numbers(table, column, found)
    if numbers is None:
        return np.full(len(table.frame), np.nan, np.float32)
    fits = numbers.to_frame(column).select(fitting(kind, pl.col(column))).to_series()
    hint = f"{ASIDE} Or try another kind in labels: {', '.join(RANGES)}."
    found.refuse(table, column, (~fits).fill_null(False).to_numpy(), f"{RANGES[kind]} (a label of kind {kind})", hint)
    return _floats(numbers)


def _check_kinds(
    table: Table, column: str, schema: Schema, found: Findings, *, part: bool
) -> tuple[NDArray[np.int16], Schema]:
    """The kind of each event, and the schema with all kinds that occur."""
    where = f'{table.name}: column "{column}"'
    nothing = np.full(len(table.frame), ABSENT, np.int16)
    hint = "Try naming another column (--columns event_type=…), or none (--columns event_type=)."
    try:
        coded = factorise(table.frame[column])
    except SerendipError:
        found.error(where, f"expected the kind of each event, as text. Got {table.frame[column].dtype} instead.", hint)
        return nothing, schema
    names = coded.values.cast(pl.String).str.strip_chars()
    occurring = sorted(set(names.to_list()) - {""})
    kinds = list(dict.fromkeys([*schema.event_types, *occurring]))
    if len(kinds) > MOST_EVENT_TYPES:
        found.error(where, f"expected at most {MOST_EVENT_TYPES} kinds of events. Got {len(kinds):,} instead.", hint)
        return nothing, schema
    for name, weight in schema.event_weights.items():
        if not (np.isfinite(weight) and weight >= 0):
            found.error("event_weights", f"expected a finite weight ≥ 0 for {name!r}. Got {weight} instead.", "")
        if name not in kinds:
            what = f"{name!r} has a weight but does not occur. The kinds are {listed(kinds)}. {near(name, kinds)}"
            found.warn("event_weights", what.strip(), "")
    _check_target(schema, kinds if part else occurring, kinds, found, part=part)
    code = {name: position for position, name in enumerate(kinds)}
    positions = np.array([*(code.get(name, ABSENT) for name in names), ABSENT], np.int16)
    kind = positions[coded.codes]
    unsaid = np.flatnonzero(kind == ABSENT)
    if len(unsaid):
        what = f"events that do not say of what kind they are: {len(unsaid):,}. They are kept."
        found.warn(table.where(unsaid, column), what, "", len(unsaid))
    return kind, replace(schema, event_types=tuple(kinds))


def _check_target(schema: Schema, there: list[str], kinds: list[str], found: Findings, *, part: bool) -> None:
    """That the target is ``there`` to be foretold, and that there are not too many other kinds to be read beside it."""
    if not schema.target:
        return
    for name in schema.target:
        if schema.weight_of(name) == 0:
            found.error("target", f"expected a weight above 0 for {name!r}. Got 0 instead.", "See event_weights.")
    absent = [name for name in schema.target if name not in there]
    for name in absent:
        what = f"{name!r} is to be foretold but does not occur. The kinds are {listed(there)}.".strip()
        if part or len(absent) < len(schema.target):
            found.warn("target", f"{what} {near(name, there)}".strip(), "")
        else:
            found.error("target", what, near(name, there) or "Try one of these as the target, or none.")
    others = [name for name in kinds if name not in schema.target]
    if len(others) > MOST_OTHERS:
        what = f"expected at most {MOST_OTHERS} kinds of events besides the target. Got {len(others):,} instead."
        found.error("target", what, "Try one name for kinds that mean much the same, or leave some out of the log.")


def _plain(column: pl.Series) -> NDArray[Any]:
    """A context column for NumPy: numbers (NaN where missing), times as unix seconds, the rest as objects."""
    if column.dtype == pl.Boolean:
        column = column.cast(pl.Float32)
    elif isinstance(column.dtype, pl.Datetime | pl.Date):
        column = column.cast(pl.Datetime("us")).dt.epoch("us") / 1e6
    elif isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    return column.to_numpy()
