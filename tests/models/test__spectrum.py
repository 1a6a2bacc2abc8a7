from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from serendip.models import _spectrum
from serendip.models._spectrum import degrees, eigenpairs, gram, power, scaled


def lively(m: int = 300, n: int = 90) -> csr_array:
    """A sparse matrix with a few strong components."""
    rng = np.random.default_rng(0)
    strong = sum(2.0**-at * np.outer(rng.random(m) < 0.2, rng.random(n) < 0.2) for at in range(4))
    noise = random_array((m, n), density=0.02, rng=rng).toarray()
    return csr_array((strong + 0.1 * noise).astype(np.float32))


@pytest.mark.parametrize("small", [0, 1024])
@pytest.mark.parametrize("k", [1, 4])
def test_eigenpairs(small: int, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spectrum, "SMALL", small)
    matrix = lively()
    dense = matrix.toarray().astype(np.float64)
    values, vectors = eigenpairs(matrix, k, seed=0, threads=2)
    expected, basis = np.linalg.eigh(dense.T @ dense)
    np.testing.assert_allclose(values, expected[::-1][:k], rtol=1e-4)
    np.testing.assert_allclose(np.abs(np.einsum("nk,nk->k", vectors, basis[:, ::-1][:, :k])), 1, atol=1e-4)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(k), atol=1e-4)


@pytest.mark.parametrize("small", [0, 1024])
def test_no_more_eigenpairs_than_there_are(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spectrum, "SMALL", small)
    line = csr_array(np.outer(np.arange(50), np.ones(40)).astype(np.float32))
    values, vectors = eigenpairs(line, 10, seed=0, threads=1)
    np.testing.assert_allclose(values, [40 * (np.arange(50) ** 2).sum()], rtol=1e-5)
    assert vectors.shape == (40, 1)
    values, vectors = eigenpairs(csr_array((5, 3), dtype=np.float32), 2, seed=0, threads=1)
    assert len(values) == 0
    assert vectors.shape == (3, 0)


@pytest.mark.parametrize("most", [None, 5])
def test_the_gram_matrix_does_not_depend_on_threads(most: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spectrum, "_CHUNK", 7)
    matrix = lively()
    left, right = np.linspace(1, 2, 90), np.linspace(3, 1, 90)
    one, two = (gram(matrix, left, right, most, threads).toarray() for threads in (1, 2))
    np.testing.assert_array_equal(one, two)
    dense = matrix.toarray().astype(np.float64)
    full = left[:, None] * (dense.T @ dense) * right
    kept = full if most is None else np.where(full >= np.sort(full, axis=1)[:, -most, None], full, 0)
    np.testing.assert_allclose(one, kept, rtol=1e-5)


def test_degrees_are_relative_and_powers_leave_zeros() -> None:
    matrix = csr_array(np.array([[1, 0, 3], [0, 0, 0], [2, 0, 0]], np.float32))
    by_row, by_column = degrees(matrix)
    np.testing.assert_allclose(by_row, [4 / 3, 0, 2 / 3])
    np.testing.assert_allclose(by_column, [1, 0, 1])
    np.testing.assert_allclose(power(by_row, -1), [3 / 4, 0, 3 / 2])
    expected = [[1 / 3 * 10, 0, 3 / 3 * 30], [0, 0, 0], [2 / 3 * 10, 0, 0]]
    np.testing.assert_allclose(scaled(matrix, np.ones(3), np.array([10.0, 20, 30])).toarray(), expected, rtol=1e-6)
