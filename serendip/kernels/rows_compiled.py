"""The loops of `rows`, compiled. Rows to come are fetched ahead, as no processor guesses where they are.

Tables are flat here: Numba counts references to every row that is taken out of a table, which takes as long as the work
on it.

Bound: as of `rows`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from serendip.kernels.jit import compiled
from serendip.kernels.registers import fetch, instructions, origin

_AHEAD = 8
"""How many rows ahead they are fetched."""
_LINE = 16
"""Floats in a cache line."""


@instructions
def _fetch(context: Any, table: Any, place: Any) -> Any:
    """Ask for the cache line of ``table[place]``."""
    signature = types.void(table, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        fetch(builder, origin(context, builder, signature, arguments, 0), arguments[1])
        return context.get_dummy_value()

    return signature, generate


@compiled
def split(keys: Any, bits: int, padding: int, order: Any, rows: Any, begins: Any, ends: Any) -> int:
    """Write what `rows.Groups` says of sorted keys, each a row and below it, in so many bits, a position.

    Returns:
        How many rows there are without ``padding``.
    """
    u, last, below = 0, -1, (1 << bits) - 1
    for at in range(len(keys)):
        row = keys[at] >> bits
        order[at] = keys[at] & below
        if row == padding:
            continue
        if row != last:
            rows[u], begins[u] = row, at
            u, last = u + 1, row
        ends[u - 1] = at + 1
    return u


@compiled
def _coming(table: Any, row: int, d: int) -> None:
    """Ask for a row that is used soon."""
    for column in range(0, d, _LINE):
        _fetch(table, row * d + column)


@compiled
def _sum(order: Any, begin: int, end: int, gradients: Any, total: Any) -> None:
    """Write the sum of the gradients at ``order[begin:end]``."""
    d = np.uint64(len(total))
    first = np.uint64(order[begin]) * d
    for column in range(d):
        total[column] = gradients[first + column]
    for at in range(begin + 1, end):
        more = np.uint64(order[at]) * d
        for column in range(d):
            total[column] += gradients[more + column]


@compiled
def merge(order: Any, begins: Any, ends: Any, gradients: Any, out: Any) -> None:
    """Write the sum of the gradients at ``order[begins[i]:ends[i]]`` into row i of ``out``; gradients are flat."""
    for at in range(len(begins)):
        _sum(order, begins[at], ends[at], gradients, out[at])


@compiled
def adagrad(
    weight: Any, squares: Any, rows: Any, order: Any, begins: Any, ends: Any, gradients: Any, d: int, rate: Any,
    eps: Any,
) -> None:  # fmt: skip
    """See `rows.adagrad`; tables and gradients are flat."""
    total = np.empty(d, np.float32)
    for at in range(len(rows)):
        if at + _AHEAD < len(rows):
            later = rows[at + _AHEAD]
            _coming(gradients, order[begins[at + _AHEAD]], d)
            _coming(squares, later, d)
            _coming(weight, later, d)
        _sum(order, begins[at], ends[at], gradients, total)
        start = np.uint64(rows[at]) * np.uint64(d)
        for column in range(np.uint64(d)):
            gradient = total[column]
            square = squares[start + column] + gradient * gradient
            squares[start + column] = square
            weight[start + column] -= rate * gradient / (np.sqrt(square) + eps)


@compiled
def adam(
    weight: Any, means: Any, squares: Any, rows: Any, order: Any, begins: Any, ends: Any, gradients: Any, d: int,
    factors: Any, scale: Any, root: Any, eps: Any,
) -> None:  # fmt: skip
    """See `rows.adam`; ``scale`` is the rate and ``root`` the root, with their corrections of the first steps."""
    total = np.empty(d, np.float32)
    keep, add, keep_square, add_square = factors
    for at in range(len(rows)):
        if at + _AHEAD < len(rows):
            later = rows[at + _AHEAD]
            _coming(gradients, order[begins[at + _AHEAD]], d)
            _coming(means, later, d)
            _coming(squares, later, d)
            _coming(weight, later, d)
        _sum(order, begins[at], ends[at], gradients, total)
        start = np.uint64(rows[at]) * np.uint64(d)
        for column in range(np.uint64(d)):
            gradient = total[column]
            mean = keep * means[start + column] + add * gradient
            square = keep_square * squares[start + column] + add_square * gradient * gradient
            means[start + column], squares[start + column] = mean, square
            weight[start + column] -= scale * mean / (root * np.sqrt(square) + eps)
