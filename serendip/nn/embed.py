"""Vectors of codes and of features.

Everywhere else a code is ``0 … n-1`` and `ABSENT` none; only here one is added to it, so that row 0 of a table is the
zero vector of whatever is not known.

Source: the dimension by the logarithm of the vocabulary, the zero vector and the tables shared by ids of one kind are
those of P. Covington, J. Adams and E. Sargin, "Deep neural networks for YouTube recommendations", RecSys 2016.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from serendip.nn.rows import gather, places
from serendip.types import Input

Pooling = Literal["mean", "sum", "sqrtn"]


def dim_of(size: int) -> int:
    """Dimensions for a vocabulary of that size: ``2 log2(size + 1)``, rounded up to a multiple of 4."""
    return 4 * max(1, math.ceil(math.log2(size + 1) / 2))


class Table(nn.Module):
    """A vector for each code ``0 … size-1``; any other, `ABSENT` first of all, has the zero vector."""

    def __init__(self, size: int, dim: int, *, sigma: float | None = None, sparse: bool = False) -> None:
        """Vectors of normal numbers of deviation ``sigma``, cut off at two of them.

        Args:
            size: how many codes there are.
            dim: of a vector.
            sigma: None: ``1/√dim``.
            sparse: keep the gradients of the touched rows only, for the optimisers of `serendip.nn.rows`.

        Raises:
            ValueError: size or dim is below 1.
        """
        super().__init__()
        if size < 1 or dim < 1:
            raise ValueError(f"A table must have 1 or more codes and dimensions. Got {size} and {dim} instead.")
        self.size, self.dim, self.sparse = size, dim, sparse
        self.weight = nn.Parameter(torch.empty(size + 1, dim))
        self.start(dim**-0.5 if sigma is None else sigma)

    @torch.no_grad()
    def start(self, sigma: float) -> None:
        """Draw all vectors anew."""
        nn.init.trunc_normal_(self.weight, std=sigma, a=-2 * sigma, b=2 * sigma)
        self.weight[0] = 0

    def forward(self, codes: Tensor) -> Tensor:
        """``[...]`` codes → ``[..., dim]``."""
        if self.sparse and self.training:
            rows = places(codes, self.size) if codes.is_cpu else self.rows(codes)
            return gather(self.weight, rows, padding=0)
        return functional.embedding(self.rows(codes), self.weight, padding_idx=0)

    def rows(self, codes: Tensor) -> Tensor:
        """Where in the weight each code's vector is."""
        return (codes.long().clamp(-1, self.size) + 1) % (self.size + 1)  # few nodes where it is exported

    def all(self) -> Tensor:
        """``[size, dim]`` the vectors of all codes."""
        return self.weight[1:]

    def extra_repr(self) -> str:
        """The size."""
        return f"{self.size}, {self.dim}"


def pooled(vectors: Tensor, present: Tensor, pooling: Pooling = "mean") -> Tensor:
    """One vector for several: their mean, their sum, or their sum over the root of their number. Of none: 0.

    Args:
        vectors: ``[..., m, d]``.
        present: ``[..., m]`` which of them count.
        pooling: how.

    Returns:
        ``[..., d]``.
    """
    weights = present.to(vectors.dtype)
    if pooling != "sum":
        count = weights.sum(dim=-1, keepdim=True).clamp(min=1)
        weights = weights / (count if pooling == "mean" else count.sqrt())
    return (vectors * weights.unsqueeze(-1)).sum(dim=-2)


def beside(parts: Sequence[Tensor]) -> Tensor:
    """Vectors side by side, as one."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=-1)


def shared_tables(inputs: Iterable[Input], dim: int | None = None, *, sparse: bool = False) -> dict[str, Table]:
    """The tables of features with codes, by name: ``Input.table``, or ``Input.name`` where it has one of its own.

    Args:
        inputs: features of any side; those that have no codes need none.
        dim: of those that state none; None: by `dim_of`.
        sparse: as for `Table`.

    Raises:
        ValueError: two features of one table differ in their dimension.
    """
    sizes: dict[str, int] = {}
    dims: dict[str, int] = {}
    for one in inputs:
        if one.size is None:
            continue
        name = table_of(one)
        sizes[name] = max(sizes.get(name, 1), one.size)
        if one.dim is not None and dims.setdefault(name, one.dim) != one.dim:
            found = f"{dims[name]} and {one.dim}"
            raise ValueError(f'Features that share the table "{name}" must have one dim. Got {found} instead.')
    return {name: Table(size, dims.get(name) or dim or dim_of(size), sparse=sparse) for name, size in sizes.items()}


def table_of(one: Input) -> str:
    """The name of the table that a feature with codes reads."""
    return one.table or one.name


class Features(nn.Module):
    """What is read of features one by one: the vectors of codes, several of them pooled, and numbers."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        """Of these features, in this order.

        Raises:
            ValueError: no features, or two of one name.
        """
        super().__init__()
        names = [one.name for one in inputs]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"Features must be 1 or more, each of another name. Got {names} instead.")
        self.inputs = tuple(inputs)
        self.tables = nn.ModuleList()
        self._table: dict[str, int] = {}

    def read(self, tables: Mapping[str, Table]) -> None:
        """Let features with codes read these tables, by the names of `table_of`.

        Raises:
            ValueError: one is missing or too small.
        """
        coded = [one for one in self.inputs if one.size is not None]
        for one in coded:
            size = tables[table_of(one)].size if table_of(one) in tables else 0
            if size < (one.size or 0):
                raise ValueError(f'The table of "{one.name}" must have {one.size} codes. Got {size} instead.')
        order = list(dict.fromkeys(map(table_of, coded)))
        self.tables = nn.ModuleList(tables[name] for name in order)
        self._table = {one.name: order.index(table_of(one)) for one in coded}

    def each(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        """A vector ``[..., d]`` of each feature.

        Args:
            features: by name: codes ``[...]`` or ``[..., width]``, numbers ``[...]`` or ``[..., width]``. A code that
                is not known adds nothing; a number that is NaN counts as 0.

        Raises:
            ValueError: a feature is missing.
        """
        self.require(features)
        return [self.vector(one, features[one.name]) for one in self.inputs]

    def require(self, features: Mapping[str, Tensor]) -> None:
        """Every feature.

        Raises:
            ValueError: one is missing.
        """
        missing = [one.name for one in self.inputs if one.name not in features]
        if missing:
            raise ValueError(f"The network reads features that must be given. Got none for {missing} instead.")

    def numbers_of(self, one: Input, values: Tensor) -> Tensor:
        """``[..., d]`` of a feature's numbers ``[..., w]``."""
        return values

    def table_for(self, one: Input) -> Table:
        """What a feature with codes reads."""
        table = self.tables[self._table[one.name]]
        assert isinstance(table, Table)
        return table

    def vector(self, one: Input, values: Tensor) -> Tensor:
        """``[..., d]`` of one feature, from what `each` takes of it."""
        if one.size is None:
            numbers = values.to(torch.get_default_dtype())
            numbers = torch.where(torch.isnan(numbers), 0.0, numbers)
            return self.numbers_of(one, numbers if one.width else numbers.unsqueeze(-1))
        table = self.table_for(one)
        vectors: Tensor = table(values)
        if one.width == 0:
            return vectors
        return pooled(vectors, (values >= 0) & (values < table.size), one.pooling)


class FeatureEmbedding(Features):
    """Features side by side as one vector: embedded codes, several of them pooled, and numbers as they are."""

    def __init__(
        self,
        inputs: Sequence[Input],
        dim: int | None = None,
        *,
        tables: Mapping[str, Table] | None = None,
        sparse: bool = False,
    ) -> None:
        """An embedding of these features, in this order.

        Args:
            inputs: what there is to read.
            dim: of a feature's vector where it states none; None: by `dim_of`.
            tables: as `shared_tables` gives them, where other parts of the network read them too; None: new ones.
            sparse: as for `Table`; for new ones.

        Raises:
            ValueError: no features, two of one name, or a given table is missing or too small.
        """
        super().__init__(inputs)
        self.read(shared_tables(inputs, dim, sparse=sparse) if tables is None else tables)
        self.dim = sum(max(one.width, 1) if one.size is None else self.table_for(one).dim for one in inputs)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """``[..., dim]``, from what `Features.each` takes."""
        return beside(self.each(features))


__all__ = [
    "FeatureEmbedding",
    "Features",
    "Pooling",
    "Table",
    "beside",
    "dim_of",
    "pooled",
    "shared_tables",
    "table_of",
]
