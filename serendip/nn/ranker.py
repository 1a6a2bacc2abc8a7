"""A ranker: what is known of who asks and of an item, as fields whose interactions make a score.

``s = Σ_p part_p( [ fields of the query, mean of the history's vectors, fields of the item ] )``

The parts are what models differ in. The fields of a query are worked out once, however many items it is asked about,
and so is what parts that are ``sided`` make of them alone: see `serendip.nn.sides`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from serendip.nn.bags import bag_means, bag_rows
from serendip.nn.embed import Table, pooled
from serendip.nn.fields import Fields, ItemFields
from serendip.nn.joined import Part, joined
from serendip.nn.query import BEGINS, PLACES
from serendip.nn.sides import Sided, Sides, asked
from serendip.nn.tower import Tower
from serendip.scorers.feeds import PRESENT
from serendip.scorers.ranked import ITEM, QUERY, ROW, SCORE


class Ranker(nn.Module):
    """Fields and what scores them."""

    def __init__(
        self,
        items: ItemFields,
        query: Fields | None,
        parts: Sequence[nn.Module],
        *,
        histories: Sequence[str] = (),
        read: Table | None = None,
        apart: bool = False,
        pairs: Fields | None = None,
        bias: Tensor | None = None,
    ) -> None:
        """A ranker.

        Args:
            items: their fields.
            query: the fields of users and moments; None: there are none.
            parts: each from fields ``[b, f, d]`` to ``[b]``, or to ``[b, k]`` for k scores; the score is their sum and
                a number.
            histories: the names of inputs with items, the mean of whose vectors is a field each.
            read: the vectors of the items of histories; None: those that the items have as fields.
            apart: whether the events of histories reach the parts one by one, before the fields, in place of their
                means: ``[b, t + f, d]``, zeros where there is none, t being as many as the longest has.
            pairs: the fields of a query and an item together, numbers all, between those of either; None: there are
                none.
            bias: that number to begin with, of no axis, or ``[k]``; None: 0.

        Raises:
            ValueError: nothing is known of queries, or histories are of items that have no vectors of their own.
        """
        super().__init__()
        if not histories and query is None:
            raise ValueError("Queries must have histories or features. Got neither instead.")
        if histories and items.ids is None and read is None:
            raise ValueError("A history must be of items with vectors. Got items that have features only.")
        self.items, self.fields, self.own, self.histories, self.apart = items, query, read, tuple(histories), apart
        self.parts, self.pairs = nn.ModuleList(parts), pairs
        self.bias = nn.Parameter(torch.zeros(()) if bias is None else bias.clone())
        self.per_item = ("own.weight",) if read is not None else ()
        self.balance: nn.Module | None = None

    @property
    def read(self) -> Table:
        """The vectors of the items of histories."""
        found = self.items.ids if self.own is None else self.own
        assert found is not None
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """Of the fields, in their order: the item itself is called ``item``."""
        of_query = () if self.fields is None else self.fields.inputs
        own = () if self.items.features is None else self.items.features.inputs
        itself = () if self.items.ids is None else ("item",)
        means = () if self.apart else self.histories
        both = () if self.pairs is None else self.pairs.inputs
        return (*means, *(one.name for one in (*of_query, *both)), *itself, *(one.name for one in own))

    def query(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """``[b, f, d]`` the fields of queries; before them, where they are apart, the events of histories.

        Histories are codes ``[b, t]``; vectors ``[b, t, d]`` with what is present; or bags, as in
        `serendip.nn.query.QueryTower`.
        """
        past = self._events if self.apart else self._past
        parts = [past(name, inputs) for name in self.histories]
        if self.fields is not None:
            parts.append(self.fields(inputs))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-2)

    def together(
        self, inputs: Mapping[str, Tensor], codes: Tensor, pairs: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """``[b·c, f, d]`` all fields of items ``[b, c]`` for ``b`` queries; ``pairs`` ``[b, c, …]`` are of both."""
        past = self._events if self.apart else self._past
        of_query: list[Part] = [past(name, inputs) for name in self.histories]
        if self.fields is not None:
            of_query += self.fields.parts(inputs)
        both: list[Part] = [] if self.pairs is None else [self.pairs(pairs or {}).flatten(0, 1)]
        own, many = self.items.parts(codes.flatten()), codes.shape[1]
        return joined([*((part, many) for part in of_query), *((part, 1) for part in (*both, *own))])

    def forward(self, fields: Sided) -> Tensor:
        """``[b]`` or ``[b, k]`` from fields ``[b, f, d]``, those of the query first."""
        found = [asked(part, fields) for part in self.parts]
        total: Tensor = found[0] if len(found) == 1 else torch.stack(found).sum(dim=0)
        return total + self.bias

    def _past(self, name: str, inputs: Mapping[str, Tensor]) -> Tensor:
        """``[b, 1, d]`` the mean of a history."""
        given = inputs[name]
        if given.ndim == 3:
            return pooled(given, inputs[name + PRESENT]).unsqueeze(1)
        if given.ndim == 2:
            return pooled(self.read(given), given >= 0).unsqueeze(1)
        return bag_means(self.read(given), inputs[name + PLACES], inputs[name + BEGINS]).unsqueeze(1)

    def _events(self, name: str, inputs: Mapping[str, Tensor]) -> Tensor:
        """``[b, t, d]`` the events of a history, zeros where there is none."""
        given = inputs[name]
        if given.ndim == 3:
            return given * inputs[name + PRESENT].unsqueeze(-1)
        if given.ndim == 2:
            found: Tensor = self.read(given)
            return found
        return bag_rows(self.read(given), inputs[name + PLACES], inputs[name + BEGINS])


class AskedFields(nn.Module):
    """The fields of queries, flat, as what is exported gives them: ``[b, f·d]``."""

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """From the inputs of `Ranker.query`."""
        return self.ranker.query(inputs).flatten(1)


class NewFields(nn.Module):
    """The fields of items that come later, from their features alone, flat: ``[b, g·d]``."""

    def __init__(self, items: ItemFields) -> None:
        super().__init__()
        self.items = items

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """From features by name, ``[b, …]``."""
        first = next(iter(features.values()))
        nobody = torch.full_like(first if first.ndim == 1 else first[:, 0], -1, dtype=torch.int64)
        return self.items.vectors(nobody, features).flatten(1)


class Scores(nn.Module):
    """The score of a query and an item, from both flat."""

    def __init__(self, ranker: Ranker, foretells: nn.Module | None = None) -> None:
        """Of a ranker; ``foretells`` makes of its scores ``[b, k]`` what is given for them; None: the score itself."""
        super().__init__()
        self.ranker, self.foretells = ranker, foretells

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``score`` ``[b]``, or ``[b, t]``, from ``query`` ``[q, f·d]``, ``item`` ``[b, g·d]``, what is of both,
        ``[b, …]``, and ``row`` ``[b]``: which of the queries asks.
        """
        return {SCORE: self.said(self.sides(inputs))}

    def sides(self, inputs: Mapping[str, Tensor]) -> Sides:
        """The fields of the queries, and the others."""
        d, pairs = self.ranker.items.dim, self.ranker.pairs
        query, item = (inputs[name].view(inputs[name].shape[0], -1, d) for name in (QUERY, ITEM))
        rest = item if pairs is None else torch.cat([pairs(inputs), item], dim=1)
        return Sides(query, rest, inputs[ROW])

    def said(self, fields: Sided) -> Tensor:
        """``[b]`` or ``[b, t]`` of all fields."""
        found: Tensor = self.ranker(fields)
        return found if self.foretells is None else self.foretells(found)


class Weights(nn.Module):
    """What each field says by itself: the last number of its vector. They add up."""

    sided = True

    def forward(self, fields: Sided) -> Tensor:
        """``[b, f, d]`` → ``[b]``."""
        return fields[:, :, -1].sum(dim=1)


class Vectors(nn.Module):
    """What something makes of the fields without their last numbers, which are `Weights`."""

    sided = True

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, fields: Sided) -> Tensor:
        """``[b, f, d]`` → ``[b]``."""
        return asked(self.inner, fields[:, :, :-1])


class Deep(nn.Module):
    """``tower( [ v_1 … v_f ] )``: layers over all fields side by side."""

    sided = True

    def __init__(self, fields: int, dim: int, widths: Sequence[int], dropout: float = 0.0) -> None:
        """Over so many fields of that dimension; ``widths`` and ``dropout`` as for `Tower`."""
        super().__init__()
        self.tower = Tower(fields * dim, widths, 1, dropout)

    def forward(self, fields: Sided) -> Tensor:
        """``[b, f, d]`` → ``[b]``."""
        found: Tensor = self.tower(fields.flatten(1)).squeeze(-1)
        return found


class Crossed(nn.Module):
    """``tower( network( [ v_1 … v_f ] ) )``: layers, or a sum with weights, over crosses of all fields."""

    sided = True

    def __init__(self, network: nn.Module, dim: int, widths: Sequence[int] = (), dropout: float = 0.0) -> None:
        """Over a network from ``[b, dim]`` to ``[b, dim]``; ``widths`` and ``dropout`` as for `Tower`."""
        super().__init__()
        self.network = network
        self.tower = Tower(dim, widths, 1, dropout)

    def forward(self, fields: Sided) -> Tensor:
        """``[b, f, d]`` → ``[b]``."""
        found: Tensor = self.tower(self.network(fields.flatten(1))).squeeze(-1)
        return found


__all__ = ["AskedFields", "Crossed", "Deep", "NewFields", "Ranker", "Scores", "Vectors", "Weights"]
