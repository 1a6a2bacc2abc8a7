from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.checks.cases import odd_log
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.data.synthetic import planted_factors
from serendip.models.user_knn import UserKNN
from serendip.types import Queries


def small() -> Dataset:
    """User 0 has items 0, 1; user 1 has 0, 1, 2; user 2 has 0, 3; user 3 has 4."""
    log = pl.DataFrame({"user_id": [0, 0, 1, 1, 1, 2, 2, 3], "item_id": [0, 1, 0, 1, 2, 0, 3, 4]})
    return Dataset.from_frames(log, schema=Schema())


def test_cosines_by_hand() -> None:
    # User 0 against 1: 2/√6; against 2: 1/2. Nobody shares item 4.
    model = UserKNN(idf_power=0).fit(small())
    scores = model.score(small().queries(np.array([0], np.int32)))
    both = 2 / np.sqrt(6)
    np.testing.assert_allclose(scores, [[both + 0.5, both, both, 0.5, -np.inf]], rtol=1e-6)
    # A stranger with the same history has user 0 for a neighbour, too.
    stranger = model.score(Queries.of([[0, 1]]))
    np.testing.assert_allclose(stranger, [[1 + both + 0.5, 1 + both, both, 0.5, -np.inf]], rtol=1e-6)
    one = UserKNN(idf_power=0, neighbours=1).fit(small()).score(small().queries(np.array([0], np.int32)))
    np.testing.assert_allclose(one, [[both, both, both, -np.inf, -np.inf]], rtol=1e-6)


def test_similar_users_are_named() -> None:
    recs = UserKNN(idf_power=0).fit(small()).lower().similar_users(small().queries(), 2)  # type: ignore[attr-defined]
    assert recs.items.tolist() == [[1, 2], [0, 2], [0, 1], [-1, -1]]


def test_rare_items_say_more() -> None:
    # Item 0 is had by 3 of 4 users, item 1 by 2: log(1 + 4/3) and log(1 + 2).
    emphasis = UserKNN(idf_power=2).fit(small()).lower().emphasis  # type: ignore[attr-defined]
    np.testing.assert_allclose(emphasis[:2], [np.log(7 / 3) ** 2, np.log(3) ** 2], rtol=1e-6)


def expected_scores(dense: Any, options: dict[str, Any]) -> Any:
    """Written out: for each user the K best others, of equal ones the lower code first."""
    having, active = (dense > 0).sum(axis=0), ((dense > 0).sum(axis=1) > 0).sum()
    told = dense
    if options.get("weighting") == "bm25":
        length = dense.sum(axis=1, keepdims=True) / dense.sum(axis=1)[dense.sum(axis=1) > 0].mean()
        told = 2.2 * dense / (1.2 * (0.25 + 0.75 * length) + dense)
    x = told * np.where(having > 0, np.log1p(active / np.maximum(having, 1)) ** options["idf_power"], 0)
    product, square = x @ x.T, (x**2).sum(axis=1)
    kind, alpha = options["similarity"], options["alpha"]
    below = {
        "cosine": np.outer(square**alpha, square ** (1 - alpha)),
        "jaccard": square[:, None] + square - product,
        "dice": (square[:, None] + square) / 2,
    }[kind] + options["shrink"]
    similar = np.divide(product, below, out=np.zeros_like(product), where=product > 0)
    np.fill_diagonal(similar, 0)
    for row in similar:
        row[np.argsort(-row, kind="stable")[options["neighbours"] :]] = 0
    scores = similar @ dense
    return np.where(scores > 0, scores, -np.inf)


@pytest.mark.parametrize("counts", ["binary", "weight"])
@pytest.mark.parametrize(
    "options",
    [
        {"similarity": "cosine", "alpha": 0.5, "shrink": 0.0, "idf_power": 1.0, "neighbours": 100},
        {"similarity": "cosine", "alpha": 0.2, "shrink": 3.0, "idf_power": 0.5, "neighbours": 5},
        {"similarity": "jaccard", "alpha": 0.5, "shrink": 0.5, "idf_power": 0.0, "neighbours": 7},
        {"similarity": "dice", "alpha": 0.5, "shrink": 0.1, "idf_power": 2.0, "neighbours": 7},
        {"similarity": "cosine", "alpha": 0.5, "shrink": 1.0, "idf_power": 1.0, "neighbours": 7, "weighting": "bm25"},
        {"similarity": "jaccard", "alpha": 0.5, "shrink": 0.1, "idf_power": 1.0, "neighbours": 7, "weighting": "bm25"},
    ],
)
def test_all_similarities(options: dict[str, Any], counts: str) -> None:
    data = planted_factors(users=90, items=40, events=9).data if counts == "binary" else odd_log()
    dense = data.matrix(None if counts == "binary" else counts).toarray().astype(np.float64)
    scores = UserKNN(weight=counts, **options).fit(data).score(data.queries())
    expected = expected_scores(dense, options)
    differ = ~np.isclose(scores, expected, rtol=1e-4)
    # Users who are equally like the asker in exact numbers may change places by rounding.
    assert differ.any(axis=1).mean() < 0.05


def test_bm25_by_hand_and_its_reasons() -> None:
    """User 0 has item 0 ten times; 1 has 0 once and 1 once; 2 has 1 three times and 2 once."""
    log = pl.DataFrame({"user_id": [0] * 10 + [1, 1] + [2] * 4, "item_id": [0] * 10 + [0, 1] + [1, 1, 1, 2]})
    data = Dataset.from_frames(log, schema=Schema())
    model = UserKNN(weight="count", weighting="bm25", idf_power=0).fit(data)
    mean = 16 / 3

    def told(x: float, length: float) -> float:
        return 2.2 * x / (1.2 * (0.25 + 0.75 * length / mean) + x)

    likeness = told(1, 2) / np.hypot(told(1, 2), told(1, 2))  # of 0 and 1: user 0 has one item alone
    scores = model.score(data.queries(np.array([0], np.int32)))
    np.testing.assert_allclose(scores[0, :2], [likeness, likeness], rtol=1e-6)
    assert scores[0, 2] == -np.inf
    # Both items of user 1 speak for item 1 as far as each adds to the likeness of users 0 and 2.
    reasons = model.lower().explain(data.queries(np.array([1], np.int32)), np.array([1], np.int32))  # type: ignore[attr-defined]
    asked = model.score(data.queries(np.array([1], np.int32)))
    np.testing.assert_allclose(reasons.scores[reasons.items >= 0].sum(), asked[0, 1], rtol=1e-5)
