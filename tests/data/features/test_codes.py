"""Codes: what they are where the answer is known, and that they are in range whatever comes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serendip.data.dataset import Dataset
from serendip.data.features import Features
from serendip.data.features.declared import Bucket, Category, Hash, Text, Unified
from serendip.data.features.hashing import buckets_of
from serendip.types import ABSENT, SerendipError


def fitted(data: Dataset, **declared: Any) -> Features:
    return Features.fit(data, declared)


def test_a_hash_is_the_first_bytes_of_blake2b_and_the_same_in_every_process() -> None:
    by_hand = [
        int.from_bytes(hashlib.blake2b(b"salt\0" + text.encode(), digest_size=8).digest(), "little") % 1000
        for text in ("a", "żółć", "")
    ]
    assert buckets_of(["a", "żółć", ""], "salt", 1000)[:, 0].tolist() == by_hand
    code = "from serendip.data.features.hashing import buckets_of as b; print(b(['a', 'b'], 's', 10**6, 3).tolist())"
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {f"{buckets_of(['a', 'b'], 's', 10**6, 3).tolist()}\n"}


def test_categories_are_buckets_then_the_values_that_items_with_events_have(data: Dataset) -> None:
    features = fitted(data, brand=Category(side="item", oov_buckets=3))
    assert [(one.size, one.width, one.side) for one in features.inputs] == [(5, 0, "item")]
    codes = features.items(data.items)["brand"]
    assert codes.tolist()[:4] == [3, 4, 3, ABSENT]  # acme, zen, acme, none
    assert 0 <= codes[4] < 3  # "rare" is of an item without events
    assert codes.dtype == np.int32


def test_unknown_values_are_spread_over_the_buckets(data: Dataset) -> None:
    features = fitted(data, brand=Category(side="item", oov_buckets=4))
    strange = pl.DataFrame({"brand": [f"new {i}" for i in range(400)]})
    counts = np.bincount(features.items(strange)["brand"], minlength=6)
    assert counts[4:].sum() == 0
    assert counts[:4].min() > 50


def test_texts_name_known_numbers_and_truths(data: Dataset) -> None:
    columns: dict[str, list[Any]] = {"stars": [1.0, 2.5, 10.0, -3.0, None], "vip": [True, False, True, None, None]}
    items = data.items.with_columns(pl.Series(name, values) for name, values in columns.items())
    events = pl.DataFrame({"user_id": [1, 1, 1, 2, 2], "item_id": items["item_id"]})
    declared = {name: Category(side="item") for name in columns}
    features = fitted(Dataset.from_frames(events, None, items), **declared)
    codes = features.items(items)
    typed = pl.DataFrame({"stars": ["1.0", "2.50", "10.0", "-3", "100"], "vip": ["true", "False", "TRUE", "1.0", "no"]})
    coded = features.items(typed)
    assert coded["stars"].tolist() == [*codes["stars"].tolist()[:4], 0]
    assert coded["vip"].tolist() == [*codes["vip"].tolist()[:3], codes["vip"][0], 0]


def test_texts_that_look_like_numbers_are_no_others_where_texts_are_known() -> None:
    events = pl.DataFrame({"user_id": [1, 1, 2], "item_id": [1, 2, 3]})
    items = pl.DataFrame({"item_id": [1, 2, 3], "release": ["1", "1.1", "beta"]})
    features = fitted(Dataset.from_frames(events, None, items), release=Category(side="item"))
    assert features.items(pl.DataFrame({"release": ["1.0", "1.10", "true"]}))["release"].tolist() == [0, 0, 0]


def test_rare_and_superfluous_values_are_out_of_the_vocabulary(data: Dataset) -> None:
    assert fitted(data, brand=Category(side="item", min_count=2)).inputs[0].size == 1 + 1  # acme
    assert fitted(data, genres=Category(side="item", multivalent=True, max_size=2)).inputs[0].size == 1 + 2


def test_several_values_keep_their_order_and_repeats_go(data: Dataset) -> None:
    features = fitted(data, genres=Category(side="item", multivalent=True))
    assert features.inputs[0].width == 2
    codes = features.items(data.items)["genres"]
    assert codes.tolist() == [[1, 2], [2, ABSENT], [1, 3], [ABSENT, ABSENT], [0, ABSENT]]  # x, y, z; w is unknown
    lists = pl.DataFrame({"genres": [["y", "x", "z"], [], None]})
    assert features.items(lists)["genres"].tolist() == [[2, 1], [ABSENT, ABSENT], [ABSENT, ABSENT]]


def test_the_separator_is_that_of_training_not_of_the_rows_that_come(data: Dataset) -> None:
    features = fitted(data, genres=Category(side="item", multivalent=True, oov_buckets=1))
    assert features.items(pl.DataFrame({"genres": ["x,y"]}))["genres"].tolist() == [[0, ABSENT]]


@pytest.mark.parametrize(
    "values", [[3, None], [3.0, None], ["3", ""], [" 3 ", None], pl.Series([3, None], dtype=pl.Decimal(10, 2))]
)
def test_a_number_is_the_same_category_however_it_comes(values: Any) -> None:
    events = pl.DataFrame({"user_id": [1, 2], "item_id": [1, 2]})
    items = pl.DataFrame({"item_id": [1, 2], "year": [3, 4]})
    features = fitted(Dataset.from_frames(events, None, items), year=Category(side="item"))
    assert features.items(pl.DataFrame({"year": values}))["year"].tolist() == [1, ABSENT]


def test_features_of_one_kind_share_a_vocabulary_and_a_table(data: Dataset) -> None:
    features = fitted(data, brand=Category(side="item"), favourite=Category(side="user", column="likes", table="brand"))
    brand, favourite = features.inputs
    assert (brand.size, favourite.size) == (3, 3)
    assert (favourite.table or favourite.name) == (brand.table or brand.name)
    assert features.users(data.users)["favourite"].tolist() == [1, 2, ABSENT, 0]
    hashed = fitted(data, brand=Hash(side="item"), favourite=Hash(side="user", column="likes", table="brand"))
    assert hashed.users(data.users)["favourite"][0] == hashed.items(data.items)["brand"][0]


def test_features_without_a_common_table_hash_apart(data: Dataset) -> None:
    features = fitted(data, one=Hash(side="item", column="brand"), two=Hash(side="item", column="brand"))
    codes = features.items(data.items)
    assert not np.array_equal(codes["one"], codes["two"])


def test_chunks_take_turns_at_the_tables_by_hashes_of_their_own(data: Dataset) -> None:
    features = fitted(
        data,
        brand=Unified(side="item", buckets=50, chunks=2, tables=3),
        genres=Unified(side="item", buckets=50, chunks=2, tables=3, multivalent=True),
    )
    assert [(one.name, one.table, one.width, one.size) for one in features.inputs] == [
        ("brand/0", "unified/0", 0, 50),
        ("brand/1", "unified/1", 0, 50),
        ("genres/0", "unified/2", 2, 50),
        ("genres/1", "unified/0", 2, 50),
    ]
    words = pl.DataFrame({"brand": [f"w{i}" for i in range(2000)]})
    codes = features.items(words)
    first, second = codes["brand/0"], codes["brand/1"]
    same = np.mean(first == second)
    assert 0.005 < same < 0.04  # 1 in 50 by chance
    assert len({*zip(first.tolist(), second.tolist(), strict=True)}) > 1300  # of 2,500 pairs; one hash has 50


def test_words_of_any_script_become_codes_and_the_same_word_the_same_code(data: Dataset) -> None:
    features = fitted(data, name=Text(side="item", words=1, width=8, buckets=1 << 20))
    codes = features.items(data.items)["name"]
    assert codes.shape == (5, 8)
    assert codes[0, 1] == codes[1, 1]  # shoes, without regard to case
    assert (codes[2] != ABSENT).sum() == 3  # 千と, と千, 千尋
    assert (codes[3] == ABSENT).all()
    scripts = pl.DataFrame({"name": ["Ｒｅｄ", "שלום", "Привет мир", "🙂", "ไทย"]})
    found = features.items(scripts)["name"]
    assert (found != ABSENT).sum(axis=1).tolist() == [1, 1, 2, 0, 2]
    assert found[0, 0] == codes[0, 0]  # wide letters


def test_runs_of_words_and_of_characters(data: Dataset) -> None:
    frame = pl.DataFrame({"name": ["aa bb aa", "aa bbb"]})
    words = fitted(data, name=Text(side="item", words=2, width=8)).items(frame)["name"]
    assert (words != ABSENT).sum(axis=1).tolist() == [4, 3]  # aa, bb, aa bb, bb aa
    signs = fitted(data, name=Text(side="item", words=0, characters=(3,), width=8)).items(frame)["name"]
    assert (signs != ABSENT).sum(axis=1).tolist() == [4, 5]  # <aa aa> <bb bb>, and <bb bbb bb>
    assert fitted(data, name=Text(side="item", words=2, width=2)).items(frame)["name"].shape == (2, 2)


def test_intervals(data: Dataset) -> None:
    features = fitted(data, price=Bucket(side="item", boundaries=(1.5, 3)))
    assert features.inputs[0].size == 3
    assert features.items(data.items)["price"].tolist() == [0, 1, 2, ABSENT, 2]
    halves = fitted(data, price=Bucket(side="item", buckets=2))
    assert halves.items(data.items)["price"].tolist() == [0, 1, 1, ABSENT, 1]  # the median of 1, 2, 3 is 2


@pytest.mark.parametrize("boundaries", [(2.0, 1.0), (1.0, 1.0), (float("nan"),)])
def test_boundaries_must_rise(data: Dataset, boundaries: tuple[float, ...]) -> None:
    with pytest.raises(SerendipError, match=r"features\.price: boundaries must be numbers that rise"):
        fitted(data, price=Bucket(side="item", boundaries=boundaries))


def test_lists_need_multivalent(data: Dataset) -> None:
    with pytest.raises(SerendipError, match=r"features\.vector: the column must hold one value a row.*multivalent"):
        fitted(data, vector=Category(side="item"))


def test_a_vocabulary_of_one_and_of_none() -> None:
    events = pl.DataFrame({"user_id": [1, 2], "item_id": [1, 2]})
    items = pl.DataFrame({"item_id": [1, 2], "only": ["x", "x"], "empty": pl.Series([None, None], dtype=pl.String)})
    features = fitted(Dataset.from_frames(events, None, items), only=Category(side="item"), empty=Category(side="item"))
    assert [one.size for one in features.inputs] == [2, 1]
    codes = features.items(pl.DataFrame({"only": ["x", "y"], "empty": ["new", None]}))
    assert codes["only"].tolist() == [1, 0]
    assert codes["empty"].tolist() == [0, ABSENT]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=12)), min_size=1, max_size=8))
def test_no_code_is_out_of_range_whatever_comes(data: Dataset, texts: list[str | None]) -> None:
    features = fitted(
        data,
        brand=Category(side="item", oov_buckets=2),
        genres=Category(side="item", multivalent=True),
        hashed=Hash(side="item", column="brand", buckets=7),
        unified=Unified(side="item", column="brand", buckets=5, chunks=3, tables=2),
        name=Text(side="item", buckets=11, characters=(2, 3), width=4),
    )
    frame = pl.DataFrame({name: pl.Series(texts, dtype=pl.String) for name in ("brand", "genres", "name")})
    codes = features.items(frame)
    for one in features.inputs:
        got = codes[one.name]
        assert got.shape == ((len(texts), one.width) if one.width else (len(texts),))
        assert got.dtype == np.int32
        assert one.size is not None
        assert got.min() >= ABSENT
        assert got.max() < one.size
