from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from serendip.data.dataset import Dataset
from serendip.data.features.terms import words_of
from serendip.data.schema import Schema
from serendip.models._features import FeatureOptions, item_terms


def item_features(data: Dataset, options: FeatureOptions, *, combined: bool = False) -> Any:
    return item_terms(data, options, combined=combined).rows(data.items)


def shelf(**columns: list[Any]) -> Dataset:
    table = pl.DataFrame({"item_id": range(len(next(iter(columns.values())))), **columns})
    events = pl.DataFrame({"user_id": [0, 0, 1], "item_id": [0, 1, 0]})
    return Dataset.from_frames(events, None, table, schema=Schema(categories=tuple(columns)))


def test_pairs_of_categories_are_categories_by_hand() -> None:
    # n = 3; a is in 3 items, b and the pair in 2 each: a weighs ln(4/4) + 1 = 1, the others ln(4/3) + 1.
    data = shelf(genre=["a|b", "b|a", "a"])
    rare = np.log(4 / 3) + 1
    found = item_features(data, FeatureOptions(), combined=True).toarray()
    length = np.sqrt(1 + 2 * rare**2)
    expected = [[1 / length, rare / length, rare / length]] * 2 + [[1, 0, 0]]
    np.testing.assert_allclose(np.sort(found), np.sort(expected), rtol=1e-6)
    assert item_features(data, FeatureOptions()).shape == (3, 2)


def test_categories_of_two_columns_combine() -> None:
    data = shelf(genre=["a", "a"], mood=["b", "b"])
    assert item_features(data, FeatureOptions(), combined=True).shape == (2, 3)


def test_nothing_is_known_without_columns() -> None:
    data = Dataset.from_frames(pl.DataFrame({"user_id": [0, 1], "item_id": [0, 1]}), schema=Schema())
    assert item_features(data, FeatureOptions(), combined=True).shape == (2, 0)


def test_words_of_any_script() -> None:
    texts = ["Ünïcode wörld's ① É", "日本語 テ", "किताब ok१२", "ภาษา", None, "", "don’t—STOP…"]
    found = words_of(pl.Series(texts))
    by_item = {item: sorted(tokens["token"].to_list()) for (item,), tokens in found.group_by("item")}
    assert by_item == {
        0: sorted(["ünïcode", "wörld", "s", "1", "é"]),
        1: sorted(["日本", "本語", "テ"]),
        2: sorted(["किताब", "ok१२"]),
        3: sorted(["ภา", "าษ", "ษา"]),
        6: sorted(["don", "t", "stop"]),
    }


def test_lists_of_texts_are_read() -> None:
    found = words_of(pl.Series([["Red hat", None, "red"], None, []], dtype=pl.List(pl.String)))
    assert sorted(found["token"].to_list()) == ["hat", "red", "red"]
