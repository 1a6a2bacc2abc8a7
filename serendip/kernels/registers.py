"""Blocks of a matrix product kept in vector registers, as instructions for Numba's compiler.

Numba keeps no array in registers, which costs a product two thirds of its speed; hence the instructions written out
here. Each sum runs over the steps in order, with multiply and add in one instruction where the processor has it, so
that a sum does not depend on the block and place it falls in.

Bound: an instruction for `LANES` multiply-adds, as many a cycle as the processor has units for them; what is loaded
serves a whole block, so that loads do not count.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

_FEATURES = llvmlite.binding.get_host_cpu_features()
LANES = 16 if _FEATURES.get("avx512f") else 8 if _FEATURES.get("avx2") else 4
MANY = LANES != 8
"""Whether there are 32 vector registers rather than 16."""

instructions: Any = intrinsic
"""Numba's decorator, typed as what compiled code calls: without the context."""

LONG = ir.IntType(64)
_INT = ir.IntType(32)
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
FUSED = ("contract",)
"""What lets a multiplication and an addition become one instruction."""

Sums = list[list[Any]]


def number(value: int) -> Any:
    """A 64-bit constant."""
    return ir.Constant(LONG, value)


def spread(builder: Any, value: Any) -> Any:
    """A vector with the value in every lane."""
    none = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    one = builder.insert_element(none, value, ir.Constant(_INT, 0))
    return builder.shuffle_vector(one, none, ir.Constant(ir.VectorType(_INT, LANES), [0] * LANES))


def load(builder: Any, start: Any, offset: Any) -> Any:
    """The vector that begins ``offset`` floats after ``start``."""
    return builder.load(_at(builder, start, offset), align=4)


def store(builder: Any, vector: Any, start: Any, offset: Any) -> None:
    """Put a vector where `load` would find it."""
    builder.store(vector, _at(builder, start, offset), align=4)


def _at(builder: Any, start: Any, offset: Any) -> Any:
    return builder.bitcast(builder.gep(start, [offset]), _VECTOR.as_pointer())


def fetch(builder: Any, start: Any, offset: Any) -> None:
    """Ask for the cache line that lies ``offset`` floats after ``start``."""
    byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
    function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
    where = builder.bitcast(builder.gep(start, [offset]), byte)
    builder.call(function, [where, *(ir.Constant(flag, value) for value in (0, 3, 1))])


def zeros(rows: int, vectors: int) -> Sums:
    """Sums that are 0."""
    return [[ir.Constant(_VECTOR, [0.0] * LANES) for _ in range(vectors)] for _ in range(rows)]


def multiply(
    builder: Any,
    sums: Sums,
    left: Any,
    left_step: Any,
    right: Any,
    right_step: Any,
    steps: Any,
    *,
    left_row: Any = None,
    minus: bool = False,
) -> Sums:
    """``sums[r][·] ± Σ_t left[t·left_step + r·left_row] · right[t·right_step + ·]`` over t in ``0 … steps-1``.

    steps is 1 or more, and ``left_row`` 1 unless given.
    """
    places = [number(at) if left_row is None else builder.mul(left_row, number(at)) for at in range(len(sums))]
    before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    step = builder.phi(LONG)
    running = [[builder.phi(_VECTOR) for _ in line] for line in sums]
    row, column = builder.mul(step, left_step), builder.mul(step, right_step)
    values = [load(builder, right, builder.add(column, number(LANES * at))) for at in range(len(sums[0]))]
    combine = builder.fsub if minus else builder.fadd
    added = []
    for at, line in enumerate(running):
        factor = spread(builder, builder.load(builder.gep(left, [builder.add(row, places[at])])))
        terms = [builder.fmul(factor, value, flags=FUSED) for value in values]
        added.append([combine(total, term, flags=FUSED) for total, term in zip(line, terms, strict=True)])
    following = builder.add(step, number(1))
    step.add_incoming(number(0), before)
    step.add_incoming(following, loop)
    for line, first, now in zip(running, sums, added, strict=True):
        for total, begin, end in zip(line, first, now, strict=True):
            total.add_incoming(begin, before)
            total.add_incoming(end, loop)
    builder.cbranch(builder.icmp_signed("<", following, steps), loop, after)
    builder.position_at_end(after)
    return added


def multiply_bytes(builder: Any, first: Any, left: Any, rows: int, right: Any, width: int, steps: Any) -> Sums:
    """32-bit ``first[·] + Σ_t Σ_c left[t, r, c] · right[t, ·, c]`` over t in ``0 … steps-1`` and c below 4; steps ≥ 1.

    Bytes of ``left`` ``[steps, rows, 4]`` have no sign, those of ``right`` ``[steps, width, 4]`` have one. For
    processors with AVX-512 VNNI.
    """
    whole = ir.VectorType(_INT, LANES)
    kind = ir.FunctionType(whole, [whole] * 3)
    fused = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpdpbusd.512")

    def read(start: Any, offset: Any) -> Any:
        return builder.load(builder.bitcast(builder.gep(start, [offset]), whole.as_pointer()), align=4)

    begin = [read(first, number(LANES * at)) for at in range(width // LANES)]
    before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    step = builder.phi(LONG)
    running = [[builder.phi(whole) for _ in begin] for _ in range(rows)]
    row, column = builder.mul(step, number(4 * rows)), builder.mul(step, number(4 * width))
    values = [read(right, builder.add(column, number(4 * LANES * at))) for at in range(len(begin))]
    added = []
    for at, line in enumerate(running):
        place = builder.gep(left, [builder.add(row, number(4 * at))])
        four = spread(builder, builder.load(builder.bitcast(place, _INT.as_pointer()), align=4))
        added.append([builder.call(fused, [total, four, value]) for total, value in zip(line, values, strict=True)])
    following = builder.add(step, number(1))
    step.add_incoming(number(0), before)
    step.add_incoming(following, loop)
    for line, now in zip(running, added, strict=True):
        for total, start, end in zip(line, begin, now, strict=True):
            total.add_incoming(start, before)
            total.add_incoming(end, loop)
    builder.cbranch(builder.icmp_signed("<", following, steps), loop, after)
    builder.position_at_end(after)
    return added


def transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """`LANES` vectors turned round: lane j of vector i becomes lane i of vector j.

    Zipping the first half of the vectors with the second, low and high lanes apart, log2(`LANES`) times, does it.
    """
    half = LANES // 2
    zipped = [[side * half + at // 2 + at % 2 * LANES for at in range(LANES)] for side in range(2)]
    masks = [ir.Constant(ir.VectorType(_INT, LANES), lanes) for lanes in zipped]
    for _ in range(LANES.bit_length() - 1):
        pairs = zip(rows[:half], rows[half:], strict=True)
        rows = [builder.shuffle_vector(one, other, mask) for one, other in pairs for mask in masks]
    return rows


def sums_of(builder: Any, vectors: list[Any]) -> Any:
    """The sum of the lanes of each vector, in one short vector; as many as a power of 2 up to `LANES`.

    Neighbouring lanes are added, of two vectors at a time while there are two.
    """
    count = len(vectors)
    even, odd = (ir.Constant(ir.VectorType(_INT, LANES), list(range(side, 2 * LANES, 2))) for side in range(2))
    for _ in range(LANES.bit_length() - 1):
        pairs = list(zip(vectors[::2], vectors[1::2], strict=True)) if len(vectors) > 1 else [(vectors[0], vectors[0])]
        vectors = [
            builder.fadd(builder.shuffle_vector(one, other, even), builder.shuffle_vector(one, other, odd))
            for one, other in pairs
        ]
    first = ir.Constant(ir.VectorType(_INT, count), list(range(count)))
    return builder.shuffle_vector(vectors[0], vectors[0], first)


def origin(context: Any, builder: Any, signature: Any, arguments: Any, at: int) -> Any:
    """Where an intrinsic's array argument begins."""
    return context.make_array(signature.args[at])(context, builder, arguments[at]).data


def pointer(context: Any, builder: Any, signature: Any, arguments: Any, at: int) -> Any:
    """Where an intrinsic's array argument begins, moved on by the argument after it."""
    return builder.gep(origin(context, builder, signature, arguments, at), [arguments[at + 1]])
