from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.checks.cases import odd_log
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.data.synthetic import planted_factors
from serendip.model import Run
from serendip.models._weighting import weighted
from serendip.models.item_knn import ItemKNN
from serendip.types import ABSENT, Queries


def similarities(dense: Any, kind: str, shrink: float = 0.0, alpha: float = 0.5, power: float = 1.0) -> Any:
    """All similarities, written out; 0 where no user is in common and on the diagonal."""
    length = np.sqrt((dense.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    dense = dense / np.where(length > 0, length, 1) ** power
    square = (dense**2).sum(axis=0)
    product = dense.T @ dense
    below = {
        "cosine": np.outer(square**alpha, square ** (1 - alpha)),
        "jaccard": square[:, None] + square - product,
        "dice": (square[:, None] + square) / 2,
    }[kind]
    similar = np.divide(product, below + shrink, out=np.zeros_like(product), where=product > 0)
    np.fill_diagonal(similar, 0)
    return similar


def test_cosines_by_hand() -> None:
    # Item 0: users 0, 1, 2, 3; item 1: users 0, 1, 2; item 2: user 0; item 3: user 4.
    log = pl.DataFrame({"user_id": [0, 1, 2, 3, 0, 1, 2, 0, 4], "item_id": [0, 0, 0, 0, 1, 1, 1, 2, 3]})
    data = Dataset.from_frames(log, schema=Schema())
    weights = ItemKNN(user_power=0).fit(data).lower().weights.toarray()
    assert weights[0, 1] == weights[1, 0] == pytest.approx(3 / np.sqrt(12))
    assert weights[0, 2] == pytest.approx(1 / 2)
    assert weights[1, 2] == pytest.approx(1 / np.sqrt(3))
    assert not weights[3].any()
    assert not np.diag(weights).any()
    shrunk = ItemKNN(shrink=2, user_power=0).fit(data).lower().weights.toarray()
    assert shrunk[0, 2] == pytest.approx(1 / (2 + 2))
    nearest = ItemKNN(neighbours=1, user_power=0).fit(data).lower()
    assert nearest.similar_items(np.array([0, 1, 2, 3], np.int32), 2).items.tolist() == [
        [1, ABSENT],
        [0, ABSENT],
        [1, ABSENT],
        [ABSENT, ABSENT],
    ]
    np.testing.assert_allclose(
        nearest.score(Queries.of([[0, 2]])), [[-np.inf, 3 / np.sqrt(12) + 1 / np.sqrt(3), -np.inf, -np.inf]], rtol=1e-6
    )


@pytest.mark.parametrize("counts", ["binary", "count", "weight"])
@pytest.mark.parametrize(("kind", "alpha"), [("cosine", 0.5), ("cosine", 0.2), ("jaccard", 0.5), ("dice", 0.5)])
@pytest.mark.parametrize(("shrink", "power"), [(0.0, 0.0), (3.5, 1.0), (0.1, 0.3)])
def test_all_similarities(counts: str, kind: str, alpha: float, shrink: float, power: float) -> None:
    data = odd_log()
    options = {"similarity": kind, "alpha": alpha, "shrink": shrink, "user_power": power, "weight": counts}
    model = ItemKNN(neighbours=1000, **options)
    scorer = model.fit(data, Run(threads=1)).lower()
    dense = data.matrix(None if counts == "binary" else counts).toarray()
    np.testing.assert_allclose(scorer.weights.toarray(), similarities(dense, kind, shrink, alpha, power), atol=1e-6)
    assert scorer.counts == counts


@pytest.mark.parametrize("neighbours", [1, 7, 30])
def test_the_nearest_are_kept(neighbours: int) -> None:
    data = planted_factors(users=200, items=80, events=15).data
    expected = similarities(data.matrix().toarray(), "cosine")
    weights = ItemKNN(neighbours=neighbours).fit(data, Run(threads=2)).lower().weights
    assert (np.diff(weights.indptr) == np.minimum(neighbours, (expected > 0).sum(axis=1))).all()
    for item in range(data.n_items):
        kept = np.sort(weights[[item]].data)[::-1]
        best = np.sort(expected[item])[::-1][: len(kept)]
        np.testing.assert_allclose(kept, best, atol=1e-6)
        np.testing.assert_allclose(kept, np.sort(expected[item, weights[[item]].indices])[::-1], atol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 0.2])
def test_the_nearest_of_candidates_are_kept(alpha: float) -> None:
    data = planted_factors(users=200, items=80, events=15).data
    expected = similarities(data.matrix().toarray(), "cosine", alpha=alpha)
    model = ItemKNN(neighbours=7, alpha=alpha, nearest_to="candidate")
    weights = model.fit(data, Run(threads=2)).lower().weights.tocsc()
    assert (np.diff(weights.indptr) == np.minimum(7, (expected > 0).sum(axis=0))).all()
    for item in range(data.n_items):
        column = slice(weights.indptr[item], weights.indptr[item + 1])
        np.testing.assert_allclose(weights.data[column], expected[weights.indices[column], item], atol=1e-6)
        np.testing.assert_allclose(np.sort(weights.data[column])[::-1], np.sort(expected[:, item])[::-1][:7], atol=1e-6)


def test_of_equal_similarities_the_lower_codes_are_kept() -> None:
    log = pl.DataFrame({"user_id": [0] * 6 + [1], "item_id": [0, 1, 2, 3, 4, 5, 6]})
    weights = ItemKNN(neighbours=2).fit(Dataset.from_frames(log, schema=Schema())).lower().weights
    assert [sorted(weights[[item]].indices.tolist()) for item in range(6)] == [[1, 2], [0, 2], *[[0, 1]] * 4]


@pytest.mark.parametrize("weighting", ["tfidf", "bm25"])
def test_weighted_users_and_both_powers_free(weighting: str) -> None:
    data = odd_log()
    options = {"weighting": weighting, "weight": "count", "user_power": 0, "alpha": 0.3, "beta": 0.9}
    weights = ItemKNN(neighbours=1000, **options).fit(data).lower().weights.toarray()
    dense = weighted(data.matrix("count"), weighting).toarray().astype(np.float64)
    square, product = (dense**2).sum(axis=0), dense.T @ dense
    below = np.outer(square**0.3, square**0.9)
    expected = np.divide(product, below, out=np.zeros_like(product), where=product > 0)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-6)
