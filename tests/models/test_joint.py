"""Retrieval and ratings on the same towers: both are right, a sparse label gains, and the score is a formula."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.evaluate import evaluate, last_out
from serendip.model import Model, Run, find
from serendip.scorers import JointScorer, TaskScorer, dump, restore
from serendip.types import SerendipError

ONE = Run(threads=1)
SMALL: dict[str, Any] = {
    "factors": 8, "hidden": None, "length": 20, "history": "others", "batch_size": 128, "learning_rate": 0.02,
    "epochs": 30, "head": 16,
}  # fmt: skip


@cache
def tastes(rated: float = 1.0) -> Dataset:
    """80 users of two tastes take up 10 of the 20 items of their own; odd ones have 4 or 5 stars, even ones 1 or 2."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(80):
        for item in rng.choice(20, 10, replace=False):
            stars = (4 if item % 2 else 1) + int(rng.integers(2))
            rows.append((user, 20 * (user % 2) + int(item), len(rows), stars if rng.random() < rated else None))
    schema = ["user_id", "item_id", "timestamp", "joy"]
    events = pl.DataFrame(rows, schema=schema, orient="row", infer_schema_length=None)
    return Dataset.from_frames(events, labels={"joy": "rating"}, time_kind="rank")


@cache
def learned(rated: float = 1.0) -> Model:
    return find("joint")(**SMALL).fit(last_out(tastes(rated)).train, ONE)


def scorer(rated: float = 1.0) -> JointScorer:
    found = learned(rated).lower()
    assert isinstance(found, JointScorer) and found.tasks == ("retrieval", "joy")
    return found


@pytest.mark.parametrize("rated", [1.0, 0.1])
def test_it_retrieves_and_rates(rated: float) -> None:
    split = last_out(tastes(rated))
    recall = evaluate(scorer(rated), split, ("recall@10",)).mean("recall@10")
    assert recall > 0.7  # 10 of the 11 items of the own taste that are left; 10 of the 31 of both by chance
    queries = split.train.queries(np.arange(10, dtype=np.int32))
    own = 20 * (np.arange(10) % 2)[:, None] + np.arange(20)
    stars = scorer(rated).foretold(queries, own.astype(np.int32))["joy"]
    assert stars[:, 1::2].mean() == pytest.approx(4.5, abs=0.4)
    assert stars[:, ::2].mean() == pytest.approx(1.5, abs=0.4)


def test_the_first_task_is_the_product_of_the_vectors() -> None:
    found = scorer()
    queries = last_out(tastes()).train.queries(np.arange(5, dtype=np.int32))
    np.testing.assert_allclose(
        found.foretold(queries)["retrieval"],
        found.query_vectors(queries) @ found.item_vectors().T,
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_formula_makes_the_score_of_what_is_retrieved_and_rated() -> None:
    found = scorer()
    queries = last_out(tastes()).train.queries(np.arange(6, dtype=np.int32))
    mixed = found.scored_by("retrieval + 10 * joy")
    assert type(mixed) is TaskScorer
    told = found.foretold(queries)
    np.testing.assert_allclose(mixed.score(queries), told["retrieval"] + 10 * told["joy"], rtol=1e-4)
    best = np.argmax(mixed.score(queries), axis=1)
    assert (best % 2 == 1).all()
    np.testing.assert_array_equal(restore(*dump(mixed)).score(queries), mixed.score(queries))
    with pytest.raises(SerendipError, match="clicks"):
        found.scored_by("retrieval * clicks")


def test_an_event_of_no_interest_teaches_the_tasks_alone() -> None:
    """Items that are only ever disliked are rated low, and not retrieved."""
    rng = np.random.default_rng(1)
    rows = [(user, item, 5 if item < 10 else 1) for user in range(60) for item in rng.choice(20, 10, replace=False)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "rating"], orient="row")
    data = Dataset.from_frames(events, positive_from=3)
    found = find("joint")(**SMALL).fit(data, ONE).lower()
    assert isinstance(found, JointScorer)
    told = found.foretold(data.queries(np.arange(10, dtype=np.int32)))
    known = np.isfinite(told["rating"]).all(axis=0)
    liked = np.array([int(name) < 10 for name in data.item_ids.decode(np.arange(data.n_items))])
    assert told["rating"][:, liked & known].mean() > 4.5
    if (~liked & known).any():
        assert told["rating"][:, ~liked & known].mean() < 1.5
        assert told["retrieval"][:, liked].mean() > told["retrieval"][:, ~liked & known].mean() + 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tasks": ("interest", "joy")}, "tasks must be labels of the events"),
        ({"heads": 2}, "one vector for a query"),
        ({"score": "retrieval * hide"}, "hide"),
        ({"tasks": ("likes",)}, "joint: tasks must be of the labels"),
    ],
)
def test_what_cannot_be_is_said_before_training(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SerendipError, match=said):
        find("joint")(**{**SMALL, **options}).fit(tastes(), ONE)


def test_a_task_that_no_event_is_of_is_said_before_training() -> None:
    log = pl.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [1, 2, 2, 3], "bought": [0, 0, 0, 0]})
    data = Dataset.from_frames(log, labels={"bought": "binary"})
    with pytest.raises(SerendipError, match="joint: the label 'bought' must be 1 for some of the events"):
        find("joint")(**SMALL).fit(data, ONE)
