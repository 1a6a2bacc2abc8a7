from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from serendip.scorers import history_matrix
from serendip.types import Queries


def test_histories_are_indexed_as_weights_are() -> None:
    """Otherwise SciPy converts the indices of all weights for every product."""
    weights = csr_array(np.eye(5, dtype=np.float32))
    history = history_matrix(Queries.of([[0, 3], [], [4]]), 5, "binary")
    assert history.indices.dtype == weights.indices.dtype == np.int32
    assert history.indptr.dtype == weights.indptr.dtype
    np.testing.assert_array_equal((history @ weights).toarray(), history.toarray())
