"""Steps of both cells against their equations in NumPy."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from serendip.nn.sequence.recurrent import Gru, Lstm

Array = NDArray[np.float64]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def weights(layer: torch.nn.Module) -> list[Array]:
    rng = np.random.default_rng(0)
    for value in layer.parameters():
        value.data = torch.from_numpy(rng.normal(size=value.shape).astype(np.float32))
    return [
        getattr(layer, name).detach().numpy().astype(float)
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    ]


def gru(x: Array, w: Array, u: Array, a: Array, b: Array) -> Array:
    h, states = np.zeros(u.shape[1]), []
    for row in x:
        one, other = np.split(w @ row + a, 3), np.split(u @ h + b, 3)
        r, z = sigmoid(one[0] + other[0]), sigmoid(one[1] + other[1])
        h = (1 - z) * np.tanh(one[2] + r * other[2]) + z * h
        states.append(h)
    return np.stack(states)


def lstm(x: Array, w: Array, u: Array, a: Array, b: Array) -> Array:
    h, c, states = np.zeros(u.shape[1]), np.zeros(u.shape[1]), []
    for row in x:
        i, f, g, o = np.split(w @ row + a + u @ h + b, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.stack(states)


def test_gru_states_are_those_of_the_equations() -> None:
    net, x = Gru(3, hidden=2, layers=2), torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))
    expected = x[0].numpy().astype(float)
    for layer in net.layers:
        expected = gru(expected, *weights(layer))
    found = net(x, torch.ones(1, 4, dtype=torch.bool))[0].detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_lstm_states_are_those_of_the_equations() -> None:
    net, x = Lstm(3, hidden=2), torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))
    expected = lstm(x[0].numpy().astype(float), *weights(net.layers[0]))
    found = net(x, torch.ones(1, 4, dtype=torch.bool))[0].detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_gru_step_by_hand() -> None:
    net = Gru(1)
    with torch.no_grad():
        for value in net.parameters():
            value.zero_()
        net.layers[0].weight_ih_l0[2] = 1  # type: ignore[index]
    # all gates are ½ and the candidate is tanh x: ½ tanh 1 = 0.380797, then ½ tanh 2 + ½ · 0.380797 = 0.672412
    found = net(torch.tensor([[[1.0], [2.0]]]), torch.ones(1, 2, dtype=torch.bool))
    np.testing.assert_allclose(found.detach().flatten(), [0.380797, 0.672412], atol=1e-6)


def test_an_lstm_starts_by_remembering() -> None:
    bias = Lstm(2).layers[0].bias_ih_l0
    assert bias.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]  # type: ignore[operator]
