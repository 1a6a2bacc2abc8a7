"""What parts of a query carry, by a scorer whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest

from serendip.data.features.terms import Terms
from serendip.scorers import Profiles, Summed
from serendip.scorers.left_out import LATEST, Part, Share, columns, shares
from serendip.types import ABSENT, Floats, Ids, Queries


@dataclass
class Adding:
    """``10·age + 100·(colour known) + Σ item codes of the history · weight + 3·users + bag + pair``; no score without a
    history."""

    n_items: int = 200
    asked: int = 0
    feature_names = ("age", "colour")
    bag_names = ("events.view",)
    pair_names = ("source.found",)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        self.asked += 1
        known = queries.history != ABSENT
        assert (np.diff(known.astype(int), axis=1) >= 0).all()  # what is there stands on the right
        said = np.where(known, queries.history * queries.bags["weight"], 0).sum(axis=1)
        said = said + 10 * np.nan_to_num(queries.features["age"]) + 100 * (queries.features["colour"] != ABSENT)
        said = said + 3 * (queries.users + 1) + (queries.bags["events.view"] != ABSENT).sum(axis=1)
        said = said + np.nan_to_num(queries.pairs["source.found"]).sum(axis=(1, 2))
        return np.where(known.any(axis=1), said, -np.inf).astype(np.float32)[:, None]


GROUPS = {("user", "age"): ("age",), ("context", "colour"): ("colour",)}


def asked(history: list[int]) -> Queries:
    return replace(
        Queries.of([history], users=[1]),
        bags={
            "weight": np.array([[2.0] * len(history)], np.float32),
            "events.view": np.array([[4, 5]], np.int32),
        },
        features={"age": np.array([3], np.float32), "colour": np.array([7], np.int32)},
        pairs={"source.found": np.array([[[1.0, 0.5]]], np.float32)},
        allow=np.array([[255]], np.uint8),
    )


def test_each_part_carries_what_the_score_loses_without_it_in_one_call() -> None:
    scorer = Adding()
    queries = asked([5, 0, 7, 5])
    found = shares(scorer, queries, 3, groups=GROUPS)  # type: ignore[arg-type]
    assert scorer.asked == 1
    expected = {
        Part("history", "history"): np.inf,  # without a history there is no score
        Part("history", "history", 5): 20, Part("history", "history", 7): 14,
        Part("user", "age"): 30, Part("context", "colour"): 100, Part("user", "user"): 6,
        Part("event", "events.view"): 2, Part("source", "source.found"): 1.5,
    }  # fmt: skip
    assert {one.part: one.value for one in found} == pytest.approx(expected)
    assert [one.value for one in found] == sorted((one.value for one in found), reverse=True)
    assert queries.history.tolist() == [[5, 0, 7, 5]] and queries.features["age"].tolist() == [3]  # as they were


def test_of_long_histories_the_latest_items_are_left_out_and_a_single_item_stands_for_all() -> None:
    found = shares(Adding(), asked(list(range(1, 151))), 3, groups={})
    items = {one.part.item for one in found if one.part.item != ABSENT}
    assert items == set(range(151 - LATEST, 151))
    (only,) = [one for one in shares(Adding(), asked([5]), 3, groups={}) if one.part.side == "history"]
    assert only == Share(Part("history", "history", 5), np.inf)


def test_sums_of_vectors_are_taken_apart() -> None:
    """Item 2 is (1, 0) with a bias of 0.5; the history says (2, 0) and (0, 1), their user (3, 0)."""
    items = np.array([[0, 1, 0], [1, 1, 0], [1, 0, 0.5]], np.float32)
    scorer = Summed(items, np.array([[2, 0], [0, 1], [9, 9]], np.float32), np.array([[3, 0]], np.float32), 0.0)
    found = shares(scorer, Queries.of([[0, 1]], users=[0]), 2, groups={})
    assert {(one.part.name, one.part.item): one.value for one in found} == {
        ("history", 0): 2, ("history", ABSENT): 2, ("user", ABSENT): 3,
    }  # fmt: skip


def test_columns_of_an_item_carry_what_they_share_with_the_history() -> None:
    """Item 1 has the colour of item 0, which is all of the history. Its material, that of item 2, makes it less like
    item 0 than the colour alone would."""
    table = pl.DataFrame(
        {"item_id": [1, 2, 3], "colour": ["red", "red", "blue"], "stuff": ["wood", "tin", "tin"], "price": [1, 2, 3]}
    )
    terms = Terms.fit(table, ["colour", "stuff"], [], share=0.5, min_items=1, max_share=1.0, max_words=10)
    rows = terms.rows(table)
    scorer, query = Profiles(rows, terms=terms.pack()), Queries.of([[0]])
    colour, stuff = columns(scorer, query, 1, table[1], None)
    assert (colour.part, stuff.part) == (Part("item", "colour"), Part("item", "stuff"))
    assert colour.value == np.inf  # without it, nothing is in common
    (red,) = set(rows[[0]].indices) & set(rows[[1]].indices)
    assert stuff.value == pytest.approx(rows[0, red] * rows[1, red] - rows[0, red]) and stuff.value < -0.05
    assert columns(Adding(), query, 1, table[1], None) == []  # type: ignore[arg-type]
