from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.checks.cases import FEATURES_ONLY, NOTHING, odd_log
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.models.content import Content
from serendip.types import Queries, SerendipError


def shop(schema: Schema | None = None, **columns: list[Any]) -> Dataset:
    n = len(next(iter(columns.values())))
    table = pl.DataFrame({"item_id": range(n), **columns})
    events = pl.DataFrame({"user_id": [0, 0, 1], "item_id": [0, 1, 0]})
    roles = {"title": "title", "categories": ("genres",), "text": ("text",)}
    given = {
        role: roles[role]
        for role, name in (("title", "title"), ("categories", "genres"), ("text", "text"))
        if name in columns
    }
    return Dataset.from_frames(events, None, table, schema=schema or Schema(**given))


def cosines(data: Dataset, history: list[int], **options: Any) -> Any:
    return Content(**options).fit(data).score(Queries.of([history]))[0]


def test_categories_by_hand() -> None:
    # n = 4; a is in items 0, 1, 2 and b in 1, 3: idf(a) = ln(5/4) + 1, idf(b) = ln(5/3) + 1; c is in one item only.
    data = shop(genres=["a", "a|b", "a|c", "b"])
    a, b = np.log(5 / 4) + 1, np.log(5 / 3) + 1
    length = np.hypot(a, b)
    expected = [1, a / length, 1, -np.inf]
    np.testing.assert_allclose(cosines(data, [0]), expected, rtol=1e-6)
    both = np.array([1 + a / length, b / length]) / np.hypot(1 + a / length, b / length)
    np.testing.assert_allclose(cosines(data, [0, 1])[3], both[1], rtol=1e-6)


def test_words_by_hand() -> None:
    # "the" is in all four items and left out as too common, "ball" is in one only: red | red hat | hat | nothing count.
    data = shop(title=["The red RED ball", "the red hat", "the hat", "the"])
    np.testing.assert_allclose(cosines(data, [0]), [1, np.sqrt(0.5), -np.inf, -np.inf], rtol=1e-6)
    everything = cosines(data, [3], max_share=1, min_items=1)
    assert (everything > 0).all()


def test_occurrences_are_damped() -> None:
    data = shop(text=["red red red hat", "red", "hat", "", ""])
    scores = cosines(data, [0])
    assert scores[1] / scores[2] == pytest.approx(1 + np.log(3), rel=1e-5)


def test_categories_and_words_share_the_length() -> None:
    data = shop(genres=["a", "a", None, "b", "b", None], title=["red", "hat", "red", "hat", None, None])
    for share in (0.2, 0.5, 0.9):
        scores = cosines(data, [0], category_share=share)
        np.testing.assert_allclose(scores[[0, 1]], [1, share], rtol=1e-5)
        np.testing.assert_allclose(scores[2], np.sqrt(1 - share), rtol=1e-5)
        assert np.isneginf(scores[[3, 4, 5]]).all()
    assert np.isneginf(cosines(data, [0], category_share=1)[2])
    assert np.isneginf(cosines(data, [0], category_share=0)[1])


def test_the_same_name_in_two_columns_is_two_categories() -> None:
    schema = Schema(categories=("genres", "mood"))
    data = shop(schema, genres=["dark", "dark", "light", "light"], mood=["light", "dark", "dark", "light"])
    scores = cosines(data, [0])
    assert scores[2] == -np.inf
    assert scores[1] == scores[3] == pytest.approx(0.5)


def test_an_item_without_events_is_recommended_and_one_without_features_is_not() -> None:
    data = odd_log()
    scores = Content().fit(data).score(Queries.of([[0, 2, 4]]))[0]
    assert scores[FEATURES_ONLY] > 0
    assert scores[NOTHING] == -np.inf


def test_only_the_most_frequent_words_are_kept() -> None:
    data = shop(title=["red hat", "red hat", "red", "", "", ""])
    assert cosines(data, [0], max_words=1)[1] == pytest.approx(1)
    assert Content(max_words=1).fit(data).lower().features.shape[1] == 1


def test_without_anything_to_go_by_it_says_what_to_do() -> None:
    bare = Dataset.from_frames(pl.DataFrame({"user_id": [0, 1], "item_id": [0, 1]}), schema=Schema())
    with pytest.raises(SerendipError, match=r"content needs an items table with .*Got none\. Give the table"):
        Content().fit(bare)
    unique = shop(genres=["a", "b", "c"])
    with pytest.raises(SerendipError, match=r"nothing that 2 items share in genres\. Try min_items=1"):
        Content().fit(unique)
    assert cosines(unique, [0], min_items=1)[0] == pytest.approx(1)
