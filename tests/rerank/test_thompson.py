"""Thompson sampling."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from serendip.rerank.thompson import deviations, drawn, likely
from serendip.types import ABSENT

from .shelves import Toy, asked


def test_deviations_are_of_the_span_of_the_list() -> None:
    scorer = Toy([4, 2, -np.inf, 2], [1, 0.5, np.nan, 3])
    found = deviations(scorer, asked(3), np.array([[0, 1, 2], [1, 3, ABSENT], [2, ABSENT, ABSENT]], np.int32))
    # By hand: the span is 2; what has no score is as uncertain as the most uncertain. All alike: the span counts 1.
    assert found.tolist() == [[0.5, 0.25, 0.5], [0.5, 3, 3], [0, 0, 0]]


def test_the_first_of_two_is_as_likely_as_by_the_normal_distribution() -> None:
    # 1 of deviation 1 against 0 of deviation 2: above with Φ(1 / √5) = 0.673.
    n, worth, spread = 40_000, np.array([[1.0, 0.0]]), np.array([[1.0, 2.0]])
    seeds = np.arange(n, dtype=np.uint64)
    each = [np.repeat(part, n, axis=0) for part in (np.ones((1, 2), bool), worth, spread)]
    chosen = drawn(seeds, each[0], each[1], each[2], 2)[0]
    expected = ndtr(1 / np.sqrt(5))
    assert abs((chosen[:, 0] == 0).mean() - expected) < 4 * 0.5 / np.sqrt(n)
    few = [part[:300] for part in each]
    told = likely(chosen[:300], seeds[:300], few[0], few[1], few[2], 2000)
    right = np.where(chosen[:300] == np.arange(2), expected, 1 - expected)
    assert abs((told - right).mean()) < 0.002
    assert np.abs(told - right).max() < 5 * 0.5 / np.sqrt(2000)


def test_without_deviation_nothing_is_left_to_chance() -> None:
    held, worth = np.array([[True, True, False]]), np.array([[1.0, 0.0, 0.0]])
    seeds = np.array([5], np.uint64)
    chosen = drawn(seeds, held, worth, np.zeros((1, 3)), 3)[0]
    assert chosen.tolist() == [[0, 1, ABSENT]]
    told = likely(chosen, seeds, held, worth, np.zeros((1, 3)), 10)
    np.testing.assert_allclose(told, [[1, 1, np.nan]])
