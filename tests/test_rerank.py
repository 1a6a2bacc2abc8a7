"""Re-ranking of lists."""

from __future__ import annotations

import numpy as np
import pytest

from serendip.rerank import Mmr
from serendip.types import ABSENT, Recs, SerendipError

VECTORS = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
LISTS = Recs(
    np.array([[0, 1, 2], [2, 1, ABSENT], [ABSENT] * 3], np.int32),
    np.array([[3, 2.5, 2], [1, 0.5, -np.inf], [-np.inf] * 3], np.float32),
)


def test_an_unlike_item_goes_before_a_like_one() -> None:
    # By hand, at w = 0.4 after item 0: item 1 has 0.4 · 0.5 - 0.6 · 1 = -0.4, item 2 has 0.4 · 0 - 0 = 0.
    found = Mmr(VECTORS, 0.4)(LISTS)
    assert found.items.tolist() == [[0, 2, 1], [2, 1, ABSENT], [ABSENT] * 3]
    assert found.scores[0].tolist() == [3, 2, 2.5]


def test_at_weight_one_the_order_stays() -> None:
    assert Mmr(VECTORS, 1)(LISTS).items.tolist() == LISTS.items.tolist()


def test_a_weight_out_of_bounds_is_refused() -> None:
    with pytest.raises(SerendipError, match=r"weight must be from 0 to 1. Got 2 instead. Try 0.7."):
        Mmr(VECTORS, 2)
