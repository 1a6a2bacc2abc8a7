"""Products of a few queries with many rows."""

from __future__ import annotations

import numpy as np
import pytest

from serendip.kernels.dots import dots, dots_at


def test_by_hand() -> None:
    rows = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.float32)
    queries = np.array([[1, 0, -1], [0.5, 2, 0]], np.float32)
    scores = np.empty((2, 2), np.float32)
    dots(rows, 1, queries, scores)
    assert scores.tolist() == [[-2, -2], [12, 19.5]]
    dots_at(rows, np.array([2, 0], np.int32), queries, scores)
    assert scores.tolist() == [[-2, -2], [19.5, 4.5]]


@pytest.mark.parametrize("d", [1, 7, 64, 130])
def test_as_a_product_in_float64(d: int) -> None:
    rng = np.random.default_rng(d)
    rows, queries = (rng.standard_normal((n, d)).astype(np.float32) for n in (500, 3))
    expected = queries.astype(np.float64) @ rows.astype(np.float64).T
    scores = np.empty((3, 450), np.float32)
    dots(rows, 50, queries, scores)
    np.testing.assert_allclose(scores, expected[:, 50:], rtol=0, atol=1e-5 * d)
    codes = rng.permutation(500)[:450].astype(np.int32)
    dots_at(rows, codes, queries, scores)
    np.testing.assert_allclose(scores, expected[:, codes], rtol=0, atol=1e-5 * d)


def test_what_is_no_number_or_too_large_is_as_in_numpy() -> None:
    rows = np.array([[np.nan, 1], [3e38, 3e38], [-np.inf, 1]], np.float32)
    scores = np.empty((1, 3), np.float32)
    dots(rows, 0, np.ones((1, 2), np.float32), scores)
    assert np.isnan(scores[0, 0]) and scores[0, 1:].tolist() == [np.inf, -np.inf]
