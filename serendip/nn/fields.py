"""Fields: what is known of a query or an item as vectors that are all alike wide, so that any two can interact.

A field of codes has the vector of its code, or the mean, sum, or sum over the root of their number where there are
several; one of numbers x ``[w]`` has ``W x``. What is not known has the zero vector.

Source: the embedding of numbers by a vector of their own is that of W. Song et al., "AutoInt: Automatic feature
interaction learning via self-attentive neural networks", CIKM 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serendip.nn.dropout import IdDropout
from serendip.nn.embed import Features, Table, table_of
from serendip.nn.joined import Asked, Part
from serendip.types import ABSENT, Input

SIGMA = 0.01
"""Deviation of the vectors to begin with: interactions of larger ones drown what fields say by themselves."""


class Fields(Features):
    """A vector for each feature."""

    def __init__(
        self,
        inputs: Sequence[Input],
        dim: int,
        *,
        tables: Mapping[str, Table] | None = None,
        sigma: float = SIGMA,
        sparse: bool = False,
    ) -> None:
        """Fields.

        Args:
            inputs: features, one or more, each of another name.
            dim: of each vector, whatever dimensions the features ask for by themselves.
            tables: of the features with codes, by name, where others read them too; None: their own.
            sigma: deviation of the vectors to begin with.
            sparse: as for `Table`.

        Raises:
            ValueError: no features, two of one name, or a given table is missing or too small.
        """
        super().__init__(inputs)
        self.dim = dim
        self.read(field_tables(inputs, dim, sigma=sigma, sparse=sparse) if tables is None else tables)
        numbers = [one for one in inputs if one.size is None]
        self.numbers = nn.ModuleList(nn.Linear(max(one.width, 1), dim, bias=False) for one in numbers)
        self._number = {one.name: place for place, one in enumerate(numbers)}
        for layer in self.numbers:
            nn.init.normal_(layer.weight, std=sigma)  # type: ignore[arg-type]

    def __len__(self) -> int:
        """How many fields."""
        return len(self.inputs)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """``[..., f, dim]``, from what `Features.each` takes."""
        return torch.stack(self.each(features), dim=-2)

    def parts(self, features: Mapping[str, Tensor]) -> list[Part]:
        """The fields one by one, from what `Features.each` takes: ``[b, …]`` by name."""
        self.require(features)
        return [self._part(one, features[one.name]) for one in self.inputs]

    def _part(self, one: Input, values: Tensor) -> Part:
        if one.size is None or one.width:
            return self.vector(one, values).unsqueeze(-2)
        return Asked(self.table_for(one), values)

    def numbers_of(self, one: Input, values: Tensor) -> Tensor:
        """``W x``."""
        found: Tensor = self.numbers[self._number[one.name]](values)
        return found


def field_tables(inputs: Sequence[Input], dim: int, *, sigma: float = SIGMA, sparse: bool = False) -> dict[str, Table]:
    """The tables of features with codes by name, all of one dimension."""
    sizes: dict[str, int] = {}
    for one in inputs:
        if one.size is not None:
            sizes[table_of(one)] = max(sizes.get(table_of(one), 1), one.size)
    return {name: Table(size, dim, sigma=sigma, sparse=sparse) for name, size in sizes.items()}


class ItemFields(nn.Module):
    """The fields of the items of a vocabulary: the item itself, its features, or both."""

    def __init__(
        self,
        size: int,
        dim: int,
        *,
        ids: bool = True,
        inputs: Sequence[Input] = (),
        values: Mapping[str, NDArray[Any]] | None = None,
        id_dropout: float = 0.0,
        sigma: float = SIGMA,
        sparse: bool = False,
    ) -> None:
        """Items ``0 … size-1``.

        Args:
            size: how many there are.
            dim: of each vector.
            ids: whether the item itself is a field, the first.
            inputs: features.
            values: of the features, ``[size, …]`` by name.
            id_dropout: the share of ids left out in training.
            sigma: deviation of the vectors to begin with.
            sparse: as for `Table`.

        Raises:
            ValueError: neither ids nor features, or values of another number of items.
        """
        super().__init__()
        if not (ids or inputs):
            raise ValueError("Items must have ids or features to learn from. Got neither instead.")
        self.size, self.dim = size, dim
        self.ids = Table(size, dim, sigma=sigma, sparse=sparse) if ids else None
        self.per_item = ("ids.weight",) if ids else ()
        self.id_dropout = IdDropout(id_dropout)
        self.features = Fields(inputs, dim, sigma=sigma, sparse=sparse) if inputs else None
        self._names: dict[str, str] = {}
        for place, one in enumerate(inputs):
            found = (values or {}).get(one.name)
            if found is None or len(found) != size:
                count = "none" if found is None else f"{len(found)}"
                raise ValueError(f'"{one.name}" must have a value for each of {size} items. Got {count} instead.')
            kind: type[np.generic] = np.float32 if one.size is None else np.int32
            self._names[one.name] = f"feature_{place}"
            self.register_buffer(f"feature_{place}", torch.from_numpy(np.array(found, kind)), persistent=False)

    def __len__(self) -> int:
        """How many fields."""
        return (self.ids is not None) + (0 if self.features is None else len(self.features))

    def forward(self, codes: Tensor) -> Tensor:
        """``[...]`` codes → ``[..., f, dim]``, zeros where there is no such item."""
        known = (codes >= 0) & (codes < self.size)
        rows = codes.long() * known
        features = {name: self.get_buffer(buffer)[rows] for name, buffer in self._names.items()}
        return self.vectors(torch.where(known, rows, ABSENT), features) * known[..., None, None]

    def parts(self, codes: Tensor) -> list[Part]:
        """The fields one by one of ``[b]`` codes."""
        known = (codes >= 0) & (codes < self.size)
        rows = codes.long() * known
        found: list[Part] = []
        if self.ids is not None:
            found.append(Asked(self.ids, self.id_dropout(torch.where(known, rows, ABSENT))))
        if self.features is not None:
            features = {name: self.get_buffer(buffer)[rows] for name, buffer in self._names.items()}
            for values in features.values():
                values[~known] = ABSENT if not values.is_floating_point() else torch.nan
            found += self.features.parts(features)
        return found

    def vectors(self, codes: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """``[..., f, dim]`` of items with these features, new ones (`ABSENT`) included.

        Args:
            codes: ``[...]``; without ids only the shape counts.
            features: ``[..., …]`` by name.
        """
        parts = [] if self.ids is None else [self.ids(self.id_dropout(codes)).unsqueeze(-2)]
        if self.features is not None:
            parts.append(self.features(features))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-2)


__all__ = ["SIGMA", "Fields", "ItemFields", "field_tables"]
