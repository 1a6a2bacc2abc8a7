"""A tower for queries: what is known of who asks and when, and what they did before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from serendip.nn.catalogue import Catalogue, looked_up
from serendip.nn.embed import FeatureEmbedding, pooled
from serendip.nn.tower import Tower
from serendip.scorers.feeds import PRESENT
from serendip.types import Input


class QueryTower(nn.Module):
    """``f = tower( [ features, mean of the history's vectors ] )``."""

    def __init__(
        self,
        rank: Catalogue,
        inputs: Sequence[Input],
        widths: Sequence[int],
        *,
        history: bool = True,
        dropout: float = 0.0,
        heads: int = 1,
        normalise: bool = False,
        name: str = "history",
    ) -> None:
        """A tower.

        Args:
            rank: the items that are ranked, by whose vectors histories are read.
            inputs: features of users and moments; none: the history alone.
            widths: of the hidden layers.
            history: whether the history is read.
            dropout: of the hidden layers.
            heads: how many vectors come out.
            normalise: whether they have length 1.
            name: of the input with the history.
        """
        super().__init__()
        self.rank, self.name, self.history = rank, name, history
        self.features = FeatureEmbedding(inputs) if inputs else None
        width = (rank.dim if history else 0) + (self.features.dim if self.features else 0)
        self.tower = Tower(width, widths, rank.dim, dropout, normalise=normalise, heads=heads)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """``[b, d]`` or ``[b, heads, d]``; histories as codes ``[b, t]``, or as vectors with what is present."""
        return self.of(inputs, None)

    def of(self, inputs: Mapping[str, Tensor], ranked: Tensor | None) -> Tensor:
        """As `forward`; ``ranked`` ``[n, d]`` are the vectors of all items, if at hand."""
        parts = []
        if self.history:
            given = inputs[self.name]
            present = inputs[self.name + PRESENT] if given.ndim == 3 else given >= 0
            if given.ndim == 2:
                given = self.rank(given) if ranked is None else looked_up(ranked, given)
            parts.append(pooled(given, present))
        if self.features is not None:
            parts.append(self.features(inputs))
        found: Tensor = self.tower(torch.cat(parts, dim=-1))
        return found
