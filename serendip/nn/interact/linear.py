"""The first-order term of a click-through model: what each field says by itself.

``y = w_0 + Σ_i w_i x_i``    with ``w_i x_i`` the embedding of field i, of width 1

Source: S. Rendle, "Factorization machines", ICDM 2010.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FirstOrder(nn.Module):
    """A bias, which begins at 0, and the sum over fields."""

    def __init__(self) -> None:
        """No size is needed."""
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """``[b, f, 1]`` fields → ``[b]``."""
        return self.bias + x.sum(dim=(1, 2))


__all__ = ["FirstOrder"]
