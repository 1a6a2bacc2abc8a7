"""What every encoder keeps to, whichever it is, and the moving about that makes it so."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from serendip.nn.sequence.build import Kind, encoder
from serendip.nn.sequence.encoder import Encoder, front_places, inverse, last, picked

D, T = 8, 9
KINDS: dict[str, tuple[Kind, dict[str, object]]] = {
    "bow": ("bow", {}),
    "bow of the last 3": ("bow", {"window": 3}),
    "cnn": ("cnn", {"channels": 5, "widths": (1, 2, 4)}),
    "gru": ("gru", {"hidden": 6, "layers": 2}),
    "lstm": ("lstm", {"hidden": 6}),
    "transformer": ("transformer", {"length": 12, "heads": 2}),
    "gated transformer": ("transformer", {"length": 12, "gated": True, "activation": "swiglu", "hidden": 16}),
}
BOTH_WAYS = {**KINDS, "transformer both ways": ("transformer", {"length": 12, "causal": False})}


def made(name: str) -> Encoder:
    torch.manual_seed(3)
    kind, options = BOTH_WAYS[name]
    return encoder(kind, D, **options).eval()


def history(count: int, seed: int = 0) -> Tensor:
    return torch.randn(1, count, D, generator=torch.Generator().manual_seed(seed))


def outcome(states: Tensor) -> Tensor:
    """A number that follows from states in no symmetric way, which a norm could hide."""
    weights = torch.randn(states.shape[-1], generator=torch.Generator().manual_seed(9))
    return (states.float() @ weights).square().sum()


def among(x: Tensor, places: list[int], length: int, junk: float = 50.0) -> tuple[Tensor, Tensor]:
    """The same events at these places among ``length``, all others absent and holding junk."""
    whole, present = torch.full((1, length, D), junk), torch.zeros(1, length, dtype=torch.bool)
    whole[:, places], present[:, places] = x, True
    return whole, present


@pytest.mark.parametrize("name", KINDS)
def test_nothing_of_the_future_leaks(name: str) -> None:
    net, x = made(name), history(T).requires_grad_()
    states = net(x, torch.ones(1, T, dtype=torch.bool))
    assert states.shape == (1, T, net.out)
    for place in range(T):
        (slope,) = torch.autograd.grad(outcome(states[0, place]), x, retain_graph=True)
        assert bool((slope[0, place + 1 :] == 0).all())
        assert float(slope[0, place].abs().sum()) > 0 or name == "cnn"


@pytest.mark.parametrize("name", KINDS)
def test_the_past_counts(name: str) -> None:
    net, x = made(name), history(T)
    other = x.clone()
    other[0, T - 3] *= -1
    everywhere = torch.ones(1, T, dtype=torch.bool)
    moved = (net(x, everywhere) - net(other, everywhere)).abs().sum(dim=2)[0]
    assert bool((moved[: T - 3] == 0).all())
    assert bool((moved[T - 3 :] > 0).all())


@pytest.mark.parametrize("name", BOTH_WAYS)
@pytest.mark.parametrize(
    "places", [[0, 1, 2, 3], [4, 5, 6, 7], [0, 2, 3, 7], [1, 4, 5, 6]], ids=["right", "left", "holes", "all over"]
)
def test_padding_says_nothing_wherever_it_is(name: str, places: list[int]) -> None:
    net, x = made(name), history(4)
    bare = net(x, torch.ones(1, 4, dtype=torch.bool))
    whole, present = among(x, places, 8)
    states = net(whole, present)
    torch.testing.assert_close(states[:, places], bare, atol=1e-6, rtol=1e-5)
    assert bool((states[~present] == 0).all())
    torch.testing.assert_close(last(states, present), bare[:, -1], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_longer_padding_on_the_left_gives_the_same_state(name: str) -> None:
    net, x = made(name), history(5)
    found = [last(net(*pair), pair[1]) for pair in (among(x, list(range(n - 5, n)), n) for n in (6, 9, 30))]
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found[0], found[2], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_no_gradient_reaches_what_is_absent(name: str) -> None:
    net = made(name)
    whole, present = among(history(4), [1, 2, 4, 6], 8)
    whole.requires_grad_()
    outcome(net(whole, present)).backward()
    assert whole.grad is not None
    assert bool((whole.grad[~present] == 0).all())
    assert float(whole.grad[present].abs().min()) > 0 or name == "cnn"


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_an_empty_history_has_the_state_zero(name: str) -> None:
    nothing = torch.zeros(2, T, dtype=torch.bool)
    states = made(name)(history(T).expand(2, T, D), nothing)
    assert bool((states == 0).all())
    assert bool((last(states, nothing) == 0).all())


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_a_batch_gives_what_each_row_gives_alone(name: str) -> None:
    net = made(name)
    pairs = [among(history(count, seed=count), list(range(T - count, T)), T) for count in (1, 4, T)]
    together = net(torch.cat([x for x, _ in pairs]), torch.cat([present for _, present in pairs]))
    alone = torch.cat([net(x, present) for x, present in pairs])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_in_mixed_precision_it_learns_from_about_the_same(name: str) -> None:
    net, pair = made(name), among(history(5), [1, 2, 4, 6, 7], 9)
    found = []
    for mixed in (False, True):
        x = pair[0].clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            states = net(x, pair[1]).float()
        outcome(states).backward()
        assert x.grad is not None
        found.append((states.detach(), x.grad[pair[1]]))
    for whole, half in zip(*found, strict=True):
        assert float((whole - half).norm() / whole.norm()) < 0.05  # bfloat16 keeps 8 bits


class Query(nn.Module):
    """What is exported: the last state."""

    def __init__(self, net: Encoder) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        return last(self.net(x, present), present)


@pytest.mark.parametrize("name", ["bow of the last 3", "cnn", "gru", "gated transformer", "transformer both ways"])
def test_an_exported_encoder_gives_the_same_for_any_batch(name: str) -> None:
    net, batch = Query(made(name)), torch.export.Dim("batch")
    source = torch.Generator().manual_seed(1)
    first, second = (
        (torch.randn(size, T, D, generator=source), torch.rand(size, T, generator=source) < 0.6) for size in (2, 5)
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The tensor attributes .* were assigned during export")  # of recurrent layers
        exported = torch.export.export(net, first, dynamic_shapes={"x": {0: batch}, "present": {0: batch}})
    torch.testing.assert_close(exported.module()(*second), net(*second), atol=1e-6, rtol=1e-5)


def test_places_and_their_inverse_by_hand() -> None:
    present = torch.tensor([[False, True, False, True, True]])
    places = front_places(present)
    assert places.tolist() == [[3, 0, 4, 1, 2]]
    assert inverse(places).tolist() == [[1, 3, 4, 0, 2]]
    x = torch.arange(5.0).reshape(1, 5, 1)
    assert picked(x, inverse(places)).flatten().tolist() == [1, 3, 4, 0, 2]
    assert picked(picked(x, inverse(places)), places).flatten().tolist() == [0, 1, 2, 3, 4]


def test_last_is_the_last_that_is_present() -> None:
    states = torch.arange(12.0).reshape(3, 4, 1) + 1
    present = torch.tensor([[True, True, False, False], [False, True, False, True], [False] * 4])
    assert last(states, present).flatten().tolist() == [2, 8, 0]
