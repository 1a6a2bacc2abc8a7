"""A tower for queries: what is known of who asks and when, and what they did before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from serendip.nn.bags import bag_means
from serendip.nn.catalogue import Catalogue, looked_up
from serendip.nn.embed import FeatureEmbedding, pooled
from serendip.nn.tower import Tower
from serendip.scorers.feeds import PRESENT
from serendip.types import Input

PLACES, BEGINS = ".places", ".begins"
"""End the names of the inputs that say what is in bags."""


class QueryTower(nn.Module):
    """``f = tower( [ features, mean of the history's vectors ] )``."""

    def __init__(
        self,
        rank: Catalogue,
        inputs: Sequence[Input],
        widths: Sequence[int],
        *,
        read: Catalogue | None = None,
        history: bool = True,
        dropout: float = 0.0,
        heads: int = 1,
        normalise: bool = False,
        name: str = "history",
    ) -> None:
        """A tower.

        Args:
            rank: the items that are ranked.
            inputs: features of users and moments; none: the history alone.
            widths: of the hidden layers.
            read: the items of a history, where they have vectors of their own; None: the same.
            history: whether the history is read.
            dropout: of the hidden layers.
            heads: how many vectors come out.
            normalise: whether they have length 1.
            name: of the input with the history.
        """
        super().__init__()
        self.rank, self.own, self.name, self.history = rank, read, name, history
        self.features = FeatureEmbedding(inputs) if inputs else None
        width = (rank.dim if history else 0) + (self.features.dim if self.features else 0)
        self.tower = Tower(width, widths, rank.dim, dropout, normalise=normalise, heads=heads)

    @property
    def read(self) -> Catalogue:
        """The items of a history."""
        return self.rank if self.own is None else self.own

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """``[b, d]`` or ``[b, heads, d]``.

        Histories are codes ``[b, t]``; or vectors ``[b, t, d]`` with what is present; or bags: some codes ``[u]``, the
        places among them of one bag after the other, and where in these each of the ``b`` begins.
        """
        return self.of(inputs, None)

    def of(self, inputs: Mapping[str, Tensor], ranked: Tensor | None) -> Tensor:
        """As `forward`; ``ranked`` ``[n, d]`` are the vectors of all items, if at hand."""
        parts = [self._past(inputs, None if self.own is not None else ranked)] if self.history else []
        if self.features is not None:
            parts.append(self.features(inputs))
        found: Tensor = self.tower(torch.cat(parts, dim=-1))
        return found

    def _past(self, inputs: Mapping[str, Tensor], vectors: Tensor | None) -> Tensor:
        """``[b, d]`` the mean of each history's vectors, 0 of none; ``vectors`` are those of all items, if at hand."""
        given = inputs[self.name]
        if given.ndim == 3:
            return pooled(given, inputs[self.name + PRESENT])
        known = self.read(given) if vectors is None else looked_up(vectors, given)
        if given.ndim == 2:
            return pooled(known, given >= 0)
        return bag_means(known, inputs[self.name + PLACES], inputs[self.name + BEGINS])
