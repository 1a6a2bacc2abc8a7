"""Layers as one node give what the layers one by one give, there and back, however the rows are cut into parts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from serendip.nn import layers as module
from serendip.nn.layers import layers
from serendip.nn.tower import Tower

WIDTHS = (5, 7, 6, 2)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def one_by_one(x: Tensor, weights: list[Tensor], biases: list[Tensor], kept: list[Tensor], projected: bool) -> Tensor:
    last = len(weights) - projected
    for at, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = functional.linear(x, weight, bias)
        if at < last:
            x = x.relu() * (kept[at] if kept else 1)
    return x


@pytest.mark.parametrize("part", [1, 1 << 20])
@pytest.mark.parametrize("projected", [True, False])
@pytest.mark.parametrize("dropped", [True, False])
def test_it_gives_what_layers_one_by_one_give(
    monkeypatch: pytest.MonkeyPatch, part: int, projected: bool, dropped: bool
) -> None:
    monkeypatch.setattr(module, "_PART", part)
    monkeypatch.setattr(module, "_LEAST", 4)
    x = torch.randn(11, WIDTHS[0], dtype=torch.float64, requires_grad=True)
    weights = [torch.randn(n, k).double().requires_grad_() for k, n in pairwise(WIDTHS)]
    biases = [torch.randn(n).double().requires_grad_() for n in WIDTHS[1:]]
    kept = [torch.randint(0, 2, (11, n)).double() * 2 for n in WIDTHS[1:]] if dropped else []
    learned, over = [x, *weights, *biases], torch.randn(11, WIDTHS[-1], dtype=torch.float64)
    wanted = one_by_one(x, weights, biases, kept, projected)
    found = layers(x, weights, biases, kept, projected=projected)
    torch.testing.assert_close(found, wanted)
    back = torch.autograd.grad(found, learned, over), torch.autograd.grad(wanted, learned, over)
    for one, other in zip(*back, strict=True):
        torch.testing.assert_close(one, other)


def test_in_bfloat16_gradients_are_near_and_of_the_parameters_type() -> None:
    net, x = Tower(16, (32, 32), 1), torch.randn(64, 16)
    exact = torch.autograd.grad(net.eval()(x).sum(), list(net.parameters()))
    with torch.autocast("cpu", torch.bfloat16):
        found = net.train()(x)
    assert found.dtype == torch.bfloat16
    for one, other in zip(torch.autograd.grad(found.float().sum(), list(net.parameters())), exact, strict=True):
        assert one.dtype == torch.float32 and float((one - other).norm() / other.norm()) < 0.03


def test_a_tower_draws_the_same_dropout_as_its_layers_one_by_one() -> None:
    net, x = Tower(4, (9, 8), 3, dropout=0.4), torch.randn(2, 6, 4)
    state = torch.get_rng_state()
    found = net(x)
    torch.set_rng_state(state)
    torch.testing.assert_close(found, net.layers(x))


def test_gradients_go_back_once() -> None:
    net = Tower(3, (4,), 1)
    total = net(torch.randn(5, 3)).sum()
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="go back through these layers once"):
        total.backward()
