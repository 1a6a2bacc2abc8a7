"""The shared softmax by hand and against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from serendip.nn.losses.shared import shared_softmax, shared_softmax_elsewhere


def test_shared_softmax_by_hand() -> None:
    # one user at (1, 0), items at (1, 0), (0, 1): logits at τ = ½ are 2 and 0, so ln(1 + e⁻²) = 0.126928 for the first
    users, items = torch.tensor([[1.0, 0.0]]), torch.eye(2)
    positives = csr_array(np.array([[1.0, 0.0]], np.float32))
    found = shared_softmax(users, items, positives, np.array([0, 1]), 0.5)
    assert float(found) == pytest.approx(0.126928, abs=1e-6)


@pytest.mark.parametrize("way", ["kernel", "torch"])
def test_shared_softmax_and_its_gradient_are_those_of_the_definition(way: str) -> None:
    rng = np.random.default_rng(0)
    source = torch.Generator().manual_seed(0)
    users, items = (torch.randn(size, 4, generator=source, requires_grad=True) for size in (9, 12))
    taken = (rng.random((9, 12)) < 0.4).astype(np.float32)
    chosen = rng.integers(0, 12, 20)
    if way == "kernel":
        found = shared_softmax(users, items, csr_array(taken), chosen, 0.3)
    else:
        total = shared_softmax_elsewhere(users, items, csr_array(taken), chosen, 0.3)
        found = total / float(taken.sum()) + math.log(12 / 20)
    x, y = (side.detach().double().requires_grad_() for side in (users, items))
    logits = x @ y.T / 0.3
    partition = torch.log(torch.exp(logits[:, chosen]).sum(dim=1) * 12 / 20)
    expected = ((partition[:, None] - logits) * torch.from_numpy(taken)).sum() / taken.sum()
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    (found * 2).backward()
    (expected * 2).backward()
    torch.testing.assert_close(users.grad.double(), x.grad, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(items.grad.double(), y.grad, atol=1e-5, rtol=1e-4)
