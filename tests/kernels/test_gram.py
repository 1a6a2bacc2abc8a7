from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from serendip.kernels.gram import gram


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(50, 200), (300, 7), (4, 1), (0, 3), (3, 0)])
def test_the_product_is_the_dense_one_up_to_the_diagonal(dtype: type, shape: tuple[int, int]) -> None:
    matrix = csr_array(random_array(shape, density=0.2, rng=np.random.default_rng(0), dtype=np.float32))
    out = np.full((shape[1], shape[1]), np.nan, dtype)
    gram(matrix, out, threads=2)
    dense = matrix.toarray().astype(np.float64)
    np.testing.assert_allclose(out, np.tril(dense.T @ dense), rtol=1e-5, atol=1e-6)
    order = np.lexsort((-matrix.indices, np.repeat(np.arange(shape[0]), np.diff(matrix.indptr))))
    shuffled = csr_array((matrix.data[order], matrix.indices[order], matrix.indptr), shape=shape)
    again = np.empty_like(out)
    gram(shuffled, again, threads=1)
    np.testing.assert_array_equal(out, again)


def test_out_must_fit() -> None:
    with pytest.raises(ValueError, match=r"out must be \[3, 3\]. Got an array of shape \(3, 2\) instead"):
        gram(csr_array((2, 3), dtype=np.float32), np.empty((3, 2)))
