"""Chosen rows of a matrix, scaled and written as columns, compiled.

Blocks of `LANES` × `LANES` are turned round in registers: number by number it would take four times as long.

Bound: reading and writing ``4·m·d`` bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from serendip.kernels.jit import compiled
from serendip.kernels.registers import LANES, instructions, load, number, pointer, spread, store, transpose


@instructions
def _turn(
    context: Any, source: Any, s: Any, starts: Any, a: Any, scales: Any, b: Any, root: Any, r: Any,
    out: Any, to: Any, n: Any,
) -> Any:  # fmt: skip
    """``out[to + j·n + i] = source[s + starts[a + i] + j] · scales[b + i] · root[r + j]`` for i, j below `LANES`."""
    place = types.intp
    signature = types.void(source, place, starts, place, scales, place, root, place, out, place, place)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        begin, first, scale, factors, target = (
            pointer(context, builder, signature, arguments, at) for at in range(0, 10, 2)
        )
        factor = load(builder, factors, number(0))
        rows = []
        for at in range(LANES):
            offset = builder.load(builder.gep(first, [number(at)]))
            vector = builder.fmul(load(builder, begin, offset), factor)
            rows.append(builder.fmul(vector, spread(builder, builder.load(builder.gep(scale, [number(at)])))))
        for at, column in enumerate(transpose(builder, rows)):
            store(builder, column, target, builder.mul(arguments[10], number(at)))
        return context.get_dummy_value()

    return signature, generate


@compiled
def gather_columns(flat: Any, chosen: Any, scales: Any, root: Any, n: int, out: Any) -> None:
    """``out[j, i] = flat[chosen[i] + j] · scales[i] · root[j]`` with 0 in the columns beyond the chosen.

    Shapes:
        flat: finite; chosen ``[m]`` int64, the places rows begin at; scales ``[m]``; root ``[d]``, with d a multiple of
        `LANES`; out ``[d, n]``, flat, with n ≥ m a multiple of `LANES`.
    """
    d, m = len(root), len(chosen)
    starts = np.empty(LANES, np.int64)
    scale = np.empty(LANES, np.float32)
    for first in range(0, n, LANES):
        for lane in range(LANES):
            inside = first + lane < m
            starts[lane] = chosen[first + lane] if inside else 0
            scale[lane] = scales[first + lane] if inside else np.float32(0)
        for place in range(0, d, LANES):
            _turn(flat, place, starts, 0, scale, 0, root, place, out, place * n + first, n)
