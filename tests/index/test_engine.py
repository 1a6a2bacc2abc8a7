"""Looking up in full what an index found."""

from __future__ import annotations

import numpy as np
import pytest

from serendip.index.engine import looked_up
from serendip.types import ABSENT


@pytest.mark.parametrize("queries", [1, 2])
def test_finds_are_ordered_by_their_products_and_lower_codes_come_first(queries: int) -> None:
    table = np.array([[1, 0], [3, 0], [3, 0], [2, 0], [0, 5]], np.float32)
    vectors = np.tile(np.array([[1, 0]], np.float32), (queries, 1))
    found = np.tile(np.array([[0, 3, 2, 4, 1, -1]]), (queries, 1))
    recs = looked_up(table, vectors, found, 4)
    assert recs.items.tolist() == [[1, 2, 3, 0]] * queries
    assert recs.scores.tolist() == [[3, 3, 2, 1]] * queries


@pytest.mark.parametrize("queries", [1, 2])
def test_what_has_no_product_is_left_out(queries: int) -> None:
    huge = np.float32(3e38)
    table = np.array([[huge, -huge], [-huge, -huge], [1e-30, 0], [huge, huge]], np.float32)
    vectors = np.tile(np.array([[huge, huge]], np.float32), (queries, 1))  # NaN, -inf, 3e8, inf
    recs = looked_up(table, vectors, np.tile(np.array([[0, 1, 2, 3]]), (queries, 1)), 3)
    assert recs.items.tolist() == [[3, 2, ABSENT]] * queries
    assert recs.scores[0, 0] == np.inf
    assert recs.scores[0, 1] == pytest.approx(3e8)
