"""A tower for queries: what is known of who asks and when, and what they did before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

from serendip.nn.adapter import GROUPS, Adapter
from serendip.nn.bags import bag_means
from serendip.nn.catalogue import Catalogue, looked_up
from serendip.nn.embed import FeatureEmbedding, beside, pooled
from serendip.nn.tower import Tower
from serendip.scorers.feeds import PRESENT
from serendip.types import Input

PLACES, BEGINS = ".places", ".begins"
"""End the names of the inputs that say what is in bags."""


class QueryTower(nn.Module):
    """``f = tower( [ mean of each history's vectors, features ] )``."""

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = GROUPS

    def __init__(
        self,
        rank: Catalogue,
        inputs: Sequence[Input],
        widths: Sequence[int],
        *,
        read: Catalogue | None = None,
        histories: Sequence[str] = ("history",),
        asked: Mapping[str, Tensor] | None = None,
        dropout: float = 0.0,
        heads: int = 1,
        normalise: bool = False,
        adapter: Adapter | None = None,
        projected: bool = True,
        sparse: bool = False,
    ) -> None:
        """A tower.

        Args:
            rank: the items that are ranked.
            inputs: features of users and moments; none: the histories alone.
            widths: of the hidden layers.
            read: the items of a history, where they have vectors of their own; None: the same.
            histories: the names of inputs with items, of each of which the mean is read.
            asked: of further inputs ``[b, w]``, what stands for them ``[w]`` where they are not given.
            dropout: of the hidden layers.
            heads: how many vectors come out.
            normalise: whether they have length 1.
            adapter: of what comes out, or None.
            projected: as for `Tower`.
            sparse: as for `Table`, of the features.
        """
        super().__init__()
        self.rank, self.own, self.adapter, self.histories = rank, read, adapter, tuple(histories)
        self.features = FeatureEmbedding(inputs, sparse=sparse) if inputs else None
        self.asked = {name: f"asked_{place}" for place, name in enumerate(asked or {})}
        for name, value in (asked or {}).items():
            self.register_buffer(self.asked[name], value, persistent=False)
        width = len(self.histories) * rank.dim + (self.features.dim if self.features else 0)
        width += sum(len(value) for value in (asked or {}).values())
        self.tower = Tower(width, widths, rank.dim, dropout, normalise=normalise, heads=heads, projected=projected)

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
        known = None if self.own is not None else ranked
        parts = [self._past(name, inputs, known) for name in self.histories]
        if self.features is not None:
            parts.append(self.features(inputs))
        for name, buffer in self.asked.items():
            given = inputs.get(name)
            parts.append(self.get_buffer(buffer).expand(parts[0].shape[0], -1) if given is None else given)
        found: Tensor = self.tower(beside(parts))
        return found if self.adapter is None else self.adapter(found)

    def _past(self, name: str, inputs: Mapping[str, Tensor], vectors: Tensor | None) -> Tensor:
        """``[b, d]`` the mean of each history's vectors, 0 of none; ``vectors`` are those of all items, if at hand."""
        given = inputs[name]
        if given.ndim == 3:
            return pooled(given, inputs[name + PRESENT])
        known = self.read(given) if vectors is None else looked_up(vectors, given)
        if given.ndim == 2:
            return pooled(known, given >= 0)
        return bag_means(known, inputs[name + PLACES], inputs[name + BEGINS])
