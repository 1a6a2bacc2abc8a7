"""The best items by the shorter ways, against a score for every item."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from serendip.kernels.topk import top_k
from serendip.pipeline.scan import FEW, best
from serendip.scorers import ItemToItem, StaticScores
from serendip.types import Queries, pack_mask

N = 9
VALUES = st.sampled_from([-np.inf, -1.0, 0.0, 1.0, 2.0, 2.0, 5.0])
WEIGHTS = np.array([0, 0, 0, 0.5, 1, 1, 2], np.float32)


@given(st.lists(VALUES, min_size=N, max_size=N), st.integers(0, 10**6), st.integers(1, 3), st.integers(0, N + 1))
def test_lists_are_those_of_all_scores(values: list[float], seed: int, q: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    histories = [rng.integers(0, N, rng.integers(0, 4)).tolist() for _ in range(q)]
    exclude = rng.integers(-1, N, (q, 3)).astype(np.int32) if seed % 2 else None
    rows = (None, 1, q)[seed % 3]
    allow = None if rows is None else pack_mask(rng.random((rows, N)) < 0.6)
    asked = Queries.of(histories, k=k)
    queries = Queries(asked.users, asked.history, exclude=exclude, allow=allow, k=k)
    weights = csr_array(rng.choice(WEIGHTS, (N, N)))
    weights.eliminate_zeros()
    for scorer in (StaticScores(np.array(values, np.float32)), ItemToItem(weights, counts="count")):
        found, wanted = best(scorer, queries, k), top_k(scorer.score(queries), k, exclude, allow)
        np.testing.assert_array_equal(found.items, wanted.items)
        np.testing.assert_array_equal(found.scores, wanted.scores)


@pytest.mark.parametrize("q", [FEW, FEW + 1])
def test_a_batch_gets_the_same(q: int) -> None:
    rng = np.random.default_rng(0)
    scorer = ItemToItem(csr_array(rng.choice(WEIGHTS, (40, 40))))
    queries = Queries.of(rng.integers(0, 40, (q, 5)).tolist(), k=7)
    np.testing.assert_array_equal(best(scorer, queries, 7).items, top_k(scorer.score(queries), 7).items)
