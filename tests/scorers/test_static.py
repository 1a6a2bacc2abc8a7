"""Scores that are the same for everybody, and how sure they are."""

from __future__ import annotations

import numpy as np

from serendip.scorers import StaticScores
from serendip.types import ABSENT, Queries, Uncertain


def test_the_deviation_of_a_count_is_the_root_of_one_more() -> None:
    scorer = StaticScores(np.array([8, 0, -np.inf, 3], np.float32))
    assert isinstance(scorer, Uncertain)
    np.testing.assert_allclose(scorer.deviation(Queries.of([[]])), np.array([[3, 1, np.nan, 2]]))
    chosen = scorer.deviation(Queries.of([[], []]), np.array([[3, ABSENT], [0, 1]], np.int32))
    np.testing.assert_allclose(chosen, np.array([[2, np.nan], [3, 1]]))
