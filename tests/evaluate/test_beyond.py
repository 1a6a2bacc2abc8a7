from __future__ import annotations

import math

import numpy as np
import pytest

from serendip.evaluate import beyond
from serendip.types import ABSENT
from tests.evaluate.logs import log

LISTS = np.array([[0, 1, 2], [0, 1, ABSENT], [0, ABSENT, ABSENT], [ABSENT] * 3], np.int32)


def test_exposure_and_coverage_by_hand() -> None:
    counts = beyond.exposure(LISTS, 5)
    assert counts.tolist() == [3, 2, 1, 0, 0]
    assert beyond.coverage(counts) == pytest.approx(3 / 5)
    assert math.isnan(beyond.coverage(np.zeros(0, np.int64)))


def test_gini_by_hand() -> None:
    assert beyond.gini(np.array([2, 2, 2, 2])) == pytest.approx(0)
    assert beyond.gini(np.array([0, 0, 8, 0])) == pytest.approx(3 / 4)
    # The mean absolute difference over twice the mean: pairs of (3, 2, 1, 0, 0).
    counts = np.array([3, 2, 1, 0, 0])
    differences = np.abs(counts[:, None] - counts[None]).mean()
    assert beyond.gini(counts) == pytest.approx(differences / (2 * counts.mean()))
    assert math.isnan(beyond.gini(np.zeros(3, np.int64)))


def test_novelty_and_popularity_by_hand() -> None:
    # Of four users, all have item 0, one has item 1, nobody has item 2; a repeat and a look without interest count not.
    rows = [(user, 0, 0, 1.0) for user in range(4)] + [(1, 1, 0, 1.0), (1, 1, 1, 1.0), (2, 1, 0, 0.0)]
    data = log(rows, items=[2])
    having = beyond.holders(data)
    assert having.tolist() == [4, 1, 0]
    np.testing.assert_allclose(beyond.novelty(LISTS, having, data.n_users), [4 / 3, 1, 0, np.nan])
    np.testing.assert_allclose(beyond.popularity(LISTS, having), [5 / 3, 5 / 2, 4, np.nan])


def test_diversity_by_categories_by_hand() -> None:
    data = log([(1, item, 0, 1.0) for item in range(4)], categories={0: ["a"], 1: ["a", "b"], 2: ["c"], 3: []})
    space = beyond.item_space(data)
    assert space.basis == "categories"
    lists = np.array([[0, 1, ABSENT], [0, 1, 2], [0, 3, ABSENT], [2, 0, 3]], np.int32)
    near = 1 - 1 / math.sqrt(2)
    np.testing.assert_allclose(beyond.diversity(lists, space), [near, (near + 1 + 1) / 3, np.nan, 1], atol=1e-12)


def test_diversity_by_users_against_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beyond, "_CELLS", 50)  # many small blocks
    rng = np.random.default_rng(0)
    data = log([(int(u), int(i), 0, 1.0) for u, i in rng.integers(0, 15, (90, 2))])
    space = beyond.item_space(data)
    assert space.basis == "users"
    vectors = data.matrix().toarray().T
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lists = np.array([rng.permutation(data.n_items)[:5] for _ in range(30)], np.int32)
    lists[::3, 3:] = ABSENT
    expected = []
    for items in lists:
        chosen = vectors[items[items != ABSENT]]
        pairs = np.triu_indices(len(chosen), 1)
        expected.append(1 - (chosen @ chosen.T)[pairs].mean())
    np.testing.assert_allclose(beyond.diversity(lists, space), expected, atol=1e-6)


def test_categories_that_say_nothing_give_way_to_users() -> None:
    data = log([(1, 0, 0, 1.0), (1, 1, 0, 1.0)], categories={0: [], 1: []})
    assert beyond.item_space(data).basis == "users"
