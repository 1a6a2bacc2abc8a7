from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array
from scipy.stats import norm, truncnorm

from serendip.kernels import gibbs

M, ALPHA = 40, 1.7


def world(seed: int = 0) -> tuple[Any, ...]:
    """Two blocks with shared features; the dense features of every case; weights, factors and a truth."""
    rng = np.random.default_rng(seed)
    blocks = [random_array((rows, c), density=0.6, rng=rng, format="csr") for rows, c in ((7, 5), (6, 4))]
    cases = [rng.integers(0, block.shape[0], M).astype(np.int32) for block in blocks]
    dense = np.hstack([block.toarray()[case] for block, case in zip(blocks, cases, strict=True)])
    w, v = rng.normal(0, 1, 9), rng.normal(0, 1, 9)
    return rng, blocks, cases, dense, w, v, rng.normal(0, 1, M)


def modelled(dense: Any, w: Any, v: Any) -> Any:
    """The equation with one factor, pair by pair."""
    pairs = sum(
        v[j] * v[k] * dense[:, j] * dense[:, k] for j in range(dense.shape[1]) for k in range(j + 1, dense.shape[1])
    )
    return dense @ w + pairs


def by_column(block: csr_array) -> tuple[Any, Any, Any]:
    columns = block.tocsc()
    return columns.indptr.astype(np.int64), columns.indices.astype(np.int32), columns.data


def drawn(slope: Any, error: Any, value: float, precision: float, centre: float, noise: float) -> float:
    below = ALPHA * (slope**2).sum() + precision
    return float((ALPHA * (slope * (error + value * slope)).sum() + precision * centre) / below + noise / below**0.5)


def test_weights_are_drawn_from_their_conditionals() -> None:
    rng, blocks, cases, dense, w, v, truth = world()
    error = truth - modelled(dense, w, v)
    noise, precision, centre = rng.normal(0, 1, 5), rng.random(5) + 0.5, rng.normal(0, 1, 5)
    expected = w.copy()
    for j in range(5):
        off = truth - modelled(dense, expected, v)
        expected[j] = drawn(dense[:, j], off, expected[j], precision[j], centre[j], noise[j])
    counts = np.bincount(cases[0], minlength=7).astype(float)
    own = w[:5].copy()
    gibbs.linear(cases[0], *by_column(blocks[0]), noise, precision, centre, ALPHA, own, error, counts)
    np.testing.assert_allclose(own, expected[:5], rtol=1e-9)
    np.testing.assert_allclose(error, truth - modelled(dense, expected, v), rtol=1e-8, atol=1e-10)


def test_factors_are_drawn_from_their_conditionals() -> None:
    rng, blocks, cases, dense, w, v, truth = world(1)
    error = truth - modelled(dense, w, v)
    noise, precision, centre = rng.normal(0, 1, 4), rng.random(4) + 0.5, rng.normal(0, 1, 4)
    expected = v.copy()
    for j in range(5, 9):
        off = truth - modelled(dense, w, expected)
        slope = dense[:, j] * (dense @ expected - dense[:, j] * expected[j])
        expected[j] = drawn(slope, off, expected[j], precision[j - 5], centre[j - 5], noise[j - 5])
    counts = np.bincount(cases[1], minlength=6).astype(float)
    own, sums, whole = v[5:].copy(), blocks[1] @ v[5:], dense @ v
    gibbs.factor(cases[1], *by_column(blocks[1]), noise, precision, centre, ALPHA, own, sums, whole, error, counts)
    np.testing.assert_allclose(own, expected[5:], rtol=1e-9)
    np.testing.assert_allclose(sums, blocks[1] @ expected[5:], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(whole, dense @ expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(error, truth - modelled(dense, w, expected), rtol=1e-8, atol=1e-10)


def test_one_weight_by_hand() -> None:
    # One feature x = 2 in one row with two cases; errors 1 and 3, w = 0, α = 1, λ = 1, μ = 0, no noise:
    # w = Σ x e / (Σ x² + 1) = 8 / 9.
    w, error = np.zeros(1), np.array([1.0, 3.0])
    one, zero = np.ones(1), np.zeros(1)
    gibbs.linear(
        np.zeros(2, np.int32), np.array([0, 1]), np.zeros(1, np.int32), np.full(1, 2.0), zero, one, zero, 1.0, w,
        error, np.full(1, 2.0),
    )  # fmt: skip
    assert w[0] == pytest.approx(8 / 9)
    np.testing.assert_allclose(error, [1 - 16 / 9, 3 - 16 / 9])


def likelihood(level: Any, centre: Any, cuts: Any) -> float:
    ends = np.concatenate([[-np.inf], cuts, [np.inf]])
    return float(np.log(norm.cdf(ends[level + 1] - centre) - norm.cdf(ends[level] - centre)).sum())


def found(level: Any, centre: Any, cuts: Any) -> tuple[float, Any, Any, Any]:
    slope, diagonal, beside = np.empty(len(cuts)), np.empty(len(cuts)), np.empty(len(cuts) - 1)
    return gibbs.cut_likelihood(level, centre, cuts, slope, diagonal, beside), slope, diagonal, beside


def test_the_likelihood_of_cuts_and_its_slopes() -> None:
    rng = np.random.default_rng(0)
    level, centre = rng.integers(0, 4, 50).astype(np.int32), rng.normal(0, 1, 50)
    cuts, step = np.array([-0.8, 0.1, 0.9]), 1e-5
    value, slope, diagonal, beside = found(level, centre, cuts)
    assert value == pytest.approx(likelihood(level, centre, cuts))
    for place in range(3):
        up, down = cuts.copy(), cuts.copy()
        up[place], down[place] = up[place] + step, down[place] - step
        expected = (likelihood(level, centre, up) - likelihood(level, centre, down)) / (2 * step)
        assert slope[place] == pytest.approx(expected, rel=1e-5)
        curve = (found(level, centre, up)[1] - found(level, centre, down)[1]) / (2 * step)
        assert diagonal[place] == pytest.approx(curve[place], rel=1e-5)
        if place < 2:
            assert beside[place] == pytest.approx(curve[place + 1], rel=1e-5)


def test_far_from_the_cuts_nothing_overflows() -> None:
    level = np.array([0, 1, 2, 1], np.int32)
    value, slope, diagonal, beside = found(level, np.array([90.0, -90, -90, 90]), np.array([0.0, 1]))
    assert np.isfinite([value, *slope, *diagonal, *beside]).all()


@pytest.mark.parametrize("centre", [0.0, 3.0, -8.0, 30.0])
def test_latent_values_are_truncated_normal(centre: float) -> None:
    level = np.repeat(np.arange(3, dtype=np.int32), 2000)
    cuts = np.array([-0.5, 1.0])
    latent, error = np.full(6000, centre), np.zeros(6000)
    gibbs.truncated(level, error, latent, cuts, np.tile((np.arange(2000) + 0.5) / 2000, 3))
    np.testing.assert_allclose(latent - error, centre)
    ends = np.concatenate([[-np.inf], cuts, [np.inf]])
    for place in range(3):
        values, low, high = latent[level == place], ends[place], ends[place + 1]
        assert ((values >= low) & (values <= high)).all()
        expected = truncnorm(low - centre, high - centre, loc=centre)
        np.testing.assert_allclose(np.quantile(values, [0.1, 0.5, 0.9]), expected.ppf([0.1, 0.5, 0.9]), atol=5e-3)


def test_quantiles() -> None:
    for share in (1e-300, 1e-100, 1e-12, 0.02, 0.5, 0.77, 1 - 1e-12):
        assert gibbs._quantile(share) == pytest.approx(norm.ppf(share), rel=1e-12, abs=1e-12)
