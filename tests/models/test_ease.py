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
    message = r"40 × 40 items needs [\d,]+ bytes, but only 1,000 are available. Try solver='sparse'"
    with pytest.raises(SerendipError, match=message + " or precision='float32'"):
        Ease(solver="dense").fit(checkerboard(items=40))
    with pytest.raises(SerendipError, match=message + r"\."):
        Ease(precision="float32", solver="dense").fit(checkerboard(items=40))
    monkeypatch.setattr(memory, "available", lambda: None)
    Ease().fit(checkerboard(items=40))


def test_precision_follows_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(ease, "_check_memory", lambda n, dtype: asked.append(dtype))
    Ease().fit(checkerboard(items=40))
    monkeypatch.setattr(ease, "DOUBLE_UP_TO", 39)
    Ease().fit(checkerboard(items=40), Run(threads=1))
    assert asked == [np.float64, np.float32]


def test_with_all_neighbours_the_sparse_solver_is_the_dense_one() -> None:
    data = planted_factors(users=150, items=60, events=12).data
    sparse = Ease(reg=20, solver="sparse", neighbours=60).fit(data, Run(threads=2)).lower().weights.toarray()
    together = (data.matrix().T @ data.matrix()).toarray() > 0
    assert together[~np.eye(60, dtype=bool)].mean() > 0.9
    # Only items that occur together may have weights, so the others are left out of the expected regressions.
    gram = (data.matrix().T @ data.matrix()).toarray().astype(np.float64)
    expected = np.zeros((60, 60))
    for item in range(60):
        others = np.flatnonzero(together[item] & (np.arange(60) != item))
        left = gram[np.ix_(others, others)] + 20 * np.eye(len(others))
        expected[others, item] = np.linalg.solve(left, gram[others, item])
    np.testing.assert_allclose(sparse, expected, atol=1e-5)


def test_the_sparse_solver_keeps_what_explains_most() -> None:
    data = planted_factors(users=200, items=50, events=12).data
    weights = Ease(reg=5, solver="sparse", neighbours=6).fit(data).lower().weights.T.tocsr()
    gram = (data.matrix().T @ data.matrix()).toarray().astype(np.float64)
    alone = gram**2 / (np.diag(gram) + 5)
    np.fill_diagonal(alone, 0)
    for item in range(50):
        kept = weights[[item]].indices
        assert len(kept) == 6
        assert alone[item][kept].min() >= np.sort(alone[item])[-6] * (1 - 1e-5)


def test_what_does_not_fit_is_approximated_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data = checkerboard(items=40)
    asked = Ease(solver="sparse", neighbours=9).fit(data).lower()
    assert not caplog.records
    monkeypatch.setattr(memory, "available", lambda: 100_000)
    found = Ease(neighbours=9).fit(data).lower()
    np.testing.assert_array_equal(found.weights.toarray(), asked.weights.toarray())
    assert "each item is solved for with its 9 strongest neighbours instead" in caplog.text


@pytest.mark.parametrize("solver", ["dense", "sparse"])
def test_popular_items_are_held_back(solver: str) -> None:
    data = planted_factors(users=100, items=30, events=10).data
    plain, held = (
        Ease(solver=solver, popularity_power=p).fit(data).score(data.queries()).astype(np.float64) for p in (0, 0.5)
    )
    popularity = np.bincount(data.matrix().indices, minlength=30)
    expected = plain / np.sqrt(popularity / popularity.mean())
    np.testing.assert_allclose(held, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("solver", ["dense", "sparse"])
@pytest.mark.parametrize("counts", ["binary", "weight"])
def test_active_users_say_less_and_popular_items_are_held_more(solver: str, counts: str) -> None:
    data = odd_log()
    options = {"user_power": 0.7, "reg_power": 0.4, "reg": 3.0, "weight": counts}
    weights = Ease(solver=solver, neighbours=1000, **options).fit(data).lower().weights
    matrix = data.matrix(None if counts == "binary" else counts).toarray().astype(np.float64)
    known = matrix.sum(axis=0) > 0
    matrix = matrix[matrix.sum(axis=1) > 0][:, known]
    rows, columns = matrix.sum(axis=1), matrix.sum(axis=0)
    x = matrix * (rows[:, None] / rows.mean()) ** -0.7
    gram, reg = x.T @ x, 3 * (columns / columns.mean()) ** 0.4
    expected = np.zeros(gram.shape)
    for item in range(len(gram)):
        allowed = (gram[item] > 0) | (solver == "dense")  # the sparse solver gives weights to what occurs together
        others = np.flatnonzero(allowed & (np.arange(len(gram)) != item))
        left = gram[np.ix_(others, others)] + np.diag(reg[others])
        expected[others, item] = np.linalg.solve(left, gram[others, item])
    found = (weights if solver == "dense" else weights.toarray())[np.ix_(known, known)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_sparse_solver_has_one_solution_for_items_that_are_alike() -> None:
    alike = pl.DataFrame({"user_id": [0, 0, 0, 1, 1, 1, 2], "item_id": [0, 1, 2, 0, 1, 2, 3]})
    data = Dataset.from_frames(alike, schema=Schema())
    scores = Ease(solver="sparse", reg=1e-30).fit(data).score(data.queries())
    np.testing.assert_allclose(scores[:2, :3], 1, rtol=1e-4)
