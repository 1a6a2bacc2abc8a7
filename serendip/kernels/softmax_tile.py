"""Pieces of a softmax in vector registers: products of tiles, the highest of a lane, and powers of two.

Lanes are queries: one row of a tile holds what `QUERIES` of them make of one candidate.

Bound: as of `registers`; a power of two takes about 14 instructions for `LANES` of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from serendip.kernels.registers import (
    FUSED,
    LANES,
    LONG,
    MANY,
    instructions,
    load,
    multiply,
    number,
    pointer,
    spread,
    store,
    zeros,
)

_VECTORS = 3
QUERIES = _VECTORS * LANES
"""Queries in a block."""
CANDIDATES = 48
"""Candidates in a chunk; the heights of the tiles divide it."""
TALL = 8 if MANY else 4
"""Height of a tile of `QUERIES` numbers."""
FLAT = 6 if MANY else 3
"""Height of a tile as wide as four vectors."""
WHOLE = max(TALL, LANES)
"""What the number of dimensions is a multiple of."""
WIDTHS = (4 * LANES, 2 * LANES, LANES)

_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_WHOLE = ir.VectorType(ir.IntType(32), LANES)
_DEGREE = 6
_FACTORS = np.polynomial.Chebyshev.interpolate(np.exp2, _DEGREE, [-0.5, 0.5]).convert(kind=np.polynomial.Polynomial)
_NEAREST = 1.5 * 2**23
"""Added to a float, it leaves no bits for fractions, and the whole number in the lowest bits."""
_LEAST = -126.0
"""Below it there is no normal number left: 0."""


def _all(value: float) -> Any:
    return ir.Constant(_VECTOR, [float(np.float32(value))] * LANES)


def power(builder: Any, x: Any) -> Any:
    """``2^x`` for x ≤ 127, to 1e-7 of it; 0 below 2⁻¹²⁶, NaN for NaN: ``2^n · 2^r``, where r is at most ½."""
    low = builder.fcmp_ordered("<", x, _all(_LEAST))
    shifted = builder.fadd(builder.select(low, _all(_LEAST), x), _all(_NEAREST))
    rest = builder.fsub(builder.select(low, _all(_LEAST), x), builder.fsub(shifted, _all(_NEAREST)))
    value = _all(_FACTORS.coef[-1])
    for factor in _FACTORS.coef[-2::-1]:
        value = builder.fadd(builder.fmul(value, rest, flags=FUSED), _all(factor), flags=FUSED)
    exponent = builder.shl(builder.bitcast(shifted, _WHOLE), ir.Constant(_WHOLE, [23] * LANES))
    power = builder.bitcast(builder.add(builder.bitcast(value, _WHOLE), exponent), _VECTOR)
    return builder.select(low, _all(0.0), power)


def rows(builder: Any, count: Any, state: list[Any], body: Any) -> list[Any]:
    """``state = body(row, state)`` for the rows ``0 … count-1`` of vectors; count ≥ 1."""
    before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    row = builder.phi(LONG)
    running = [builder.phi(_VECTOR) for _ in state]
    changed = body(row, running)
    following = builder.add(row, number(1))
    row.add_incoming(number(0), before)
    row.add_incoming(following, builder.block)
    for one, begin, end in zip(running, state, changed, strict=True):
        one.add_incoming(begin, before)
        one.add_incoming(end, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
    builder.position_at_end(after)
    return list(changed)


def _lanes(builder: Any, row: Any) -> list[Any]:
    """The offsets of a row's vectors."""
    return [builder.add(builder.mul(row, number(QUERIES)), number(LANES * at)) for at in range(_VECTORS)]


@instructions
def logits(
    context: Any, candidates: Any, c: Any, queries: Any, q: Any, bias: Any, b: Any, out: Any, o: Any, d: Any
) -> Any:
    """``out[o + r·QUERIES + ·] = bias[b + r] + Σ_t candidates[c + r·d + t] · queries[q + t·QUERIES + ·]``.

    The rows are those of a tile, r below `TALL`.
    """
    place = types.intp
    signature = types.void(candidates, place, queries, place, bias, place, out, place, place)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, right, first, target = (pointer(context, builder, signature, arguments, at) for at in range(0, 8, 2))
        d = arguments[8]
        sums = multiply(builder, zeros(TALL, _VECTORS), left, number(1), right, number(QUERIES), d, left_row=d)
        for row, line in enumerate(sums):
            more = spread(builder, builder.load(builder.gep(first, [number(row)])))
            for at, vector in enumerate(line):
                store(builder, builder.fadd(vector, more), target, number(row * QUERIES + at * LANES))
        return context.get_dummy_value()

    return signature, generate


def _adder(height: int, width: int) -> Any:
    """What adds a product to a tile of that height, as wide as that many floats."""

    @instructions
    def add(
        context: Any, left: Any, l: Any, left_step: Any, left_row: Any, right: Any, r: Any, right_step: Any,  # noqa: E741
        out: Any, o: Any, out_row: Any, steps: Any,
    ) -> Any:  # fmt: skip
        """``out[o + i·out_row + ·] += Σ_t left[l + t·left_step + i·left_row] · right[r + t·right_step + ·]``."""
        place = types.intp
        signature = types.void(left, place, place, place, right, place, place, out, place, place, place)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            one, other, target = (pointer(context, builder, signature, arguments, at) for at in (0, 4, 7))
            left_step, left_row, right_step = arguments[2], arguments[3], arguments[6]
            out_row, steps = arguments[9], arguments[10]
            places = [
                [builder.add(builder.mul(out_row, number(row)), number(at)) for at in range(0, width, LANES)]
                for row in range(height)
            ]
            sums = [[load(builder, target, place) for place in line] for line in places]
            sums = multiply(builder, sums, one, left_step, other, right_step, steps, left_row=left_row)
            for line, where in zip(sums, places, strict=True):
                for vector, place in zip(line, where, strict=True):
                    store(builder, vector, target, place)
            return context.get_dummy_value()

        return signature, generate

    return add


add_tall = _adder(TALL, QUERIES)
add_wide, add_half, add_thin = (_adder(FLAT, width) for width in WIDTHS)


@instructions
def highest(context: Any, values: Any, v: Any, count: Any, out: Any) -> Any:
    """``out[·] = max_i values[v + i·QUERIES + ·]`` over i in ``0 … count-1``; count ≥ 1."""
    signature = types.void(values, types.intp, types.intp, out)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = pointer(context, builder, signature, arguments, 0)
        target = context.make_array(signature.args[3])(context, builder, arguments[3]).data

        def body(row: Any, best: list[Any]) -> list[Any]:
            found = [load(builder, start, place) for place in _lanes(builder, row)]
            pairs = zip(found, best, strict=True)
            return [builder.select(builder.fcmp_ordered(">", one, most), one, most) for one, most in pairs]

        lowest = [ir.Constant(_VECTOR, [-float("inf")] * LANES)] * _VECTORS
        for at, vector in enumerate(rows(builder, arguments[2], lowest, body)):
            store(builder, vector, target, number(at * LANES))
        return context.get_dummy_value()

    return signature, generate


@instructions
def powers(context: Any, values: Any, v: Any, count: Any, marks: Any, m: Any, totals: Any) -> Any:
    """``values[v + i·QUERIES + ·] ← 2^(values[…] − marks[m + ·])``, i in ``0 … count-1``, added to ``totals[·]``.

    count is 1 or more, and no value is 128 or more above its mark.
    """
    signature = types.void(values, types.intp, types.intp, marks, types.intp, totals)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, first = (pointer(context, builder, signature, arguments, at) for at in (0, 3))
        target = context.make_array(signature.args[5])(context, builder, arguments[5]).data
        places = [number(at * LANES) for at in range(_VECTORS)]
        mark = [load(builder, first, place) for place in places]

        def body(row: Any, sums: list[Any]) -> list[Any]:
            added = []
            for at, place in enumerate(_lanes(builder, row)):
                raised = power(builder, builder.fsub(load(builder, start, place), mark[at]))
                store(builder, raised, start, place)
                added.append(builder.fadd(sums[at], raised))
            return added

        begin = [load(builder, target, place) for place in places]
        for place, vector in zip(places, rows(builder, arguments[2], begin, body), strict=True):
            store(builder, vector, target, place)
        return context.get_dummy_value()

    return signature, generate
