"""The equations of the blocks against NumPy, gates by hand, and what places mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serendip.nn.sequence.encoder import last
from serendip.nn.sequence.transformer import Block, FeedForward, Residual, Transformer

Array = NDArray[np.float64]
D, T = 6, 5


def array(value: Tensor) -> Array:
    return value.detach().numpy().astype(float)


def normed(x: Array, layer: nn.LayerNorm) -> Array:
    scaled = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    return scaled * array(layer.weight) + array(layer.bias)


def linear(x: Array, layer: nn.Linear) -> Array:
    return x @ array(layer.weight).T + (0 if layer.bias is None else array(layer.bias))


def attention(x: Array, net: nn.Module, heads: int, causal: bool) -> Array:
    q, k, v = np.split(linear(x, net.qkv), 3, axis=1)  # type: ignore[arg-type]
    width, parts = D // heads, []
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        logits = q[:, own] @ k[:, own].T / math.sqrt(width)
        if causal:
            logits[np.triu_indices(T, 1)] = -np.inf
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        parts.append(shares / shares.sum(axis=1, keepdims=True) @ v[:, own])
    return linear(np.concatenate(parts, axis=1), net.out)  # type: ignore[arg-type]


def apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).detach().abs().max())


def scrambled(net: nn.Module) -> nn.Module:
    source = torch.Generator().manual_seed(4)
    for value in net.parameters():
        value.data = torch.randn(value.shape, generator=source) * 0.7
    return net.eval()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("heads", [1, 2])
def test_states_are_those_of_the_equations(heads: int, causal: bool) -> None:
    net = Transformer(D, 2, heads, T, hidden=4, causal=causal)
    scrambled(net)
    x = torch.randn(1, T, D, generator=torch.Generator().manual_seed(0))
    expected = math.sqrt(D) * array(x[0]) + array(net.places)[::-1]
    for block in net.blocks:
        assert isinstance(block, Block)
        one, other = block.attention, block.layers
        expected = expected + attention(normed(expected, one.norm), one.branch, heads, causal)
        hidden = np.maximum(linear(normed(expected, other.norm), other.branch.inner), 0)  # type: ignore[arg-type]
        expected = expected + linear(hidden, other.branch.outer)  # type: ignore[arg-type]
    found = net(x, torch.ones(1, T, dtype=torch.bool))[0]
    np.testing.assert_allclose(array(found), normed(expected, net.norm), atol=1e-4)


class Thrice(nn.Module):
    """A branch whose answer is plain to see."""

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return 3 * torch.ones_like(x)


def test_a_gated_residual_by_hand() -> None:
    net = Residual(Thrice(), 2, 0.0, gated=True)
    assert net.gate is not None
    with torch.no_grad():
        net.gate.weight.copy_(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
        net.gate.bias.zero_()
    # the gates are σ(ln 3) = ¾ and σ(0) = ½, so that 3 · ¾ and 3 · ½ are added to (5, ln 3)
    found = net(torch.tensor([[5.0, math.log(3)]]), None)
    np.testing.assert_allclose(array(found), [[7.25, math.log(3) + 1.5]], atol=1e-6)
    plain = Residual(Thrice(), 2, 0.0, gated=False)(torch.tensor([[5.0, 1.0]]), None)
    assert plain.tolist() == [[8, 4]]


def test_swiglu_by_hand() -> None:
    net = FeedForward(1, 1, 0.0, "swiglu")
    with torch.no_grad():
        for value in net.parameters():
            value.zero_()
        net.inner.weight.copy_(torch.tensor([[1.0], [2.0]]))
        net.outer.weight.fill_(10)
    # silu(ln 3) = ¾ ln 3, times 2 ln 3, times 10
    found = net(torch.tensor([[math.log(3)]]), None)
    assert found.item() == pytest.approx(15 * math.log(3) ** 2, rel=1e-6)


def test_places_count_from_the_end() -> None:
    net = Transformer(D, blocks=1, length=3).eval()
    x, present = torch.randn(1, T, D, generator=torch.Generator().manual_seed(0)), torch.ones(1, T, dtype=torch.bool)
    before, short = net(x, present), net(x[:, -2:], present[:, -2:])
    with torch.no_grad():
        net.places[2] += 1.5 * torch.arange(D)  # of the last but two, and of all before it
    torch.testing.assert_close(net(x[:, -2:], present[:, -2:]), short)
    assert all(apart(net(x, present)[0, place], before[0, place]) > 0.01 for place in range(T))
    changed = net(x, present)
    with torch.no_grad():
        net.places[0] += 1.5 * torch.arange(D)  # of the last
    torch.testing.assert_close(net(x, present)[:, :-1], changed[:, :-1])
    assert apart(last(net(x, present), present), last(changed, present)) > 0.01


def test_order_counts_by_places_only() -> None:
    net = Transformer(D, length=T, causal=False).eval()
    x, present = torch.randn(1, T, D, generator=torch.Generator().manual_seed(0)), torch.ones(1, T, dtype=torch.bool)
    assert apart(net(x, present), net(x.flip(1), present).flip(1)) > 0.01
    with torch.no_grad():
        net.places.zero_()
    torch.testing.assert_close(net(x, present), net(x.flip(1), present).flip(1), atol=1e-5, rtol=1e-4)


def test_both_ways_an_event_hears_of_later_ones() -> None:
    net = Transformer(D, length=T, causal=False).eval()
    x = torch.randn(1, T, D, requires_grad=True)
    net(x, torch.ones(1, T, dtype=torch.bool))[0, 0].square().sum().backward()
    assert x.grad is not None
    assert bool((x.grad[0].abs().sum(dim=1) > 0).all())


def test_dropout_is_of_training_only() -> None:
    net, x, present = Transformer(D, dropout=0.5), torch.randn(1, T, D), torch.ones(1, T, dtype=torch.bool)
    assert not torch.equal(net(x, present), net(x, present))
    net.eval()
    assert torch.equal(net(x, present), net(x, present))


def test_heads_that_cannot_share() -> None:
    with pytest.raises(ValueError, match=r"multiple of the 4 heads\. Got 6 instead"):
        Transformer(6, heads=4)
