"""A tower by hand, its heads, and lengths of 1."""

from __future__ import annotations

import pytest
import torch

from serendip.nn.tower import Tower
from serendip.types import SerendipError


def test_a_tower_by_hand() -> None:
    net = Tower(2, (2,), 1)
    with torch.no_grad():
        net.layers[0].weight.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
        net.layers[0].bias.copy_(torch.tensor([0.0, 0.5]))
        net.layers[-1].weight.copy_(torch.tensor([[2.0, 10.0]]))
        net.layers[-1].bias.fill_(1)
    # (1, 2) → max(0, (3, −½)) = (3, 0) → 2·3 + 1; (2, 1) → (3, 1½) → 6 + 15 + 1
    assert net(torch.tensor([[1.0, 2.0], [2.0, 1.0]])).flatten().tolist() == [7, 22]


def test_without_hidden_layers_it_is_a_projection() -> None:
    net, x = Tower(3, (), 2), torch.randn(4, 3)
    torch.testing.assert_close(net(x), x @ net.layers[0].weight.T + net.layers[0].bias)


def test_without_a_projection_what_is_read_or_the_last_hidden_layer_comes_out() -> None:
    x = torch.randn(4, 6)
    assert torch.equal(Tower(6, (), 6, projected=False)(x), x)
    net = Tower(6, (4,), 2, heads=2, projected=False)
    expected = (x @ net.layers[0].weight.T + net.layers[0].bias).clamp(min=0).view(4, 2, 2)
    torch.testing.assert_close(net(x), expected)
    with pytest.raises(SerendipError, match=r"must have 6 numbers: factors times heads\. Got 4 instead\."):
        Tower(3, (4,), 2, heads=3, projected=False)


def test_vectors_of_all_heads_have_length_one_if_asked() -> None:
    net = Tower(3, (8, 5), 4, normalise=True, heads=2)
    found = net(torch.randn(6, 7, 3))
    assert found.shape == (6, 7, 2, 4)
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(6, 7, 2))
    assert Tower(3, (8,), 4)(torch.randn(6, 3)).shape == (6, 4)


def test_dropout_is_of_training_only() -> None:
    net, x = Tower(3, (64,), 2, dropout=0.5), torch.randn(4, 3)
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


def test_the_activation_is_the_one_asked_for() -> None:
    net, x = Tower(2, (2,), 1, activation="tanh"), torch.tensor([[0.3, -0.7]])
    hidden = torch.tanh(x @ net.layers[0].weight.T + net.layers[0].bias)
    torch.testing.assert_close(net(x), hidden @ net.layers[-1].weight.T + net.layers[-1].bias)
    with pytest.raises(ValueError, match=r"one of relu, gelu, silu, tanh\. Got 'sine' instead"):
        Tower(2, (2,), 1, activation="sine")  # type: ignore[arg-type]


def test_it_can_be_exported_for_any_batch() -> None:
    net = Tower(3, (4,), 2, dropout=0.5, normalise=True, heads=2).eval()
    exported = torch.export.export(net, (torch.randn(2, 3),), dynamic_shapes={"x": {0: torch.export.Dim("batch")}})
    x = torch.randn(5, 3)
    torch.testing.assert_close(exported.module()(x), net(x))
