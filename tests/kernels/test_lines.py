import numpy as np
import pytest

from serendip.kernels.lines import GROUP, add_weighted_gram, combine, project
from serendip.kernels.registers import LANES


@pytest.mark.parametrize("m", [0, 1, GROUP, 2 * GROUP + 3])
@pytest.mark.parametrize("lines", [1, 3])
def test_chosen_rows_against_numpy(m, lines):
    rng = np.random.default_rng(m)
    d = lines * LANES
    matrix = rng.standard_normal((50, d)).astype(np.float32)
    chosen = rng.integers(0, 50, m)
    rows, flat, starts = matrix[chosen].astype(float), matrix.ravel(), chosen * d
    vector, factors = rng.standard_normal(d).astype(np.float32), rng.random(m).astype(np.float32)
    out = np.empty(m, np.float32)
    project(flat, starts, vector, out)
    np.testing.assert_allclose(out, rows @ vector, rtol=1e-4, atol=1e-5)
    total = vector.copy()
    combine(flat, starts, factors, total)
    np.testing.assert_allclose(total, vector + factors @ rows, rtol=1e-4, atol=1e-5)
    total = vector.copy()
    add_weighted_gram(flat, starts, factors, vector, np.empty(GROUP, np.float32), total)
    np.testing.assert_allclose(total, vector + (factors * (rows @ vector)) @ rows, rtol=1e-4, atol=1e-4)


def test_part_of_the_dimensions():
    matrix = np.arange(4 * LANES * 2, dtype=np.float32).reshape(4, -1)
    ones, out = np.ones(LANES, np.float32), np.empty(2, np.float32)
    project(matrix.ravel()[LANES:], np.array([0, 4 * LANES]), ones, out)
    np.testing.assert_array_equal(out, matrix[[0, 2], LANES:].sum(axis=1))
