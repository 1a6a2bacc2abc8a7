import numpy as np
import pytest

from serendip.kernels.gather import gather_columns
from serendip.kernels.normal import SIDE, add_gram, dot, factor, solve, start
from serendip.kernels.registers import LANES


@pytest.mark.parametrize("m", [1, 3, 70])
@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_solves_the_system(m, blocks):
    rng = np.random.default_rng(m)
    n = blocks * SIDE
    p, b = rng.standard_normal((m, n)).astype(np.float32), rng.standard_normal(n).astype(np.float32)
    exact = np.eye(n) + p.astype(float).T @ p
    h, x = np.full(n * n, np.nan, np.float32), b.copy()
    start(h, n)
    add_gram(p.ravel(), m, n, h)
    np.testing.assert_allclose(np.triu(h.reshape(n, n)), np.triu(exact), rtol=1e-4, atol=1e-4)
    factor(h, n)
    upper = np.triu(h.reshape(n, n), 1).astype(float) + np.diag(1 / np.diag(h.reshape(n, n)).astype(float))
    np.testing.assert_allclose(upper.T @ upper, exact, rtol=1e-4, atol=1e-3)
    solve(h, n, x)
    np.testing.assert_allclose(x, np.linalg.solve(exact, b), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("m", [0, 1, LANES, LANES + 3])
def test_gather_columns(m):
    rng = np.random.default_rng(m)
    d, n = 2 * LANES, 2 * LANES
    source = rng.standard_normal((40, d)).astype(np.float32)
    chosen = rng.integers(0, 40, m)
    scales, root = rng.random(m).astype(np.float32), rng.random(d).astype(np.float32)
    out = np.full(d * n, np.nan, np.float32)
    gather_columns(source.ravel(), chosen * d, scales, root, n, out)
    expected = np.zeros((d, n), np.float32)
    expected[:, :m] = (source[chosen] * root * scales[:, None]).T
    np.testing.assert_allclose(out.reshape(d, n), expected, rtol=1e-6)


def test_dot():
    values = np.arange(100, dtype=np.float32)
    assert dot(values, values) == 328350
    assert dot(values[:0], values[:0]) == 0
