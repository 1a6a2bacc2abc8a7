"""A convolution by hand, and against its definition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from serendip.nn.sequence.cnn import Cnn, largest_by_doubling, largest_so_far


def test_a_kernel_by_hand() -> None:
    net = Cnn(1, channels=1, widths=(2,))
    with torch.no_grad():
        net.kernels[0].weight.copy_(torch.tensor([[[-1.0, 2.0]]]))
        net.kernels[0].bias.fill_(0.5)
    # before the first stands 0: 2·1 − 0 + ½ = 2½; 2·3 − 1 + ½ = 5½; 2·2 − 3 + ½ = 1½ is less, as is 2·0 − 2 + ½
    x = torch.tensor([[[1.0], [3.0], [2.0], [0.0]]])
    assert net(x, torch.ones(1, 4, dtype=torch.bool)).flatten().tolist() == [2.5, 5.5, 5.5, 5.5]


def test_states_are_those_of_the_definition() -> None:
    torch.manual_seed(0)
    net, x = Cnn(3, channels=2, widths=(1, 3)), torch.randn(2, 6, 3)
    found = net(x, torch.ones(2, 6, dtype=torch.bool)).detach().numpy()
    for row in range(2):
        expected = np.zeros((6, 4))
        for place in range(6):
            for kernel, (layer, width) in enumerate(zip(net.kernels, net.widths, strict=True)):
                weight, bias = (value.detach().numpy().astype(float) for value in (layer.weight, layer.bias))
                heard = bias + sum(
                    weight[:, :, width - 1 - ago] @ x[row, place - ago].numpy().astype(float)
                    for ago in range(min(width, place + 1))
                )
                before = expected[place - 1, 2 * kernel : 2 * kernel + 2] if place else 0
                expected[place, 2 * kernel : 2 * kernel + 2] = np.maximum(before, heard)
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


@pytest.mark.parametrize("largest", [largest_so_far, largest_by_doubling])
def test_the_largest_so_far_and_where_its_gradient_goes(largest: Callable[[Tensor], Tensor]) -> None:
    x = torch.tensor([[[1.0, 3.0, 2.0, 5.0, 4.0]]], requires_grad=True)
    found = largest(x)
    assert found.flatten().tolist() == [1, 3, 3, 5, 5]
    found.sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [1, 2, 0, 2, 0]


@pytest.mark.parametrize("widths", [(), (2, 0)])
def test_widths_that_cannot_be(widths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="Kernels must be of 1 or more widths"):
        Cnn(3, widths=widths)
