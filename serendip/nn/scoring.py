"""What makes a score of fields where these are not all alike: numbers apart, two sides, or a history one by one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from serendip.nn.interact import BilinearFusion, Dots, FeatureGate, TargetAttention
from serendip.nn.tower import Tower


class Products(nn.Module):
    """``tower( [ z, ⟨z, v_1⟩, ⟨v_2, v_1⟩, … ] )`` with ``z = bottom( [ numbers ] )``; without numbers no z."""

    places: Tensor
    others: Tensor

    def __init__(
        self,
        fields: int,
        dim: int,
        widths: Sequence[int],
        *,
        numbers: Sequence[int] = (),
        bottom: Sequence[int] = (),
        dropout: float = 0.0,
    ) -> None:
        """Over so many fields of that dimension.

        Args:
            fields: how many.
            dim: of each.
            widths: of the hidden layers over the products.
            numbers: which of the fields are numbers.
            bottom: widths of the hidden layers over these.
            dropout: of both.
        """
        super().__init__()
        others = [at for at in range(fields) if at not in numbers]
        # They follow from the fields, so that a checkpoint need not keep them.
        self.register_buffer("places", torch.tensor(list(numbers), dtype=torch.int64), persistent=False)
        self.register_buffer("others", torch.tensor(others, dtype=torch.int64), persistent=False)
        self.bottom = Tower(len(numbers) * dim, bottom, dim, dropout) if numbers else None
        vectors = len(others) + bool(numbers)
        self.dots = Dots(vectors) if vectors > 1 else None
        width = (dim if numbers else 0) + (0 if self.dots is None else self.dots.out)
        self.tower = Tower(width, widths, 1, dropout)

    def forward(self, fields: Tensor) -> Tensor:
        """``[b, f, d]`` → ``[b]``."""
        vectors, parts = fields.index_select(1, self.others), []
        if self.bottom is not None:
            z = self.bottom(fields.index_select(1, self.places).flatten(1))
            vectors = torch.cat([z.unsqueeze(1), vectors], dim=1)
            parts.append(z)
        if self.dots is not None:
            parts.append(self.dots(vectors))
        found: Tensor = self.tower(torch.cat(parts, dim=1)).squeeze(-1)
        return found


class Streams(nn.Module):
    """``fusion( tower_1( gate_1(q) ⊙ x ), tower_2( gate_2(i) ⊙ x ) )``: x all fields, q the query's, i the item's."""

    def __init__(
        self,
        query: int,
        item: int,
        dim: int,
        widths: Sequence[int],
        *,
        gate: Sequence[int] = (64,),
        heads: int = 1,
        dropout: float = 0.0,
    ) -> None:
        """Over so many fields of a query, then of an item, of that dimension.

        Args:
            query: fields of the query, 1 or more.
            item: fields of the item, 1 or more.
            dim: of each.
            widths: of the layers of each stream, 1 or more.
            gate: of the hidden layers of each gate.
            heads: as for `BilinearFusion`.
            dropout: of the streams.

        Raises:
            SerendipError: the heads cannot share the last layer.
        """
        super().__init__()
        self.query, flat = query, (query + item) * dim
        self.gates = nn.ModuleList(FeatureGate(flat, side * dim, gate) for side in (query, item))
        self.towers = nn.ModuleList(Tower(flat, widths, widths[-1], dropout, projected=False) for _ in range(2))
        self.fusion = BilinearFusion(widths[-1], widths[-1], heads)

    def forward(self, fields: Tensor) -> Tensor:
        """``[b, f, d]`` → ``[b]``."""
        x, sides = fields.flatten(1), (fields[:, : self.query].flatten(1), fields[:, self.query :].flatten(1))
        one, other = (tower(gate(x, side)) for tower, gate, side in zip(self.towers, self.gates, sides, strict=True))
        found: Tensor = self.fusion(one, other)
        return found


class Attended(nn.Module):
    """``tower( [ Σ_p a_p h_p, v_1 … v_f ] )``, the events of a history weighed by the item, before all fields."""

    def __init__(
        self, query: int, item: int, dim: int, widths: Sequence[int], *, attention: int = 36, dropout: float = 0.0
    ) -> None:
        """Over so many fields of a query, then of an item, of that dimension, behind any number of events.

        Args:
            query: fields of the query.
            item: fields of the item, 1 or more; the sum of their vectors is what events are compared with.
            dim: of each, and of an event.
            widths: of the hidden layers over all.
            attention: numbers of the hidden layer that weighs an event.
            dropout: of the layers over all.
        """
        super().__init__()
        self.kept, self.item = query + item, item
        self.attention = TargetAttention(dim, (attention,))
        self.tower = Tower((1 + query + item) * dim, widths, 1, dropout)

    def forward(self, fields: Tensor) -> Tensor:
        """``[b, t + f, d]`` → ``[b]``; an event of zeros is none: it adds nothing, whatever its weight."""
        history, kept = fields[:, : -self.kept], fields[:, -self.kept :]
        candidate = kept[:, -self.item :].sum(dim=1)
        there = torch.ones_like(history[:, :, 0], dtype=torch.bool)
        read = self.attention(candidate, history, there).unsqueeze(1)
        found: Tensor = self.tower(torch.cat([read, kept], dim=1).flatten(1)).squeeze(-1)
        return found


__all__ = ["Attended", "Products", "Streams"]
