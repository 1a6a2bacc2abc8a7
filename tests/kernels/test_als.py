import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.als import half_step


def oracle(matrix, other, alpha0, reg, nu):
    """Each row by itself, in double precision."""
    n, d = other.shape
    other = other.astype(np.float64)
    out = np.zeros((matrix.shape[0], d))
    with pool.one_blas_thread():
        shared = alpha0 * other.T @ other
        for row, weights in enumerate(matrix.toarray().astype(np.float64)):
            if weights.any():
                scale = reg * (weights.sum() + alpha0 * n) ** nu
                system = shared + (other.T * weights) @ other + scale * np.eye(d)
                out[row] = np.linalg.solve(system, weights @ other)
    return out


def close(found, expected):
    return np.abs(found - expected).max(initial=0) <= 1e-4 * np.abs(expected).max(initial=1e-9)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 9),
    st.integers(1, 150),
    st.integers(1, 70),
    st.sampled_from([0.0, 0.01, 1.0]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_agrees_with_each_row_solved_by_itself(seed, rows, n, d, alpha0, nu, binary):
    rng = np.random.default_rng(seed)
    share = rng.choice([0.0, 0.05, 0.5, 1.0], rows)[:, None]
    dense = (rng.random((rows, n)) < share) * (1 if binary else rng.integers(0, 4, (rows, n)))
    matrix = csr_array(dense.astype(np.float32))
    other = rng.standard_normal((n, d)).astype(np.float32)
    found = half_step(matrix, other, alpha0=alpha0, reg=0.3, nu=nu, threads=1)
    assert found.dtype == np.float32
    assert close(found, oracle(matrix, other, alpha0, 0.3, nu))


def test_worked_by_hand():
    """One dimension, v = (1, 2), c = (3, 0), α₀ = ½, λ = 2, ν = 1: 3 / (½·5 + 3·1 + 2·(3 + ½·2)) = 3 / 13.5."""
    matrix = csr_array(np.array([[3, 0], [0, 0]], np.float32))
    found = half_step(matrix, np.array([[1], [2]], np.float32), alpha0=0.5, reg=2.0, nu=1.0)
    np.testing.assert_allclose(found, [[3 / 13.5], [0]], rtol=1e-6)


@pytest.mark.parametrize("d", [16, 40, 130])
def test_long_rows_chunks_and_threads(d):
    """Rows of more entries than dimensions and than are handled at a time, and of fewer; bit-equal on any threads."""
    rng = np.random.default_rng(d)
    share = np.where(np.arange(300) % 30 == 0, 0.9, 0.02)[:, None]
    matrix = csr_array((rng.random((300, 900)) < share).astype(np.float32))
    other = (rng.standard_normal((900, d)) * 0.9 ** np.arange(d)).astype(np.float32)
    options = {"alpha0": 0.1, "reg": 0.003, "nu": 1.0}
    out = np.empty((300, d), np.float32)
    one = half_step(matrix, other, **options, threads=1, out=out)
    assert one is out
    np.testing.assert_array_equal(one, half_step(matrix, other, **options, threads=2))
    assert close(one, oracle(matrix, other, **options))


def test_the_objective_falls():
    rng = np.random.default_rng(1)
    dense = (rng.random((60, 50)) < 0.1).astype(np.float32)
    matrix, turned = csr_array(dense), csr_array(dense.T)
    options = {"alpha0": 0.1, "reg": 0.01, "nu": 1.0}
    items = rng.standard_normal((50, 8)).astype(np.float32)
    users = half_step(matrix, items, **options)

    def loss():
        scores = users.astype(float) @ items.T
        strength = [0.01 * (m.sum(axis=1) + 0.1 * m.shape[1]) for m in (matrix, turned)]
        penalty = sum(
            (s * (v.astype(float) ** 2).sum(axis=1)).sum() for s, v in zip(strength, (users, items), strict=True)
        )
        return (dense * (scores - 1) ** 2).sum() + 0.1 * (scores**2).sum() + penalty

    losses = [loss()]
    for _ in range(4):
        items = half_step(turned, users, **options)
        losses.append(loss())
        users = half_step(matrix, items, **options)
        losses.append(loss())
    assert (np.diff(losses) < 0).all()


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (4, 4, 0)])
def test_nothing_to_do(shape):
    rows, n, d = shape
    found = half_step(csr_array((rows, n), dtype=np.float32), np.ones((n, d), np.float32), alpha0=1, reg=1, nu=1)
    assert found.shape == (rows, d)
    assert (found == 0).all()


def test_errors_say_what_does_not_fit():
    matrix = csr_array(np.array([[1, -2]], np.float32))
    with pytest.raises(
        ValueError, match=r"other must be \[2, d\], a vector per column\. Got an array of shape \(3, 1\)"
    ):
        half_step(matrix, np.ones((3, 1), np.float32), alpha0=1, reg=1, nu=1)
    with pytest.raises(ValueError, match=r"weights must be 0 or more\. Got -2\.0 instead\."):
        half_step(matrix, np.ones((2, 1), np.float32), alpha0=1, reg=1, nu=1)
