"""How relevant items are by their places."""

from __future__ import annotations

import numpy as np

from serendip.rerank.lists import RELEVANCE, front, relevance, scaled
from serendip.types import ABSENT

from .shelves import lists


def test_scores_are_scaled_within_their_list() -> None:
    found = scaled(lists([0, 1, 2], [3], [], scores=[[4, 3, 2], [7], []]))
    assert found.tolist() == [[1, 0.5, 0], [0, 0, 0], [0, 0, 0]]


def test_a_score_above_one_before_it_counts_as_that_one() -> None:
    # By hand: 120 and 80 of another source count as 0.1, the least before them.
    found = scaled(lists([0, 1, 2, 3], scores=[[0.9, 0.1, 120, 80]]))
    np.testing.assert_allclose(found, [[1, 0, 0, 0]], atol=1e-6)


def test_scores_that_are_not_finite_count_nothing() -> None:
    assert scaled(lists([0, 1, 2], scores=[[2, 1, -np.inf]])).tolist() == [[1, 0, 0]]
    assert scaled(lists([0, 1], scores=[[5, 5]])).tolist() == [[0, 0]]


def test_the_relevance_that_lists_came_with_is_dealt_out_to_places() -> None:
    recs = lists([2, 0, 1], **{RELEVANCE: np.array([[0.2, 1.0, 0.5]])})
    assert relevance(recs).tolist() == [[1, 0.5, 0.2]]


def test_what_is_chosen_stands_before_the_rest() -> None:
    order = front(np.array([[2, 0], [1, ABSENT]]), 4)
    assert order.tolist() == [[2, 0, 1, 3], [1, 0, 2, 3]]
