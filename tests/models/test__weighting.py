from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from serendip.models._weighting import weighted


def test_weightings_by_hand() -> None:
    # Three items with events; user 0 has two of them, user 1 one. Lengths 1, 2 and 3 with the mean 2.
    matrix = csr_array(np.array([[1, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 0]], np.float32))
    assert weighted(matrix, "none") is matrix
    idf = np.log([1 + 3 / 2, 1 + 3 / 1])
    expected = [[idf[0], 2 * idf[0], 0, 0], [0, 0, 3 * idf[1], 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(weighted(matrix, "tfidf").toarray(), expected, rtol=1e-6)
    tf = [2.2 * 1 / (1.2 * 0.625 + 1), 2.2 * 2 / (1.2 * 1 + 2), 2.2 * 3 / (1.2 * 1.375 + 3)]
    expected = [[tf[0] * idf[0], tf[1] * idf[0], 0, 0], [0, 0, tf[2] * idf[1], 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(weighted(matrix, "bm25").toarray(), expected, rtol=1e-6)


def test_nothing_stays_nothing() -> None:
    nothing = csr_array((2, 3), dtype=np.float32)
    assert weighted(nothing, "bm25").nnz == 0
