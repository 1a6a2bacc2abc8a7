"""One tile of a search: the products of `ROWS` queries and `WIDTH` items, which rarely leave the registers.

They are written only if one of them reaches its query's mark, so a search writes almost nothing. Equal vectors get
equal scores, wherever they stand.

Bound: ``2·d`` operations a product at the rate of multiply-adds, for which ``4·d·(ROWS + WIDTH)`` bytes a tile are
loaded from the first-level cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from serendip.kernels.registers import (
    LANES,
    LONG,
    MANY,
    instructions,
    multiply,
    number,
    pointer,
    spread,
    store,
    zeros,
)
from serendip.types import Floats

ROWS = 8 if MANY else 4
_VECTORS = 3
WIDTH = _VECTORS * LANES


def packed(vectors: Floats, width: int) -> Floats:
    """Vectors ``[m, d]`` as flat blocks ``[ceil(m/width), d, width]``, filled up with zeros."""
    m, d = vectors.shape
    blocks = -(-m // width)
    full = np.zeros((blocks * width, d), np.float32)
    full[:m] = vectors
    return np.ascontiguousarray(full.reshape(blocks, width, d).transpose(0, 2, 1)).reshape(-1)


@instructions
def tile(
    context: Any,
    queries: Any,
    q: Any,
    items: Any,
    i: Any,
    marks: Any,
    m: Any,
    sums: Any,
    s: Any,
    hits: Any,
    h: Any,
    d: Any,
) -> Any:
    """Multiply the blocks at ``queries[q:]`` and ``items[i:]``; whether any sum reaches its query's ``marks[m:]``.

    If so, ``sums[s + r·WIDTH + j]`` holds the sum of query r and item j, and bit j of ``hits[h + r]`` whether it
    reaches the mark; else both are left as they were. The blocks are as of `packed`, and d is 1 or more.
    """
    place = types.intp
    signature = types.boolean(queries, place, items, place, marks, place, sums, place, hits, place, place)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        query, item, mark, out, found_bits = (
            pointer(context, builder, signature, arguments, at) for at in range(0, 10, 2)
        )
        nothing = zeros(ROWS, _VECTORS)
        totals = multiply(builder, nothing, query, number(ROWS), item, number(WIDTH), arguments[10])
        bits = [
            reached(builder, line, spread(builder, builder.load(builder.gep(mark, [number(row)]))))
            for row, line in enumerate(totals)
        ]
        some = bits[0]
        for more in bits[1:]:
            some = builder.or_(some, more)
        found = builder.icmp_unsigned("!=", some, number(0))
        with builder.if_then(found, likely=False):
            for row, line in enumerate(totals):
                builder.store(bits[row], builder.gep(found_bits, [number(row)]))
                for at, total in enumerate(line):
                    store(builder, total, out, number(row * WIDTH + at * LANES))
        return builder.zext(found, context.get_value_type(types.boolean))

    return signature, generate


def reached(builder: Any, sums: list[Any], mark: Any) -> Any:
    """A `WIDTH`-bit number: bit j says that sum j is not less than the mark (and not NaN)."""
    bits = number(0)
    compare = builder.fcmp_ordered if isinstance(mark.type.element, ir.FloatType) else builder.icmp_signed
    for at, total in enumerate(sums):
        lanes = builder.bitcast(compare(">=", total, mark), ir.IntType(LANES))
        bits = builder.or_(bits, builder.shl(builder.zext(lanes, LONG), number(LANES * at)))
    return bits


@instructions
def lowest_bit(context: Any, bits: Any) -> Any:
    """The place of the lowest bit set; 64 where none is."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate
