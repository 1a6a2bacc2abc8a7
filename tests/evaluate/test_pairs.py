from __future__ import annotations

import numpy as np
import pytest

from serendip.evaluate.pairs import counted, levels, share


def slow(
    values: np.ndarray, scores: np.ndarray, groups: np.ndarray, low: np.ndarray, high: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Every pair, one after another."""
    won, pairs = np.zeros(n), np.zeros(n)
    for i in range(len(values)):
        for j in range(len(values)):
            if groups[i] == groups[j] and values[i] < values[j]:
                weight = low[i] * high[j]
                pairs[groups[i]] += weight
                won[groups[i]] += weight * (1.0 if scores[j] > scores[i] else 0.5 if scores[j] == scores[i] else 0.0)
    return won, pairs


def test_pairs_by_hand() -> None:
    # Values 1 < 2 < 4: of the three pairs (1, 2) is tied, (1, 4) wrong and (2, 4) wrong; 1·2·½ of 1·2 + 1·3 + 2·3.
    weight = np.array([1.0, 2, 3])
    won, pairs = counted(levels(np.array([1, 2, 4]), np.array([0.5, 0.5, 0.1])), weight, weight)
    assert (won.tolist(), pairs.tolist()) == ([1.0], [11.0])


@pytest.mark.parametrize("distinct", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("n", [1, 4])
def test_against_every_pair(distinct: int, n: int) -> None:
    rng = np.random.default_rng(distinct)
    for m in (1, 2, 5, 60):
        values, scores = rng.integers(0, distinct, m) - 0.5, rng.integers(0, 6, m).astype(np.float64)
        scores[rng.random(m) < 0.1] = -np.inf
        groups = rng.integers(0, n, m)
        low, high = rng.integers(0, 4, m).astype(np.float64), rng.random(m)
        found = counted(levels(values, scores, groups), low, high, n)
        np.testing.assert_allclose(found, slow(values, scores, groups, low, high, n))


def test_no_pair_where_nothing_differs() -> None:
    for m in (0, 3):
        assert list(levels(np.ones(m), np.arange(m) * 1.0)) == []
    assert counted([], np.ones(0), np.ones(0), 2)[1].tolist() == [0, 0]


def test_owners_weigh_as_their_rows_would() -> None:
    rng = np.random.default_rng(0)
    owner, drawn = rng.integers(0, 5, 40), np.array([0.0, 3, 1, 2, 1])
    found = list(levels(rng.integers(0, 9, 40), rng.random(40)))
    by_row = counted(found, drawn[owner], drawn[owner])
    by_owner = counted((level.owned(owner) for level in found), drawn, drawn)
    np.testing.assert_array_equal(by_row, by_owner)


def test_no_share_of_nothing() -> None:
    np.testing.assert_array_equal(share(np.array([1.0, 0]), np.array([4.0, 0])), [0.25, np.nan])
