from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.report import describe, recall

DAY = 86_400
MONDAY = 1_514_764_800  # 2018-01-01


def log(times: list[int], **columns: list[object]) -> pl.DataFrame:
    n = len(times)
    ids = {"user_id": [f"u{row % 3}" for row in range(n)], "item_id": [f"i{row % 4}" for row in range(n)]}
    return pl.DataFrame({**ids, "timestamp": times, **columns})


def dataset(times: list[int]) -> Dataset:
    return Dataset.from_frames(log(times), schema=Schema(timestamp="timestamp", time_kind="unix"))


def test_counts_shares_and_period_are_those_of_the_log() -> None:
    events = pl.DataFrame(
        {
            "user_id": [1, 1, 1, 2, 2, 3],
            "item_id": [10, 10, 11, 10, 12, 10],
            "timestamp": [MONDAY, MONDAY + 5, MONDAY + DAY, MONDAY, MONDAY, MONDAY + 9 * DAY],
        }
    )
    items = pl.DataFrame({"item_id": [10, 11, 12, 13]})
    facts = describe(Dataset.from_frames(events, items=items, schema=Schema(timestamp="timestamp", time_kind="unix")))
    assert (facts.events, facts.users, facts.items, facts.pairs) == (6, 3, 4, 5)
    assert facts.density == pytest.approx(5 / 12)
    assert facts.popularity.tolist() == [4, 1, 1, 0]
    assert facts.silent_items == 1
    assert facts.top_share(0.25) == pytest.approx(4 / 6)
    assert facts.per_user[1] == 2
    assert facts.gini == pytest.approx((2 * (-2 * 1 + 0 * 1 + 2 * 4)) / (2 * 3 * 6))
    assert (facts.first, facts.last) == ("2018-01-01", "2018-01-10")
    assert any("without an event" in str(finding) for finding in facts.findings("warning"))


def test_the_timeline_takes_the_finest_unit_that_is_not_too_fine() -> None:
    hours = describe(dataset([MONDAY + 600 * step for step in range(20)])).timeline
    days = describe(dataset([MONDAY + DAY * step for step in range(40)])).timeline
    weeks = describe(dataset([MONDAY + DAY * step for step in range(200)])).timeline
    months = describe(dataset([MONDAY + 20 * DAY * step for step in range(60)])).timeline
    years = describe(dataset([200 * DAY * (step + 1) for step in range(69)])).timeline
    assert [one and one.unit for one in (hours, days, weeks, months, years)] == ["hour", "day", "week", "month", "year"]
    assert hours and hours.starts[:2] == ("2018-01-01T00", "2018-01-01T01")
    assert hours.counts.tolist() == [6, 6, 6, 2]
    assert days and days.starts[1] == "2018-01-02"
    assert weeks and weeks.starts[:2] == ("2018-01-01", "2018-01-08")
    assert weeks.counts[:28].tolist() == [7] * 28
    assert months and months.starts[:2] == ("2018-01-01", "2018-02-01")
    assert years and years.starts[0] == "1970-01-01"
    assert all(
        one and one.counts.sum() > 0 and len(one.counts) == len(one.starts) for one in (hours, days, weeks, months)
    )


def test_ranks_are_no_dates() -> None:
    schema = Schema(timestamp="timestamp", time_kind="rank")
    facts = describe(Dataset.from_frames(log(list(range(9))), schema=schema))
    assert facts.first is facts.last is facts.timeline is None


def test_the_rule_by_which_ratings_became_interest_is_said_and_counted() -> None:
    schema = Schema(timestamp="timestamp", time_kind="unix", rating="rating", positive_from=4)
    events = log([MONDAY + step for step in range(6)], rating=[1, 2, 3, 4, 5, 5])
    rules = " ".join(describe(Dataset.from_frames(events, schema=schema)).rules)
    assert "4 or more shows interest" in rules
    assert "3 of 6 events are kept as seen, without interest." in rules


def test_the_histories_of_a_bundle_tell_the_same_counts() -> None:
    data = dataset([MONDAY + DAY * step for step in range(30)])
    whole, kept = describe(data), recall(data.histories, data.n_items, dated=True)
    for name in ("events", "users", "items", "pairs", "first", "last", "per_user", "density", "gini"):
        assert getattr(whole, name) == getattr(kept, name)
    np.testing.assert_array_equal(whole.popularity, kept.popularity)
    assert kept.report is None
    assert kept.findings("warning") == ()
    assert recall(data.histories, data.n_items, dated=False).timeline is None
