"""ε-greedy lists and their probabilities."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from serendip.rerank.epsilon import drawn, likely, table
from serendip.types import ABSENT


def exact(count: int, k: int, epsilon: float) -> np.ndarray:
    """Over all orders: the probability of an order is the product of those of its places."""
    out = np.zeros((count, k))
    for order in permutations(range(count), k):
        chance, left = 1.0, list(range(count))
        for item in order:
            chance *= (1 - epsilon) * (item == left[0]) + epsilon / len(left)
            left.remove(item)
        for place, item in enumerate(order):
            out[item, place] += chance
    return out


@pytest.mark.parametrize(("count", "k"), [(1, 1), (2, 2), (5, 2), (5, 5), (6, 4)])
@pytest.mark.parametrize("epsilon", [0, 0.3, 1])
def test_the_table_is_the_sum_over_all_orders(count: int, k: int, epsilon: float) -> None:
    np.testing.assert_allclose(table(count, k, epsilon), exact(count, k, epsilon), atol=1e-12)


def test_one_number_by_hand() -> None:
    # Two items, ε = 0.2: the second stands first with 0.2 / 2. Of three it stands second where the first was drawn
    # (0.8 + 0.2 / 3) and then itself (0.8 + 0.1), or the third was drawn (0.2 / 3) and then itself by chance (0.1).
    assert table(2, 1, 0.2)[1, 0] == pytest.approx(0.1)
    assert table(3, 2, 0.2)[1, 1] == pytest.approx((0.8 + 0.2 / 3) * 0.9 + 0.2 / 3 * 0.1)


def test_lists_come_as_often_as_the_table_says() -> None:
    n, counts = 40_000, np.full(40_000, 7)
    chosen = drawn(np.arange(n, dtype=np.uint64), counts, 3, 0.5)
    shares = np.stack([(chosen == item).mean(axis=0) for item in range(7)])
    np.testing.assert_allclose(shares, table(7, 3, 0.5), atol=4 * 0.5 / np.sqrt(n))


def test_short_and_empty_lists() -> None:
    counts = np.array([0, 1, 3])
    chosen = drawn(np.arange(3, dtype=np.uint64), counts, 2, 1.0)
    assert chosen[0].tolist() == [ABSENT] * 2 and chosen[1].tolist() == [0, ABSENT]
    told = likely(chosen, counts, 1.0)
    np.testing.assert_allclose(told, [[np.nan, np.nan], [1, np.nan], [1 / 3, 1 / 3]])
