"""What all layers of click-through models have in common: they are exported, and all that they have is learned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serendip.network.network import Network
from serendip.nn import interact
from serendip.nn.export import to_onnx
from serendip.nn.interact import (
    FFM,
    FM,
    BiInteraction,
    BilinearFusion,
    Cross,
    CrossMixture,
    CrossNetwork,
    CrossV2,
    Dots,
    FeatureGate,
    FieldAttention,
    TargetAttention,
)

F, D, T = 4, 6, 5

# By name: the layer, and the shape of a row of each of its inputs; "present" is what there is of a history.
Made = dict[str, tuple[Callable[[], nn.Module], dict[str, tuple[int, ...]]]]
MADE: Made = {
    "fm": (FM, {"x": (F, D)}),
    "bi-interaction": (BiInteraction, {"x": (F, D)}),
    "ffm": (lambda: FFM(F), {"x": (F, F, D)}),
    "cross": (lambda: CrossNetwork(lambda: Cross(D), 2), {"x": (D,)}),
    "cross v2": (lambda: CrossNetwork(lambda: CrossV2(D, diag_scale=0.1), 1), {"x": (D,)}),
    "cross v2 low rank": (lambda: CrossNetwork(lambda: CrossV2(D, 2, preactivation="tanh"), 1), {"x": (D,)}),
    "mixture": (lambda: CrossNetwork(lambda: CrossMixture(D, 2), 1), {"x": (D,)}),
    "dots": (lambda: Dots(F), {"x": (F, D)}),
    "attention": (lambda: FieldAttention(D, 3), {"x": (F, D)}),
    "gate": (lambda: FeatureGate(D, 3), {"x": (D,), "context": (3,)}),
    "fusion": (lambda: BilinearFusion(D, 9, 3), {"one": (D,), "other": (9,)}),
    "targets": (
        lambda: TargetAttention(D, normalise=True),
        {"candidates": (3, D), "history": (T, D), "present": (T,)},
    ),
}
# Options whose operators occur above: to export takes seconds.
OPTIONS: Made = {
    "mixture of sigmoid": (lambda: CrossNetwork(lambda: CrossMixture(D, 2, 3, "sigmoid"), 1), {"x": (D,)}),
    "learned gate": (lambda: FeatureGate(D), {"x": (D,)}),
    "target": (lambda: TargetAttention(D), {"candidates": (D,), "history": (T, D), "present": (T,)}),
}


class All(nn.Module):
    """Every layer beside the others: to trace them at once takes less time."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({name: make() for name, (make, _) in MADE.items()})
        for weight in self.parameters():  # other than they begin with, biases too
            nn.init.normal_(weight, std=0.5)

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: self.layers[name](*(inputs[f"{name}/{port}"] for port in shapes))
            for name, (_, shapes) in MADE.items()
        }


def examples(shapes: dict[str, tuple[int, ...]], rows: int, seed: int) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    out = {name: torch.from_numpy(rng.normal(size=(rows, *shape)).astype(np.float32)) for name, shape in shapes.items()}
    if "present" in out:
        out["present"] = torch.from_numpy(np.arange(T) >= rng.integers(0, T + 1, rows)[:, None])
        out["present"][0] = False
    return out


def all_examples(rows: int, seed: int) -> dict[str, Tensor]:
    found = {name: examples(shapes, rows, seed) for name, (_, shapes) in MADE.items()}
    return {f"{name}/{port}": value for name, ports in found.items() for port, value in ports.items()}


@pytest.fixture(scope="module")
def answers() -> list[tuple[int, dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]]:
    """For batches of 20 and of 1: rows, what the exported network answers, and what the layers do."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = All()
    network = Network("the layers", np.frombuffer(to_onnx(net, all_examples(3, 0), list(MADE)), np.uint8))
    out = []
    for rows in (20, 1):
        asked = all_examples(rows, 1)
        with torch.no_grad():
            expected = {name: value.numpy() for name, value in net(asked).items()}
        got = network.run({name: value.numpy() for name, value in asked.items()}, rows, chunk=rows)
        out.append((rows, got, expected))
    return out


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_every_layer_is_here() -> None:
    built = {type(part) for make, _ in MADE.values() for part in make().modules()}
    layers = {getattr(interact, name) for name in interact.__all__} - {interact.CrossLayer}
    assert layers <= built


@pytest.mark.parametrize("name", MADE)
def test_it_is_exported_for_batches_of_any_size(
    name: str, answers: list[tuple[int, dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]]
) -> None:
    for rows, got, expected in answers:
        assert len(got[name]) == rows
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [*MADE, *OPTIONS])
def test_gradient_reaches_every_parameter_and_input_from_the_start(name: str) -> None:
    make, shapes = (MADE | OPTIONS)[name]
    layer, inputs = make(), examples(shapes, 20, 2)
    numbers = [value.requires_grad_() for value in inputs.values() if value.is_floating_point()]
    layer(*inputs.values()).square().sum().backward()
    for weight in (*layer.parameters(), *numbers):
        assert weight.grad is not None and bool(weight.grad.isfinite().all()) and bool(weight.grad.any())
