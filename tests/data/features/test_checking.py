"""What cannot be made of the data is refused before anything is fitted, with what to try."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.features import Features
from serendip.data.features.declared import Age, Category, Cycle, Hash, Number, Recency, Text, Unified
from serendip.data.schema import Schema
from serendip.types import SerendipError

from .conftest import EVENTS, ITEMS


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (
            {"brnd": Category(side="item")},
            r"features\.brnd: expected a column 'brnd' of the items table\. Got .*\. Did you mean 'brand'\?",
        ),
        (
            {"brand": Category(side="user")},
            r"of the users table\. Got the columns user_id, age, likes\. Try side = \"item\"",
        ),
        ({"color": Hash(side="context")}, r"of the events\. Got the columns device, timestamp\."),
        (
            {"title": Text(side="item", words=0)},
            r"features\.title: words must be 1 or more where no characters are read",
        ),
        (
            {"what": Category(side="context", column="item_id")},
            r"features\.what: the item of an event is what is to be foretold",
        ),
        ({"a b": Category(side="item", column="brand")}, r"its name must be of letters, digits, _ and -\. Got 'a b'"),
        ({"brand": Category(side="item", table="x/y")}, r"its table must be of letters"),
        ({"x": Age(column="device")}, r"'age' of the moment takes no column"),
        (
            {"brand": Category(side="item"), "likes": Category(side="user", table="brand", oov_buckets=2)},
            r"features\.likes and features\.brand share the table 'brand' and must agree in oov_buckets",
        ),
        (
            {"brand": Category(side="item", table="t"), "likes": Hash(side="user", table="t")},
            r"must agree in kind, .*buckets",
        ),
        (
            {"brand": Unified(side="item", tables=2), "likes": Unified(side="user", tables=3)},
            r"share the table 'unified' and must agree in tables",
        ),
    ],
)
def test_refused(data: Dataset, declared: Any, message: str) -> None:
    with pytest.raises(SerendipError, match=message):
        Features.fit(data, declared)


def test_columns_of_the_events_are_all_named_where_one_lacks() -> None:
    message = (
        r"features\.devise: expected a column 'devise' of the events\. Got the columns user_id, .*Did you mean 'device'"
    )
    with pytest.raises(SerendipError, match=message):
        Dataset.from_frames(EVENTS, None, ITEMS, features={"devise": Category(side="context")})
    with pytest.raises(SerendipError, match=r"features\.brand: .* of the events\. .* Try side = \"item\""):
        Dataset.from_frames(EVENTS, None, ITEMS, features={"brand": Category(side="context")})


@pytest.mark.parametrize(
    "made",
    [Cycle(), Age(), Recency(), Recency(side="item", column="released"), Number(side="context", column="timestamp")],
)
def test_ranks_are_no_moments(made: Any) -> None:
    ranks = Dataset.from_frames(
        EVENTS.with_columns(timestamp=pl.Series([1, 2, 1, 2, 1])),
        None,
        ITEMS,
        schema=Schema(timestamp="timestamp", time_kind="rank"),
    )
    with pytest.raises(SerendipError, match=r"needs events with times that are moments\. Got ranks \(the order within"):
        Features.fit(ranks, {"x": made})


@pytest.mark.parametrize("made", [Cycle(), Age(), Recency()])
def test_no_times_are_no_moments(made: Any) -> None:
    timeless = Dataset.from_frames(EVENTS.drop("timestamp"), None, ITEMS, schema=Schema())
    with pytest.raises(SerendipError, match=r"times that are moments\. Got none\. Leave the feature out, or name"):
        Features.fit(timeless, {"x": made})


def test_dates_of_items_need_no_times_of_events() -> None:
    timeless = Dataset.from_frames(EVENTS.drop("timestamp"), None, ITEMS, schema=Schema())
    features = Features.fit(timeless, {"released": Cycle(side="item", period="year")})
    assert features.items(ITEMS)["released"].shape == (5, 6)


def test_numbers_in_any_script_may_name_a_feature(data: Dataset) -> None:
    assert Features.fit(data, {"марка-1": Category(side="item", column="brand")}).inputs[0].name == "марка-1"


def test_features_may_be_given_as_a_recipe_has_them() -> None:
    plain = {
        "brand": {"kind": "category", "side": "item", "oov_buckets": 2},
        "device": {"kind": "hash", "side": "context"},
    }
    kinds: dict[str, Any] = {"brand": Category(side="item", oov_buckets=2), "device": Hash(side="context")}
    made, same = (Dataset.from_frames(EVENTS, items=ITEMS, features=features) for features in (plain, kinds))
    assert made.schema == same.schema
    assert made.with_features(plain).schema.features == kinds


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([Category(side="item")], r"features must be declared by name, such as \{\"brand\": .* Got \[Category\("),
        ({"brand": "category"}, r"Got \{'brand': 'category'\} instead: Expected `object`, got `str`"),
        ({"brand": {"kind": "category", "side": "things"}}, "Invalid enum value 'things'"),
        ({"brand": {"kind": "label", "side": "item"}}, "Invalid value 'label'"),
    ],
)
def test_what_declares_nothing_is_refused(features: Any, message: str) -> None:
    with pytest.raises(SerendipError, match=message):
        Dataset.from_frames(EVENTS, items=ITEMS, features=features)
