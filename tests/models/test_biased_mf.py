from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.checks.cases import odd_log, tiny_logs
from serendip.kernels import descent, ridge
from serendip.models.baseline import Baseline
from serendip.models.biased_mf import BiasedMF
from serendip.types import SerendipError
from tests.models.rated import NAN, error, log, planted


def test_a_pass_is_that_of_one_step_after_the_other() -> None:
    rng = np.random.default_rng(0)
    m, users, items, d = 40, 6, 7, 3
    u, i, r = rng.integers(0, users, m), rng.integers(0, items, m), rng.random(m)
    parts = [rng.normal(0, 0.5, shape) for shape in [(users,), (items,), (users, d), (items, d)]]
    ours = [part.astype(np.float32) for part in parts]
    order = rng.permutation(m)
    rates = (0.03, 0.02, 0.05, 0.04)
    descent.factors(u, i, r.astype(np.float32), order, np.float32(0.4), *ours, *map(np.float32, rates))
    lr, lr_bias, reg, reg_bias = rates
    bu, bi, p, q = parts
    for at in order:
        a, b = u[at], i[at]
        off = r[at] - (0.4 + bu[a] + bi[b] + p[a] @ q[b])
        bu[a] += lr_bias * (off - reg_bias * bu[a])
        bi[b] += lr_bias * (off - reg_bias * bi[b])
        p[a], q[b] = p[a] + lr * (off * q[b] - reg * p[a]), q[b] + lr * (off * p[a] - reg * q[b])
    for mine, theirs in zip(ours, parts, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2e-4, atol=2e-6)


def test_a_half_step_is_the_solution_of_the_equations() -> None:
    rng = np.random.default_rng(1)
    dense = np.where(rng.random((5, 9)) < 0.6, rng.normal(0, 1, (5, 9)), NAN)
    dense[3] = NAN
    row, column = np.nonzero(~np.isnan(dense))
    matrix = csr_array((dense[row, column], (row, column)), shape=dense.shape)
    columns = rng.normal(0, 1, (9, 4))
    out = np.full((5, 4), 9.0)
    ridge.solve(matrix, columns, 0.3, out, threads=2)
    for at in range(5):
        given = np.flatnonzero(~np.isnan(dense[at]))
        known = np.column_stack([columns[given, :3], np.ones(len(given))])
        left = known.T @ known + 0.3 * len(given) * np.eye(4)
        right = known.T @ (dense[at, given] - columns[given, 3])
        expected = np.linalg.solve(left, right) if len(given) else np.zeros(4)
        np.testing.assert_allclose(out[at], expected, rtol=1e-8, atol=1e-12)


def test_a_half_step_by_hand() -> None:
    # One value 3, q = 2, c = 1, λ = 1: minimise (3 − 1 − b − 2p)² + p² + b²: p = 2·2/6, b = 2/6.
    out = np.empty((1, 2))
    ridge.solve(csr_array(np.array([[3.0]])), np.array([[2.0, 1.0]]), 1.0, out)
    np.testing.assert_allclose(out, [[2 / 3, 1 / 3]])


@pytest.mark.parametrize(
    "options",
    [
        {"factors": 5, "epochs": 80, "lr": 0.02, "reg": 0.05},
        {"method": "als", "factors": 3, "reg": 0.02, "epochs": 20},
    ],
)
def test_it_finds_what_was_planted(options: dict[str, Any]) -> None:
    split = planted()
    found = error(BiasedMF(**options).fit(split.train), split)
    assert found < 0.7 * error(Baseline().fit(split.train), split)


@pytest.mark.parametrize("method", ["sgd", "als"])
def test_more_factors_than_items_and_no_regularisation(method: str) -> None:
    everybody = np.arange(-1, 40, dtype=np.int32)
    for data in (odd_log(), log([[3, NAN], [NAN, 4]])):
        model = BiasedMF(method=method, factors=60, reg=0, reg_bias=0).fit(data)
        assert np.isfinite(model.predict(everybody, everybody)).all()


def test_steps_that_run_away_are_refused() -> None:
    with pytest.raises(SerendipError, match=r"biased_mf: lr must be small enough .* Got 9, .* Try a tenth of it"):
        BiasedMF(lr=9, epochs=30).fit(odd_log())
    with pytest.raises(SerendipError, match="grew without bound"):  # finite, but their products are not
        BiasedMF(lr=1e9, epochs=2).fit(tiny_logs()["one event"])
