"""The softmax that many users share: its gradients by small differences, and in blocks as in one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.kernels import softmax
from serendip.kernels.softmax import cross_entropy
from serendip.types import Floats


def case(b: int = 6, n: int = 8) -> tuple[Floats, Floats, csr_array, np.ndarray]:
    rng = np.random.default_rng(0)
    users, items = rng.standard_normal((b, 4), np.float32), rng.standard_normal((n, 4), np.float32)
    taken = (rng.random((b, n)) < 0.4).astype(np.float32)
    return users, items, csr_array(taken), rng.integers(0, n, 5)


def exact(users: np.ndarray, items: np.ndarray, positives: csr_array, candidates: np.ndarray, tau: float) -> float:
    logits = users.astype(np.float64) @ items.astype(np.float64).T / tau
    partition = np.log(np.exp(logits[:, candidates]).sum(axis=1))
    return float((positives.toarray() * (partition[:, None] - logits)).sum())


def test_value_and_gradients() -> None:
    users, items, positives, candidates = case()
    value, *gradients = cross_entropy(users, items, positives, candidates, 0.7)
    assert value == pytest.approx(exact(users, items, positives, candidates, 0.7), rel=1e-6)
    step = 1e-4
    for side, gradient in enumerate(gradients):
        for place in np.ndindex(gradient.shape):
            moved = [[users.astype(np.float64), items.astype(np.float64)] for _ in range(2)]
            moved[0][side], moved[1][side] = moved[0][side].copy(), moved[1][side].copy()
            moved[0][side][place] += step
            moved[1][side][place] -= step
            slope = np.subtract(*(exact(*one, positives, candidates, 0.7) for one in moved)) / (2 * step)
            assert gradient[place] == pytest.approx(slope, abs=1e-3)


def test_blocks_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    users, items, positives, candidates = case(300, 50)
    whole = cross_entropy(users, items, positives, candidates, 0.5, threads=1)
    again = cross_entropy(users, items, positives, candidates, 0.5, threads=3)
    assert whole[0] == again[0]
    assert all((one == other).all() for one, other in zip(whole[1:], again[1:], strict=True))
    monkeypatch.setattr(softmax, "_LOGITS", 1)
    small = cross_entropy(users, items, positives, candidates, 0.5)
    assert small[0] == pytest.approx(whole[0], rel=1e-6)
    for one, other in zip(whole[1:], small[1:], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3, rtol=1e-4)


def test_large_logits_do_not_overflow() -> None:
    users, items, positives, candidates = case()
    value, *gradients = cross_entropy(users * 1000, items, positives, candidates, 0.1)
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_logits_that_are_all_far_below_0_count_as_well() -> None:
    users, items, positives, candidates = case()
    away = np.float32(1e-3) - np.abs(users), np.abs(items)
    value, *gradients = cross_entropy(*away, positives, candidates, 0.01)
    assert value == pytest.approx(exact(*away, positives, candidates, 0.01), rel=1e-5)
    assert all(np.isfinite(gradient).all() and np.abs(gradient).max() < 1e4 for gradient in gradients)
