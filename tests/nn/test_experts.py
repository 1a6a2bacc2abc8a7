"""Shared bottoms, mixtures and levels of experts: numbers by hand, NumPy oracles, and which task learns what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serendip.network.network import Network
from serendip.nn.experts import PLE, MMoE, SharedBottom
from serendip.nn.export import to_onnx
from serendip.types import SerendipError

TASKS = ("click", "watch", "items.b")  # names that modules have, or must not have, are good enough for tasks
D = 5
Net = SharedBottom | MMoE | PLE
MADE: dict[str, Callable[[], Net]] = {
    "shared_bottom": lambda: SharedBottom(D, TASKS, (6, 4)),
    "mmoe": lambda: MMoE(D, TASKS, (6, 4), 3),
    "ple": lambda: PLE(D, TASKS, (4,), 2, 1, 2),
}


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def say(layer: Any, *rows: list[float]) -> None:
    """Set the weights of a layer, without a bias."""
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rows))
        if layer.bias is not None:
            layer.bias.zero_()


LOG3 = float(np.log(3))


def test_a_shared_bottom_by_hand() -> None:
    net = SharedBottom(2, ("a", "b"), (2,))
    say(net.expert.layers[0], [1, 1], [1, -1])
    found = net(torch.tensor([[1.0, 2.0]]))
    assert {task: one.tolist() for task, one in found.items()} == {"a": [[3, 0]], "b": [[3, 0]]}
    assert {task: one.tolist() for task, one in net.shares(torch.ones(3, 2)).items()} == {
        "a": [[1]] * 3,
        "b": [[1]] * 3,
    }


def test_a_mixture_by_hand() -> None:
    net = MMoE(2, ("a", "b"), (1,), 2)
    say(net.experts[0].layers[0], [4, 0])
    say(net.experts[1].layers[0], [0, 8])
    say(net.gates[0], [LOG3, 0], [0, 0])
    say(net.gates[1], [0, 0], [0, 0])
    x = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    # The experts say 4 and 8, then 0 and 8. Task a takes ¾ and ¼ of them where x begins with 1; else all take halves.
    found, shares = net(x), net.shares(x)
    torch.testing.assert_close(shares["a"], torch.tensor([[0.75, 0.25], [0.5, 0.5]]))
    torch.testing.assert_close(found["a"], torch.tensor([[5.0], [4.0]]))
    torch.testing.assert_close(found["b"], torch.tensor([[6.0], [4.0]]))


def test_two_levels_by_hand() -> None:
    net = PLE(1, ("a", "b"), (1,), 1, 1, 2)
    low, top = net.lower[0], net.top
    for expert, weight in zip(low.experts, (4, 8, 12), strict=True):  # of a, of b, of both
        say(expert.layers[0], [weight])
    for expert, weight in zip(top.experts, (1, 2, 10), strict=True):
        say(expert.layers[0], [weight])
    say(low.gates[0], [LOG3], [0])
    say(low.gates[1], [0], [0])
    say(low.gate, [0], [LOG3], [0])
    for gate in top.gates:
        say(gate, [0], [0])
    assert top.gate is None
    # Below, of x = 1: a = ¾·4 + ¼·12 = 6, b = ½·8 + ½·12 = 10, both = (4 + 3·8 + 12) / 5 = 8.
    # Above, in halves: a = (6 + 10·8) / 2 = 43, b = (2·10 + 10·8) / 2 = 50.
    found = net(torch.ones(1, 1))
    torch.testing.assert_close(found["a"], torch.tensor([[43.0]]))
    torch.testing.assert_close(found["b"], torch.tensor([[50.0]]))
    assert net.expert_names == ("a 1", "b 1", "shared 1")
    assert {task: one.tolist() for task, one in net.shares(torch.ones(1, 1)).items()} == {
        "a": [[0.5, 0, 0.5]],
        "b": [[0, 0.5, 0.5]],
    }


Array = NDArray[np.float64]


def array(value: Tensor) -> Array:
    return value.detach().double().numpy()


def layers(expert: Any, x: Array) -> Array:
    for layer in expert.layers:
        if isinstance(layer, nn.Linear):
            x = np.maximum(x @ array(layer.weight).T + array(layer.bias), 0)
    return x


def mixture(gate: Any, x: Array, experts: list[Array]) -> Array:
    logits = np.exp(x @ array(gate.weight).T)
    share = logits / logits.sum(1, keepdims=True)
    assert share.shape[1] == len(experts)
    return np.asarray(sum(share[:, at, None] * found for at, found in enumerate(experts)))


def test_a_mixture_is_that_of_numpy() -> None:
    net, x = MMoE(D, TASKS, (6, 4), 3), torch.randn(7, D)
    found = net(x)
    experts = [layers(expert, array(x)) for expert in net.experts]
    for task, gate in zip(TASKS, net.gates, strict=True):
        np.testing.assert_allclose(array(found[task]), mixture(gate, array(x), experts), atol=1e-6)


@pytest.mark.parametrize(("own", "shared", "levels"), [(1, 1, 1), (2, 3, 1), (3, 1, 2), (1, 2, 3)])
def test_levels_are_those_of_numpy(own: int, shared: int, levels: int) -> None:
    net, x = PLE(D, TASKS, (6, 4), own, shared, levels), torch.randn(7, D)
    of_tasks, of_all = [array(x)] * len(TASKS), array(x)
    for level in [*net.lower, net.top]:
        owned = [
            [layers(level.experts[at * own + one], below) for one in range(own)] for at, below in enumerate(of_tasks)
        ]
        rest = [layers(level.experts[len(TASKS) * own + one], of_all) for one in range(shared)]
        if level.gate is not None:
            next_of_all = mixture(level.gate, of_all, [found for some in owned for found in some] + rest)
        of_tasks = [
            mixture(gate, below, some + rest) for gate, below, some in zip(level.gates, of_tasks, owned, strict=True)
        ]
        of_all = next_of_all if level.gate is not None else of_all
    found = net(x)
    assert len(net.lower) == levels - 1
    for task, expected in zip(TASKS, of_tasks, strict=True):
        np.testing.assert_allclose(array(found[task]), expected, atol=1e-6)


@pytest.mark.parametrize("name", MADE)
def test_shapes_and_shares(name: str) -> None:
    net = MADE[name]()
    for rows in (1, 9):
        x = 3 * torch.randn(rows, D)
        found, shares = net(x), net.shares(x)
        assert list(found) == list(shares) == list(TASKS)
        for task in TASKS:
            assert found[task].shape == (rows, net.out) == (rows, 4)
            assert shares[task].shape == (rows, len(net.expert_names))
            assert (shares[task] >= 0).all()
            torch.testing.assert_close(shares[task].sum(1), torch.ones(rows))


def test_which_expert_is_whose() -> None:
    net = PLE(D, TASKS, (4,), 2, 3, 2)
    names, shares = net.expert_names, net.shares(torch.randn(6, D))
    assert len(names) == len(set(names)) == 3 * 2 + 3
    for task in TASKS:
        expected = [name.rsplit(" ", 1)[0] in (task, "shared") for name in names]
        assert (shares[task] > 0).tolist() == [expected] * 6


def test_the_shares_told_are_those_that_are_used() -> None:
    """Of an expert that says 1 where the others say 0, a task gets its share."""
    for net in (MMoE(D, TASKS, (1,), 3), PLE(D, TASKS, (1,), 2, 2, 2)):
        experts = net.experts if isinstance(net, MMoE) else net.top.experts
        x = torch.randn(6, D)
        for at, expert in enumerate(experts):
            with torch.no_grad():
                for one in experts:
                    one.layers[0].weight.zero_()
                    one.layers[0].bias.zero_()
                expert.layers[0].bias.fill_(1)
            found, shares = net(x), net.shares(x)
            for task in TASKS:
                torch.testing.assert_close(found[task][:, 0], shares[task][:, at])


def test_one_expert_is_a_shared_bottom() -> None:
    bottom, mixed, x = SharedBottom(D, TASKS, (6, 4)), MMoE(D, TASKS, (6, 4), 1), torch.randn(7, D)
    mixed.experts[0].load_state_dict(bottom.expert.state_dict())
    for task in TASKS:
        torch.testing.assert_close(mixed(x)[task], bottom(x)[task])
        torch.testing.assert_close(mixed.shares(x)[task], bottom.shares(x)[task])


def learned(net: nn.Module, loss: Tensor) -> set[str]:
    """The parameters that a loss changes."""
    net.zero_grad()
    loss.backward()
    return {name for name, value in net.named_parameters() if value.grad is not None and bool(value.grad.any())}


def test_a_task_never_changes_the_own_experts_of_another() -> None:
    net = PLE(D, TASKS, (16, 16), 2, 1)
    x = torch.randn(64, D)
    own = [{f"top.experts.{2 * at + one}" for one in range(2)} for at in range(len(TASKS))]
    for at, task in enumerate(TASKS):
        changed = {name.rsplit(".layers", 1)[0] for name in learned(net, net(x)[task].square().sum())}
        assert changed == own[at] | {"top.experts.6", f"top.gates.{at}.weight"}


def test_above_one_level_tasks_meet_in_the_shared_experts_only() -> None:
    net = PLE(D, TASKS, (16, 16), 1, 1, 2)
    changed = learned(net, net(torch.randn(64, D))["click"].square().sum())
    experts = {name.rsplit(".layers", 1)[0] for name in changed if "experts" in name}
    assert experts == {"top.experts.0", "top.experts.3", *(f"lower.0.experts.{at}" for at in range(4))}
    # What is below and not shared is reached by way of the shared gate alone.
    with torch.no_grad():
        net.lower[0].gate.weight.zero_()
        net.top.experts[3].layers[0].weight.zero_()
    changed = learned(net, net(torch.randn(64, D))["click"].square().sum())
    experts = {name.rsplit(".layers", 1)[0] for name in changed if "lower" in name and "experts" in name}
    assert experts == {"lower.0.experts.0", "lower.0.experts.3"}


def test_each_expert_begins_with_weights_of_its_own() -> None:
    for net in (MMoE(D, TASKS, (6,), 3), PLE(D, TASKS, (6,), 2, 1, 2)):
        first = [module.weight for module in net.modules() if isinstance(module, nn.Linear)]
        values = torch.cat([value.flatten() for value in first])
        assert len(values.unique()) == len(values)


def test_dropout_and_activation_are_those_asked_for() -> None:
    x = torch.randn(4, D)
    for net in (
        SharedBottom(D, TASKS, (64,), dropout=0.5, activation="tanh"),
        MMoE(D, TASKS, (64,), 2, dropout=0.5, activation="tanh"),
        PLE(D, TASKS, (64,), 1, 1, 2, dropout=0.5, activation="tanh"),
    ):
        assert not torch.equal(net(x)["click"], net(x)["click"])
        found = net.eval()(x)["click"]
        assert torch.equal(found, net(x)["click"])
        assert (found < 0).any()
        assert sum(isinstance(module, nn.Tanh) for module in net.modules()) > 0


class Together(nn.Module):
    """All kinds, as they are exported: from a mapping to vectors by name."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleList(
            (SharedBottom(D, ("a", "b"), (4,)), MMoE(D, ("c", "d"), (4,), 3), PLE(D, ("e", "f.1"), (4,), 1, 1, 2))
        )

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {task: value for net in self.nets for task, value in net(inputs["x"]).items()}


def test_they_answer_as_onnx_for_batches_of_any_size() -> None:
    module = Together().eval()
    outputs = ["a", "b", "c", "d", "e", "f.1"]
    made = Network("it", np.frombuffer(to_onnx(module, {"x": torch.randn(3, D)}, outputs), np.uint8))
    for rows in (1, 2, 40):
        x = torch.randn(rows, D)
        with torch.no_grad():
            expected = module({"x": x})
        found = made.run({"x": x.numpy()}, rows, chunk=rows)
        assert list(expected) == outputs
        for output in outputs:
            np.testing.assert_allclose(found[output], expected[output].numpy(), atol=1e-5)


def test_what_cannot_be_built_is_said() -> None:
    for tasks, got in ((), "none"), (("a", "a"), "'a', 'a'"):
        with pytest.raises(SerendipError, match=rf"each of a name of its own\. Got {got} instead\. Try"):
            SharedBottom(D, tasks, (4,))
    for widths in (), (4, 0):
        with pytest.raises(
            SerendipError, match=r"one layer or more, each of a width of 1 or more\. Got \[.*\] instead"
        ):
            MMoE(D, TASKS, widths, 2)
    for build, what in (
        (lambda: MMoE(D, TASKS, (4,), 0), "experts"),
        (lambda: PLE(D, TASKS, (4,), 0, 1), "own experts of a task"),
        (lambda: PLE(D, TASKS, (4,), 1, 0), "shared experts"),
        (lambda: PLE(D, TASKS, (4,), 1, 1, 0), "levels"),
    ):
        with pytest.raises(SerendipError, match=rf"the number of {what} must be 1 or more\. Got 0 instead\. Try 1\."):
            build()
