"""Products with chosen rows of a matrix, read where they lie, compiled.

The matrix is flat, each row a whole number of vector registers long; a chosen row is given by the place it begins at.
Rows are taken `GROUP` at a time, so that each load of the vector serves all of them.

Bound: reading ``4·m·d`` bytes for m rows of d floats, from wherever they lie: memory at first, the cache when they
are read again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from serendip.kernels.jit import compiled
from serendip.kernels.registers import FUSED, LANES, LONG, instructions, load, number, origin, spread, store, sums_of

GROUP = min(LANES, 8)


def _fused(builder: Any, left: Any, right: Any, total: Any) -> Any:
    return builder.fadd(total, builder.fmul(left, right, flags=FUSED), flags=FUSED)


def _begins(builder: Any, source: Any, starts: Any, at: Any, count: int) -> list[Any]:
    """Where ``count`` chosen rows begin."""
    places = [builder.gep(starts, [builder.add(at, number(row))]) for row in range(count)]
    return [builder.gep(source, [builder.load(place)]) for place in places]


def _dots(count: int) -> Any:
    """An instruction: ``out[to + r] = source[starts[a + r] …] · other`` for r below ``count``."""

    def block(
        context: Any, source: Any, starts: Any, a: Any, other: Any, out: Any, to: Any, lines: Any
    ) -> Any:  # fmt: skip
        place = types.intp
        signature = types.void(source, starts, place, other, out, place, place)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            first, chosen, vector, target = (origin(context, builder, signature, arguments, at) for at in (0, 1, 3, 4))
            begins = _begins(builder, first, chosen, arguments[2], count)
            before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(loop)
            builder.position_at_end(loop)
            line = builder.phi(LONG)
            zero = ir.Constant(ir.VectorType(ir.FloatType(), LANES), [0.0] * LANES)
            running = [builder.phi(zero.type) for _ in begins]
            offset = builder.mul(line, number(LANES))
            value = load(builder, vector, offset)
            added = [
                _fused(builder, load(builder, begin, offset), value, total)
                for begin, total in zip(begins, running, strict=True)
            ]
            following = builder.add(line, number(1))
            line.add_incoming(number(0), before)
            line.add_incoming(following, loop)
            for total, now in zip(running, added, strict=True):
                total.add_incoming(zero, before)
                total.add_incoming(now, loop)
            builder.cbranch(builder.icmp_signed("<", following, arguments[6]), loop, after)
            builder.position_at_end(after)
            short = sums_of(builder, added)
            goal = builder.gep(target, [arguments[5]])
            builder.store(short, builder.bitcast(goal, short.type.as_pointer()), align=4)
            return context.get_dummy_value()

        return signature, generate

    return instructions(block)


def _add(count: int) -> Any:
    """An instruction: ``out += Σ_r factors[b + r] · source[starts[a + r] …]`` for r below ``count``."""

    def block(
        context: Any, source: Any, starts: Any, a: Any, factors: Any, b: Any, out: Any, lines: Any
    ) -> Any:  # fmt: skip
        place = types.intp
        signature = types.void(source, starts, place, factors, place, out, place)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            first, chosen, factor, target = (origin(context, builder, signature, arguments, at) for at in (0, 1, 3, 5))
            begins = _begins(builder, first, chosen, arguments[2], count)
            places = [builder.gep(factor, [builder.add(arguments[4], number(row))]) for row in range(count)]
            scales = [spread(builder, builder.load(place)) for place in places]
            before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(loop)
            builder.position_at_end(loop)
            line = builder.phi(LONG)
            offset = builder.mul(line, number(LANES))
            total = load(builder, target, offset)
            for begin, scale in zip(begins, scales, strict=True):
                total = _fused(builder, scale, load(builder, begin, offset), total)
            store(builder, total, target, offset)
            following = builder.add(line, number(1))
            line.add_incoming(number(0), before)
            line.add_incoming(following, loop)
            builder.cbranch(builder.icmp_signed("<", following, arguments[6]), loop, after)
            builder.position_at_end(after)
            return context.get_dummy_value()

        return signature, generate

    return instructions(block)


_dots_of_group, _dots_of_one = _dots(GROUP), _dots(1)
_add_group, _add_one = _add(GROUP), _add(1)


@compiled
def project(flat: Any, starts: Any, vector: Any, out: Any) -> None:
    """``out[r] = row r · vector``, for as many floats as the vector has: a multiple of `LANES`, at least one."""
    lines, whole = len(vector) // LANES, len(starts) - len(starts) % GROUP
    for at in range(0, whole, GROUP):
        _dots_of_group(flat, starts, at, vector, out, at, lines)
    for at in range(whole, len(starts)):
        _dots_of_one(flat, starts, at, vector, out, at, lines)


@compiled
def combine(flat: Any, starts: Any, factors: Any, out: Any) -> None:
    """``out += Σ_r factors[r] · row r``, for as many floats as ``out`` has: a multiple of `LANES`, at least one."""
    lines, whole = len(out) // LANES, len(starts) - len(starts) % GROUP
    for at in range(0, whole, GROUP):
        _add_group(flat, starts, at, factors, at, out, lines)
    for at in range(whole, len(starts)):
        _add_one(flat, starts, at, factors, at, out, lines)


@compiled
def add_weighted_gram(flat: Any, starts: Any, weights: Any, vector: Any, part: Any, out: Any) -> None:
    """``out += Σ_r weights[r] · (row r · vector) · row r``; a group of rows stays in the cache for both its uses.

    ``part`` holds `GROUP` floats of work.
    """
    lines, whole = len(vector) // LANES, len(starts) - len(starts) % GROUP
    for at in range(0, whole, GROUP):
        _dots_of_group(flat, starts, at, vector, part, 0, lines)
        for row in range(GROUP):
            part[row] *= weights[at + row]
        _add_group(flat, starts, at, part, 0, out, lines)
    for at in range(whole, len(starts)):
        _dots_of_one(flat, starts, at, vector, part, 0, lines)
        part[0] *= np.float32(weights[at])
        _add_one(flat, starts, at, part, 0, out, lines)
