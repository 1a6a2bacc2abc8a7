from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.checks.cases import odd_log
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.data.synthetic import planted_factors
from serendip.model import Run
from serendip.models.spectral import Spectral
from serendip.types import Queries


def published(dense: Any, options: dict[str, Any], k: int) -> Any:
    """The filter as a dense matrix, in double precision, from the definition."""
    dense = dense / dense.max()
    rows, columns = ((total / total[total > 0].mean()) for total in (dense.sum(axis=1), dense.sum(axis=0)))

    def power(base: Any, exponent: float) -> Any:
        return np.where(base > 0, np.where(base > 0, base, 1) ** exponent, 0)

    into = power(columns, -options["item_power"])
    a = power(rows, -options["user_power"])[:, None] * dense * into
    values, vectors = np.linalg.eigh(a.T @ a)
    values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
    mu, x = options["strength"] * values[-1], options["tail"] * values[-1]
    h = (lambda v: v / (v + mu)) if options["filter"] == "ridge" else (lambda v: 1 - np.exp(-v / mu))
    c = h(x) / x if x else 1 / mu
    inner = c * a.T @ a + vectors @ np.diag(h(values) - c * values) @ vectors.T
    return into[:, None] * inner * power(columns, options["output_power"])


def test_two_items_by_hand() -> None:
    # Users {0, 1}, {0}, {1} and no degree: AᵀA = [[2, 1], [1, 2]], λ = 3 with v = (1, 1)/√2. Ridge μ = 3, x = 3:
    # h(3) = ½, c = 1/6. Score of 1 for a history of 0: 1/6 · 1 + ½ · (½ − ½) = 1/6; of 0 itself 1/6 · 2.
    log = pl.DataFrame({"user_id": [0, 0, 1, 2], "item_id": [0, 1, 0, 1]})
    plain = {"user_power": 0, "item_power": 0, "output_power": 0}
    model = Spectral(factors=1, strength=1, tail=1, **plain).fit(Dataset.from_frames(log, schema=Schema()))
    np.testing.assert_allclose(model.score(Queries.of([[0]])), [[2 / 6, 1 / 6]], rtol=1e-5)
    # x = 0: c = 1/μ = 1/3, and the eigenvector gets ½ − 1: 1/3 · 1 + ½ · (½ − 1) = 1/12.
    straight = Spectral(factors=1, strength=1, tail=0, **plain).fit(Dataset.from_frames(log, schema=Schema()))
    np.testing.assert_allclose(straight.score(Queries.of([[0]])), [[2 / 3 - 1 / 4, 1 / 12]], rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"filter": "ridge", "strength": 2.0, "tail": 0.4, "user_power": 0.5, "item_power": 0.5, "output_power": 0.5},
        {"filter": "heat", "strength": 0.3, "tail": 1.5, "user_power": 0.0, "item_power": 0.2, "output_power": 0.9},
        {"filter": "heat", "strength": 5.0, "tail": 0.0, "user_power": 1.0, "item_power": 0.0, "output_power": 0.0},
    ],
)
@pytest.mark.parametrize("counts", ["binary", "weight"])
def test_scores_are_the_filter(options: dict[str, Any], counts: str) -> None:
    data = planted_factors(users=150, items=60, events=12).data if counts == "binary" else odd_log()
    dense = data.matrix(None if counts == "binary" else counts).toarray().astype(np.float64)
    k = 6
    scores = Spectral(factors=k, weight=counts, **options).fit(data, Run(threads=1)).score(data.queries())
    known = dense.sum(axis=0) > 0
    asked = dense.sum(axis=1) > 0
    expected = (dense @ published(dense, options, k))[np.ix_(asked, known)]
    np.testing.assert_allclose(scores[np.ix_(asked, known)], expected, atol=2e-3 * np.abs(expected).max())
    assert np.isneginf(scores[~asked]).all()
    assert np.isneginf(scores[:, ~known]).all()


def test_no_more_eigenvectors_than_a_quarter_of_the_items() -> None:
    data = planted_factors(users=100, items=40, events=10).data
    many, ten = (Spectral(factors=factors).fit(data, Run(threads=1)).lower() for factors in (4096, 10))
    assert many.left.shape == (40, 10)
    np.testing.assert_array_equal(many.left, ten.left)


def test_only_the_strongest_neighbours_are_kept() -> None:
    data = planted_factors(users=200, items=80, events=15).data
    every = Spectral(factors=4).fit(data).lower().weights
    few = Spectral(factors=4, neighbours=7).fit(data, Run(threads=2)).lower().weights
    assert (np.diff(few.indptr) == np.minimum(7, np.diff(every.indptr))).all()
    for item in range(data.n_items):
        best = np.sort(every[[item]].data)[::-1][:7]
        np.testing.assert_allclose(np.sort(few[[item]].data)[::-1], best, rtol=1e-5)


def test_the_unit_of_the_weights_does_not_matter() -> None:
    data = odd_log()
    tiny, huge = (
        Spectral(weight="weight").fit(
            Dataset.from_frames(
                pl.DataFrame(
                    {
                        "user_id": data.events.users,
                        "item_id": data.events.items,
                        "timestamp": data.events.time,
                        "weight": data.events.weight.astype(np.float64) * unit,
                    }
                ),
                schema=Schema(timestamp="timestamp", time_kind="unix", weight="weight"),
            )
        )
        for unit in (2.0**-60, 2.0**60)
    )
    queries = Queries.of([[0, 4], [3]])
    np.testing.assert_allclose(tiny.score(queries)[:, :24], huge.score(queries)[:, :24], rtol=1e-4, atol=1e-6)
