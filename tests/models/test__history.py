from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.models import _history
from serendip.models._history import RIDGE, answering, thinned
from serendip.types import Queries

KNOWN = np.array([True, True, False, True, True, True])


def world(users: int = 400, d: int = 3) -> tuple[csr_array, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    held = rng.random((users, 5)) < 0.5
    held[~held.any(axis=1), 0] = True
    items = rng.normal(0, 1, (5, d)).astype(np.float32)
    return csr_array(held.astype(np.float32)), held, items, rng.normal(0, 1, 5).astype(np.float32)


def test_the_estimate_is_that_of_a_ridge_regression() -> None:
    matrix, held, items, bias = world()
    users = np.random.default_rng(2).normal(0, 1, (400, 3)).astype(np.float32)
    scorer = answering(matrix, users, items, bias, KNOWN, np.random.default_rng(0))
    part = thinned(matrix, np.random.default_rng(0)).toarray()
    some = part.any(axis=1)
    both = np.concatenate([held, part[some]])
    left = both @ items / np.sqrt(both.sum(axis=1, keepdims=True))
    wanted = np.concatenate([users, users[some]])
    # The same least squares with κ as further rows that ask for 0; the constant is not held back.
    kappa = RIDGE * (left**2).sum() / 3
    rows = np.block([[left, np.ones((len(left), 1))], [np.sqrt(kappa) * np.eye(3), np.zeros((3, 1))]])
    solved = np.linalg.lstsq(rows, np.vstack([wanted, np.zeros((3, 3))]), rcond=None)[0]
    expected = (left[:400] @ solved[:3] + solved[3]) @ items.T + bias
    histories = [np.flatnonzero(KNOWN)[row].tolist() for row in held]
    np.testing.assert_allclose(scorer.score(Queries.of(histories))[:, KNOWN], expected, rtol=1e-4, atol=1e-4)


def test_values_of_the_matrix_do_not_matter() -> None:
    matrix, _, items, bias = world()
    users = np.random.default_rng(2).normal(0, 1, (400, 3)).astype(np.float32)
    once, again = (
        answering(held, users, items, bias, KNOWN, np.random.default_rng(0)) for held in (matrix, csr_array(matrix * 7))
    )
    np.testing.assert_array_equal(once.history, again.history)


def test_sums_do_not_depend_on_the_stretches_they_are_made_in(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, _, items, bias = world()
    users = np.random.default_rng(2).normal(0, 1, (400, 3)).astype(np.float32)
    scorers = []
    for rows in (400, 7):
        monkeypatch.setattr(_history, "ROWS", rows)
        scorers.append(answering(matrix, users, items, bias, KNOWN, np.random.default_rng(0)))
    for name in ("items", "history"):
        np.testing.assert_allclose(*(getattr(scorer, name) for scorer in scorers), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("users", [0, 1])
def test_hardly_any_users(users: int) -> None:
    matrix, _, items, bias = world()
    scorer = answering(matrix[:users], np.ones((users, 3), np.float32), items, bias, KNOWN, np.random.default_rng(0))
    assert np.isfinite(scorer.score(Queries.of([[0, 1]]))[0, KNOWN]).all()


def test_a_random_part_of_each_history() -> None:
    matrix = csr_array(np.ones((2000, 8), np.float32))
    part = thinned(matrix, np.random.default_rng(3)).toarray()
    assert set(np.unique(part)) == {0, 1}
    # The share that stays is even over 0 … 1: so is the number of entries over 0 … 8.
    sizes = np.bincount(part.sum(axis=1).astype(int), minlength=9)
    assert sizes.min() > 2000 / 9 * 0.75
    assert sizes.max() < 2000 / 9 * 1.25
    np.testing.assert_allclose(part.mean(axis=0), 0.5, atol=0.05)


def test_short_histories_are_understood() -> None:
    # Users of two tastes took up 15 of their 20 items, and their vectors hold what they lack against them.
    rng = np.random.default_rng(0)
    taste = np.arange(300) % 2
    held = np.zeros((300, 40), bool)
    for user in range(300):
        held[user, 20 * taste[user] + rng.permutation(20)[:15]] = True
    items = rng.normal(0, 0.1, (40, 6)).astype(np.float32)
    items[:, 0] += np.where(np.arange(40) < 20, -1, 1)
    users = (held.astype(np.float64) @ items / 4 + 3 * (held - held.mean(axis=1, keepdims=True)) @ items).astype(
        np.float32
    )
    known = np.ones(40, bool)
    scorer = answering(csr_array(held.astype(np.float32)), users, items, np.zeros(40, np.float32), known, rng)
    left, right = scorer.score(Queries.of([[0, 5], [20, 33]]))
    assert left[:20].min() > left[20:].max()
    assert right[20:].min() > right[:20].max()
