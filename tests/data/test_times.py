"""Times of every unit, type and notation are the same seconds."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serendip.data.times import Times, iso, kind_of, parse

NOON = 1_577_880_000  # 2020-01-01 12:00:00 UTC
BERLIN = ZoneInfo("Europe/Berlin")


def parsed(column: pl.Series, kind: Any = "unix") -> Times:
    times = parse(column, kind)
    assert times is not None
    return times


def seconds(column: pl.Series, kind: Any = "unix") -> list[int | None]:
    times = parsed(column, kind)
    values = times.seconds(np.arange(len(column))).tolist()
    return [None if bad else value for value, bad in zip(values, times.bad, strict=True)]


@pytest.mark.parametrize(
    ("column", "note"),
    [
        (pl.Series([NOON]), "unix seconds (UTC)"),
        (pl.Series([NOON * 10**3]), "unix milliseconds (UTC)"),
        (pl.Series([NOON * 10**6]), "unix microseconds (UTC)"),
        (pl.Series([NOON * 10**9]), "unix nanoseconds (UTC)"),
        (pl.Series([NOON], dtype=pl.UInt64), "unix seconds (UTC)"),
        (pl.Series([float(NOON)]), "unix seconds (UTC)"),
        (pl.Series([NOON + 0.75]), "unix seconds with fractions (UTC)"),
        (pl.Series([NOON * 1000 + 0.5]), "unix milliseconds with fractions (UTC)"),
        (pl.Series([Decimal(NOON)]), "unix seconds (UTC)"),
        (pl.Series([str(NOON)]), "unix seconds (UTC)"),
        (pl.Series([dt.datetime(2020, 1, 1, 12)]), "times without a zone, taken as UTC"),
        (pl.Series([dt.datetime(2020, 1, 1, 12)], dtype=pl.Datetime("ns")), "times without a zone, taken as UTC"),
        (pl.Series([dt.datetime(2020, 1, 1, 13, tzinfo=BERLIN)]), "times of the zone Europe/Berlin"),
        (pl.Series(["2020-01-01T12:00:00Z"]), "ISO texts"),
        (pl.Series(["2020-01-01T14:00:00+02:00"]), "ISO texts"),
        (pl.Series(["2020-01-01T12:00:00.250Z"]), "ISO texts"),
        (pl.Series([" 2020-01-01 12:00:00 "]), "ISO texts, taken as UTC where they name no zone"),
        (pl.Series(["2020-01-01T12:00:00.999"]), "ISO texts, taken as UTC where they name no zone"),
        (pl.Series(["2020-01-01 12:00"]), "ISO texts, taken as UTC where they name no zone"),
        (pl.Series(["2020/01/01 12:00:00"]), "ISO texts, taken as UTC where they name no zone"),
    ],
)  # fmt: skip
def test_noon_is_noon_however_it_is_written(column: pl.Series, note: str) -> None:
    assert seconds(column) == [NOON]
    assert parsed(column).note == note


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([dt.date(2020, 1, 1)]),
        pl.Series(["2020-01-01"]),
        pl.Series(["2020/01/01"]),
        pl.Series([20200101]),
        pl.Series(["20200101"]),
    ],
)
def test_a_date_is_its_midnight(column: pl.Series) -> None:
    assert seconds(column) == [NOON - 43_200]
    assert "UTC" in parsed(column).note


def test_texts_of_one_column_may_differ() -> None:
    column = pl.Series(
        ["2020-01-01T12:00:00Z", "2020-01-01 12:00:00", "2020-01-01", None, "", "yesterday", "13/01/2020"]
    )
    assert seconds(column) == [NOON, NOON, NOON - 43_200, None, None, None, None]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([NOON, None, NOON]),
        pl.Series([float(NOON), float("nan"), float(NOON)]),
        pl.Series([NOON + 0.5, float("inf"), NOON + 0.5]),
        pl.Series([str(NOON), "soon", str(NOON)]),
        pl.Series(["2020-01-01 12:00", "soon", "2020-01-01 12:00"]),
        pl.Series([20200101, 20200230, 20200101]),
        pl.Series([dt.date(2020, 1, 1), None, dt.date(2020, 1, 1)]),
    ],
)
def test_what_is_no_time_is_marked(column: pl.Series) -> None:
    assert parsed(column).bad.tolist() == [False, True, False]


@pytest.mark.parametrize(
    "column", [pl.Series([True]), pl.Series([[1]]), pl.Series([dt.timedelta(1)]), pl.Series([b"1"])]
)
def test_other_types_hold_no_times(column: pl.Series) -> None:
    assert parse(column, "unix") is None


def test_one_wrong_unit_does_not_change_the_unit_of_the_column() -> None:
    times = parsed(pl.Series([NOON, NOON + 1, NOON * 1000]))
    assert times.per_second == 1
    assert times.key.tolist() == [NOON, NOON + 1, NOON * 1000]


def test_the_order_within_a_second_is_kept() -> None:
    assert parsed(pl.Series([NOON * 1000 + 7, NOON * 1000 + 3])).key.tolist() == [NOON * 1000 + 7, NOON * 1000 + 3]
    assert parsed(pl.Series([NOON + 0.5, NOON + 0.25])).key.tolist() == [NOON * 10**6 + 500_000, NOON * 10**6 + 250_000]
    assert seconds(pl.Series([-1500, -2000] + [NOON * 1000] * 5))[:2] == [-2, -2], "seconds are rounded down"


def test_ranks_are_taken_as_they_are() -> None:
    assert seconds(pl.Series([0, 5, NOON * 1000]), "rank") == [0, 5, NOON * 1000]
    assert seconds(pl.Series([1.0, None, 2.0]), "rank") == [1, None, 2]
    assert parse(pl.Series([0.5, 1]), "rank") is None
    assert parse(pl.Series([dt.date(2020, 1, 1)]), "rank") is None
    assert parse(pl.Series(["a", "b"]), "rank") is None


def test_the_kind_is_seen_in_the_values() -> None:
    assert kind_of(pl.Series([0, 1, 2])) == "rank"
    assert kind_of(pl.Series([NOON])) == "unix"
    assert kind_of(pl.Series([20200101])) == "unix"
    assert kind_of(pl.Series(["2020-01-01"])) == "unix"
    assert kind_of(pl.Series([], dtype=pl.Int64)) == "unix"
    assert kind_of(pl.Series([None, None])) == "unix"


@given(st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2090, 1, 1), timezones=st.just(dt.UTC)))
def test_every_notation_of_a_moment_is_the_same_second(moment: dt.datetime) -> None:
    expected = int(moment.timestamp() // 1)
    assert seconds(pl.Series([moment])) == [expected]
    assert seconds(pl.Series([moment.isoformat()])) == [expected]
    assert seconds(pl.Series([moment.replace(tzinfo=None).isoformat(sep=" ")])) == [expected]
    assert iso(expected) == moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z"
