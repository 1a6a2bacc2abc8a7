from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from serendip.scorers import SparsePlusLowRank, dump, filters, restore
from serendip.types import ABSENT, Queries, SerendipError

INF = -np.inf


def scorer(**changes: Any) -> SparsePlusLowRank:
    """Item 0 speaks for 1 (2) and 1 for 0 (4); beside that, l · r says ``i · j``; item 3 did not occur."""
    weights = np.zeros((4, 4), np.float32)
    weights[0, 1], weights[1, 0] = 2, 4
    line = np.array([[0], [1], [2], [0]], np.float32)
    known = np.array([True, True, True, False])
    fields: dict[str, Any] = {"weights": csr_array(weights), "left": line, "right": line.copy(), "known": known}
    return SparsePlusLowRank(**(fields | changes))


def test_votes_by_hand() -> None:
    scores = scorer().score(Queries.of([[0], [1, 2], [1, 1, 3], [3], []]))
    expected = [[0, 2, 0, INF], [4, 1 + 2, 2 + 4, INF], [4, 1, 2, INF], [INF] * 4, [INF] * 4]
    np.testing.assert_array_equal(scores, np.array(expected, np.float32))


def test_votes_count_as_often_or_as_strongly_as_items_occur() -> None:
    history = np.array([[1, 2, 1]], np.int32)
    queries = Queries(np.zeros(1, np.int32), history, {"weight": np.array([[0.5, 0, 2]], np.float32)})
    assert scorer(counts="count").score(queries)[0].tolist() == [8, 2 + 2, 4 + 4, INF]
    assert scorer(counts="weight").score(queries)[0].tolist() == [10, 2.5, 5, INF]


def test_similar_items_are_those_spoken_for() -> None:
    recs = scorer().similar_items(np.array([0, 1, 2, 3], np.int32), 2)
    assert recs.items.tolist() == [[1, ABSENT], [0, 2], [1, ABSENT], [ABSENT, ABSENT]]


def test_large_batches_are_scored_as_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    n = 300
    known = rng.random(n) < 0.9
    made = SparsePlusLowRank(
        csr_array(random_array((n, n), density=0.1, dtype=np.float32, rng=rng)),
        rng.normal(0, 1, (n, 5)).astype(np.float32),
        rng.normal(0, 1, (n, 5)).astype(np.float32),
        known,
    )
    queries = Queries(np.full(200, ABSENT, np.int32), rng.integers(-3, n + 3, (200, 9)).astype(np.int32))
    small = made.score(queries)
    monkeypatch.setattr(filters, "LARGE", 1)
    np.testing.assert_allclose(made.score(queries), small, rtol=1e-4, atol=1e-4)
    assert "serendip.kernels.votes" in sys.modules


def test_it_survives_a_dump() -> None:
    tensors, header = dump(scorer(counts="count"))
    again = restore(tensors, json.loads(json.dumps(header)))
    queries = Queries.of([[0, 1, 1], [2]])
    np.testing.assert_array_equal(again.score(queries), scorer(counts="count").score(queries))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"known": np.ones((2, 2), bool)}, r"known must be \[n\]"),
        ({"known": np.ones(3, bool)}, r"weights must be \[n, n\] with n = 3"),
        ({"left": np.ones(4, np.float32)}, r"left must be \[n, d\] with n = 4"),
        ({"right": np.ones((4, 2), np.float32)}, "left and right must have one shape"),
        ({"left": np.full((4, 1), np.nan, np.float32)}, "vectors must be finite"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SerendipError, match=f"the scorer 'sparse_plus_low_rank' is not sound: {text}"):
        scorer(**changes)
