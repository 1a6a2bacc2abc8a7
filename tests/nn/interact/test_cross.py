"""Cross layers by hand and against NumPy, and how strongly fields are crossed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serendip.nn.interact import Cross, CrossLayer, CrossMixture, CrossNetwork, CrossV2
from serendip.types import SerendipError

D = 6
M = TypeVar("M", bound=nn.Module)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def drawn(module: M) -> M:
    """With biases too, in double precision."""
    for weight in module.parameters():
        nn.init.normal_(weight, std=0.5)
    return module.double()


def two(*shape: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.normal(size=shape)), torch.from_numpy(rng.normal(size=shape))


def plain(value: Tensor) -> NDArray[np.float64]:
    return value.detach().numpy()


def put(weight: Tensor, values: object) -> None:
    with torch.no_grad():
        weight.copy_(torch.tensor(values))


def test_cross_by_hand() -> None:
    layer = Cross(2)
    put(layer.weight, [[3.0], [-1.0]])
    put(layer.bias, [0.5, 0.0])
    # x·w = 4·3 − 5 = 7: (1, 2)·7 + (½, 0) + (4, 5)
    assert layer(torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 5.0]])).tolist() == [[11.5, 19]]


def test_cross_v2_by_hand() -> None:
    layer = CrossV2(2, diag_scale=10.0)
    put(layer.up.weight, [[1.0, 2.0], [3.0, -1.0]])
    put(layer.up.bias, [0.5, 0.0])
    # W x + b = (14½, 7); with the diagonal (54½, 57); times (1, 2), plus (4, 5)
    assert layer(torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 5.0]])).tolist() == [[58.5, 119]]


def test_a_low_rank_by_hand() -> None:
    layer = CrossV2(2, rank=1, preactivation="relu")
    assert layer.down is not None
    put(layer.down.weight, [[1.0, 1.0]])
    put(layer.up.weight, [[2.0], [-1.0]])
    put(layer.up.bias, [0.5, 1.0])
    # Vᵀx = 9: (18½, −8) → (18½, 0); times (1, 2), plus (4, 5)
    assert layer(torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 5.0]])).tolist() == [[22.5, 5]]


@pytest.mark.parametrize(("gate", "expected"), [("softmax", [2.5, 3.8]), ("sigmoid", [3.25, 5.2])])
def test_a_mixture_by_hand(gate: str, expected: list[float]) -> None:
    layer = CrossMixture(2, rank=1, experts=2, gate=gate)  # type: ignore[arg-type]
    put(layer.down.weight, [[math.atanh(0.5), 0.0], [0.0, math.atanh(0.25)]])
    put(layer.inner, [[[2 * math.atanh(0.5)]], [[4 * math.atanh(0.25)]]])
    put(layer.up.weight, [[2.0, 0.0], [0.0, 1.6]])
    put(layer.bias, [1.0, 1.0])
    put(layer.gates.weight, [[math.log(3), 0.0], [0.0, math.log(3)]])
    # Of x = (1, 1): tanh(Vᵀx) = ½ and ¼, tanh(C·) = ½ and ¼, U gives (1, 0) and (0, 0.4). Gates of softmax ½ and ½:
    # (½ + 1, 0.2 + 1), of sigmoid ¾ and ¾: (¾ + 1½, 0.3 + 1½). Times x₀ = (1, 7/3), plus x.
    x = torch.ones(1, 2)
    first = torch.tensor([[1.0, 7 / 3]])
    np.testing.assert_allclose(plain(layer(first, x)), [expected], rtol=1e-6)


def test_they_are_as_in_numpy() -> None:
    first, x = two(3, 4, D)
    a, b = plain(first), plain(x)
    vector, full, low = drawn(Cross(D)), drawn(CrossV2(D)), drawn(CrossV2(D, 2, diag_scale=0.3, preactivation="tanh"))
    along = (b * plain(vector.weight)[:, 0]).sum(axis=-1)
    np.testing.assert_allclose(plain(vector(first, x)), a * along[..., None] + plain(vector.bias) + b)
    w, bias = plain(full.up.weight), plain(full.up.bias)
    np.testing.assert_allclose(plain(full(first, x)), a * (np.einsum("ij,mnj->mni", w, b) + bias) + b)
    assert low.down is not None
    w, bias = plain(low.up.weight) @ plain(low.down.weight), plain(low.up.bias)
    expected = a * (np.tanh(np.einsum("ij,mnj->mni", w, b) + bias) + 0.3 * b) + b
    np.testing.assert_allclose(plain(low(first, x)), expected)


@pytest.mark.parametrize("gate", ["softmax", "sigmoid"])
def test_a_mixture_is_the_sum_of_its_experts(gate: str) -> None:
    rank, experts = 2, 3
    layer = drawn(CrossMixture(D, rank, experts, gate))  # type: ignore[arg-type]
    first, x = two(5, D)
    logits = plain(x) @ plain(layer.gates.weight).T
    gates = 1 / (1 + np.exp(-logits))
    if gate == "softmax":
        gates = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    down, inner, up = (plain(one) for one in (layer.down.weight, layer.inner, layer.up.weight))
    for row in range(5):
        expected = plain(x)[row].copy()
        for e in range(experts):
            part = slice(e * rank, (e + 1) * rank)
            said = up[:, part] @ np.tanh(inner[e] @ np.tanh(down[part] @ plain(x)[row]))
            expected += gates[row, e] * plain(first)[row] * (said + plain(layer.bias))
        np.testing.assert_allclose(plain(layer(first, x))[row], expected)


def test_a_low_rank_that_is_full_does_what_the_matrix_does() -> None:
    low, full = drawn(CrossV2(D, rank=D)), drawn(CrossV2(D))
    assert low.down is not None
    with torch.no_grad():
        left, sizes, right = torch.linalg.svd(full.up.weight)
        low.up.weight.copy_(left * sizes)
        low.down.weight.copy_(right)
        low.up.bias.copy_(full.up.bias)
    first, x = two(5, D)
    torch.testing.assert_close(low(first, x), full(first, x))
    torch.testing.assert_close(low.pairs((1, 2, 3)), full.pairs((1, 2, 3)))


def test_a_network_crosses_what_came_in_with_each_layer() -> None:
    net = drawn(CrossNetwork(lambda: CrossV2(D, rank=2), 3))
    x, _ = two(5, D)
    first, second, third = net.layers
    torch.testing.assert_close(net(x), third(x, second(x, first(x, x))))
    assert len({id(weight) for weight in net.parameters()}) == 9, "each layer has weights of its own"


def test_layers_of_a_network_raise_the_degree_by_one_each() -> None:
    """Along a line x = s·v a network of three layers is a polynomial of degree four, and no less."""
    net = drawn(CrossNetwork(lambda: CrossV2(D), 3))
    x, _ = two(D)
    at = np.arange(6.0)
    values = np.array([float(net(s * x)[0].detach()) for s in at])
    assert abs(np.diff(values, 4)).min() > 1e-3
    np.testing.assert_allclose(np.diff(values, 5), 0, atol=1e-9 * abs(values).max())


def test_pairs_by_hand() -> None:
    layer = CrossV2(3)
    put(layer.up.weight, [[1.0, 3.0, 4.0], [2.0, 0.0, 0.0], [1.0, 5.0, 12.0]])
    # fields of widths 1 and 2: 1; √(9 + 16); √(4 + 1); √(25 + 144)
    expected = [[1, 5], [math.sqrt(5), 13]]
    np.testing.assert_allclose(layer.pairs((1, 2)), expected, rtol=1e-6)
    np.testing.assert_allclose(CrossNetwork(lambda: layer, 1).pairs((1, 2)), expected, rtol=1e-6)
    vector = Cross(3)
    put(vector.weight, [[2.0], [3.0], [4.0]])
    # √1·2, √1·5; √2·2, √2·5
    np.testing.assert_allclose(vector.pairs((1, 2)), [[2, 5], [2 * math.sqrt(2), 5 * math.sqrt(2)]], rtol=1e-6)


MADE: dict[str, Callable[[], CrossLayer]] = {
    "vector": lambda: Cross(D),
    "full": lambda: CrossV2(D, diag_scale=0.5),
    "low rank": lambda: CrossV2(D, 2),
    "softmax": lambda: CrossMixture(D, 2, 3),
    "sigmoid": lambda: CrossMixture(D, 2, 3, "sigmoid"),
}


@pytest.mark.parametrize("name", MADE)
def test_the_matrix_is_how_the_layer_begins_to_change(name: str) -> None:
    """With x₀ of ones the slope at x_l = 0 is the matrix, and the identity that is added."""
    layer = drawn(MADE[name]())
    if name == "sigmoid":  # its gates let the bias through, too
        nn.init.zeros_(layer.get_parameter("bias"))
    first, none = torch.ones(D, dtype=torch.float64), torch.zeros(D, dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(lambda x: layer(first, x), none)
    matrix = plain(slope) - np.eye(D)
    np.testing.assert_allclose(plain(layer.matrix()), matrix, atol=1e-12)
    blocks = [[matrix[i : i + 3, j : j + 2] for j in (0, 2, 4)] for i in (0, 3)]
    found = layer.pairs((3, 3)).square().sum()
    assert float(found) == pytest.approx(sum(np.square(block).sum() for row in blocks for block in row))


def test_a_cross_that_is_learned_is_seen_in_the_pairs() -> None:
    """What is to be learned is the product of the first and the third of four fields."""
    source = torch.Generator().manual_seed(0)
    net = CrossNetwork(lambda: CrossV2(8), 1)
    read = nn.Linear(8, 1)
    trained = torch.optim.Adam([*net.parameters(), *read.parameters()], lr=0.02)
    for _ in range(150):
        x = torch.randn(256, 8, generator=source)
        truth = (x[:, 0:2] * x[:, 4:6]).sum(dim=1)
        loss = (read(net(x)).squeeze(1) - truth).square().mean()
        trained.zero_grad()
        loss.backward()
        trained.step()
    pairs = net.pairs((2, 2, 2, 2))
    both = pairs.square() + pairs.T.square()
    between = {(i, j): float(both[i, j]) for i in range(4) for j in range(i)}
    assert max(between, key=lambda pair: between[pair]) == (2, 0)


def test_what_cannot_be_is_refused() -> None:
    for make in (lambda: CrossV2(4, 5), lambda: CrossMixture(4, 5)):
        with pytest.raises(SerendipError, match=r"must be from 1 to 4, the width of what is crossed\. Got 5 instead"):
            make()
    with pytest.raises(SerendipError, match="Got 0 instead"):
        CrossV2(4, 0)
    with pytest.raises(ValueError, match=r"diag_scale must be 0 or more\. Got -1 instead"):
        CrossV2(4, diag_scale=-1)
    with pytest.raises(ValueError, match="Got 0 of 'softmax' instead"):
        CrossMixture(4, 2, 0)
    with pytest.raises(ValueError, match="Got 2 of 'max' instead"):
        CrossMixture(4, 2, 2, "max")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"1 or more\. Got 0 instead"):
        CrossNetwork(lambda: Cross(4), 0)
    for widths in ((1, 2), (4, 0), ()):
        with pytest.raises(ValueError, match="add up to 4"):
            Cross(4).pairs(widths)


def test_biases_begin_at_nothing_and_an_empty_batch_is_one() -> None:
    for layer in (make() for make in MADE.values()):
        x = torch.randn(3, D)
        assert torch.equal(layer(x, torch.zeros(3, D)), torch.zeros(3, D))
        assert layer(torch.zeros(0, D), torch.zeros(0, D)).shape == (0, D)
