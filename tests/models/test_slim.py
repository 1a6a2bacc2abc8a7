from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.optimize import nnls

from serendip.checks.cases import odd_log
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.model import Run
from serendip.models.slim import Slim
from serendip.types import Queries, SerendipError


def test_two_items_by_hand() -> None:
    # Users {0, 1}, {0, 1}, {0}: 1 from 0: (2 − 1) / (3 + 1) = ¼; 0 from 1: (2 − 1) / (2 + 1) = ⅓.
    log = pl.DataFrame({"user_id": [0, 0, 1, 1, 2], "item_id": [0, 1, 0, 1, 0]})
    model = Slim(l1=1, l2=1).fit(Dataset.from_frames(log, schema=Schema()))
    np.testing.assert_allclose(model.lower().weights.toarray(), [[0, 1 / 4], [1 / 3, 0]], rtol=1e-6)
    np.testing.assert_allclose(model.score(Queries.of([[0]])), [[-np.inf, 1 / 4]], rtol=1e-6)


@pytest.mark.parametrize("counts", ["binary", "weight"])
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 2.0), (1.0, 5.0)])
def test_weights_are_those_of_nonnegative_least_squares(counts: str, l1: float, l2: float) -> None:
    data = odd_log()
    x = data.matrix(None if counts == "binary" else counts).toarray().astype(np.float64)
    model = Slim(l1=l1, l2=l2, weight=counts, iterations=5000, tolerance=1e-7).fit(data, Run(threads=1))
    weights = model.lower().weights.toarray()
    for item in range(x.shape[1]):
        others = np.delete(np.arange(x.shape[1]), item)
        # ½‖y − Xw‖² + l1·w + ½l2‖w‖² is, but for a constant, ½‖Lᵀw − L⁻¹(Xᵀy − l1)‖² with LLᵀ = XᵀX + l2.
        root = np.linalg.cholesky(x[:, others].T @ x[:, others] + l2 * np.eye(len(others)))
        expected, _ = nnls(root.T, np.linalg.solve(root, x[:, others].T @ x[:, item] - l1))
        np.testing.assert_allclose(weights[others, item], expected, atol=1e-4)
        assert weights[item, item] == 0


def test_weights_whose_products_overflow_are_refused() -> None:
    data = odd_log()
    huge = replace(data, events=replace(data.events, weight=data.events.weight * np.float32(1e20)))
    with pytest.raises(SerendipError, match=r"slim: weights must be small .* Got weights up to \d.*e\+2\d .*binary"):
        Slim().fit(huge)
    assert np.isfinite(Slim(weight="binary").fit(huge).score(huge.queries()).max(axis=1)).any()
