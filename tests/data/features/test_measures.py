"""Numbers: places in a distribution, vectors, cyclic time, recency and example age, by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.features import Features
from serendip.data.features.declared import Age, Cycle, Number, Recency, Vector
from serendip.data.features.measures import phase_of
from serendip.types import SerendipError

from .conftest import DAY, MONDAY

NAN = float("nan")


def fitted(data: Dataset, **declared: Any) -> Features:
    return Features.fit(data, declared)


def test_a_number_is_its_place_among_those_of_training(data: Dataset) -> None:
    features = fitted(data, price=Number(side="item", quantiles=2))
    assert (features.inputs[0].size, features.inputs[0].width) == (None, 4)
    place = features.items(pl.DataFrame({"price": [1.0, 1.5, 2.0, 2.5, 0.0]}))["price"]
    # Among 1, 2, 3: 0, 1/4, 1/2, 3/4, and 0 for what is below all.
    assert place[:, 0] == pytest.approx([0, 0.25, 0.5, 0.75, 0])
    assert place[:, 1] == pytest.approx(place[:, 0] ** 2)
    assert place[:, 2] == pytest.approx(np.sqrt(place[:, 0]))
    assert (place[:, 3] == 1).all()
    assert place.dtype == np.float32


def test_the_highest_is_below_one_and_missing_is_missing(data: Dataset) -> None:
    features = fitted(data, price=Number(side="item"))
    place = features.items(data.items)["price"]
    assert 0.999 < place[4, 0] < 1  # 100, above all that training has
    assert np.isnan(place[3]).all()
    odd = features.items(
        pl.DataFrame({"price": [None, NAN, float("inf"), -float("inf")]}, schema={"price": pl.Float64})
    )
    assert np.isnan(odd["price"]).all()


def test_without_powers(data: Dataset) -> None:
    place = fitted(data, price=Number(side="item", powers=False)).items(data.items)["price"]
    assert place.shape == (5, 2)


def test_a_constant_column_says_nothing(data: Dataset) -> None:
    items = data.items.with_columns(same=pl.lit(7))
    features = fitted(Dataset.from_frames(*_tables(data, items)), same=Number(side="item", powers=False))
    assert features.items(items)["same"][:, 0].tolist() == [0.5] * 5
    other = features.items(pl.DataFrame({"same": [6, None, 8]}))["same"][:, 0]
    assert other == pytest.approx([0.5, NAN, 0.5], nan_ok=True)


def test_a_column_of_nothing_says_nothing(data: Dataset) -> None:
    items = data.items.with_columns(empty=pl.lit(None, dtype=pl.Float64))
    features = fitted(Dataset.from_frames(*_tables(data, items)), empty=Number(side="item"))
    assert np.isnan(features.items(items)["empty"]).all()
    assert features.items(pl.DataFrame({"empty": [3]}))["empty"][0, 0] == 0.5


def test_uniform_numbers_are_spread_evenly_and_a_frequent_value_is_in_the_middle_of_its_share() -> None:
    rng = np.random.default_rng(0)
    n = 4000
    skewed = np.where(np.arange(n) < n // 2, 0.0, rng.exponential(size=n))
    events = pl.DataFrame({"user_id": np.arange(n) % 7, "item_id": np.arange(n)})
    data = Dataset.from_frames(events, None, pl.DataFrame({"item_id": np.arange(n), "x": skewed}))
    place = fitted(data, x=Number(side="item", quantiles=1000)).items(data.items)["x"][:, 0]
    assert place[: n // 2] == pytest.approx(0.25, abs=0.01)
    rest = np.sort(place[n // 2 :])
    assert rest == pytest.approx(np.linspace(0.5, 1, len(rest)), abs=0.01)


def test_text_is_no_number(data: Dataset) -> None:
    with pytest.raises(SerendipError, match=r"features\.brand: the column must hold numbers\. Got 'acme' instead"):
        fitted(data, brand=Number(side="item"))
    features = fitted(data, price=Number(side="item"))
    assert features.items(pl.DataFrame({"price": ["2.0", ""]}))["price"][:, 0] == pytest.approx([0.5, NAN], nan_ok=True)


def test_vectors(data: Dataset) -> None:
    plain = fitted(data, vector=Vector(side="item")).items(data.items)["vector"]
    assert plain[:2].tolist() == [[3, 4], [1, 0]]
    assert np.isnan(plain[2]).all()
    unit = fitted(data, vector=Vector(side="item", unit=True)).items(data.items)["vector"]
    assert unit[0] == pytest.approx([0.6, 0.8])
    assert unit[3].tolist() == [0, 0]
    with pytest.raises(SerendipError, match=r"every list must have 2 numbers, as in training\. Got one of 3"):
        fitted(data, vector=Vector(side="item")).items(pl.DataFrame({"vector": [[1.0, 2.0, 3.0]]}))
    with pytest.raises(SerendipError, match=r"features\.brand: the column must hold lists of numbers"):
        fitted(data, brand=Vector(side="item"))


@pytest.mark.parametrize(
    ("moment", "period", "phase"),
    [
        (MONDAY, "day", 0.0),
        (MONDAY + 6 * 3600, "day", 0.25),
        (MONDAY, "week", 0.0),
        (MONDAY + 3.5 * DAY, "week", 0.5),
        (MONDAY, "year", 0.0),
        (MONDAY + 183 * DAY, "year", 0.5),  # 2024 has 366 days
        (MONDAY + 15.5 * DAY, "month", 0.5),
        (datetime(1969, 12, 31, 12, tzinfo=UTC).timestamp(), "day", 0.5),
        (1e300, "year", pytest.approx(0.5, abs=0.5)),
    ],
)
def test_phases(moment: float, period: str, phase: float) -> None:
    assert phase_of(np.array([moment, NAN]), period)[0] == phase
    assert np.isnan(phase_of(np.array([moment, NAN]), period)[1])


def test_cycles_come_round(data: Dataset) -> None:
    features = fitted(data, hour=Cycle(period="day", harmonics=2))
    times = np.array([MONDAY, MONDAY + DAY, MONDAY + 6 * 3600, MONDAY + 23 * 3600], np.int64)
    waves = features.context(times)["hour"]
    assert waves[0] == pytest.approx([0, 1, 0, 1], abs=1e-6)
    assert waves[1] == pytest.approx(waves[0], abs=1e-6)
    assert waves[2] == pytest.approx([1, 0, 0, -1], abs=1e-6)
    ahead = fitted(data, hour=Cycle(period="day", harmonics=2, utc_offset=1)).context(times[3:])["hour"]
    assert ahead[0] == pytest.approx(waves[0], abs=1e-5)


def test_a_date_of_the_items_may_cycle_too(data: Dataset) -> None:
    waves = fitted(data, released=Cycle(side="item", period="year", harmonics=1)).items(data.items)["released"]
    assert waves[4] == pytest.approx([0, 1], abs=1e-6)  # 1 January
    assert np.isnan(waves[2]).all()


def test_how_long_ago_a_date_was_at_the_end_of_training(data: Dataset) -> None:
    features = fitted(data, released=Recency(side="item", quantiles=2, powers=False))
    place = features.items(data.items)["released"][:, 0]
    # The last event is on 5 January: a 5 days ago, b 0, d to come and so 0; e has no event; of 0, 0, 5 days.
    assert place == pytest.approx([1, 0.25, NAN, 0.25, 1], nan_ok=True)


def test_years_are_no_dates(data: Dataset) -> None:
    with pytest.raises(SerendipError, match=r'features\.age: the column must hold dates.*declared, kind = "number"'):
        fitted(data, age=Recency(side="user"))


def test_how_long_ago_the_event_before_was(data: Dataset) -> None:
    features = fitted(data, gap=Recency(quantiles=1, powers=False))
    learned = features.examples(data)["gap"][:, 0]
    # The users' events: 1 waits a day, 2 six hours, the first ones wait for nothing.
    assert learned == pytest.approx([NAN, 1, NAN, 0, NAN], nan_ok=True)
    described = data.with_features({"gap": Recency(quantiles=1, powers=False)})
    asked = described.queries(time=np.full(4, MONDAY + DAY + 15 * 3600))
    # 1 comes 15 hours after the last event, halfway from 6 to 24; 2 after 33 hours; 3 came later, so 0; 9 never came.
    assert asked.features["gap"][:, 0] == pytest.approx([0.5, 1, 0, NAN], nan_ok=True)
    assert np.isnan(described.queries().features["gap"]).all()


def test_examples_have_an_age_and_requests_have_none(data: Dataset) -> None:
    features = fitted(data, example_age=Age(quantiles=1, powers=False))
    learned = features.examples(data)["example_age"]
    assert learned[:, 0] == pytest.approx([1, 0.75, 1, 0.9375, 0], abs=1e-6)  # of 4 days
    for time in (None, np.full(4, MONDAY - 400 * DAY)):
        assert (
            data.with_features({"example_age": Age()}).queries(time=time).features["example_age"].tolist()
            == [[0] * 3] * 4
        )


def _tables(data: Dataset, items: pl.DataFrame) -> tuple[pl.DataFrame, None, pl.DataFrame]:
    codes = pl.DataFrame({"user_id": data.events.users, "item_id": data.item_ids.ids[data.events.items]})
    return codes, None, items
