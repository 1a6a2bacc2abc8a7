from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.data.synthetic import planted_factors
from serendip.model import Run
from serendip.models.gf_cf import GFCF
from serendip.types import Queries


def published(dense: Any, k: int, alpha: float) -> Any:
    """Both filters as one dense matrix, from the definition."""
    users, items = dense.sum(axis=1), dense.sum(axis=0)
    p = dense / np.sqrt(np.where(users > 0, users, 1))[:, None] / np.sqrt(np.where(items > 0, items, 1))
    vectors = np.linalg.svd(p)[2][:k].T
    root = np.sqrt(np.where(items > 0, items, 1))
    return p.T @ p + alpha * (vectors / root[:, None]) @ (vectors * root[:, None]).T


def test_two_items_by_hand() -> None:
    # Users {0, 1}, {0}: P = [[1/2, 1/√2], [1/√2, 0]], PᵀP = [[3/4, 1/√8], [1/√8, 1/2]]; the leading singular vector is
    # (√2, 1)/√3, so item 0 says 1/√8 + α · (1/√2) · (√2/3) of item 1.
    log = pl.DataFrame({"user_id": [0, 0, 1], "item_id": [0, 1, 0]})
    model = GFCF(factors=1, alpha=0.6).fit(Dataset.from_frames(log, schema=Schema()))
    np.testing.assert_allclose(model.score(Queries.of([[0]])), [[0.75 + 0.6 * 2 / 3, 8**-0.5 + 0.2]], rtol=1e-5)


@pytest.mark.parametrize(("k", "alpha"), [(1, 0.3), (8, 0.3), (8, 0.0), (8, 4.0)])
def test_scores_are_the_filter(k: int, alpha: float) -> None:
    data = planted_factors(users=150, items=60, events=12).data
    dense = data.matrix().toarray().astype(np.float64)
    scores = GFCF(factors=k, alpha=alpha).fit(data, Run(threads=1)).score(data.queries())
    expected = np.where(dense.sum(axis=0) > 0, dense @ published(dense, k, alpha), -np.inf)
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=2e-3)


def test_only_the_strongest_neighbours_are_kept() -> None:
    data = planted_factors(users=200, items=80, events=15).data
    weights = GFCF(factors=4, neighbours=5).fit(data).lower().weights
    assert int(np.diff(weights.indptr).max()) == 5
