"""Scores of factors, and how sure they are."""

from __future__ import annotations

import numpy as np
import pytest

from serendip.scorers import Factors
from serendip.types import ABSENT, Queries, Uncertain


def test_the_deviation_by_hand() -> None:
    # One dimension: A = α₀ Σ h² + c h² + λ = 0.5 · (1 + 4) + 1 + 0.5 = 4, after item 0.
    scorer = Factors(np.array([[1], [2], [np.nan]], np.float32), 0.5, 0.5, 0.0)
    assert isinstance(scorer, Uncertain)
    found = scorer.deviation(Queries.of([[0], []]))
    np.testing.assert_allclose(found, [[0.5, 1, np.nan], [np.nan] * 3])
    chosen = scorer.deviation(Queries.of([[0], [0]]), np.array([[1, ABSENT], [7, 0]], np.int32))
    np.testing.assert_allclose(chosen, [[1, np.nan], [np.nan, 0.5]])


def test_it_is_the_root_of_the_quadratic_form() -> None:
    rng = np.random.default_rng(0)
    items = rng.normal(size=(12, 4)).astype(np.float32)
    scorer = Factors(items, 0.1, 0.02, 1.0)
    histories = [rng.choice(12, size, replace=False).tolist() for size in (1, 3, 5, 3)]
    found = scorer.deviation(Queries.of(histories))
    h = items.astype(np.float64)
    for history, row in zip(histories, found, strict=True):
        scale = 0.02 * (len(history) + 0.1 * 12)
        inverse = np.linalg.inv(0.1 * h.T @ h + h[history].T @ h[history] + scale * np.eye(4))
        np.testing.assert_allclose(row, np.sqrt(np.einsum("nd,de,ne->n", h, inverse, h)), rtol=1e-5)


def test_more_events_make_surer() -> None:
    items = np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32)
    few, many = Factors(items, 0.1, 0.1, 0.0).deviation(Queries.of([[0], [0, 1, 2, 3]]))
    assert (many < few).all() and few.min() > 0


def test_the_shape_is_checked() -> None:
    scorer = Factors(np.ones((3, 2), np.float32), 0.1, 0.1, 1.0)
    with pytest.raises(ValueError, match="items must be"):
        scorer.deviation(Queries.of([[0]]), np.zeros((2, 2), np.int32))
