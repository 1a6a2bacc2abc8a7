"""Attention to what is like the candidate: by hand, against NumPy, and over what is absent."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from serendip.nn.interact import TargetAttention

B, C, T, D = 4, 3, 5, 2


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def given() -> tuple[Tensor, Tensor, Tensor]:
    """Candidates, histories and what is present: of the first query nothing, of the last everything."""
    rng = np.random.default_rng(0)
    lengths = np.array([0, 1, 3, T])
    present = np.arange(T) >= T - lengths[:, None]
    candidates, history = rng.normal(size=(B, C, D)), rng.normal(size=(B, T, D))
    return torch.from_numpy(candidates), torch.from_numpy(history), torch.from_numpy(present)


def put(weight: Tensor, values: object) -> None:
    with torch.no_grad():
        weight.copy_(torch.tensor(values))


def test_by_hand() -> None:
    layer = TargetAttention(1, hidden=(2,), activation="relu")
    put(layer.first.weight, [[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, -1.0, 0.0]])
    put(layer.first.bias, [0.0, 0.5])
    output = layer.rest[1].layers[0]
    put(output.weight, [[1.0, 10.0]])
    put(output.bias, [-1.0])
    # c = 2. h = 1: 1 + 4 − 3 + 8 = 10 and ½ + 1 = 1½ → 10 + 15 − 1 = 24; h = 3: 3 + 4 + 3 + 24 = 34 and max(0, −½) = 0
    # → 33; 24·1 + 33·3 = 123. Without the second event 24.
    history = torch.tensor([[[1.0], [3.0]]])
    assert layer(torch.tensor([[2.0]]), history, torch.tensor([[True, True]])).tolist() == [[123]]
    assert layer(torch.tensor([[2.0]]), history, torch.tensor([[True, False]])).tolist() == [[24]]


@pytest.mark.parametrize("normalise", [False, True])
def test_it_is_as_in_numpy(normalise: bool) -> None:
    layer = TargetAttention(D, (6, 4), normalise=normalise).double()
    candidates, history, present = given()
    weights = [one.detach().numpy() for one in layer.parameters()]
    expected = np.zeros((B, C, D))
    for b in range(B):
        for c in range(C):
            logits, events = [], history[b][present[b]].numpy()
            for h in events:
                own = candidates[b, c].numpy()
                a = np.concatenate([h, own, h - own, h * own])
                for at in (0, 2):
                    a = weights[at] @ a + weights[at + 1]
                    a = a / (1 + np.exp(-a))
                logits.append(weights[4] @ a + weights[5])
            if len(events):
                counts = np.concatenate(logits)
                if normalise:
                    counts = np.exp(counts) / np.exp(counts).sum()
                expected[b, c] = counts @ events
    found = layer(candidates, history, present).detach()
    np.testing.assert_allclose(found, expected, atol=1e-12)
    alone = layer(candidates[:, 1], history, present).detach()
    np.testing.assert_allclose(alone, expected[:, 1], atol=1e-12)


@pytest.mark.parametrize("normalise", [False, True])
def test_what_is_absent_changes_nothing(normalise: bool) -> None:
    layer = TargetAttention(D, normalise=normalise).double()
    candidates, history, present = given()
    expected = layer(candidates, history, present)
    for other in (1e30, float("nan"), float("inf")):
        changed = history.masked_fill(~present.unsqueeze(-1), other)
        assert torch.equal(layer(candidates, changed, present), expected)
    short = layer(candidates[2:3], history[2:3, T - 3 :], present[2:3, T - 3 :])
    torch.testing.assert_close(short, expected[2:3])
    assert torch.equal(expected[0], torch.zeros(C, D).double()), "nobody's history"
    nothing = layer(candidates, history[:, :0], present[:, :0])
    assert torch.equal(nothing, torch.zeros(B, C, D).double())


@pytest.mark.parametrize("normalise", [False, True])
def test_gradients_of_what_is_absent_are_zero_and_none_is_nan(normalise: bool) -> None:
    layer = TargetAttention(D, normalise=normalise).double()
    candidates, history, present = given()
    history.requires_grad_()
    layer(candidates, history, present).square().sum().backward()
    assert history.grad is not None
    assert bool((history.grad[~present] == 0).all()) and bool((history.grad[present] != 0).all())
    assert all(bool(weight.grad.isfinite().all()) for weight in layer.parameters() if weight.grad is not None)


def test_the_weights_of_a_history_are_a_softmax_if_asked() -> None:
    candidates, history, present = given()
    shares = TargetAttention(D, normalise=True).double().weights(candidates, history, present).sum(dim=-1)
    np.testing.assert_allclose(shares.detach(), [[0] * C] + [[1] * C] * 3)
    free = TargetAttention(D).double().weights(candidates, history, present)
    assert bool((free[~present.unsqueeze(1).expand(-1, C, -1)] == 0).all())
    assert float((free.sum(dim=-1)[1:] - 1).abs().min().detach()) > 1e-3


def test_a_layer_is_needed() -> None:
    with pytest.raises(ValueError, match=r"1 or more hidden layers\. Got none instead"):
        TargetAttention(4, ())
