"""Times of any kind as integers: unix seconds in whatever unit and type, ISO texts, dates, or ranks."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.schema import TimeKind

UNITS = (
    (1e11, 1, "seconds"),
    (1e14, 10**3, "milliseconds"),
    (1e17, 10**6, "microseconds"),
    (np.inf, 10**9, "nanoseconds"),
)
"""Median below which a number is in the unit, units per second, name. 10¹¹ s is in the year 5138, 10¹¹ ms in 1973."""

SMALLEST_UNIX = 10**8
"""A median below it (3 March 1973 in seconds) is taken for an order, not for a moment."""

FORMATS = (
    "%+",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d",
)
"""Texts that are understood; the first has a zone, the others are taken as UTC."""

SAMPLE = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """Times as the source gives them, in whole numbers.

    Attributes:
        key: ``[m]`` int64, as fine as the source: what events are ordered by.
        per_second: how many units of ``key`` make a second; 1 for ranks.
        bad: ``[m]`` where there is no time, or none that can be read; ``key`` is 0 there.
        note: how the column was understood, or "".
    """

    key: NDArray[np.int64]
    per_second: int
    bad: NDArray[np.bool_]
    note: str

    def seconds(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Whole seconds (or ranks) of these rows, rounded down."""
        key = self.key[rows]
        return key if self.per_second == 1 else key // self.per_second


def kind_of(column: pl.Series) -> TimeKind:
    """``rank`` for small integers, which cannot be moments of this century or the last; ``unix`` otherwise."""
    values = _whole(column)
    if values is None:
        return "unix"
    sample = _sample(values)
    return "rank" if len(sample) and np.median(np.abs(sample)) < SMALLEST_UNIX and not _are_dates(sample) else "unix"


def parse(column: pl.Series, kind: TimeKind) -> Times | None:
    """The column as times of that kind; None for a type that holds no times."""
    if kind == "rank":
        whole = _whole(column)
        return None if whole is None else _times(whole, 1, "")
    if column.dtype == pl.String:
        whole = _whole(column)
        return _texts(column) if whole is None else _numbers(whole)
    if isinstance(column.dtype, pl.Datetime):
        zoned = column.dtype.time_zone is not None
        note = "times of the zone " + str(column.dtype.time_zone) if zoned else "times without a zone, taken as UTC"
        return _times(column.dt.epoch("us"), 10**6, note)
    if column.dtype == pl.Date:
        return _times(column.cast(pl.Datetime("us")).dt.epoch("us"), 10**6, "dates, taken as midnight UTC")
    if column.dtype.is_numeric():
        whole = _whole(column)
        return _fractions(column) if whole is None else _numbers(whole)
    return None


def _whole(column: pl.Series) -> pl.Series | None:
    """The column as Int64 if it holds whole numbers, also as floats or text; else None."""
    if column.dtype.is_integer():
        return column.cast(pl.Int64, strict=False)
    if column.dtype.is_float() or column.dtype.is_decimal():
        floats = column.cast(pl.Float64)
        known = floats.filter(floats.is_finite())
        return floats.cast(pl.Int64, strict=False) if len(known) and bool((known == known.floor()).all()) else None
    if column.dtype == pl.String:
        whole = column.str.strip_chars().cast(pl.Int64, strict=False)
        return whole if whole.count() > column.count() // 2 else None
    return None


def _sample(values: pl.Series) -> NDArray[np.int64]:
    """Enough values, evenly spread, to see what they are."""
    return values.gather_every(max(1, len(values) // SAMPLE)).drop_nulls().to_numpy()


def _are_dates(sample: NDArray[np.int64]) -> bool:
    """Whether all are written like 20240131."""
    year, month, day = sample // 10_000, sample // 100 % 100, sample % 100
    return bool(((year >= 1900) & (year <= 2100) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all())


def _unit(median: float) -> tuple[int, str]:
    return next((per_second, name) for limit, per_second, name in UNITS if median < limit)


def _numbers(values: pl.Series) -> Times:
    sample = _sample(values)
    if not len(sample):
        return _times(values, 1, "")
    if _are_dates(sample):
        dates = values.cast(pl.String).str.to_date("%Y%m%d", strict=False)
        return _times(dates.cast(pl.Datetime("us")).dt.epoch("us"), 10**6, "dates like 20240131, taken as midnight UTC")
    per_second, name = _unit(float(np.median(np.abs(sample))))
    return _times(values, per_second, f"unix {name} (UTC)")


def _fractions(column: pl.Series) -> Times:
    """Numbers with fractions, kept to the microsecond."""
    floats = column.cast(pl.Float64)
    known = floats.filter(floats.is_finite())
    per_second, name = _unit(float(np.median(np.abs(known.to_numpy())))) if len(known) else (1, "seconds")
    micros = (floats * (10**6 / per_second)).round().cast(pl.Int64, strict=False)
    return _times(micros, 10**6, f"unix {name} with fractions (UTC)")


def _texts(column: pl.Series) -> Times:
    """ISO 8601 texts; those of one column may be written in several ways."""
    text = column.str.strip_chars()
    micros = pl.Series(column.name, [None], dtype=pl.Int64).new_from_index(0, len(column))
    naive = False
    for form in FORMATS:
        left = micros.is_null() & text.is_not_null()
        if not left.any():
            break
        if form == "%+":
            read = text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
        elif "%H" in form:
            read = text.str.to_datetime(form, time_unit="us", strict=False)
        else:
            read = text.str.to_date(form, strict=False).cast(pl.Datetime("us"))
        fresh = read.dt.epoch("us").filter(left)
        naive |= form != "%+" and bool(fresh.is_not_null().any())
        micros = pl.select(pl.when(micros.is_null()).then(read.dt.epoch("us")).otherwise(micros)).to_series()
    return _times(micros, 10**6, "ISO texts" + (", taken as UTC where they name no zone" if naive else ""))


def _times(values: pl.Series, per_second: int, note: str) -> Times:
    return Times(values.fill_null(0).to_numpy(), per_second, values.is_null().to_numpy(), note)


def iso(second: int) -> str:
    """A unix second as ``2024-01-31T12:00:00Z``."""
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=second)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
