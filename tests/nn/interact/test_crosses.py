"""Crosses as one node give what the layers one by one give, there and back, however the rows are cut into parts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from serendip.nn import layers as module
from serendip.nn.interact import CrossNetwork, CrossV2


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("part", [1, 1 << 20])
@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize("scale", [0.0, 0.5])
def test_it_gives_what_layers_one_by_one_give(
    monkeypatch: pytest.MonkeyPatch, part: int, rank: int | None, scale: float
) -> None:
    monkeypatch.setattr(module, "_PART", part)
    monkeypatch.setattr(module, "_LEAST", 4)
    net = CrossNetwork(lambda: CrossV2(6, rank, diag_scale=scale), 3).double()
    for layer in net.layers:
        assert isinstance(layer, CrossV2)
        torch.nn.init.normal_(layer.up.bias)
    x, over = torch.randn(11, 6, dtype=torch.float64, requires_grad=True), torch.randn(11, 6, dtype=torch.float64)
    learned = [x, *net.parameters()]
    found, wanted = net.train()(x), net.eval()(x)
    torch.testing.assert_close(found, wanted)
    back = torch.autograd.grad(found, learned, over), torch.autograd.grad(wanted, learned, over)
    for one, other in zip(*back, strict=True):
        torch.testing.assert_close(one, other)


def test_in_bfloat16_gradients_are_near() -> None:
    net, x = CrossNetwork(lambda: CrossV2(32, 8), 2), torch.randn(64, 32)
    exact = torch.autograd.grad(net.eval()(x).square().sum(), list(net.parameters()))
    with torch.autocast("cpu", torch.bfloat16):
        found = net.train()(x)
    assert found.dtype == torch.float32
    for one, other in zip(torch.autograd.grad(found.square().sum(), list(net.parameters())), exact, strict=True):
        assert one.dtype == torch.float32 and float((one - other).norm() / other.norm()) < 0.03


def test_gradients_go_back_once() -> None:
    total = CrossNetwork(lambda: CrossV2(3), 1)(torch.randn(5, 3)).sum()
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="go back through these layers once"):
        total.backward()
