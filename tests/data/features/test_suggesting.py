"""What unknown tables suggest, and that it can be fitted."""

from __future__ import annotations

import polars as pl

from serendip.data.dataset import Dataset
from serendip.data.features import suggest
from serendip.data.features.declared import Age, Category, Cycle, Hash, Number, Recency, Text, Vector
from serendip.data.schema import Schema
from serendip.data.synthetic import catalogue

from .conftest import EVENTS, ITEMS, SCHEMA, USERS


def test_every_column_that_says_something_is_used() -> None:
    found = suggest(SCHEMA, EVENTS, USERS, ITEMS)
    assert found == {
        "brand": Category(side="item"),
        "genres": Category(side="item", multivalent=True),
        "price": Number(side="item"),
        "name": Category(side="item"),
        "vector": Vector(side="item"),
        "released": Recency(side="item"),
        "age": Category(side="user"),
        "likes": Category(side="user"),
        "device": Category(side="context"),
        "hour_of_day": Cycle(period="day"),
        "day_of_week": Cycle(period="week"),
        "example_age": Age(),
    }
    data = Dataset.from_frames(EVENTS, USERS, ITEMS, schema=SCHEMA, features=found)
    assert data.features is not None


def test_without_moments_nothing_needs_them() -> None:
    schema = Schema(timestamp="timestamp", time_kind="rank")
    found = suggest(schema, EVENTS, None, ITEMS)
    assert not {type(one) for one in found.values()} & {Cycle, Age, Recency}


def test_columns_without_difference_ids_and_nothing_are_left_out() -> None:
    items = pl.DataFrame(
        {
            "item_id": [1, 2],
            "same": ["x", "x"],
            "none": pl.Series([None, None], dtype=pl.String),
            "nan": [float("nan")] * 2,
        }
    )
    assert suggest(Schema(), EVENTS, None, items) == {}


def test_columns_of_one_name_get_features_of_different_names() -> None:
    table = pl.DataFrame({"id": [1, 2, 3], "the type!": ["a", "b", "a"]})
    found = suggest(Schema(user_key="id", item_key="id"), EVENTS, table, table)
    assert found == {
        "the_type": Category(side="item", column="the type!"),
        "user_the_type": Category(side="user", column="the type!"),
    }


def test_values_that_one_row_has_alone_are_out_of_the_vocabulary_where_most_are() -> None:
    users = pl.DataFrame({"user_id": range(100), "zip": [f"z{i // 2 if i < 60 else i}" for i in range(100)]})
    assert suggest(Schema(), EVENTS, users) == {"zip": Category(side="user", min_count=2)}


def test_texts_that_are_all_different_tell_rows_apart_as_their_ids_do() -> None:
    items = pl.DataFrame({"item_id": range(40), "sku": [f"s{i}" for i in range(40)]})
    assert suggest(Schema(), EVENTS, None, items) == {}


def test_long_texts_are_read_and_many_values_hashed() -> None:
    n = 100_050
    items = pl.DataFrame(
        {
            "item_id": range(n),
            "blurb": [f"one of the many texts number {i}" for i in range(n)],
            "sku": [f"sku{i}" for i in range(n)],
            "weight": [i / 7 for i in range(n)],
            "new": [i % 2 == 0 for i in range(n)],
        }
    )
    assert suggest(Schema(), EVENTS, None, items) == {
        "blurb": Text(side="item"),
        "sku": Hash(side="item"),
        "weight": Number(side="item"),
        "new": Category(side="item"),
    }


def test_what_the_generated_shop_suggests_can_be_fitted() -> None:
    world = catalogue(users=60, items=40)
    found = suggest(world.schema, world.events, world.users, world.items)
    assert {name for name, one in found.items() if isinstance(one, Text)} == {"title", "description"}
    assert found["released"] == Recency(side="item")
    data = Dataset.from_frames(world.events, world.users, world.items, schema=world.schema, features=found)
    assert data.features is not None
    assert len(data.features.inputs) == len(found)


def test_whole_numbers_that_name_something_are_no_amounts() -> None:
    codes = [code // 2 for code in range(200)]
    items = pl.DataFrame(
        {"item_id": range(200), "author_id": codes, "artist-id": codes, "zip.code": codes, "paid": codes}
    )
    found = suggest(Schema(), pl.DataFrame(), None, items)
    assert found == {
        "author_id": Category(side="item"),
        "artist-id": Category(side="item"),
        "zip_code": Category(side="item", column="zip.code"),
        "paid": Number(side="item"),
    }


def test_no_feature_is_suggested_of_a_label() -> None:
    events = pl.DataFrame(
        {"user_id": [1, 2], "item_id": [1, 2], "liked": [0, 1], "stars": [1, 5], "device": ["a", "b"]}
    )
    schema = Schema(labels={"liked": "binary"}, rating="stars", context=("liked", "stars", "device"))
    assert list(suggest(schema, events)) == ["device"]
