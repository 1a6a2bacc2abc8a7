"""What makes a score of fields where these are not all alike: numbers apart, two sides, or a history one by one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from serendip.nn.interact import BilinearFusion, Dots, FeatureGate, TargetAttention
from serendip.nn.sides import Sided, Sides, whole
from serendip.nn.tower import Tower


class Products(nn.Module):
    """``tower( [ z, ⟨z, v_1⟩, ⟨v_2, v_1⟩, … ] )`` with ``z = bottom( [ numbers ] )``; without numbers no z."""

    sided = True
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
        self.numbers = tuple(numbers)
        others = [at for at in range(fields) if at not in numbers]
        # They follow from the fields, so that a checkpoint need not keep them.
        self.register_buffer("places", torch.tensor(list(numbers), dtype=torch.int64), persistent=False)
        self.register_buffer("others", torch.tensor(others, dtype=torch.int64), persistent=False)
        self.bottom = Tower(len(numbers) * dim, bottom, dim, dropout) if numbers else None
        vectors = len(others) + bool(numbers)
        self.dots = Dots(vectors) if vectors > 1 else None
        width = (dim if numbers else 0) + (0 if self.dots is None else self.dots.out)
        self.tower = Tower(width, widths, 1, dropout)

    def forward(self, fields: Sided) -> Tensor:
        """``[b, f, d]`` → ``[b]``."""
        if isinstance(fields, Sides) and all(at < fields.query.shape[1] for at in self.numbers):
            return self._of_sides(fields)
        fields = whole(fields)
        vectors, parts = fields.index_select(1, self.others), []
        if self.bottom is not None:
            z = self.bottom(fields.index_select(1, self.places).flatten(1))
            vectors = torch.cat([z.unsqueeze(1), vectors], dim=1)
            parts.append(z)
        if self.dots is not None:
            parts.append(self.dots(vectors))
        found: Tensor = self.tower(torch.cat(parts, dim=1)).squeeze(-1)
        return found

    def _of_sides(self, fields: Sides) -> Tensor:
        """The numbers and the products of the query's own fields once: they come first among all products."""
        apart = fields.query.shape[1] - len(self.places)
        query, parts = fields.query.index_select(1, self.others[:apart]), []
        if self.bottom is not None:
            z = self.bottom(fields.query.index_select(1, self.places).flatten(1))
            query = torch.cat([z.unsqueeze(1), query], dim=1)
            parts.append(z)
        own, many, wide = query.shape[1], fields.rest.shape[1], fields.spread(query)
        if own > 1:
            rows, columns = torch.tril_indices(own, own, -1, device=query.device)
            parts.append((query @ query.transpose(1, 2)).flatten(1).index_select(1, rows * own + columns))
        rows, columns = torch.tril_indices(many, own + many, own - 1, device=query.device)
        products = fields.rest @ torch.cat([wide, fields.rest], dim=1).transpose(1, 2)
        across = products.flatten(1).index_select(1, rows * (own + many) + columns)
        every = Sides(torch.cat(parts, dim=1), across, fields.row) if parts else across
        found: Tensor = self.tower(every).squeeze(-1)
        return found


class Streams(nn.Module):
    """``fusion( tower_1( gate_1(q) ⊙ x ), tower_2( gate_2(i) ⊙ x ) )``: x all fields, q the query's, i the item's."""

    sided = True

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
        self.query, self.item, flat = query, item, (query + item) * dim
        self.gates = nn.ModuleList(FeatureGate(flat, side * dim, gate) for side in (query, item))
        self.towers = nn.ModuleList(Tower(flat, widths, widths[-1], dropout, projected=False) for _ in range(2))
        self.fusion = BilinearFusion(widths[-1], widths[-1], heads)

    def forward(self, fields: Sided) -> Tensor:
        """``[b, f, d]`` → ``[b]``."""
        fields, every = self._apart(fields), whole(fields)
        x, sides = every.flatten(1), (every[:, : self.query].flatten(1), every[:, self.query :].flatten(1))
        first, second = self.gates
        assert isinstance(first, FeatureGate)
        gated = first(x, sides[0]) if isinstance(fields, Tensor) else _gated(first, fields.flatten(1))
        one, other = self.towers[0](gated), self.towers[1](second(x, sides[1]))
        found: Tensor = self.fusion(one, other)
        return found

    def _apart(self, fields: Sided) -> Sided:
        """As sides where the query's are all that the first gate reads; what is of a query and an item is not."""
        apart = isinstance(fields, Sides) and fields.query.shape[1] == self.query and not fields.lead
        return fields if apart else whole(fields)


def _gated(gate: FeatureGate, x: Sides) -> Sides:
    """Sides of ``[m, f]``, gated by those of the query: how much of each number there is is worked out once a query."""
    width = x.query.shape[1]
    factors = gate.factors(x.query)
    return Sides(factors[:, :width] * x.query, x.spread(factors[:, width:]) * x.rest, x.row)


class Attended(nn.Module):
    """``tower( [ Σ_p a_p h_p, v_1 … v_f ] )``, the events of a history weighed by the item, before all fields."""

    sided = True

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

    def forward(self, fields: Sided) -> Tensor:
        """``[b, t + f, d]`` → ``[b]``; an event of zeros is none: it adds nothing, whatever its weight."""
        if isinstance(fields, Sides):
            return self._of_sides(fields)
        history, kept = fields[:, : -self.kept], fields[:, -self.kept :]
        candidate = kept[:, -self.item :].sum(dim=1)
        there = torch.ones_like(history[:, :, 0], dtype=torch.bool)
        read = self.attention(candidate, history, there).unsqueeze(1)
        found: Tensor = self.tower(torch.cat([read, kept], dim=1).flatten(1)).squeeze(-1)
        return found

    def _of_sides(self, fields: Sides) -> Tensor:
        """With what is linear in the history, and in the query's fields, once."""
        own = self.kept - fields.rest.shape[1]
        events = fields.query.shape[1] - own
        history, kept = fields.query[:, :events], fields.query[:, events:]
        candidate = fields.rest[:, -self.item :].sum(dim=1)
        there = torch.ones_like(history[:, :, 0], dtype=torch.bool)
        read = self.attention(candidate, history, there, fields.row).unsqueeze(1)
        rest = torch.cat([read, fields.rest], dim=1)
        every = Sides(kept, rest, fields.row, lead=1) if own else rest
        found: Tensor = self.tower(every.flatten(1)).squeeze(-1)
        return found


__all__ = ["Attended", "Products", "Streams"]
