from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from serendip.evaluate.reliability import expected_calibration_error, reliability, wilson
from serendip.types import SerendipError

NAN = np.nan


def test_bins_by_hand() -> None:
    labels, probabilities = [0, 1, 1, 1, NAN, 0], [0.1, 0.3, 0.7, 0.9, 0.9, 0.2]
    halves = reliability(labels, probabilities, bins=2, strategy="uniform")
    np.testing.assert_allclose(halves.predicted, [0.2, 0.8])
    np.testing.assert_allclose(halves.observed, [1 / 3, 1])
    assert halves.count.tolist() == [3, 2]
    assert halves.error == pytest.approx((3 * (1 / 3 - 0.2) + 2 * 0.2) / 5)
    fifths = reliability(labels, probabilities, bins=5, strategy="uniform")
    assert fifths.count.tolist() == [1, 2, 1, 1]  # 0.2 and 0.3 share a bin, and nothing lies in 0.4 … 0.6


@pytest.mark.parametrize("bins", [1, 3, 10])
def test_equal_counts_are_equal(bins: int) -> None:
    rng = np.random.default_rng(0)
    probabilities, labels = rng.random(900) ** 3, rng.integers(0, 2, 900)
    found = reliability(labels, probabilities, bins)
    order = np.argsort(probabilities)
    parts = np.array_split(order, bins)
    assert found.count.tolist() == [len(part) for part in parts]
    np.testing.assert_allclose(found.predicted, [probabilities[part].mean() for part in parts])
    np.testing.assert_allclose(found.observed, [labels[part].mean() for part in parts])


def test_equal_probabilities_share_a_bin_in_any_order() -> None:
    rng = np.random.default_rng(1)
    probabilities, labels = rng.integers(0, 4, 200) / 4, rng.integers(0, 2, 200)
    found = reliability(labels, probabilities, bins=50)
    np.testing.assert_allclose(found.predicted, [0, 0.25, 0.5, 0.75])
    again = rng.permutation(200)
    assert expected_calibration_error(labels[again], probabilities[again], 7) == pytest.approx(
        expected_calibration_error(labels, probabilities, 7)
    )


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
def test_the_error_is_that_of_what_is_distorted(strategy: Any) -> None:
    rng = np.random.default_rng(2)
    true = rng.uniform(0.1, 0.8, 100_000)
    labels = rng.random(100_000) < true
    assert expected_calibration_error(labels, true, 20, strategy) < 0.01
    assert expected_calibration_error(labels, true + 0.1, 20, strategy) == pytest.approx(0.1, abs=0.01)


def test_edges() -> None:
    assert reliability([0, 1], [0.0, 1.0], 10, "uniform").count.tolist() == [1, 1]
    none = reliability([NAN], [0.5])
    assert len(none) == 0
    assert math.isnan(none.error)
    assert expected_calibration_error([1, 1], [1.0, 1.0]) == 0


def test_wilson_by_hand() -> None:
    # 8 of 10 at z = 1.96: centre (.8 + .19207) / 1.38415, half 1.96 · √(.016 + .009604) / 1.38415.
    low, high = wilson(np.array([8, 0, 10, 0]), np.array([10, 10, 10, 0]))
    assert (low[0], high[0]) == pytest.approx((0.49016, 0.94332), abs=1e-4)
    assert (low[1], high[2]) == (0, 1)
    assert high[1] == pytest.approx(1 - low[2])
    assert math.isnan(low[3])


def test_wilson_holds_its_level() -> None:
    rng = np.random.default_rng(3)
    for chance in (0.03, 0.4):
        low, high = wilson(rng.binomial(60, chance, 4000), np.full(4000, 60))
        assert 0.92 < np.mean((low <= chance) & (chance <= high)) < 0.98


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: reliability([1], [0.5, 0.5]), "labels and probabilities must be vectors of one length"),
        (lambda: reliability([2], [0.5]), "labels must be 0 or 1"),
        (lambda: reliability([1], [2.0]), "probabilities must lie in 0 … 1"),
        (lambda: reliability([1], [0.5], bins=0), "bins must be at least 1. Got 0"),
        (lambda: reliability([1], [0.5], strategy="equal"), "strategy must be one of quantile, uniform. Got 'equal'"),  # type: ignore[arg-type]
        (lambda: reliability([1], [0.5], level=1.0), "level must be between 0 and 1. Got 1.0"),
    ],
)
def test_what_is_refused(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(SerendipError, match=text):
        call()
