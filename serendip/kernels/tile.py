"""One tile of a matrix product in registers: `ROWS` queries by `WIDTH` items.

The sums never leave the registers unless one of them reaches its query's mark, so a search writes almost nothing.
Every sum runs over the dimensions in order, whatever tile and place the pair falls in: equal vectors get equal scores,
and the result depends neither on the order of the items nor on the number of threads.

Numba cannot keep an array in registers, hence the instructions written out here. The shape is the largest that the
vector registers hold; the layout of both sides is that of `packed`.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from serendip.types import Floats

_FEATURES = llvmlite.binding.get_host_cpu_features()
LANES = 16 if _FEATURES.get("avx512f") else 8 if _FEATURES.get("avx2") else 4
ROWS = 4 if LANES == 8 else 8  # of 16 registers or of 32
_VECTORS = 3
WIDTH = _VECTORS * LANES

_instructions: Any = intrinsic  # typed as what compiled code calls: without the context
_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_INT = ir.IntType(32)
_LONG = ir.IntType(64)
_FUSED = ("contract",)  # multiply and add in one instruction where there is one


def packed(vectors: Floats, width: int) -> Floats:
    """Vectors ``[m, d]`` as flat blocks ``[ceil(m/width), d, width]``, filled up with zeros."""
    m, d = vectors.shape
    blocks = -(-m // width)
    full = np.zeros((blocks * width, d), np.float32)
    full[:m] = vectors
    return np.ascontiguousarray(full.reshape(blocks, width, d).transpose(0, 2, 1)).reshape(-1)


def _number(value: int) -> Any:
    return ir.Constant(_LONG, value)


def _spread(builder: Any, value: Any) -> Any:
    """A vector with the value in every lane."""
    none = ir.Constant(_VECTOR, ir.Undefined)
    one = builder.insert_element(none, value, ir.Constant(_INT, 0))
    return builder.shuffle_vector(one, none, ir.Constant(ir.VectorType(_INT, LANES), [0] * LANES))


def _vector_at(builder: Any, start: Any, offset: Any) -> Any:
    return builder.bitcast(builder.gep(start, [offset]), _VECTOR.as_pointer())


def _products(builder: Any, queries: Any, items: Any, d: Any) -> list[list[Any]]:
    """The sums over d ≥ 1 dimensions, ``[ROWS][_VECTORS]`` registers."""
    before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    step = builder.phi(_LONG)
    step.add_incoming(_number(0), before)
    sums = [[builder.phi(_VECTOR) for _ in range(_VECTORS)] for _ in range(ROWS)]
    row, column = builder.mul(step, _number(ROWS)), builder.mul(step, _number(WIDTH))
    values = [
        builder.load(_vector_at(builder, items, builder.add(column, _number(LANES * at))), align=4)
        for at in range(_VECTORS)
    ]
    added = []
    for at, line in enumerate(sums):
        query = _spread(builder, builder.load(builder.gep(queries, [builder.add(row, _number(at))])))
        terms = [builder.fmul(query, value, flags=_FUSED) for value in values]
        added.append([builder.fadd(total, term, flags=_FUSED) for total, term in zip(line, terms, strict=True)])
    following = builder.add(step, _number(1))
    step.add_incoming(following, loop)
    for line, sums_now in zip(sums, added, strict=True):
        for total, now in zip(line, sums_now, strict=True):
            total.add_incoming(ir.Constant(_VECTOR, [0.0] * LANES), before)
            total.add_incoming(now, loop)
    builder.cbranch(builder.icmp_signed("<", following, d), loop, after)
    builder.position_at_end(after)
    return added


def _reached(builder: Any, sums: list[Any], mark: Any) -> Any:
    """A `WIDTH`-bit number: bit j says that sum j is not less than the mark (and not NaN)."""
    bits = _number(0)
    for at, total in enumerate(sums):
        lanes = builder.bitcast(builder.fcmp_ordered(">=", total, mark), ir.IntType(LANES))
        bits = builder.or_(bits, builder.shl(builder.zext(lanes, _LONG), _number(LANES * at)))
    return bits


@_instructions
def tile(
    context: Any, queries: Any, q: Any, items: Any, i: Any, d: Any, marks: Any, m: Any, sums: Any, hits: Any
) -> Any:
    """Multiply the blocks at ``queries[q:]`` and ``items[i:]``; whether any sum reaches its query's ``marks[m:]``.

    If so, ``sums[r·WIDTH + j]`` holds the sum of query r and item j, and bit j of ``hits[r]`` whether it reaches the
    mark; else both are left as they were.
    """
    signature = types.boolean(queries, types.intp, items, types.intp, types.intp, marks, types.intp, sums, hits)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def data(at: int) -> Any:
            return context.make_array(signature.args[at])(context, builder, arguments[at]).data

        query, item = builder.gep(data(0), [arguments[1]]), builder.gep(data(2), [arguments[3]])
        mark, out, bits_out = builder.gep(data(5), [arguments[6]]), data(7), data(8)
        totals = _products(builder, query, item, arguments[4])
        bits = [
            _reached(builder, line, _spread(builder, builder.load(builder.gep(mark, [_number(row)]))))
            for row, line in enumerate(totals)
        ]
        some = bits[0]
        for more in bits[1:]:
            some = builder.or_(some, more)
        found = builder.icmp_unsigned("!=", some, _number(0))
        with builder.if_then(found, likely=False):
            for row, line in enumerate(totals):
                builder.store(bits[row], builder.gep(bits_out, [_number(row)]))
                for at, total in enumerate(line):
                    place = _number(row * WIDTH + at * LANES)
                    builder.store(total, _vector_at(builder, out, place), align=4)
        return builder.zext(found, context.get_value_type(types.boolean))

    return signature, generate


@_instructions
def lowest_bit(context: Any, bits: Any) -> Any:
    """The place of the lowest bit set in a number that is not 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate
