"""A tower for histories: their items' vectors, read in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from serendip.nn.adapter import GROUPS, Adapter
from serendip.nn.catalogue import Catalogue, looked_up
from serendip.nn.sequence.encoder import Encoder, last
from serendip.nn.tower import Tower
from serendip.scorers.feeds import PRESENT


class HistoryTower(nn.Module):
    """From items to the state after each event, of the dimensions of the vectors that are ranked.

    ``s_p = tower(h_p)``, or h_p itself where there are no hidden layers and the dimensions are the same already.
    """

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = GROUPS

    def __init__(
        self,
        rank: Catalogue,
        encoder: Encoder,
        *,
        read: Catalogue | None = None,
        widths: Sequence[int] = (),
        dropout: float = 0.0,
        adapter: Adapter | None = None,
        name: str = "history",
    ) -> None:
        """A tower.

        Args:
            rank: the items that are ranked.
            encoder: what reads a history.
            read: the items of a history, where they have vectors of their own; None: the same.
            widths: of the hidden layers over the states.
            dropout: of these.
            adapter: of the states, or None.
            name: of the input.
        """
        super().__init__()
        self.rank, self.encoder, self.own, self.adapter, self.name = rank, encoder, read, adapter, name
        plain = not widths and encoder.out == rank.dim
        self.tower = None if plain else Tower(encoder.out, widths, rank.dim, dropout)

    @property
    def read(self) -> Catalogue:
        """The items of a history."""
        return self.rank if self.own is None else self.own

    def states(self, vectors: Tensor, present: Tensor) -> Tensor:
        """``[b, t, d]`` and ``[b, t]`` → ``[b, t, d]``."""
        found: Tensor = self.encoder(vectors, present)
        found = found if self.tower is None else self.tower(found)
        return found if self.adapter is None else self.adapter(found)

    def of_codes(self, codes: Tensor, ranked: Tensor | None = None) -> Tensor:
        """``[b, t]`` codes → ``[b, t, d]`` states; ``ranked`` ``[n, d]`` are the vectors of all items, if at hand."""
        shared = ranked is not None and self.own is None
        return self.states(looked_up(ranked, codes) if shared and ranked is not None else self.read(codes), codes >= 0)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """``[b, d]`` the state after the last event, of codes ``[b, t]``, or of vectors with what is present."""
        given = inputs[self.name]
        if given.ndim == 2:
            return last(self.of_codes(given), given >= 0)
        present = inputs[self.name + PRESENT]
        return last(self.states(given, present), present)


class NewItems(nn.Module):
    """What a catalogue makes of items that it has not met: from features alone."""

    def __init__(self, rank: Catalogue, read: Catalogue | None, *, biased: bool = False) -> None:
        """The items that are ranked, those that are read if these have vectors of their own, and whether others have
        biases."""
        super().__init__()
        self.rank, self.read, self.biased = rank, read, biased

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``vector`` ``[b, d]``, ``bias`` ``[b]`` of 0 where others have some, and ``told`` where histories are read by
        other vectors."""
        out = {"vector": _unmet(self.rank, features)}
        if self.biased:
            out["bias"] = torch.zeros_like(out["vector"][:, 0])
        return out if self.read is None else {**out, "told": _unmet(self.read, features)}


def _unmet(catalogue: Catalogue, features: Mapping[str, Tensor]) -> Tensor:
    first = next(iter(features.values()))
    return catalogue.vectors(first.new_full(first.shape[:1], -1).long(), features)


class ClozeTower(HistoryTower):
    """A tower that fills gaps: one code more than there are items stands for a gap, which has a vector of its own.

    What comes after a history is asked by a gap at its end.
    """

    def __init__(
        self,
        rank: Catalogue,
        encoder: Encoder,
        *,
        read: Catalogue | None = None,
        adapter: Adapter | None = None,
        name: str = "history",
    ) -> None:
        """As `HistoryTower`; the encoder looks both ways, at one event more than a history has."""
        super().__init__(rank, encoder, read=read, adapter=adapter, name=name)
        self.gap = nn.Parameter(torch.randn(rank.dim) * rank.dim**-0.5)

    def of_codes(self, codes: Tensor, ranked: Tensor | None = None) -> Tensor:
        """As `HistoryTower.of_codes`, the code ``n`` being a gap."""
        shared = ranked is not None and self.own is None
        vectors = looked_up(ranked, codes) if shared and ranked is not None else self.read(codes)
        gaps = (codes == self.rank.size).unsqueeze(-1)
        return self.states(vectors + gaps * self.gap, codes >= 0)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """``[b, d]`` the state of a gap after the last event."""
        given = inputs[self.name]
        if given.ndim == 2:
            present, given = given >= 0, self.read(given)
        else:
            present = inputs[self.name + PRESENT]
        gap = self.gap.expand(given.shape[0], 1, -1)
        there = torch.ones_like(present[:, :1])
        present = torch.cat([present, there], dim=1)
        return last(self.states(torch.cat([given, gap], dim=1), present), present)
