"""A matrix for each part, by hand and as one with blocks on the diagonal."""

from __future__ import annotations

import torch

from serendip.nn.interact.parts import by_part


def test_by_hand() -> None:
    # (1, 2) (3, 4)ᵀ = 11 and (5, 6) (−1, 1)ᵀ = 1
    weights = torch.tensor([[[3.0], [4.0]], [[-1.0], [1.0]]])
    assert by_part(torch.tensor([[1.0, 2.0, 5.0, 6.0]]), weights).tolist() == [[[11], [1]]]


def test_it_is_a_matrix_of_blocks() -> None:
    source = torch.Generator().manual_seed(0)
    x, weights = torch.randn(4, 5, 6, generator=source), torch.randn(3, 2, 4, generator=source)
    found = by_part(x, weights)
    assert found.shape == (4, 5, 3, 4)
    torch.testing.assert_close(found.flatten(-2), x @ torch.block_diag(*weights))
    assert by_part(x[:0], weights).shape == (0, 5, 3, 4)
