"""Stored and read again, features answer alike; whatever else is read is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.features import Features
from serendip.data.features.declared import (
    KINDS,
    Age,
    Bucket,
    Category,
    Cycle,
    Hash,
    Number,
    Recency,
    Text,
    Unified,
    Vector,
)
from serendip.data.features.storing import PARTS
from serendip.types import SerendipError

from .conftest import DAY, MONDAY

ALL: dict[str, Any] = {
    "brand": Category(side="item", oov_buckets=2),
    "likes": Category(side="user", table="brand", oov_buckets=2),
    "genres": Hash(side="item", multivalent=True),
    "mixed": Unified(side="item", column="brand", tables=3),
    "mixed2": Unified(side="user", column="likes", tables=3),
    "name": Text(side="item", characters=(3,)),
    "price": Number(side="item"),
    "steps": Bucket(side="item", column="price", buckets=3),
    "vector": Vector(side="item"),
    "week": Cycle(period="week"),
    "released": Recency(side="item"),
    "gap": Recency(),
    "example_age": Age(),
}


@pytest.fixture(scope="module")
def features(data: Dataset) -> Features:
    return Features.fit(data, ALL)


def test_every_kind_can_be_stored() -> None:
    assert set(PARTS) == set(KINDS)
    assert set(KINDS) - {str(one.__struct_config__.tag) for one in ALL.values()} == {"sentence"}  # see test_sentences


def test_what_is_stored_answers_alike(data: Dataset, features: Features) -> None:
    tensors, header = features.pack()
    again = Features.unpack(tensors, json.loads(json.dumps(header)))
    assert again.inputs == features.inputs
    assert again.declared == features.declared
    times = np.array([MONDAY, MONDAY + DAY])
    new = pl.DataFrame({"brand": ["acme", "other"], "price": [7.0, None], "likes": ["zen", "odd"]})
    for left, right in (
        (features.items(data.items), again.items(data.items)),
        (features.items(new), again.items(new)),
        (features.users(new), again.users(new)),
        (features.context(times, learning=True), again.context(times, learning=True)),
    ):
        assert list(left) == list(right)
        for name, array in left.items():
            np.testing.assert_array_equal(array, right[name])
    assert all(array.dtype in (np.float64, np.int64, np.uint8) for array in tensors.values())


def test_no_rows_are_fine(data: Dataset, features: Features) -> None:
    """Arrays of no rows have the width and the type of those with some."""
    times = np.array([MONDAY])
    for some, none in (
        (features.items(data.items), features.items(data.items.clear())),
        (features.users(data.users), features.users(data.users.clear())),
        (features.context(times), features.context(times[:0])),
    ):
        assert list(some) == list(none)
        for name, array in none.items():
            assert array.shape == (0, *some[name].shape[1:])
            assert array.dtype == some[name].dtype


def test_a_shared_vocabulary_is_stored_once_and_read_as_one(features: Features) -> None:
    tensors, header = features.pack()
    assert [name for name in tensors if name.startswith("vocabulary")] == [
        "vocabulary.brand.ends",
        "vocabulary.brand.bytes",
    ]
    parts = Features.unpack(tensors, header).parts
    assert parts[0].vocabulary is parts[1].vocabulary  # type: ignore[attr-defined]


Change = Callable[[dict[str, Any], dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, h: t.pop("price.bounds"), r"the tensor price\.bounds is missing"),
        (lambda t, h: t.update(extra=np.zeros(1)), r"tensors that belong to no feature: extra"),
        (lambda t, h: t.update({"price.bounds": t["price.bounds"].astype(np.float32)}), "must be a vector of float64"),
        (lambda t, h: t.update({"price.bounds": t["price.bounds"][::-1].copy()}), "rising quantiles"),
        (lambda t, h: t.update({"price.levels": t["price.levels"] * np.nan}), "rising quantiles"),
        (lambda t, h: t.update({"price.levels": t["price.levels"] + 1}), r"levels that rise within 0 … 1"),
        (lambda t, h: t.update({"steps.boundaries": np.array([2.0, 1.0])}), "boundaries must be numbers that rise"),
        (lambda t, h: t.update({"vocabulary.brand.ends": np.array([99])}), "ends that rise to 7"),
        (lambda t, h: t.update({"vocabulary.brand.bytes": np.full(7, 255, np.uint8)}), "must be UTF-8"),
        (lambda t, h: t.update({"vocabulary.brand.ends": np.array([0, 0, 7])}), "every text once"),
        (lambda t, h: h.update(clock=3), "the header is wrong"),
        (lambda t, h: h["parts"][0].update(name="likes"), "every feature once"),
        (lambda t, h: h["parts"][0]["declared"].update(kind="pickle"), "the header is wrong"),
        (lambda t, h: h["parts"][0]["state"].update(width=-1), "the width must fit"),
        (lambda t, h: h["parts"][0]["state"].update(width=1.5), "must have width as int"),
        (lambda t, h: h["parts"][0]["state"].update(odd=1), "fields that it must not have: odd"),
        (lambda t, h: h["parts"][2]["state"].update(width=10**9), "the width must fit"),
        (lambda t, h: h["parts"][3]["state"].update(first=3), "the first table must be one of"),
        (lambda t, h: h["parts"][1]["declared"].pop("oov_buckets"), "must agree in oov_buckets"),
        (lambda t, h: h["parts"][8]["state"].update(width=0), "at least one number"),
        (lambda t, h: h["parts"][8]["state"].update(width=10**12), "65536 numbers at most"),
        (lambda t, h: h["parts"][9]["state"].update(per_second=-1), r"features\.week: the units of a second"),
        (lambda t, h: h["parts"][10]["state"].update(end=10**30), r"features\.released: the end of training"),
        (lambda t, h: h["parts"][12]["state"].update(end=-(10**30)), r"features\.example_age: the end of training"),
    ],
)
def test_what_is_not_sound_is_refused(features: Features, change: Change, message: str) -> None:
    tensors, header = features.pack()
    plain = json.loads(json.dumps(header))
    change(tensors, plain)
    with pytest.raises(SerendipError, match=message):
        Features.unpack(tensors, plain)
