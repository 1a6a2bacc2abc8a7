from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from serendip.evaluate import significance
from serendip.evaluate.significance import mean_interval, paired


def ordinary_bootstrap(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([values[rng.integers(0, len(values), len(values))].mean() for _ in range(resamples)])


def test_two_values_by_hand() -> None:
    # Means of two draws from {0, 1}: 0, 1/2 and 1 with chances 1/4, 1/2 and 1/4.
    found = mean_interval(np.array([0.0, 1.0, np.nan]), level=0.4)
    assert (found.mean, found.low, found.high, found.n) == (0.5, 0.5, 0.5, 2)
    found = mean_interval(np.array([0.0, 1.0]), level=0.6)
    assert (found.low, found.high) == (0.0, 1.0)


def test_too_few_values_have_no_interval() -> None:
    none, one = mean_interval(np.array([np.nan])), mean_interval(np.array([0.3]))
    assert none.n == 0
    assert math.isnan(none.mean)
    assert (one.mean, one.n) == (0.3, 1)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    same = mean_interval(np.full(9, 0.25))
    assert (same.mean, same.low, same.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("kind", ["few", "continuous", "heavy"])
def test_the_distribution_is_that_of_the_ordinary_bootstrap(kind: str) -> None:
    rng = np.random.default_rng(1)
    values = {
        "few": rng.integers(0, 4, 300) / 4,
        "continuous": rng.beta(0.5, 2, 3000),  # many more distinct values than cells
        "heavy": rng.pareto(2.5, 3000),
    }[kind]
    ours = values.mean() + significance._bootstrap(values, 4000, np.random.default_rng(2))
    theirs = ordinary_bootstrap(values, 4000, 3)
    spread = theirs.std()
    assert abs(ours.mean() - values.mean()) < 0.06 * spread
    assert ours.std() == pytest.approx(spread, rel=0.06)
    levels = [0.025, 0.25, 0.75, 0.975]
    np.testing.assert_allclose(np.quantile(ours, levels), np.quantile(theirs, levels), atol=0.15 * spread)


def test_intervals_cover_the_true_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(400):
        found = mean_interval(rng.beta(0.5, 1.5, 120), resamples=400, seed=seed)
        covered += found.low <= 0.25 <= found.high
    assert 0.91 <= covered / 400 <= 0.98


def test_three_differences_by_hand() -> None:
    # Of the eight signings of (1, 1, 1), two are as far from 0 as the one observed; zeros change nothing.
    found = paired(np.array([1.0, 2.0, 3.0, 5.0, np.nan]), np.array([0.0, 1.0, 2.0, 5.0, 1.0]))
    assert found.n == 4
    assert found.difference == pytest.approx(3 / 4)
    assert found.p_value == pytest.approx(2 / 8, abs=0.02)
    assert found.verdict == "no difference shown"


def test_p_values_agree_with_all_signings() -> None:
    difference = np.array([0.5, -0.25, 1.0, 0.75, 0.125, -0.5, 1.5, 0.25])
    signs = 1 - 2 * ((np.arange(256)[:, None] >> np.arange(8)) & 1)
    exact = (np.abs(signs @ difference) >= abs(difference.sum()) - 1e-12).mean()
    assert paired(difference, np.zeros(8)).p_value == pytest.approx(exact, abs=0.015)


def test_p_values_are_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(0)
    found = [paired(rng.random(80), rng.random(80), resamples=10, flips=400, seed=s).p_value for s in range(300)]
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) < 0.05) < 0.085


def test_verdicts() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(2000)
    better = np.clip(base + rng.normal(0.02, 0.1, 2000), 0, None)
    assert paired(better, base).verdict == "better"
    worse = paired(base, better)
    assert worse.verdict == "worse"
    assert worse.low < worse.difference < worse.high < 0
    assert worse.p_value == pytest.approx(1 / 10_001)
    assert paired(base, base).verdict == "no difference shown"
    assert paired(base, base).p_value == 1
    single = paired(np.array([1.0]), np.array([0.0]))
    assert (single.verdict, single.n) == ("no difference shown", 1)
    assert math.isnan(single.p_value)


def test_the_seed_decides() -> None:
    values = np.random.default_rng(0).random(50)
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"level must be between 0 and 1\. Got 95"):
        mean_interval(np.zeros(3), level=95)
    with pytest.raises(ValueError, match=r"number of resamples must be at least 1\. Got 0"):
        mean_interval(np.zeros(3), resamples=0)
    with pytest.raises(ValueError, match=r"Got 3 and 2 values"):
        paired(np.zeros(3), np.zeros(2))
