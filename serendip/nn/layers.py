"""Layers on top of each other as one node of the graph that gradients go back through, for training on the processor.

``h_l = k_l ⊙ max( 0, W_l h_{l-1} + b_l )``, with what dropout keeps, k, if there is any; the last layer is a plain
product with a bias unless it is hidden, too.

Rows are taken a part at a time through all layers, there and back, so that what a layer gives is still in the cache
when the next one asks for it. Where products are of bfloat16, so is what is kept of hidden layers; the gradients of
weights are added up in float32.

Bound: the three products of a layer, ``6·k·n`` operations a row for one of n numbers over k.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from serendip.nn.spare import Lent

_PART = 1 << 20
"""Bytes of the widest array of a part, for each thread."""
_LEAST = 128
"""Rows of a part at least."""


def layers(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], kept: Sequence[Tensor] = (), *, projected: bool
) -> Tensor:
    """``[m, n_L]`` of ``[m, n_0]``.

    Args:
        x: on the processor.
        weights: ``[n_l, n_{l-1}]`` each.
        biases: ``[n_l]`` each.
        kept: what the numbers of each hidden layer are multiplied with, ``[m, n_l]``; none: 1.
        projected: whether the last layer is not hidden.
    """
    pairs = [one for pair in zip(weights, biases, strict=True) for one in pair]
    found: Tensor = _Layers.apply(x, tuple(kept), projected, multiplied(x), *pairs)  # type: ignore[no-untyped-call]
    return found


def multiplied(x: Tensor) -> torch.dtype:
    """The type of numbers in which products with x are to be worked out."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def as_they_are() -> AbstractContextManager[Any]:
    """No mixed precision but what is asked for within."""
    return torch.autocast("cpu", enabled=False)


def most(rows: int, width: int, kind: torch.dtype) -> int:
    """How many of the rows a part has, where the widest array has so many numbers a row."""
    return min(rows, max(_LEAST, _PART * torch.get_num_threads() // (width * kind.itemsize)))


def parts(rows: int, size: int) -> Iterator[slice]:
    """The rows, so many at a time."""
    return (slice(start, min(start + size, rows)) for start in range(0, rows, max(1, size)))


def product(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """``left · right`` in ``out``, which may be of another type."""
    return torch.mm(left, right, out=out) if out.dtype == left.dtype else out.copy_(left @ right)


def add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add ``left · right`` to a matrix, which may be of another type."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)


def weigh(matrix: Tensor, bias: Tensor, down: Tensor, below: Tensor) -> None:
    """Add to the gradients of a matrix and a bias those of a part: ``downᵀ below`` and the sum of ``down``."""
    add_product(matrix, down.t(), below)
    bias.add_(down.sum(dim=0))


def _through(down: Tensor, given: Tensor, kept: Tensor | None) -> Tensor:
    """The gradient before a hidden layer's ``max`` and dropout, in place, from what the layer gave."""
    torch.ops.aten.threshold_backward.grad_input(down, given, 0, grad_input=down)
    return down if kept is None else down.mul_(kept)


class _Layers(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kept: tuple[Tensor, ...], projected: bool, kind: torch.dtype, *pairs: Tensor
    ) -> Tensor:
        lent, m = Lent(), len(x)
        weights, biases = ([one.to(kind) for one in pairs[side::2]] for side in range(2))
        hidden = len(weights) - projected
        given = [lent.take(m, len(weight), kind=kind) for weight in weights[:-1]]
        given.append(torch.empty(m, len(weights[-1]), dtype=kind))
        with as_they_are():
            for part in parts(m, most(m, max(map(len, weights)), kind)):
                y = x[part].to(kind)
                for at, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                    y = torch.addmm(bias, y, weight.t(), out=given[at][part])
                    if at < hidden:
                        y.relu_()
                        if kept:
                            y.mul_(kept[at][part])
        ctx.save_for_backward(x, given[-1])
        ctx.lent, ctx.given, ctx.weights, ctx.kept, ctx.hidden = lent, given[:-1], weights, kept, hidden
        ctx.learned = pairs[0].dtype
        return given[-1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x, last), weights, (gradient,) = ctx.saved_tensors, ctx.weights, gradients
        if ctx.given is None:
            raise RuntimeError("Gradients go back through these layers once. Got a second time instead.")
        kind, given, n, m = weights[0].dtype, ctx.given, len(weights), len(x)
        sums = [
            (torch.zeros_like(one, dtype=ctx.learned), one.new_zeros(len(one), dtype=ctx.learned)) for one in weights
        ]
        found = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        size = most(m, max(map(len, weights)), kind)
        rooms = [ctx.lent.take(size * max(map(len, weights)), kind=kind) for _ in range(2)]
        with as_they_are():
            for part in parts(m, size):
                down = gradient[part].to(kind)
                if ctx.hidden == n:
                    down = _through(down.clone(), last[part], ctx.kept[-1][part] if ctx.kept else None)
                for at in range(n - 1, 0, -1):
                    below = given[at - 1][part]
                    weigh(*sums[at], down, below)
                    room = rooms[at % 2][: below.numel()].view(below.shape)
                    down = torch.mm(down, weights[at], out=room)
                    _through(down, below, ctx.kept[at - 1][part] if ctx.kept else None)
                weigh(*sums[0], down, x[part].to(kind))
                if found is not None:
                    product(down, weights[0], found[part])
        ctx.lent.back()
        ctx.given = None
        return (found, None, None, None, *(one for pair in sums for one in pair))


__all__ = ["add_product", "as_they_are", "layers", "most", "multiplied", "parts", "product", "weigh"]
