"""A sparse matrix times a dense one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from serendip.kernels.propagate import product


@pytest.mark.parametrize(("rows", "columns", "d"), [(700, 40, 64), (3, 5, 7), (1, 1, 1), (0, 4, 3), (4, 0, 3)])
def test_it_is_the_product(rows: int, columns: int, d: int) -> None:
    rng = np.random.default_rng(0)
    matrix = csr_array(random_array((rows, columns), density=0.3, rng=rng, dtype=np.float32).tocsr())
    dense, plus = rng.standard_normal((columns, d), np.float32), rng.standard_normal((rows, d), np.float32)
    exact = matrix.toarray().astype(np.float64) @ dense
    np.testing.assert_allclose(product(matrix, dense), exact, atol=1e-5)
    np.testing.assert_allclose(product(matrix, dense, plus=plus, scale=0.25), (exact + plus) / 4, atol=1e-5)


def test_threads_do_not_change_a_bit() -> None:
    rng = np.random.default_rng(0)
    matrix = csr_array(random_array((2000, 300), density=0.1, rng=rng, dtype=np.float32).tocsr())
    dense = rng.standard_normal((300, 16), np.float32)
    assert (product(matrix, dense, threads=1) == product(matrix, dense, threads=3)).all()
