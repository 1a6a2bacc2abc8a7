"""Means worked by hand."""

from __future__ import annotations

import pytest
import torch

from serendip.nn.sequence.bow import Bow


def test_means_by_hand() -> None:
    x, present = torch.tensor([[[2.0], [4.0], [9.0], [1.0]]]), torch.ones(1, 4, dtype=torch.bool)
    assert Bow(1)(x, present).flatten().tolist() == [2, 3, 5, 4]
    assert Bow(1, window=2)(x, present).flatten().tolist() == [2, 3, 6.5, 5]
    present[0, 1] = False
    assert Bow(1, window=2)(x, present).flatten().tolist() == [2, 0, 5.5, 5]


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1 or more events\. Got 0 instead"):
        Bow(1, window=0)
