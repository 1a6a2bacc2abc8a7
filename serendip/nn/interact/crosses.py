"""Cross layers with matrices as one node of the graph that gradients go back through, for training on the processor.

``x_{l+1} = x_0 ⊙ y_l + x_l`` with ``y_l = U_l V_lᵀ x_l + b_l + s x_l``; without V, U is the whole matrix.

Rows are taken a part at a time through all layers, there and back. Where products are of bfloat16, x is not.

Bound: the three products of a matrix, ``6·d²`` operations a row, or ``12·d·r`` where its rank is r.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from serendip.nn.layers import add_product, as_they_are, most, multiplied, parts, weigh
from serendip.nn.spare import Lent


class Matrix(NamedTuple):
    """The weights of a layer: ``down`` ``[r, d]`` or None, ``up`` ``[d, r]`` or ``[d, d]``, and ``bias`` ``[d]``."""

    down: Tensor | None
    up: Tensor
    bias: Tensor


def crosses(x: Tensor, matrices: Sequence[Matrix], scales: Sequence[float]) -> Tensor:
    """``[m, d]`` of ``[m, d]``, on the processor; ``scales`` are s of each layer."""
    every = [one for matrix in matrices for one in matrix]
    found: Tensor = _Crosses.apply(x, tuple(scales), multiplied(x), *every)  # type: ignore[no-untyped-call]
    return found


def _as(kind: torch.dtype, every: Sequence[Any]) -> list[Matrix]:
    found: list[Any] = [None if one is None else one.to(kind) for one in every]
    return [Matrix(*found[at : at + 3]) for at in range(0, len(found), 3)]


def _sums(matrix: Matrix, kind: torch.dtype) -> Matrix:
    """What gradients are added to."""
    down, up, bias = (None if one is None else torch.zeros(one.shape, dtype=kind) for one in matrix)
    assert up is not None and bias is not None
    return Matrix(down, up, bias)


class _Crosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scales: tuple[float, ...], kind: torch.dtype, *every: Any) -> Tensor:
        matrices, lent, (m, d) = _as(kind, every), Lent(), x.shape
        given = [lent.take(m, d, kind=x.dtype) for _ in matrices[1:]]  # what each layer but the last gives
        factors = [lent.take(m, d, kind=x.dtype) for _ in matrices]  # y
        narrow: list[Any] = [None if one.down is None else lent.take(m, len(one.down), kind=kind) for one in matrices]
        found = torch.empty_like(x, memory_format=torch.contiguous_format)
        with as_they_are():
            for part in parts(m, most(m, d, x.dtype)):
                below = x[part]
                for at, (down, up, bias) in enumerate(matrices):
                    inside, y = below.to(kind), factors[at][part]
                    if down is not None:
                        inside = torch.mm(inside, down.t(), out=narrow[at][part])
                    if kind == x.dtype:
                        torch.addmm(bias, inside, up.t(), out=y)
                    else:
                        y.copy_(torch.addmm(bias, inside, up.t()))
                    if scales[at]:
                        y.add_(below, alpha=scales[at])
                    out = given[at] if at < len(given) else found
                    below = torch.addcmul(below, x[part], y, out=out[part])
        ctx.save_for_backward(x)
        ctx.lent, ctx.given, ctx.factors, ctx.narrow, ctx.matrices = lent, given, factors, narrow, matrices
        ctx.scales, ctx.learned = scales, every[1].dtype
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x,), (gradient,), matrices = ctx.saved_tensors, gradients, ctx.matrices
        if ctx.factors is None:
            raise RuntimeError("Gradients go back through these layers once. Got a second time instead.")
        sums = [_sums(one, ctx.learned) for one in matrices]
        m, d = x.shape
        size, found = most(m, d, x.dtype), torch.empty_like(x)
        rooms = [ctx.lent.take(size, d, kind=x.dtype) for _ in range(2)]
        with as_they_are():
            for part in parts(m, size):
                over, turned = (room[: part.stop - part.start] for room in rooms)
                over.copy_(gradient[part])
                whole = found[part].zero_()
                for at in reversed(range(len(matrices))):
                    below = ctx.given[at - 1][part] if at else x[part]
                    inside = None if ctx.narrow[at] is None else ctx.narrow[at][part]
                    whole.addcmul_(over, ctx.factors[at][part])
                    _down(torch.mul(over, x[part], out=turned), below, inside, matrices[at], sums[at], over)
                    if ctx.scales[at]:
                        over.add_(turned, alpha=ctx.scales[at])
                whole.add_(over)
        ctx.lent.back()
        ctx.factors = None
        return (found, None, None, *(one for some in sums for one in some))


def _down(y: Tensor, below: Tensor, inside: Tensor | None, matrix: Matrix, sums: Matrix, over: Tensor) -> None:
    """From the gradient of y: add those of a layer's weights to ``sums``, and that of what was below to ``over``."""
    kind = matrix.up.dtype
    turned, read = y.to(kind), below.to(kind)
    weigh(sums.up, sums.bias, turned, read if inside is None else inside)
    if matrix.down is None or sums.down is None:
        add_product(over, turned, matrix.up)
        return
    turned = turned @ matrix.up
    add_product(sums.down, turned.t(), read)
    add_product(over, turned, matrix.down)


__all__ = ["Matrix", "crosses"]
