from __future__ import annotations

import numpy as np
import pytest

from serendip.checks.cases import odd_log
from serendip.data.synthetic import checkerboard
from serendip.model import Run, find
from serendip.models._rated import ratings_of
from serendip.models.baseline import Baseline
from serendip.types import Queries, SerendipError
from tests.models.rated import NAN, error, log, planted

TABLE = [[5, 3, NAN], [4, NAN, 1], [NAN, 2, NAN], [NAN, NAN, NAN]]


def test_the_closed_form_by_hand() -> None:
    # μ = 3. b_i = Σ (r − 3) / (1 + n): (2 + 1)/3 = 1; (0 − 1)/3 = −⅓; −2/2 = −1.
    # b_u = Σ (r − 3 − b_i) / (2 + n): (1 + ⅓)/4 = ⅓; (0 − 1)/4 = −¼; −⅔/3 = −2/9.
    scorer = Baseline(reg_i=1, reg_u=2, epochs=1).fit(log(TABLE)).lower()
    assert scorer.mean == 3
    np.testing.assert_allclose(scorer.item_bias, [1, -1 / 3, -1], rtol=1e-6)
    np.testing.assert_allclose(scorer.user_bias, [1 / 3, -1 / 4, -2 / 9, NAN], rtol=1e-6)
    found = scorer.predict(np.array([0, 3, 2], np.int32), np.array([2, 0, 77], np.int32))
    np.testing.assert_allclose(found, [3 + 1 / 3 - 1, 4, 3 - 2 / 9], rtol=1e-6)


def test_turns_reach_the_minimum_of_the_sum() -> None:
    data = log(np.where(np.random.default_rng(0).random((12, 9)) < 0.6, np.random.default_rng(1).random((12, 9)), NAN))
    ratings = ratings_of(data, "baseline")
    scorer = Baseline(reg_i=0.7, reg_u=0.3, epochs=500).fit(data).lower()
    # The same minimum from the normal equations.
    rows = np.zeros((len(ratings.values), 21))
    rows[np.arange(len(rows)), ratings.users] = 1
    rows[np.arange(len(rows)), 12 + ratings.items] = 1
    penalty = np.diag([0.3] * 12 + [0.7] * 9)
    best = np.linalg.solve(rows.T @ rows + penalty, rows.T @ (ratings.values - ratings.mean))
    np.testing.assert_allclose(np.concatenate([scorer.user_bias, scorer.item_bias]), best, atol=1e-5)


def test_descent_comes_near_the_same_minimum() -> None:
    split = planted()
    by_turns = error(Baseline().fit(split.train), split)
    assert error(Baseline(method="sgd").fit(split.train), split) == pytest.approx(by_turns, rel=0.02)


def test_without_regularisation_nothing_is_nan() -> None:
    model = Baseline(reg_u=0, reg_i=0).fit(odd_log())
    everybody = np.arange(-1, 40, dtype=np.int32)
    assert np.isfinite(model.predict(everybody, everybody)).all()
    assert np.isfinite(model.score(Queries.of([[]]))).all()


def test_a_pair_rated_again_counts_with_its_last_rating() -> None:
    data = log([[5.0, 3.0], [4.0, 2.0]])
    again = data.events.take(np.array([0, 0, 1, 2, 3]))
    again.labels["rating"][:2] = [1, 4]
    from dataclasses import replace

    ratings = ratings_of(replace(data, events=again), "baseline")
    np.testing.assert_array_equal(ratings.values, [4, 3, 4, 2])


@pytest.mark.parametrize("model", ["baseline", "bayesian_fm", "biased_mf", "nmf", "rating_knn", "slope_one", "svdpp"])
def test_a_log_without_ratings_is_refused(model: str) -> None:
    expected = rf"{model} learns from ratings: the events must have a column with the role rating\. Got a log without"
    with pytest.raises(SerendipError, match=expected):
        find(model)().fit(checkerboard())


def test_steps_that_run_away_are_refused() -> None:
    with pytest.raises(SerendipError, match=r"baseline: lr must be small enough .* Got 50, .* Try a tenth of it"):
        Baseline(method="sgd", lr=50, epochs=100).fit(odd_log())


def test_seeds_and_progress() -> None:
    seen: list[tuple[int, int]] = []
    options = {"method": "sgd", "epochs": 2}
    first = Baseline(**options).fit(odd_log(), Run(seed=1, progress=lambda done, total: seen.append((done, total))))
    other = Baseline(**options).fit(odd_log(), Run(seed=2))
    assert seen == [(1, 2), (2, 2)]
    assert not np.array_equal(first.lower().user_bias, other.lower().user_bias)
