"""One object, fitted to the training part and applied alike in training, for queries, and to newcomers."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.data.features import Features
from serendip.data.features.declared import Age, Category, Cycle, Hash, Number, Recency, Text
from serendip.evaluate import make
from serendip.types import ABSENT, Queries

from .conftest import DAY, EVENTS, ITEMS, MONDAY, SCHEMA, USERS

DECLARED: dict[str, Any] = {
    "brand": Category(side="item"),
    "genres": Category(side="item", multivalent=True),
    "price": Number(side="item"),
    "name": Text(side="item", buckets=100, width=4),
    "age": Number(side="user"),
    "likes": Category(side="user", table="brand"),
    "device": Category(side="context"),
    "hour": Cycle(),
    "example_age": Age(),
}


@pytest.fixture(scope="module")
def described() -> Dataset:
    return Dataset.from_frames(EVENTS, USERS, ITEMS, schema=SCHEMA, features=DECLARED)


def same(left: Any, right: Any) -> None:
    assert list(left) == list(right)
    for name, array in left.items():
        np.testing.assert_array_equal(array, right[name])


def test_the_data_fit_what_they_are_told(described: Dataset) -> None:
    assert described.schema.features == DECLARED
    assert described.features is not None
    assert [one.name for one in described.features.inputs] == list(DECLARED)
    assert described.features.declared == DECLARED
    assert described.features.columns("item") == ("brand", "genres", "price", "name")
    assert described.features.columns("user") == ("age", "likes")
    assert described.features.columns("context") == ("device",)


def test_columns_of_the_events_that_features_read_become_context() -> None:
    data = Dataset.from_frames(
        EVENTS, columns={"timestamp": "timestamp"}, features={"device": Category(side="context")}
    )
    assert data.schema.context == ("device",)
    assert data.features is not None
    assert data.features.examples(data)["device"].tolist() == [1, 2, 1, ABSENT, 1]


def test_queries_carry_what_is_known_of_users_and_the_moment(described: Dataset) -> None:
    users = np.array([0, 1, 3, ABSENT, 99], np.int32)
    asked = described.asked(
        described.histories.queries(users), pl.DataFrame({"device": ["tv", "new", None, "tv", "tv"]})
    )
    assert list(asked.features) == ["age", "likes", "device", "hour", "example_age"]
    assert asked.features["age"][:, 0] == pytest.approx([0, 1, 1, np.nan, np.nan], abs=1e-6, nan_ok=True)
    assert asked.features["likes"].tolist() == [1, 2, 0, ABSENT, ABSENT]
    assert asked.features["device"].tolist() == [2, 0, ABSENT, 2, 2]
    assert np.isnan(asked.features["hour"]).all()  # nobody said when
    now = described.queries(users[:1], time=np.array([MONDAY])).features["hour"]
    assert now[0] == pytest.approx([0, 1] * 3, abs=1e-6)


def test_data_without_features_ask_without() -> None:
    data = Dataset.from_frames(EVENTS, USERS, ITEMS, schema=SCHEMA)
    assert data.features is None
    assert data.queries().features == {}


def test_a_column_that_is_missing_when_asked_is_missing_in_every_row(described: Dataset) -> None:
    features = described.features
    assert features is not None
    bare = features.items(pl.DataFrame({"item_id": ["new"], "price": [2.0]}))
    assert bare["brand"].tolist() == [ABSENT]
    assert bare["genres"].tolist() == [[ABSENT, ABSENT]]
    assert bare["name"].tolist() == [[ABSENT] * 4]
    assert bare["price"][0, 0] == pytest.approx(0.5)
    assert features.users(pl.DataFrame({"user_id": [5]}))["likes"].tolist() == [ABSENT]
    assert features.items(pl.DataFrame({"brand": pl.Series([], dtype=pl.String)}))["genres"].shape == (0, 2)


def test_a_single_row_is_answered_as_in_a_batch(described: Dataset) -> None:
    features = described.features
    assert features is not None
    whole = features.items(described.items)
    for row in range(described.n_items):
        same(
            features.items(described.items[row : row + 1]), {name: part[row : row + 1] for name, part in whole.items()}
        )


def test_the_training_part_learns_nothing_from_the_rest() -> None:
    """The device of the held-out events, and brands of items with none left, are unheard of."""
    data = Dataset.from_frames(EVENTS, USERS, ITEMS, schema=SCHEMA, features=DECLARED)
    train = data.where(data.events.users != 0)  # user 1 alone has a tv, and item b
    assert train.features is not None
    assert train.features.inputs[6].size == 1 + 1
    assert train.features.context(None, pl.DataFrame({"device": ["tv", "phone"]}))["device"].tolist() == [0, 1]
    fresh = Features.fit(train, DECLARED)
    same(train.features.items(train.items), fresh.items(train.items))
    alone = train.with_features({"brand": Category(side="item")}).features
    assert alone is not None
    assert alone.items(ITEMS)["brand"].tolist() == [1, 0, 1, ABSENT, 0]  # zen is b's, and rare is e's


def test_splits_ask_with_the_features_of_their_training_part(described: Dataset) -> None:
    split = make("last_out", described)
    asked = split.queries()
    assert split.train.features is not None
    assert set(asked.features) == {"age", "likes", "device", "hour", "example_age"}
    assert asked.time is not None
    np.testing.assert_array_equal(asked.features["hour"], split.train.features.context(asked.time)["hour"])


def test_whoever_asks_at_an_event_asks_from_where_it_was(described: Dataset) -> None:
    split = make("last_out", described)
    held = {1: "tv", 2: ABSENT}  # of the held-out events: user 1 is at the tv, user 2 does not say where
    asked = split.queries()
    by_user = dict(
        zip(split.train.user_ids.decode(asked.users).to_list(), asked.features["device"].tolist(), strict=True)
    )
    assert by_user[2] == held[2]
    assert by_user[1] == 0  # nobody else has one, so that training has not heard of it
    assert split.take(np.array([0])).queries().features["device"].tolist() == [by_user[1]]
    assert make("per_user", described, test=0.5).queries().features["device"].max() == ABSENT


def test_new_events_leave_codes_as_they_are(described: Dataset) -> None:
    events = pl.DataFrame(
        {"user_id": [7, 7], "item_id": ["f", "a"], "timestamp": [MONDAY + 5 * DAY] * 2, "device": "car"}
    )
    items = pl.DataFrame({"item_id": ["f"], "brand": ["new"], "genres": ["v"], "price": [2.5], "name": ["red"]})
    after = Change.read(described, events, None, items).after
    assert after.features is described.features
    assert after.features is not None
    codes = after.features.items(after.items)
    assert codes["brand"].tolist() == [1, 2, 1, ABSENT, 0, 0]
    assert after.features.examples(after)["example_age"][-3:, 0].tolist() == [0, 0, 0]  # 3's, and the new ones
    later = after.features.until(MONDAY + 5 * DAY)
    assert later.inputs == after.features.inputs
    assert later.items(after.items)["brand"].tolist() == codes["brand"].tolist()
    ages = later.examples(after)["example_age"]
    assert ages[-2:, 0].tolist() == [0, 0]
    assert ages[-3, 0] > 0


def test_the_time_of_an_event_is_a_column_too() -> None:
    data = Dataset.from_frames(
        EVENTS, schema=SCHEMA, features={"when": Number(side="context", column="timestamp", quantiles=1)}
    )
    assert data.features is not None
    assert data.features.reads_time
    assert data.features.examples(data)["when"][:, 0] == pytest.approx([0, 0.25, 0, 0.0625, 1], abs=1e-6)
    asked = data.queries(np.array([0]), time=np.array([MONDAY + 2 * DAY]))
    assert asked.features["when"][0, 0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("declared", "reads"),
    [
        ({"hour": Cycle()}, True),
        ({"gap": Recency()}, True),
        ({"example_age": Age()}, False),
        ({"d": Hash(side="context", column="device")}, False),
    ],
)
def test_which_features_need_to_know_when(data: Dataset, declared: Any, reads: bool) -> None:
    assert Features.fit(data, declared).reads_time is reads


def test_renamed_columns(described: Dataset) -> None:
    assert described.features is not None
    renamed = described.features.renamed("item", {"name": "title"})
    same(renamed.items(ITEMS.rename({"name": "title"})), described.features.items(ITEMS))
    assert renamed.columns("user") == ("age", "likes")


def test_features_given_with_a_query_stay(described: Dataset) -> None:
    asked = described.asked(Queries.of([[0], [1]], users=[0, 1]))
    assert described.asked(asked).features.keys() == asked.features.keys()


def test_inputs_are_not_changed(described: Dataset) -> None:
    assert described.features is not None
    before = ITEMS.clone()
    described.features.items(ITEMS)
    assert ITEMS.equals(before)
