"""A bundle says why: by the retriever that gives the item, with external ids and titles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from serendip.bundle import Bundle
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.pipeline import chain, first_of, retrieve
from serendip.scorers import ItemToItem, StaticScores
from serendip.types import SerendipError

from .conftest import world


def shop(*, swapped: bool = False) -> Bundle:
    """Item 1 speaks for 3 with 5, 2 against it with 1; 4 speaks for 1 with 2. Nothing but popularity names 5."""
    events = pl.DataFrame({"user_id": ["ada", "ada", "bob", "eve", "eve"], "item_id": [1, 2, 4, 5, 3]})
    items = pl.DataFrame({"item_id": [1, 2, 3, 4, 5], "name": ["One", "Two", None, "Four", "Five"]})
    data = Dataset.from_frames(events, items=items, schema=Schema(title="name"))
    weights = np.zeros((5, 5), np.float32)
    weights[0, 2] = 5
    weights[1, 2] = -1
    weights[3, 0] = 2
    other = np.zeros((5, 5), np.float32)
    other[0, 2] = 1
    other[0, 3] = 7
    parts = [
        retrieve(ItemToItem(csr_array(weights)), name="near"),
        retrieve(ItemToItem(csr_array(other)), name="far"),
        retrieve(StaticScores(np.arange(5, dtype=np.float32)), name="popular"),
    ]
    return Bundle.build(data, chain(parts[1], parts[0], parts[2]) if swapped else first_of(*parts))


def test_reasons_come_with_titles_and_sum_to_the_score() -> None:
    frame = shop().explain("ada", 3)
    assert frame.rows() == [
        ("ada", 3, 4.0, 1, "One", 5.0, 1, "near"),
        ("ada", 3, 4.0, 2, "Two", -1.0, 2, "near"),
    ]
    assert frame.schema == pl.Schema(
        {
            "user_id": pl.String,
            "item_id": pl.Int64,
            "score": pl.Float32,
            "history_item_id": pl.Int64,
            "title": pl.String,
            "contribution": pl.Float32,
            "rank": pl.Int32,
            "source": pl.String,
        }
    )
    assert shop().explain("ada", "3", k=1).rows() == frame.rows()[:1]


def test_the_retriever_that_gives_the_item_explains_it() -> None:
    """Only far has a score for 4; both have one for 3, and the first of them gives it."""
    assert shop().explain("ada", [3, 4], k=1).select("item_id", "contribution", "source").rows() == [
        (3, 5.0, "near"),
        (4, 7.0, "far"),
    ]
    assert shop(swapped=True).explain("ada", 3, k=1)["source"].to_list() == ["far"]


def test_pairs_keep_their_order_and_what_cannot_be_explained_is_left_out() -> None:
    frame = shop().explain(["bob", "ada", "bob", "ada"], [1, 3, 5, 4], k=1)
    assert frame.select("user_id", "item_id", "history_item_id").rows() == [("bob", 1, 4), ("ada", 3, 1), ("ada", 4, 1)]
    assert shop().explain(["bob", "ada"], 1).select("user_id").to_series().to_list() == ["bob"]


def test_a_history_may_be_given() -> None:
    made = shop()
    assert made.explain("ada", 1, history=[4]).select("history_item_id", "contribution").rows() == [(4, 2.0)]
    assert made.explain(None, 1, history=["4"]).select("user_id", "contribution").rows() == [(None, 2.0)]
    assert made.explain(["new", "ada"], [1, 3], k=1, history=[[4], None])["contribution"].to_list() == [2.0, 5.0]


def test_factors_explain_what_they_recommend(bundle: Bundle) -> None:
    named = bundle.recommend(103, k=3)
    every = bundle.explain(103, named["item_id"], k=10)
    sums = every.group_by("item_id", maintain_order=True).agg(pl.col("contribution").sum())
    np.testing.assert_allclose(sums["contribution"], named["score"], rtol=1e-4)
    assert set(every["history_item_id"]) <= {20, 10, 11, 13}


@pytest.mark.parametrize(
    ("users", "items", "words"),
    [
        ("ada", 99, r"items must be among the 5 items of the bundle\. Got 99\."),
        (
            ["ada", "zoe"],
            [3, 3],
            r"users must be among the 3 users of the bundle, or have a history given\. Got 'zoe'\.",
        ),
        (None, 3, r"or have a history given\. Got None\."),
        (["ada", "bob"], [1, 2, 3], r"one id or lists of equal length\. Got 2 and 3 instead"),
        ("bob", 5, r"sums over the history can say why: item_knn, .*: 5 for 'bob' comes from popular\."),
    ],
)
def test_what_cannot_be_answered_says_what_to_do(users: object, items: object, words: str) -> None:
    with pytest.raises(SerendipError, match=words):
        shop().explain(users, items)


def test_an_item_without_a_score_has_no_reasons() -> None:
    data, _ = world()
    plain = Bundle.build(data, retrieve(StaticScores(np.full(12, -np.inf, np.float32)), name="nothing"))
    with pytest.raises(SerendipError, match=r"10 for 101 has no score\."):
        plain.explain(101, 10)


def test_an_explanation_survives_saving(tmp_path: Path) -> None:
    made = shop()
    loaded = Bundle.load(made.save(tmp_path / "b"))
    assert loaded.explain("ada", 3).equals(made.explain("ada", 3))
