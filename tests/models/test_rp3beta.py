from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from serendip.checks.cases import odd_log
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.model import Run
from serendip.models.rp3beta import RP3Beta
from serendip.types import Queries


def test_three_items_by_hand() -> None:
    # Users {0, 1}, {0, 1, 2}. From 0: each user with ½, on to 1 with ½ and ⅓: 5/12, to 2 with ½ · ⅓ = 1/6.
    log = pl.DataFrame({"user_id": [0, 0, 1, 1, 1], "item_id": [0, 1, 0, 1, 2]})
    data = Dataset.from_frames(log, schema=Schema())
    plain = RP3Beta(beta=0).fit(data)
    np.testing.assert_allclose(plain.score(Queries.of([[0]])), [[-np.inf, 5 / 12, 1 / 6]], rtol=1e-6)
    held_back = RP3Beta(beta=1).fit(data)
    np.testing.assert_allclose(held_back.score(Queries.of([[0]])), [[-np.inf, 5 / 24, 1 / 6]], rtol=1e-6)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.5), (0.6, 1.2), (0.0, 0.0)])
@pytest.mark.parametrize("counts", ["binary", "weight"])
def test_weights_are_the_walk(alpha: float, beta: float, counts: str) -> None:
    data = odd_log()
    dense = data.matrix(None if counts == "binary" else counts).toarray().astype(np.float64)
    model = RP3Beta(neighbours=1000, alpha=alpha, beta=beta, weight=counts).fit(data, Run(threads=2))
    users, items = dense.sum(axis=1), dense.sum(axis=0)
    one = np.where(users > 0, users, 1)
    on = np.where(dense > 0, (dense / one[:, None]) ** alpha, 0)
    back = np.where(dense > 0, (dense / np.where(items > 0, items, 1)) ** alpha, 0)
    # The step from i to u has the value r_ui over |i|, both to the power α; r_ui is in `back` and r_uj in `on`.
    expected = back.T @ on / np.where(items > 0, items, 1) ** beta
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(model.lower().weights.toarray(), expected, rtol=1e-4, atol=1e-6)
