"""Counting allowed items."""

from __future__ import annotations

import numpy as np
import pytest

from serendip.index.chosen import about, count_of
from serendip.types import pack_mask


def test_few_items_are_counted_one_by_one() -> None:
    mask = np.random.default_rng(0).random((1, 1003)) < 0.3
    assert about(pack_mask(mask)[0]) == count_of(pack_mask(mask)[0]) == mask.sum()


@pytest.mark.parametrize("share", [0.5, 0.02])
def test_many_items_are_counted_nearly(share: float) -> None:
    n = 3_000_001
    scattered = np.random.default_rng(0).random((1, n)) < share
    together = (np.arange(n) < share * n)[None]
    for mask in (scattered, together):
        assert abs(about(pack_mask(mask)[0]) - mask.sum()) < 0.06 * mask.sum()
