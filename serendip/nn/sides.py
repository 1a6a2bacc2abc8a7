"""Fields of queries, once each, beside those of the items that each is asked about.

What is linear in the fields side by side is the sum of two shares, ``W x = W_q x_q + W_i x_i``: that of the query is
worked out once, however many items it is asked about, and added to that of each item.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class Sides:
    """``[m, f, …]`` in two parts; what is said of tensors of that shape holds of it.

    Attributes:
        query: ``[q, f_q, …]`` of the queries.
        rest: ``[m, f - f_q, …]`` of the items, and of a query and an item together.
        row: ``[m]`` which of the queries each belongs to.
        lead: how many of the rest stand before those of the query; the others stand behind.
    """

    query: Tensor
    rest: Tensor
    row: Tensor
    lead: int = 0

    @cached_property
    def whole(self) -> Tensor:
        """``[m, f, …]``."""
        lead, own = self.lead, self.spread(self.query)
        parts = [self.rest[:, :lead], own, self.rest[:, lead:]] if lead else [own, self.rest]
        return torch.cat(parts, dim=1)

    def spread(self, values: Tensor) -> Tensor:
        """``[m, …]`` of ``[q, …]``."""
        return values.index_select(0, self.row)

    def each(self, make: Callable[[Tensor], Tensor]) -> Sides:
        """What ``make`` gives for each part, of each of their fields by itself."""
        return Sides(make(self.query), make(self.rest), self.row, self.lead)

    def square(self) -> Sides:
        """Number by number."""
        return self.each(torch.square)

    def flatten(self, start: int) -> Sides:
        """``[m, f·d]`` of ``[m, f, d]``; start is 1."""
        assert start == 1
        width = self.query[0, 0].numel()
        return Sides(self.query.flatten(1), self.rest.flatten(1), self.row, self.lead * width)

    def unflatten(self, dim: int, sizes: tuple[int, ...]) -> Sides:
        """As of tensors, but for the first two axes."""
        assert dim > 1
        return self.each(lambda values: values.view(*values.shape[:dim], *sizes, *values.shape[dim + 1 :]))

    def sum(self, dim: int) -> Tensor:
        """``[m, …]`` over the fields; dim is 1."""
        assert dim == 1
        return self.spread(self.query.sum(dim=1)) + self.rest.sum(dim=1)

    def __getitem__(self, key: tuple[Any, ...]) -> Sides:
        """Of all fields a part of each: ``[:, :, …]``."""
        assert key[:2] == (slice(None), slice(None))
        return self.each(lambda values: values[key])


Sided = Tensor | Sides


def whole(x: Sided) -> Tensor:
    """As one tensor."""
    return x if isinstance(x, Tensor) else x.whole


def product(x: Sided, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x Wᵀ + b`` ``[m, h]`` with ``x`` ``[m, f]`` and ``W`` ``[h, f]``."""
    if isinstance(x, Tensor):
        return functional.linear(x, weight, bias)
    begin, end = x.lead, x.lead + x.query.shape[1]
    own, after = weight[:, begin:end], weight[:, end:]
    others = torch.cat([weight[:, :begin], after], dim=1) if begin else after
    return torch.addmm(x.spread(functional.linear(x.query, own, bias)), x.rest, others.T)


class Linear(nn.Linear):
    """``W x + b`` of vectors, or of both sides' shares of them."""

    def forward(self, x: Sided) -> Tensor:
        """``[..., f]``, or sides of ``[m, f]`` → ``[..., h]``."""
        return super().forward(x) if isinstance(x, Tensor) else product(x, self.weight, self.bias)


class Stack(nn.Sequential):
    """Layers on top of each other, of which the first takes sides."""

    sided = True


def asked(part: nn.Module, fields: Sided) -> Tensor:
    """What a part makes of fields: of sides, if it takes them (its ``sided`` is true), otherwise of the whole."""
    found: Tensor = part(fields if getattr(part, "sided", False) else whole(fields))
    return found


__all__ = ["Linear", "Sided", "Sides", "Stack", "asked", "product", "whole"]
