"""Gates and fusion by hand and against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from serendip.nn.interact import BilinearFusion, FeatureGate
from serendip.types import SerendipError


def put(weight: Tensor, values: object) -> None:
    with torch.no_grad():
        weight.copy_(torch.tensor(values))


def test_a_gate_by_hand() -> None:
    layer = FeatureGate(2, 1, hidden=(1,))
    put(layer.gates.layers[0].weight, [[2.0]])
    put(layer.gates.layers[0].bias, [-1.0])
    put(layer.gates.layers[-1].weight, [[math.log(3)], [-math.log(3)]])
    put(layer.gates.layers[-1].bias, [0.0, 0.0])
    # of the context 1: max(0, 2 − 1) = 1: 2·¾·4 and 2·¼·4; of 0: max(0, −1) = 0: 2·½·4 twice
    found = layer(torch.full((2, 2), 4.0), torch.tensor([[1.0], [0.0]]))
    np.testing.assert_allclose(found.detach(), [[6, 2], [4, 4]], rtol=1e-6)


def test_a_gate_is_as_in_numpy() -> None:
    rng = np.random.default_rng(0)
    layer = FeatureGate(3, 4, hidden=(5, 6), activation="tanh").double()
    x, h = rng.normal(size=(7, 3)), rng.normal(size=(7, 4))
    found = layer(torch.from_numpy(x), torch.from_numpy(h)).detach()
    weights = [one.detach().numpy() for one in layer.gates.parameters()]
    for at in (0, 2):
        h = np.tanh(h @ weights[at].T + weights[at + 1])
    np.testing.assert_allclose(found, 2 / (1 + np.exp(-(h @ weights[4].T + weights[5]))) * x)


def test_a_gate_whose_context_is_learned_is_the_same_for_all_rows() -> None:
    layer = FeatureGate(3)
    factors = layer(torch.tensor([[1.0, 1.0, 1.0], [5.0, -5.0, 2.0]])) / torch.tensor(
        [[1.0, 1.0, 1.0], [5.0, -5.0, 2.0]]
    )
    torch.testing.assert_close(factors[0], factors[1])
    assert bool(((factors > 0) & (factors < 2)).all())


def test_a_context_is_given_or_learned() -> None:
    x = torch.ones(2, 3)
    with pytest.raises(ValueError, match=r"A context must be given\. Got none instead"):
        FeatureGate(3, 3)(x)
    with pytest.raises(ValueError, match=r"A context must not be given where it is learned\. Got one instead"):
        FeatureGate(3)(x, x)


def test_a_fusion_by_hand() -> None:
    layer = BilinearFusion(2, 2)
    put(layer.first.weight, [[1.0, 0.0]])
    put(layer.first.bias, [0.5])
    put(layer.second.weight, [[0.0, 2.0]])
    put(layer.products, [[[1.0, 0.0], [2.0, -1.0]]])
    # of (1, 2) and (3, 4): ½ + 1 + 8 + (1, 2) W (3, 4), which is (5, −2)·(3, 4) = 7
    one, other = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])
    assert layer(one, other).tolist() == [16.5]
    parts = BilinearFusion(2, 2, heads=2)
    parts.load_state_dict({**layer.state_dict(), "products": torch.tensor([[[1.0]], [[-1.0]]])})
    # only numbers of the same part are multiplied: ½ + 1 + 8 + 1·3 − 2·4
    assert parts(one, other).tolist() == [4.5]


@pytest.mark.parametrize("heads", [1, 3])
def test_a_fusion_is_as_in_numpy(heads: int) -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    layer = BilinearFusion(6, 9, heads).double()
    put(layer.first.bias, [0.7])
    one, other = rng.normal(size=(5, 6)), rng.normal(size=(5, 9))
    expected = 0.7 + one @ layer.first.weight.detach().numpy()[0] + other @ layer.second.weight.detach().numpy()[0]
    for w, a, b in zip(
        layer.products.detach().numpy(), np.split(one, heads, axis=1), np.split(other, heads, axis=1), strict=True
    ):
        expected += np.einsum("bm,mn,bn->b", a, w, b)
    np.testing.assert_allclose(layer(torch.from_numpy(one), torch.from_numpy(other)).detach(), expected)
    several = layer(torch.from_numpy(one).expand(2, 5, 6), torch.from_numpy(other).expand(2, 5, 9))
    np.testing.assert_allclose(several.detach(), np.stack([expected, expected]))
    assert layer(torch.zeros(0, 6).double(), torch.zeros(0, 9).double()).shape == (0,)


def test_a_fusion_whose_heads_cannot_share_the_streams_is_refused() -> None:
    for one, other, heads in ((4, 6, 3), (6, 4, 3), (4, 4, 0)):
        with pytest.raises(SerendipError, match=rf"both streams, {one} and {other}\. Got {heads} heads instead"):
            BilinearFusion(one, other, heads)
