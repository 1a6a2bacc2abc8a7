from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from serendip.checks.cases import odd_log
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.data.synthetic import checkerboard, planted_factors
from serendip.kernels import memory
from serendip.kernels.pool import blas_threads
from serendip.model import Run
from serendip.models import ease
from serendip.models.ease import Ease, negative_inverse
from serendip.types import Queries, SerendipError


def steck(matrix: csr_array, reg: float) -> Any:
    """The closed form as published, in double precision."""
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    inverse = np.linalg.inv(gram + reg * np.eye(len(gram)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def test_two_items_by_hand() -> None:
    # Three users: {0, 1}, {0}, {1}. XᵀX + I = [[3, 1], [1, 3]], P = [[3, -1], [-1, 3]] / 8, B = [[0, 1/3], [1/3, 0]].
    log = pl.DataFrame({"user_id": [0, 0, 1, 2], "item_id": [0, 1, 0, 1]})
    scorer = Ease(reg=1).fit(Dataset.from_frames(log, schema=Schema())).lower()
    np.testing.assert_allclose(scorer.weights, [[0, 1 / 3], [1 / 3, 0]], rtol=1e-6)
    np.testing.assert_allclose(scorer.score(Queries.of([[0]])), [[0, 1 / 3]], rtol=1e-6)


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-7), ("float32", 1e-5), ("auto", 1e-7)])
@pytest.mark.parametrize("block", [7, 50, 512])
def test_weights_are_the_closed_form(
    precision: str, tolerance: float, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ease, "BLOCK", block)
    data = planted_factors(users=150, items=60, events=12).data
    weights = Ease(reg=20, precision=precision).fit(data).lower().weights
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, steck(data.matrix(), 20), atol=tolerance)


@pytest.mark.parametrize("counts", ["binary", "count", "weight"])
def test_the_matrix_holds_what_was_asked_for(counts: str) -> None:
    data = odd_log()
    scorer = Ease(reg=5, weight=counts).fit(data).lower()
    matrix = data.matrix(None if counts == "binary" else counts)
    weights = steck(matrix, 5)
    np.testing.assert_allclose(scorer.weights, weights, atol=1e-6)
    known = np.bincount(matrix.indices, minlength=data.n_items) > 0
    queries = data.queries(np.flatnonzero(np.diff(matrix.indptr)).astype(np.int32))
    expected = np.where(known, matrix[queries.users] @ weights, -np.inf)
    np.testing.assert_allclose(scorer.score(queries), expected, atol=1e-5)
    assert Ease().fit(data).lower().counts == "weight"


@pytest.mark.parametrize("n", [0, 1, 511, 600])
def test_the_inverse_of_any_size(n: int) -> None:
    rng = np.random.default_rng(0)
    half = rng.normal(0, 1, (n, n + 5))
    matrix = half @ half.T / (n + 1) + np.eye(n)
    steps: list[tuple[int, int]] = []
    swept = matrix.copy()
    with blas_threads(1):
        assert negative_inverse(swept, lambda done, total: steps.append((done, total)))
        np.testing.assert_allclose(np.tril(swept), np.tril(-np.linalg.inv(matrix)), atol=1e-10)
    blocks = -(-n // ease.BLOCK)
    assert steps == [(done + 1, blocks) for done in range(blocks)]


def test_a_matrix_that_is_not_definite_is_noticed() -> None:
    assert not negative_inverse(np.array([[1.0, 2], [2, 1]]), lambda done, total: None)
    assert not negative_inverse(np.array([[1.0, np.nan], [np.nan, 1]]), lambda done, total: None)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_too_little_regularisation_is_refused(precision: str) -> None:
    twins = pl.DataFrame({"user_id": [0, 0, 1, 1, 2], "item_id": [0, 1, 0, 1, 2]})
    data = Dataset.from_frames(twins, schema=Schema())
    message = f"ease: reg must be large enough .* in {precision}. Got 1e-30 instead. Try 100"
    with pytest.raises(SerendipError, match=message):
        Ease(reg=1e-30, precision=precision).fit(data)


def test_a_matrix_that_does_not_fit_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 1000)
    message = r"40 × 40 items needs [\d,]+ bytes, but only 1,000 are available. Try item_knn or ials"
    with pytest.raises(SerendipError, match=message + " or precision='float32'"):
        Ease().fit(checkerboard(items=40))
    with pytest.raises(SerendipError, match=message + r"\."):
        Ease(precision="float32").fit(checkerboard(items=40))
    monkeypatch.setattr(memory, "available", lambda: None)
    Ease().fit(checkerboard(items=40))


def test_precision_follows_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(ease, "_check_memory", lambda n, dtype: asked.append(dtype))
    Ease().fit(checkerboard(items=40))
    monkeypatch.setattr(ease, "DOUBLE_UP_TO", 39)
    Ease().fit(checkerboard(items=40), Run(threads=1))
    assert asked == [np.float64, np.float32]
