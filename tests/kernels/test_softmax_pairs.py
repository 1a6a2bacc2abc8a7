"""The softmax of pairs by hand, and against one in double precision that holds all logits."""

from __future__ import annotations

import numpy as np
import pytest

from serendip.kernels.rows import grouped
from serendip.kernels.softmax_pairs import softmax_pairs
from serendip.types import Floats


def exact(
    x: np.ndarray, y: np.ndarray, places: np.ndarray, tau: float, bias: np.ndarray, weights: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Of a query a pair, with its gradients."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    logits = x @ y.T / tau + bias
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    pairs = np.arange(len(x))
    value = -(weights * np.log(shares[pairs, places])).sum()
    shares[pairs, places] -= 1
    pull = shares * weights[:, None] / tau
    return float(value), pull @ y, pull.T @ x


def test_by_hand() -> None:
    """The first query makes 3 : 1 of two candidates and has both as positives; the second knows no difference."""
    queries = np.array([[1, 0], [9, 9], [0, 0]], np.float32)
    items = np.array([[7, 7], [np.log(3), 0], [0, 0]], np.float32)
    groups = grouped(np.array([0, 2, 0]))
    value, to_queries, to_items = softmax_pairs(
        queries, groups, items, np.array([1, 2]), np.array([0, 1, 1]), weights=np.ones(3, np.float32)
    )
    assert value == pytest.approx(np.log(4 / 3) + np.log(2) + np.log(4))
    np.testing.assert_allclose(to_queries, [[0.5 * np.log(3), 0], [0.5 * np.log(3), 0]], atol=1e-6)
    np.testing.assert_allclose(to_items, [[0.5, 0], [-0.5, 0]], atol=1e-6)


def test_what_holds_the_vectors_by_hand() -> None:
    """Vectors of length 5 and 1, of which the first asks twice: 2 · 25 + 1 + (4 + 9) = 64, of which λ/2."""
    queries, items = np.array([[3, 4], [0, 1]], np.float32), np.array([[2, 0], [0, 3]], np.float32)
    groups, both, places = grouped(np.array([0, 0, 1])), np.arange(2), np.array([0, 1, 1])
    weights = np.ones(3, np.float32)
    free, held = (softmax_pairs(queries, groups, items, both, places, weights=weights, reg=reg) for reg in (0.0, 0.5))
    assert held[0] - free[0] == pytest.approx(0.5 / 2 * 64)
    np.testing.assert_allclose(held[1] - free[1], np.array([[3, 4], [0, 0.5]]), atol=1e-6)
    np.testing.assert_allclose(held[2] - free[2], items / 2, atol=1e-6)


def case(n: int, b: int, k: int, d: int) -> tuple[Floats, np.ndarray, Floats, np.ndarray, np.ndarray, Floats, Floats]:
    rng = np.random.default_rng(0)
    queries, items = rng.standard_normal((n, d), np.float32), rng.standard_normal((2 * k, d), np.float32)
    candidates = np.sort(rng.permutation(2 * k)[:k])
    weights, bias = rng.random(b, np.float32), rng.standard_normal(k, np.float32)
    return queries, rng.integers(0, n, b), items, candidates, rng.integers(0, k, b), bias, weights


@pytest.mark.parametrize(("n", "b", "k", "d"), [(7, 20, 5, 3), (300, 900, 130, 32)])
def test_value_and_gradients(n: int, b: int, k: int, d: int) -> None:
    queries, rows, items, candidates, places, bias, weights = case(n, b, k, d)
    groups = grouped(rows)
    value, to_queries, to_items = softmax_pairs(
        queries, groups, items, candidates, places, temperature=0.7, bias=bias, weights=weights
    )
    wanted, each, to_candidates = exact(queries[rows], items[candidates], places, 0.7, bias, weights)
    assert value == pytest.approx(wanted, rel=1e-5)
    summed = np.zeros((n, d))
    np.add.at(summed, rows, each)
    np.testing.assert_allclose(to_queries, summed[groups.rows], atol=2e-4)
    np.testing.assert_allclose(to_items, to_candidates, atol=2e-3)


def test_threads_change_nothing() -> None:
    queries, rows, items, candidates, places, bias, weights = case(600, 900, 60, 16)
    groups = grouped(rows)
    found = [
        softmax_pairs(queries, groups, items, candidates, places, bias=bias, weights=weights, threads=threads)
        for threads in (1, 3)
    ]
    assert found[0][0] == found[1][0]
    assert all((one == other).all() for one, other in zip(found[0][1:], found[1][1:], strict=True))
