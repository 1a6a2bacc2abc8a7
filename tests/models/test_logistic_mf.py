from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from serendip.checks.cases import NOTHING, odd_log
from serendip.data.dataset import Dataset
from serendip.data.synthetic import checkerboard, planted_factors
from serendip.model import Run
from serendip.models.logistic_mf import LogisticMF, gradient
from serendip.types import Queries, SerendipError


def world(rows: int = 7, others: int = 30) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    weighed = np.where(rng.random((rows, others)) < 0.3, rng.integers(1, 5, (rows, others)), 0).astype(np.float32)
    own, other = (rng.normal(0, 0.7, (n, 6)).astype(np.float32) for n in (rows, others))
    own[:, 5] = other[:, 4] = 1
    return weighed, own, other


def likelihood(weighed: Any, own: Any, other: Any) -> float:
    """L as the model's page gives it, without λ."""
    scores = own @ other.T.astype(np.float64)
    return float((weighed * scores - (1 + weighed) * np.log1p(np.exp(scores))).sum())


def test_the_gradient_is_the_slope_of_the_likelihood() -> None:
    weighed, own, other = world()
    slope = gradient(csr_array(weighed), own, other, 30, np.random.default_rng(0))
    step = 1e-4
    for row, place in np.ndindex(own.shape):
        sides = []
        for sign in (-1, 1):
            moved = own.astype(np.float64)
            moved[row, place] += sign * step
            sides.append(likelihood(weighed, moved, other))
        assert slope[row, place] == pytest.approx((sides[1] - sides[0]) / (2 * step), rel=1e-3, abs=1e-3)


def test_a_sample_estimates_the_whole() -> None:
    weighed, own, other = world(others=60)
    matrix = csr_array(weighed)
    exact = gradient(matrix, own, other, 60, np.random.default_rng(0))
    drawn = [gradient(matrix, own, other, 20, np.random.default_rng(seed)) for seed in range(600)]
    spread = np.std(drawn, axis=0) / np.sqrt(len(drawn))
    assert (np.std(drawn, axis=0).max(axis=1) > 0.1).all()
    assert (np.abs(np.mean(drawn, axis=0) - exact) < 5 * spread + 1e-3).all()


def test_a_step_by_hand() -> None:
    # One user, two items, d = 1, b = 0, x = 1, y = (1, 2), α r = 3 for item 0.
    # Item 0: 3 − 4 σ(1) = 0.0757655; item 1: −σ(2) = −0.880797. By x: 0.0757655·1 − 0.880797·2; by b_u: their sum.
    own, other = np.array([[1, 0, 1]], np.float32), np.array([[1, 1, 0], [2, 1, 0]], np.float32)
    slope = gradient(csr_array(np.array([[3, 0]], np.float32)), own, other, 2, np.random.default_rng(0))
    np.testing.assert_allclose(slope[0, :2], [-1.685829, -0.805032], rtol=1e-5)


def test_the_planted_order_is_recovered() -> None:
    world = planted_factors(users=400, items=120, dims=4, events=40, sharpness=3)
    scores = LogisticMF(factors=8).fit(world.data).score(world.data.queries())
    unseen = world.data.matrix().toarray() == 0
    better = [
        np.corrcoef(row[free], truth[free])[0, 1] for row, truth, free in zip(scores, world.scores, unseen, strict=True)
    ]
    assert np.median(better) > 0.5


def test_threads_do_not_change_the_result() -> None:
    data = planted_factors(users=700, items=120, dims=4, events=10, sharpness=3).data
    one, three = (
        LogisticMF(factors=4, iterations=3, sampled=50).fit(data, Run(seed=2, threads=threads)).score(data.queries())
        for threads in (1, 3)
    )
    np.testing.assert_allclose(one, three, rtol=1e-4, atol=1e-5)


def test_weights_count() -> None:
    log = pl.DataFrame({"user_id": [0, 0, 1, 1, 2, 2], "item_id": [0, 1, 1, 2, 2, 0], "weight": [9.0, 1, 1, 1, 1, 1]})
    data = Dataset.from_frames(log)
    weighed, plain = (LogisticMF(factors=2, weight=weight).fit(data, Run(threads=1)) for weight in ("auto", "binary"))
    asked = data.queries(np.array([0], np.int32))
    heavy, even = (np.diff(model.score(asked)[0, [1, 0]])[0] for model in (weighed, plain))
    assert heavy > even


def test_the_answer_follows_new_events_of_new_users() -> None:
    even, odd = LogisticMF(factors=2).fit(checkerboard()).score(Queries.of([[0, 2, 4], [1, 3, 5]]))
    assert even[6::2].min() > even[7::2].max()
    assert odd[7::2].min() > odd[6::2].max()


def test_more_factors_than_items_and_the_whole_catalogue() -> None:
    scores = LogisticMF(factors=100).fit(odd_log()).score(Queries.of([[0]]))
    assert np.isfinite(scores[0, : NOTHING - 1]).all()
    assert scores[0, NOTHING] == -np.inf
    every = Dataset.from_frames(pl.DataFrame({"user_id": [1, 1], "item_id": [1, 2]}), part=True)
    assert np.isfinite(LogisticMF(factors=2).fit(every).score(every.queries())).all()


def test_progress_and_steps_that_run_away() -> None:
    seen: list[tuple[int, int]] = []
    run = Run(threads=1, progress=lambda done, total: seen.append((done, total)))
    LogisticMF(iterations=2).fit(checkerboard(), run)
    assert seen == [(1, 2), (2, 2)]
    expected = r"logistic_mf: learning_rate must be small enough .* Got 1e\+25, .* Try a tenth of it\."
    with pytest.raises(SerendipError, match=expected):
        LogisticMF(learning_rate=1e25).fit(checkerboard(), Run(threads=1))
