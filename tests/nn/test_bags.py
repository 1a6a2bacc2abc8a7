"""Means over bags: as by hand, gradients included, whatever the size of the bags."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from serendip.nn.bags import bag_means, bag_rows

PLACES, BEGINS = torch.tensor([0, 2, 2, 1]), torch.tensor([0, 2, 2, 3])
SHARES = np.array([[0.5, 0, 0.5], [0, 0, 0], [0, 0, 1], [0, 1, 0]])
"""Bags of two, none, one and one."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_mean_of_each_bag_and_its_gradient(dtype: torch.dtype) -> None:
    vectors = torch.tensor(np.random.default_rng(0).normal(size=(3, 5)), dtype=dtype, requires_grad=True)
    found = bag_means(vectors, PLACES, BEGINS)
    np.testing.assert_allclose(found.detach().numpy(), SHARES @ vectors.detach().numpy(), atol=1e-6)
    weights = np.random.default_rng(1).normal(size=(4, 5))
    (found * torch.tensor(weights, dtype=dtype)).sum().backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    np.testing.assert_allclose(vectors.grad.numpy(), SHARES.T @ weights, atol=1e-6)


def test_bags_without_any_entry_are_zero() -> None:
    vectors = torch.empty((0, 4), requires_grad=True)
    found = bag_means(vectors, torch.empty(0, dtype=torch.int64), torch.zeros(2, dtype=torch.int64))
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert found.tolist() == [[0.0] * 4] * 2


def test_the_rows_of_each_bag_and_their_gradient() -> None:
    vectors = torch.arange(6.0).view(3, 2).requires_grad_()
    found = bag_rows(vectors, PLACES, BEGINS)
    assert found.tolist() == [[[0, 1], [4, 5]], [[0, 0]] * 2, [[4, 5], [0, 0]], [[2, 3], [0, 0]]]
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None and vectors.grad.tolist() == [[1, 1], [1, 1], [2, 2]]
    nothing = bag_rows(torch.empty(0, 2), torch.empty(0, dtype=torch.int64), torch.zeros(2, dtype=torch.int64))
    assert nothing.shape == (2, 0, 2)
