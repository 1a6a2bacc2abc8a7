"""Symmetric systems ``(I + PᵀP) x = b`` of modest size, factored and solved in blocks held in registers, compiled.

A matrix is a flat array, row by row, with ``n`` places a row: a multiple of `SIDE`, filled up with columns of 0 in P.
The identity keeps all eigenvalues at 1 or more, so that single precision will do.

Bound: ``n²·m + n³/3`` operations for P ``[m, n]``, nearly all of them in the blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from serendip.kernels.jit import compiled, summed
from serendip.kernels.registers import LANES, instructions, load, multiply, pointer, store

SIDE = max(LANES, 8)
"""Rows and columns of a block: what the registers hold."""


def _product(rows: int, *, minus: bool) -> Any:
    """An instruction: ``out[to + r·n + j] ± Σ_t left[a + t·step + r] · right[b + t·n + j]``.

    r runs over ``rows`` rows, j over `SIDE` columns, t over ``0 … steps-1``; steps ≥ 1.
    """

    def block(
        context: Any, left: Any, a: Any, right: Any, b: Any, out: Any, to: Any, step: Any, n: Any, steps: Any
    ) -> Any:
        place = types.intp
        signature = types.void(left, place, right, place, out, place, place, place, place)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            first, second, target = (pointer(context, builder, signature, arguments, at) for at in (0, 2, 4))
            step, n, steps = arguments[6:]
            places = [
                [builder.add(builder.mul(n, n.type(row)), n.type(at)) for at in range(0, SIDE, LANES)]
                for row in range(rows)
            ]
            sums = [[load(builder, target, place) for place in line] for line in places]
            sums = multiply(builder, sums, first, step, second, n, steps, minus=minus)
            for line, now in zip(places, sums, strict=True):
                for place, total in zip(line, now, strict=True):
                    store(builder, total, target, place)
            return context.get_dummy_value()

        return signature, generate

    return instructions(block)


_add_block = _product(SIDE, minus=False)
_subtract_block = _product(SIDE, minus=True)
_subtract_row = _product(1, minus=True)


# The loops below run over slices from 0 on, which spares a test for negative places and lets them be vectorised.


@compiled
def start(h: Any, n: int) -> None:
    """Set h ``[n, n]`` to the identity."""
    h[: n * n] = np.float32(0)
    for row in range(n):
        h[row * n + row] = np.float32(1)


@compiled
def add_gram(p: Any, m: int, n: int, h: Any) -> None:
    """Add ``PᵀP`` to the upper triangle of h ``[n, n]``, for P ``[m, n]``, m ≥ 1."""
    for row in range(0, n, SIDE):
        for column in range(row, n, SIDE):
            _add_block(p, row, p, column, h, row * n + column, n, n, m)


@compiled
def factor(h: Any, n: int) -> None:
    """Replace the upper triangle of h by U with ``UᵀU`` = h, but the diagonal by 1 over U's (Cholesky, by blocks)."""
    for first in range(0, n, SIDE):
        if first > 0:
            for column in range(first, n, SIDE):
                _subtract_block(h, first, h, column, h, first * n + column, n, n, first)
        for row in range(first, first + SIDE):
            if row > first:
                for column in range(first, n, SIDE):
                    place = first * n + column
                    _subtract_row(h, first * n + row, h, place, h, row * n + column, n, n, row - first)
            scale = np.float32(1) / np.sqrt(h[row * n + row])
            line = h[row * n + first : row * n + n]
            for place in range(len(line)):
                line[place] *= scale
            h[row * n + row] = scale


@compiled
def solve(u: Any, n: int, x: Any) -> None:
    """Replace x by the solution of ``UᵀU x = b``, where x holds b and u is as `factor` leaves it."""
    for first in range(0, n, SIDE):
        if first > 0:
            _subtract_row(x, 0, u, first, x, first, 1, n, first)
        for row in range(first, first + SIDE):
            line, rest = u[row * n + row : row * n + first + SIDE], x[row : first + SIDE]
            rest[0] *= line[0]
            for place in range(1, len(line)):
                rest[place] -= rest[0] * line[place]
    for row in range(n - 1, -1, -1):
        line, rest = u[row * n + row : row * n + n], x[row:n]
        rest[0] = (rest[0] - dot(line[1:], rest[1:])) * line[0]


@summed
def dot(left: Any, right: Any) -> Any:
    """``left · right``."""
    total = np.float32(0)
    for place in range(len(left)):
        total += left[place] * right[place]
    return total
