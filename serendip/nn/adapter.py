"""What is left to learn over towers that stay as they are: the query's vector turned, and a bias for each item.

``score_j = ( W f + c ) · g_j + b_j``,  to begin with ``W = I``, ``c = 0`` and ``b = 0``: the towers' own answer.

Source: linear probes over what another task taught, as in A. Kumar et al., "Fine-tuning can distort pretrained features
and underperform out-of-distribution", ICLR 2022; that they begin as the identity, and the biases, are ours.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

GROUPS: Mapping[str, tuple[str, ...]] = {
    "towers": ("rank.", "own.", "features.", "encoder.", "tower.", "gap"),
    "items": ("rank.", "own."),
    "query": ("features.", "encoder.", "tower.", "gap"),
}
"""What parameters of the modules with two towers begin with, for `serendip.warm.freeze`: all but the adapter's."""


class Adapter(nn.Module):
    """Between the vectors of two towers and their scores."""

    per_item = ("bias",)

    def __init__(self, size: int, dim: int, *, normalise: bool = False) -> None:
        """An adapter that changes nothing yet.

        Args:
            size: how many items there are.
            dim: of the vectors.
            normalise: scale what is turned to length 1.
        """
        super().__init__()
        self.turn = nn.Linear(dim, dim)
        self.bias = nn.Parameter(torch.zeros(size))
        self.normalise = normalise
        with torch.no_grad():
            nn.init.eye_(self.turn.weight)
            nn.init.zeros_(self.turn.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """``[..., d]`` the vectors of queries, turned."""
        found: Tensor = self.turn(vectors)
        return functional.normalize(found, dim=-1) if self.normalise else found


def queries(adapter: Adapter | None, vectors: Tensor) -> Tensor:
    """``[..., d + 1]`` vectors of queries whose products with `items` are scores; ``[..., d]`` without an adapter."""
    return vectors if adapter is None else functional.pad(vectors, (0, 1), value=1.0)


def items(adapter: Adapter | None, vectors: Tensor, codes: Tensor | None = None) -> Tensor:
    """``[..., d + 1]`` vectors of items beside their biases; ``[..., d]`` without an adapter.

    Args:
        adapter: what has the biases.
        vectors: ``[..., d]`` of these items.
        codes: ``[...]`` which they are, 0 … n - 1; None: all of them.
    """
    if adapter is None:
        return vectors
    bias = adapter.bias if codes is None else adapter.bias[codes]
    return torch.cat([vectors, bias.unsqueeze(-1)], dim=-1)


__all__ = ["GROUPS", "Adapter", "items", "queries"]
