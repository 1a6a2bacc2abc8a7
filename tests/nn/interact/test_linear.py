"""The first-order term by hand."""

from __future__ import annotations

import torch

from serendip.nn.interact import FirstOrder


def test_by_hand() -> None:
    layer = FirstOrder()
    with torch.no_grad():
        layer.bias.fill_(0.5)
    # ½ + 1 + 2 + 3; ½ − 1 + 0 + 4
    x = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.0, 4.0]]).unsqueeze(-1)
    assert layer(x).tolist() == [6.5, 3.5]


def test_it_begins_without_a_bias() -> None:
    assert FirstOrder()(torch.zeros(2, 3, 1)).tolist() == [0, 0]
