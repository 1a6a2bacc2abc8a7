from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.kernels import restricted
from serendip.kernels.restricted import regress


def test_one_predictor_by_hand() -> None:
    gram = csr_array(np.array([[4, 2, 0], [2, 5, 1], [0, 1, 3]], np.float32))
    chosen = csr_array((np.ones(2, np.float32), [1, 0], [0, 1, 2, 2]), shape=(3, 3))
    np.testing.assert_allclose(regress(gram, chosen, np.array([1.0, 2, 3])), [2 / 7, 2 / 5], rtol=1e-6)


@pytest.mark.parametrize("numbers", [1, 1 << 22])
@pytest.mark.parametrize("threads", [1, 2])
def test_any_predictors(numbers: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restricted, "_NUMBERS", numbers)
    rng = np.random.default_rng(0)
    x = (rng.random((80, 25)) < 0.3).astype(np.float64)
    gram = x.T @ x
    chosen = rng.random((25, 25)) < rng.random((25, 1))
    np.fill_diagonal(chosen, False)
    chosen[3] = False
    reg = rng.random(25) + 1
    values = regress(csr_array(gram.astype(np.float32)), csr_array(chosen.astype(np.float32)), reg, threads=threads)
    expected = []
    for item in range(25):
        named = np.flatnonzero(chosen[item])
        expected += np.linalg.solve(gram[np.ix_(named, named)] + np.diag(reg[named]), gram[named, item]).tolist()
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-7)


def test_nothing_chosen_gives_nothing() -> None:
    assert len(regress(csr_array((4, 4), dtype=np.float32), csr_array((4, 4), dtype=np.float32), np.ones(4))) == 0
