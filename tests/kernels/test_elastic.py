from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.kernels.elastic import nonnegative


def objective(gram: Any, w: Any, l1: float, l2: float) -> Any:
    """``[n]`` of each column."""
    return (
        0.5 * np.einsum("ij,ik,kj->j", w, gram, w)
        - (w * gram).sum(axis=0)
        + l1 * w.sum(axis=0)
        + l2 / 2 * (w**2).sum(0)
    )


def test_two_items_by_hand() -> None:
    # ½ · 4 w² − 2 w + ½ w + ½ w²: w = (2 − ½) / (4 + 1).
    w = nonnegative(csr_array(np.array([[4, 2], [2, 4]], np.float32)), 0.5, 1, sweeps=9, tolerance=0).toarray()
    np.testing.assert_allclose(w, [[0, 0.3], [0.3, 0]], rtol=1e-6)


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 1.0), (1.5, 0.5), (3.0, 20.0)])
def test_the_conditions_of_the_optimum_hold(l1: float, l2: float) -> None:
    x = (np.random.default_rng(0).random((120, 40)) < 0.2).astype(np.float64)
    gram = x.T @ x
    sparse = csr_array(gram.astype(np.float32))
    w = nonnegative(sparse, l1, l2, sweeps=1000, tolerance=1e-7, threads=2).toarray().astype(np.float64)
    assert (w >= 0).all()
    assert not np.diag(w).any()
    assert (w > 0).any()
    slope = gram @ w - gram + l1 + l2 * w
    np.fill_diagonal(slope, 0)
    assert (slope > -1e-3).all()
    np.testing.assert_allclose(slope[w > 0], 0, atol=1e-3)
    nearby = np.maximum(w + np.random.default_rng(1).normal(0, 0.02, w.shape), 0) * (1 - np.eye(40))
    assert (objective(gram, w, l1, l2) <= objective(gram, nearby, l1, l2)).all()
    np.testing.assert_array_equal(w, nonnegative(sparse, l1, l2, sweeps=1000, tolerance=1e-7, threads=1).toarray())


def test_nothing_is_at_stake_without_columns() -> None:
    assert nonnegative(csr_array((0, 0), dtype=np.float32), 1, 1, sweeps=1, tolerance=0).shape == (0, 0)
    assert nonnegative(csr_array((3, 3), dtype=np.float32), 1, 1, sweeps=1, tolerance=0).nnz == 0


def test_only_the_columns_that_are_wanted() -> None:
    rng = np.random.default_rng(5)
    x = (rng.random((30, 12)) < 0.4).astype(np.float32)
    gram = csr_array(x.T @ x)
    every = nonnegative(gram, 0.5, 1.0, sweeps=20, tolerance=1e-6).toarray()
    some = nonnegative(gram, 0.5, 1.0, sweeps=20, tolerance=1e-6, only=np.array([2, 7, 11])).toarray()
    expected = np.zeros_like(every)
    expected[:, [2, 7, 11]] = every[:, [2, 7, 11]]
    np.testing.assert_array_equal(some, expected)
    assert expected.any()
