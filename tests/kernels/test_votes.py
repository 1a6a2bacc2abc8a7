from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from serendip.kernels.votes import add_product


def test_two_rows_by_hand() -> None:
    left = csr_array(np.array([[2, 0, 1], [0, 0, 0]], np.float32))
    right = csr_array(np.array([[0, 3], [7, 7], [5, 0]], np.float32))
    out = np.array([[1, 1], [1, 1]], np.float32)
    add_product(left, right, out)
    np.testing.assert_array_equal(out, [[6, 7], [1, 1]])


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_any_product(index: type) -> None:
    rng = np.random.default_rng(0)
    left, right = (
        csr_array(random_array(shape, density=0.2, dtype=np.float32, rng=rng)) for shape in ((37, 50), (50, 41))
    )
    right.indices, right.indptr = right.indices.astype(index), right.indptr.astype(np.int64)
    out = rng.normal(0, 1, (37, 41)).astype(np.float32)
    expected = out + left.toarray() @ right.toarray()
    add_product(left, right, out)
    np.testing.assert_allclose(out, expected, atol=1e-5)
