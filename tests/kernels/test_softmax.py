"""The softmax in tiles against one in double precision that holds all logits, and against small differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.kernels.softmax import alike, cross_entropy, nothing, softmax
from serendip.types import ABSENT, Floats


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


def test_threads_change_nothing() -> None:
    users, items, positives, candidates = case(600, 50)
    whole = cross_entropy(users, items, positives, candidates, 0.5, threads=1)
    again = cross_entropy(users, items, positives, candidates, 0.5, threads=3)
    assert whole[0] == again[0]
    assert all((one == other).all() for one, other in zip(whole[1:], again[1:], strict=True))


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


def dense(
    x: np.ndarray, y: np.ndarray, positives: np.ndarray, tau: float, bias: np.ndarray, out: np.ndarray, w: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Value, gradients and shares in double precision; ``out`` says which candidates do not count."""
    x, y, rows = x.astype(np.float64), y.astype(np.float64), np.arange(len(x))
    heads = np.einsum("bhd,kd->bhk", x, y) / tau
    logits = heads.max(axis=1) + bias
    own = logits[rows, positives]
    logits = np.where(out, -np.inf, logits)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    value = float((w * (np.log(powers.sum(axis=1)) + logits.max(axis=1) - own)).sum())
    inner = shares.copy()
    inner[rows, positives] -= 1
    inner *= w[:, None] / tau
    to_x, to_y = np.zeros_like(x), np.zeros_like(y)
    for head in range(x.shape[1]):
        of_head = inner * (heads.argmax(axis=1) == head)
        to_x[:, head] = of_head @ y
        to_y += of_head.T @ x[:, head]
    return value, to_x, to_y, shares


def drawn(b: int, h: int, k: int, d: int) -> tuple[Floats, Floats, np.ndarray, Floats, Floats, np.ndarray]:
    rng = np.random.default_rng(b * k + d)
    x, y = rng.standard_normal((b, h, d), np.float32), rng.standard_normal((k, d), np.float32)
    bias, weights = rng.standard_normal(k, np.float32), rng.random(b, np.float32)
    return x, y, rng.integers(0, k, b), bias, weights, rng.integers(0, max(2, k // 3), k)


def test_many_hard_negatives_of_which_many_are_equal() -> None:
    rng, rows = np.random.default_rng(0), np.arange(60)
    logits, positives = rng.integers(-20, 20, (60, 1000)).astype(np.float32), rng.integers(0, 1000, 60)
    others = logits.copy()
    others[rows, positives] = -np.inf
    kept = np.zeros(logits.shape, bool)
    np.put_along_axis(kept, np.argsort(-others, axis=1, kind="stable")[:, :100], True, axis=1)
    units = np.eye(1000, dtype=np.float32)  # so that the gradient of a query is its shares
    _, shares, _ = softmax(logits[:, None], units, positives, hidden=replace(nothing(60), hard=100))
    shares[rows, 0, positives] = 0
    assert ((shares[:, 0] > 0) == kept).all()


SHAPES = [(1, 1, 1, 1), (7, 1, 5, 4), (100, 1, 130, 64), (48, 1, 96, 16), (300, 2, 130, 40), (49, 3, 7, 100)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tau", [1.0, 0.05])
def test_softmax_is_the_dense_one(shape: tuple[int, ...], tau: float) -> None:
    x, y, positives, bias, weights, ids = drawn(*shape)
    out = ids[None, :] == ids[positives][:, None]
    out[np.arange(len(x)), positives] = False
    expected = dense(x, y, positives, tau, bias, out, weights)
    hidden = alike(ids, ids[positives])
    found = softmax(x, y, positives, temperature=tau, bias=bias, hidden=hidden, weights=weights)
    assert found[0] == pytest.approx(expected[0], rel=1e-5, abs=1e-5)
    for one, other in zip(found[1:], expected[1:3], strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5 * max(1.0, float(np.abs(other).max())))


def test_masked_candidates_and_hard_negatives() -> None:
    x, y, positives, bias, weights, _ = drawn(120, 1, 130, 20)
    rows = np.arange(len(x))
    mask = np.random.default_rng(0).random((len(x), len(y))) < 0.5
    logits = (x[:, 0] @ y.T) + bias
    logits[~mask] = -np.inf
    logits[rows, positives] = -np.inf
    out = np.ones(mask.shape, bool)
    np.put_along_axis(out, np.argsort(-logits, axis=1)[:, :9], False, axis=1)
    out[rows, positives] = False
    expected = dense(x, y, positives, 1.0, bias, out, weights)
    hidden = replace(nothing(len(x)), mask=mask, hard=9)
    found = softmax(x, y, positives, bias=bias, hidden=hidden, weights=weights)
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    for one, other in zip(found[1:], expected[1:3], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(("hard", "kept"), [(0, 0), (1, 1), (2, 2), (5, 5), (9, 5)])
def test_of_equals_exactly_so_many_are_kept(hard: int, kept: int) -> None:
    x, y = np.ones((1, 1, 4), np.float32), np.ones((6, 4), np.float32)
    value, _, to_y = softmax(x, y, np.array([3]), hidden=replace(nothing(1), hard=hard))
    assert value == pytest.approx(np.log(1 + kept), abs=1e-6)
    assert np.flatnonzero(to_y[:, 0] > 0).tolist() == [0, 1, 2, 4, 5][:kept]  # the lower ones


def test_without_a_positive_the_sum_alone_counts() -> None:
    x, y, _, _, weights, _ = drawn(60, 1, 70, 8)
    value, to_x, to_y = softmax(x, y, np.full(60, ABSENT), weights=weights)
    logits = x[:, 0].astype(np.float64) @ y.T.astype(np.float64)
    powers = np.exp(logits)
    shares = powers / powers.sum(axis=1, keepdims=True) * weights[:, None]
    assert value == pytest.approx(float((weights * np.log(powers.sum(axis=1))).sum()), rel=1e-6)
    np.testing.assert_allclose(to_x[:, 0], shares @ y, atol=1e-5)
    np.testing.assert_allclose(to_y, shares.T @ x[:, 0], atol=1e-5)


@pytest.mark.parametrize("order", ["rising", "falling"])
def test_logits_far_apart(order: str) -> None:
    # logits from -400 to 400 along the candidates: marks move in many chunks, or in none
    steps = np.linspace(-400, 400, 300, dtype=np.float32) * (1 if order == "rising" else -1)
    x, y = np.ones((3, 1, 1), np.float32), steps[:, None]
    positives = np.array([0, 150, 299])
    zero = np.zeros(300)
    expected = dense(x, y, positives, 1.0, zero, np.zeros((3, 300), bool), np.ones(3))
    found = softmax(x, y, positives)
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    for one, other in zip(found[1:], expected[1:3], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("head", [0, 1, 2])
@pytest.mark.parametrize("hard", [None, 3])
def test_what_is_not_a_number_stays_so(head: int, hard: int | None) -> None:
    x, y, positives, *_ = drawn(60, 3, 70, 8)
    x[5, head, 0] = np.nan
    assert np.isnan(softmax(x, y, positives, hidden=replace(nothing(60), hard=hard))[0])


def test_no_queries() -> None:
    value, to_x, to_y = softmax(np.zeros((0, 1, 4), np.float32), np.ones((3, 4), np.float32), np.zeros(0, np.int64))
    assert value == 0 and to_x.shape == (0, 1, 4) and (to_y == 0).all()


def test_softmax_is_the_same_for_any_number_of_threads() -> None:
    x, y, positives, bias, weights, _ = drawn(1100, 1, 90, 12)
    one, other = (softmax(x, y, positives, bias=bias, weights=weights, threads=threads) for threads in (1, 3))
    assert one[0] == other[0]
    assert all((a == b).all() for a, b in zip(one[1:], other[1:], strict=True))
