from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.models._history import RIDGE, answering
from serendip.types import Queries

KNOWN = np.array([True, True, False, True, True, True])


def world(users: int = 400, d: int = 3) -> tuple[csr_array, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    held = rng.random((users, 5)) < 0.5
    held[~held.any(axis=1), 0] = True
    items = rng.normal(0, 1, (5, d)).astype(np.float32)
    return csr_array(held.astype(np.float32)), held, items, rng.normal(0, 1, 5).astype(np.float32)


def test_vectors_that_follow_from_histories_are_found_again() -> None:
    matrix, held, items, bias = world()
    rng = np.random.default_rng(1)
    turn, constant = rng.normal(0, 1, (3, 3)), rng.normal(0, 1, 3)
    users = (held @ items / np.sqrt(held.sum(axis=1, keepdims=True))) @ turn + constant
    scorer = answering(matrix, users.astype(np.float32), items, bias, KNOWN)
    codes = np.flatnonzero(KNOWN)
    histories = [codes[row].tolist() for row in held[:20]]
    scores = scorer.score(Queries.of(histories))
    np.testing.assert_allclose(scores[:, KNOWN], users[:20] @ items.T + bias, atol=0.05)
    assert np.isneginf(scores[:, ~KNOWN]).all()


def test_the_estimate_is_that_of_a_ridge_regression() -> None:
    matrix, held, items, bias = world()
    users = np.random.default_rng(2).normal(0, 1, (400, 3)).astype(np.float32)
    scorer = answering(matrix, users, items, bias, KNOWN)
    left = held @ items / np.sqrt(held.sum(axis=1, keepdims=True))
    # The same least squares with κ as further rows that ask for 0; the constant is not held back.
    kappa = RIDGE * (left**2).sum() / 3
    rows = np.block([[left, np.ones((400, 1))], [np.sqrt(kappa) * np.eye(3), np.zeros((3, 1))]])
    solved = np.linalg.lstsq(rows, np.vstack([users, np.zeros((3, 3))]), rcond=None)[0]
    expected = (left @ solved[:3] + solved[3]) @ items.T + bias
    histories = [np.flatnonzero(KNOWN)[row].tolist() for row in held]
    np.testing.assert_allclose(scorer.score(Queries.of(histories))[:, KNOWN], expected, rtol=1e-4, atol=1e-4)


def test_values_of_the_matrix_do_not_matter() -> None:
    matrix, _, items, bias = world()
    users = np.random.default_rng(2).normal(0, 1, (400, 3)).astype(np.float32)
    once, again = (answering(held, users, items, bias, KNOWN) for held in (matrix, csr_array(matrix * 7)))
    np.testing.assert_array_equal(once.history, again.history)


@pytest.mark.parametrize("users", [0, 1])
def test_hardly_any_users(users: int) -> None:
    matrix, _, items, bias = world()
    scorer = answering(matrix[:users], np.ones((users, 3), np.float32), items, bias, KNOWN)
    assert np.isfinite(scorer.score(Queries.of([[0, 1]]))[0, KNOWN]).all()
