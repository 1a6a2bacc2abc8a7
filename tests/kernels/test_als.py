import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.als import Equations, Method, cheapest, dense_work, half_step, padded, row_work, step


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


def sides(seed, users=60, items=50, d=24):
    """A matrix of weights, long and short rows among them, the equations of both sides, and first vectors."""
    rng = np.random.default_rng(seed)
    share = np.where(np.arange(users) % 7 == 0, 0.9, 0.1)[:, None]
    dense = (rng.random((users, items)) < share) * rng.integers(1, 4, (users, items)).astype(np.float32)
    dense[3] = 0
    options = {"alpha0": 0.1, "reg": 0.05, "nu": 0.5}
    matrix = csr_array(dense)
    both = [Equations.of(rows, **options) for rows in (matrix, csr_array(matrix.T.tocsr()))]
    first = rng.standard_normal((items, d)).astype(np.float32) / d**0.5
    return matrix, options, both, first


def objective(dense, users, items, alpha0, reg, nu):
    users, items, dense = (part.astype(np.float64) for part in (users, items, dense))
    scores = users @ items.T
    strength = [reg * (m.sum(axis=1) + alpha0 * m.shape[1]) ** nu for m in (dense, dense.T)]
    penalty = sum((s * (v**2).sum(axis=1)).sum() for s, v in zip(strength, (users, items), strict=True))
    return (dense * (scores - 1) ** 2).sum() + alpha0 * (scores**2).sum() + penalty


@pytest.mark.parametrize("method", [Method("cholesky"), Method("cg", cg_steps=60), Method("block", block_size=4096)])
@pytest.mark.parametrize("d", [5, 16, 40])
def test_step_to_the_exact_solution(method, d):
    """Many steps of conjugate gradients and a single block are exact; products of both sides tell, in any basis."""
    matrix, options, (of_users, _), first = sides(d, d=d)
    users, items = np.ones((60, padded(first).shape[1]), np.float32), padded(first)
    users[:, d:] = 0
    step(of_users, users, items, d, method, threads=1)
    assert (users[:, d:] == 0).all()
    assert (items[:, d:] == 0).all()
    gram = items[:, :d].astype(float).T @ items[:, :d]
    assert np.abs(gram - np.diag(np.diag(gram))).max() <= 1e-5 * gram.max()
    np.testing.assert_allclose(items @ items.T, first @ first.T, atol=1e-5)
    assert close(users @ items.T, oracle(matrix, first, **options) @ first.T)


def test_conjugate_gradients_come_nearer_with_every_step():
    matrix, options, (of_users, _), first = sides(1)
    exact = oracle(matrix, first, **options) @ first.T
    errors = []
    for count in (1, 2, 4, 8):
        users, items = np.zeros((60, 32), np.float32), padded(first)
        step(of_users, users, items, 24, Method("cg", cg_steps=count))
        errors.append(np.abs(users @ items.T - exact).max())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01 * errors[0]


def test_one_step_of_conjugate_gradients_by_hand():
    """One entry of weight 2 and v = (1, 1), α₀ = 1, λ = 1, ν = 0, another column with v = (1, -1).

    The shared part is 2 I, so D = 3 I: from 0 along D⁻¹ · 2 v, to the minimum of that line, which is w = 2 v / (3 + 4).
    """
    equations = Equations.of(csr_array(np.array([[2, 0]], np.float32)), alpha0=1.0, reg=1.0, nu=0.0)
    users, items = np.zeros((1, padded(np.zeros((1, 2), np.float32)).shape[1]), np.float32), None
    items = padded(np.array([[1, 1], [1, -1]], np.float32))
    step(equations, users, items, 2, Method("cg", cg_steps=1))
    np.testing.assert_allclose(users @ items.T, [[4 / 7, 0]], atol=1e-6)


@pytest.mark.parametrize("size", [1, 16, 20])
def test_blocks_lower_the_objective_to_the_same_minimum(size):
    matrix, options, both, first = sides(2, d=40)
    dense, wide = matrix.toarray(), padded(first).shape[1]
    ends = {}
    for method in (Method("block", block_size=size), Method("cholesky")):
        users, items, values = np.zeros((60, wide), np.float32), padded(first), []
        for _ in range(150):
            step(both[0], users, items, 40, method)
            values.append(objective(dense, users, items, **options))
            step(both[1], items, users, 40, method)
            values.append(objective(dense, users, items, **options))
        assert (np.diff(values) <= 1e-6 * values[-1]).all()
        ends[method.solver] = values[-1]
    assert ends["block"] == pytest.approx(ends["cholesky"], rel=2e-3)


def test_a_sweep_of_blocks_leads_to_the_exact_solution_of_one_side():
    """With the other side held fixed, sweep by sweep."""
    matrix, options, (of_users, _), first = sides(5, d=40)
    users, items = np.zeros((60, 48), np.float32), padded(first)
    exact = oracle(matrix, first, **options) @ first.T
    errors = []
    for _ in range(30):
        step(of_users, users, items, 40, Method("block", block_size=16))
        errors.append(np.abs(users @ items.T - exact).max())
    assert errors[-1] < 1e-3 < errors[0]


@pytest.mark.parametrize("method", [Method("cholesky"), Method("cg"), Method("block", block_size=16)])
def test_threads_make_no_difference(method):
    rng = np.random.default_rng(3)
    matrix = csr_array((rng.random((2500, 300)) < 0.03).astype(np.float32))
    equations = Equations.of(matrix, alpha0=0.1, reg=0.01, nu=1.0)
    found = []
    for threads in (1, 3):
        users = np.full((2500, 32), 0.1, np.float32)
        items = np.random.default_rng(4).standard_normal((300, 32)).astype(np.float32)
        step(equations, users, items, 32, method, threads)
        found.append((users, items))
    np.testing.assert_array_equal(*(users for users, _ in found))
    np.testing.assert_array_equal(*(items for _, items in found))


def test_too_little_regularisation_shows():
    """Conjugate gradients give NaN where the equations overflow, and the next step refuses it."""
    equations = Equations.of(csr_array(np.ones((4, 3), np.float32)), alpha0=0.0, reg=1e-44, nu=0.0)
    users, items = np.zeros((4, 16), np.float32), padded(np.ones((3, 16), np.float32))
    step(equations, users, items, 16, Method("cg"))
    assert np.isnan(users).all()
    with pytest.raises(FloatingPointError, match="not finite"):
        step(equations, items, users, 16, Method("cg"))


def test_work_by_hand():
    """Rows of 16 and 0 entries in 32 dimensions: 16² · 32 / 2 + 16³ / 6, or three times over with one step of cg."""
    lengths = np.array([16, 0])
    exact, by_steps = Method("cholesky"), Method("cg", cg_steps=1)
    assert row_work(lengths, 32, exact) == pytest.approx(16**2 * 32 / 2 + 16**3 / 6)
    assert row_work(lengths, 32, by_steps) == 3 * 16 * 32
    assert dense_work(10, 20, 4, exact) == 20 * 8 + 4.5 * 64 + 20 * 16
    assert dense_work(10, 20, 4, Method("block")) == 20 * 8 + 4.5 * 64 + 30 * 16
    assert row_work(lengths, 32, Method("block", block_size=32)) == row_work(np.array([16]), 32, exact)


def test_the_cheapest_solver():
    few = Equations.of(csr_array(np.ones((3, 2), np.float32)), alpha0=1.0, reg=1.0, nu=1.0)
    many = Equations.of(csr_array(np.ones((3, 200), np.float32)), alpha0=1.0, reg=1.0, nu=1.0)
    assert cheapest((many,), 4, 3) == "cholesky"
    assert cheapest((many,), 128, 3) == "cg"
    assert cheapest((few, many), 128, 3) == "cg"


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
