"""Powers of rows of logits that are kept as bfloat16, in place: what a softmax of rough products needs between them.

``m = max_j ( s_j·c + b_j )``,  ``s_j ← 2^( s_j·c + b_j − m )``,  ``z = Σ_j s_j``

The sum is that of the numbers as they are kept, so that the shares ``s_j / z`` add up to 1.

Bound: a power of two takes about 14 instructions for `LANES` of them; a row stays in the first cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from serendip.kernels import pool
from serendip.kernels.jit import compiled
from serendip.kernels.registers import FUSED, LANES, instructions, load, number, pointer, spread
from serendip.kernels.softmax_tile import power, rows
from serendip.types import Floats

_ROWS = 64
"""Rows that a thread takes at a time."""
_HALF, _WORD = ir.VectorType(ir.IntType(16), LANES), ir.VectorType(ir.IntType(32), LANES)
_VECTOR = ir.VectorType(ir.FloatType(), LANES)


def powers(
    logits: NDArray[np.uint16], bias: Floats, scale: float, *, threads: int | None = None
) -> tuple[Floats, Floats]:
    """``m`` and ``z``, ``[r]`` each; the logits become the powers.

    Args:
        logits: ``[r, n]`` the bits of bfloat16, C-contiguous, n a multiple of `LANES`.
        bias: b, ``[n]`` float32; -inf for what does not count, but not everywhere.
        scale: c.
        threads: see `pool.count`.
    """
    most, total = np.empty(len(logits), np.float32), np.empty(len(logits), np.float32)
    flat, n = logits.reshape(-1), logits.shape[1]

    def task(start: int, stop: int) -> None:
        _some(flat, n, bias, np.float32(scale), start, stop, most, total)

    pool.rows(task, len(logits), chunk=_ROWS, threads=threads)
    return most, total


def _word(value: int) -> Any:
    return ir.Constant(_WORD, [value] * LANES)


def _spread_whole(builder: Any, start: Any, row: Any) -> Any:
    """The row's place, and the floats of its `LANES` bfloat16."""
    where = builder.bitcast(builder.gep(start, [builder.mul(row, number(LANES))]), _HALF.as_pointer())
    bits = builder.shl(builder.zext(builder.load(where, align=2), _WORD), _word(16))
    return where, builder.bitcast(bits, _VECTOR)


def _kept(builder: Any, value: Any) -> Any:
    """The bits of floats of 0 or more, rounded to those of bfloat16, to the nearest and to even."""
    bits = builder.bitcast(value, _WORD)
    odd = builder.and_(builder.lshr(bits, _word(16)), _word(1))
    return builder.and_(builder.add(bits, builder.add(odd, _word(0x7FFF))), _word(0xFFFF0000 - (1 << 32)))


@instructions
def _highest(context: Any, values: Any, v: Any, count: Any, bias: Any, scale: Any, out: Any) -> Any:
    """``out[·] = max_r values[v + r·LANES + ·]·scale + bias[r·LANES + ·]``; count ≥ 1."""
    signature = types.void(values, types.intp, types.intp, bias, types.float32, out)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = pointer(context, builder, signature, arguments, 0)
        first = context.make_array(signature.args[3])(context, builder, arguments[3]).data
        target = context.make_array(signature.args[5])(context, builder, arguments[5]).data
        factor = spread(builder, arguments[4])

        def body(row: Any, best: list[Any]) -> list[Any]:
            _, value = _spread_whole(builder, start, row)
            more = load(builder, first, builder.mul(row, number(LANES)))
            found = builder.fadd(builder.fmul(value, factor, flags=FUSED), more, flags=FUSED)
            return [builder.select(builder.fcmp_ordered(">", found, best[0]), found, best[0])]

        (vector,) = rows(builder, arguments[2], [ir.Constant(_VECTOR, [-float("inf")] * LANES)], body)
        builder.store(vector, builder.bitcast(target, _VECTOR.as_pointer()), align=4)
        return context.get_dummy_value()

    return signature, generate


@instructions
def _raised(context: Any, values: Any, v: Any, count: Any, bias: Any, scale: Any, mark: Any, out: Any) -> Any:
    """``values ← 2^(values·scale + bias − mark)`` in the places of `_highest`; ``out[·]`` their sums; count ≥ 1."""
    signature = types.void(values, types.intp, types.intp, bias, types.float32, types.float32, out)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = pointer(context, builder, signature, arguments, 0)
        first = context.make_array(signature.args[3])(context, builder, arguments[3]).data
        target = context.make_array(signature.args[6])(context, builder, arguments[6]).data
        factor, level = spread(builder, arguments[4]), spread(builder, arguments[5])

        def body(row: Any, sums: list[Any]) -> list[Any]:
            where, value = _spread_whole(builder, start, row)
            more = load(builder, first, builder.mul(row, number(LANES)))
            found = builder.fadd(builder.fmul(value, factor, flags=FUSED), more, flags=FUSED)
            bits = _kept(builder, power(builder, builder.fsub(found, level)))
            builder.store(builder.trunc(builder.lshr(bits, _word(16)), _HALF), where, align=2)
            return [builder.fadd(sums[0], builder.bitcast(bits, _VECTOR))]

        (vector,) = rows(builder, arguments[2], [ir.Constant(_VECTOR, [0.0] * LANES)], body)
        builder.store(vector, builder.bitcast(target, _VECTOR.as_pointer()), align=4)
        return context.get_dummy_value()

    return signature, generate


@compiled
def _some(
    values: NDArray[np.uint16],
    n: int,
    bias: Floats,
    scale: np.float32,
    start: int,
    stop: int,
    most: Floats,
    total: Floats,
) -> None:
    lanes = np.empty(LANES, np.float32)
    for row in range(start, stop):
        _highest(values, row * n, n // LANES, bias, scale, lanes)
        most[row] = lanes.max()
        _raised(values, row * n, n // LANES, bias, scale, most[row], lanes)
        total[row] = lanes.sum()
