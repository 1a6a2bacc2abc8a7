from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.scorers import DenseItemToItem, Factors, SparsePlusLowRank, history_matrix
from serendip.types import Queries, Scorer

APART = np.array([[0, 2, 1, 0, 0], [2, 0, 1, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 3], [0, 0, 0, 3, 0]], np.float32)
"""What five items say of each other: the last two of none but themselves."""
KNOWN = np.ones(5, np.bool_)


def test_histories_are_indexed_as_weights_are() -> None:
    """Otherwise SciPy converts the indices of all weights for every product."""
    weights = csr_array(np.eye(5, dtype=np.float32))
    history = history_matrix(Queries.of([[0, 3], [], [4]]), 5, "binary")
    assert history.indices.dtype == weights.indices.dtype == np.int32
    assert history.indptr.dtype == weights.indptr.dtype
    np.testing.assert_array_equal((history @ weights).toarray(), history.toarray())


@pytest.mark.parametrize(
    "scorer",
    [
        DenseItemToItem(APART, KNOWN),
        SparsePlusLowRank(csr_array(APART), np.zeros((5, 1), np.float32), np.zeros((5, 1), np.float32), KNOWN),
    ],
)
def test_a_history_that_says_nothing_of_other_items_has_no_scores(scorer: Scorer) -> None:
    scores = scorer.score(Queries.of([[3], [3, 4], [0], [3, 0]]))
    assert np.isfinite(scores[0]).all()  # the other one of the two is named
    assert (scores[1] == -np.inf).all()
    np.testing.assert_array_equal(scores[2], APART[0])
    np.testing.assert_array_equal(scores[3], APART[0] + APART[3])


def test_items_of_which_nothing_was_learnt_say_nothing() -> None:
    items = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    vectors = Factors(items, alpha0=0.1, reg=1.0, nu=0.0).query_vectors(Queries.of([[2], [0, 2], []]))
    assert np.isnan(vectors[[0, 2]]).all() and vectors[1, 0] > 0
