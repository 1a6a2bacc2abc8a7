"""Attention over fields by hand and against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from serendip.nn.interact import FieldAttention


def test_by_hand() -> None:
    layer = FieldAttention(1, 1, heads=1)
    with torch.no_grad():
        # queries ln 3 · e, keys e, values 4 e, and −e is kept
        layer.maps.weight.copy_(torch.tensor([[math.log(3)], [1.0], [4.0], [-1.0]]))
    # Fields 1 and 0: the first weighs them 3 : 1 → ¾·4 − 1 = 2; the other ½ : ½ → ½·4 − 0 = 2. Fields −1 and 0: the
    # first weighs them 3 : 1 too → ¾·(−4) + 1 < 0, the other ½·(−4).
    x = torch.tensor([[[1.0], [0.0]], [[-1.0], [0.0]]])
    np.testing.assert_allclose(layer(x).detach().flatten(), [2, 2, 0, 0], rtol=1e-6)


@pytest.mark.parametrize("scaled", [False, True])
def test_it_is_as_in_numpy(scaled: bool) -> None:
    torch.manual_seed(0)
    heads, width = 3, 2
    layer = FieldAttention(4, width, heads, scaled=scaled).double()
    x = np.random.default_rng(0).normal(size=(5, 6, 4))
    q, k, v, kept = np.split(layer.maps.weight.detach().numpy(), 4)
    expected = x @ kept.T
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        logits = np.einsum("bmi,bki->bmk", x @ q[part].T, x @ k[part].T) / (math.sqrt(width) if scaled else 1)
        weights = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
        expected[:, :, part] += np.einsum("bmk,bki->bmi", weights, x @ v[part].T)
    found = layer(torch.from_numpy(x)).detach()
    assert found.shape == (5, 6, layer.out)
    np.testing.assert_allclose(found, np.maximum(expected, 0))


def test_fields_have_no_order() -> None:
    layer = FieldAttention(4, 3)
    x, order = (
        torch.from_numpy(np.random.default_rng(1).normal(size=(5, 6, 4))).float(),
        torch.tensor([3, 1, 5, 0, 4, 2]),
    )
    torch.testing.assert_close(layer(x[:, order]), layer(x)[:, order])


def test_each_map_begins_within_its_own_bounds() -> None:
    layer = FieldAttention(30, 5, 4)
    bound = math.sqrt(6 / (30 + 20))
    for weight in layer.maps.weight.detach().chunk(4):
        assert 0.95 * bound < float(weight.abs().max()) <= bound


def test_sizes_are_one_or_more() -> None:
    with pytest.raises(ValueError, match=r"1 or more\. Got 4, 0 and 2 instead"):
        FieldAttention(4, 0)
