"""A sparse matrix times a dense one, compiled: one step of what spreads along the edges of a graph.

The sums of some columns of a row stay in registers until the row is done; rows of the dense matrix to come are fetched
ahead, as no processor guesses where they are.

Bound: one gather of ``4·d`` bytes an entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.jit import compiled
from serendip.kernels.registers import FUSED, LANES, LONG, fetch, instructions, load, number, origin, spread, store
from serendip.types import Floats

_CHUNKS = 64  # enough for even work, few enough that dealing them out does not count
_AHEAD = 12
"""How many entries ahead vectors are fetched."""
_LINE = 16
"""Floats in a cache line."""


def product(
    matrix: csr_array,
    dense: Floats,
    *,
    plus: Floats | None = None,
    scale: float = 1.0,
    threads: int | None = None,
) -> Floats:
    """``scale · (plus + matrix @ dense)``, ``[m, d]`` float32; the same however many threads there are.

    Args:
        matrix: ``[m, n]`` float32.
        dense: ``[n, d]`` float32, C-contiguous.
        plus: ``[m, d]`` float32; None: 0.
        scale: of the sum.
        threads: see `pool.count`.
    """
    m, d = matrix.shape[0], dense.shape[1]
    out = np.empty((m, d), np.float32)
    first = np.zeros(0, np.float32) if plus is None else plus.reshape(-1)
    rows, sums, factor = dense.reshape(-1), out.reshape(-1), np.float32(scale)

    def task(start: int, stop: int) -> None:
        _product(matrix.indptr, matrix.indices, matrix.data, rows, d, first, factor, sums, start, stop)

    pool.rows(task, m, chunk=max(1, -(-m // _CHUNKS)), threads=threads)
    return out


def _gatherer(width: int) -> Any:
    """What adds up ``width`` vectors of floats of the rows that a row of the matrix names."""

    @instructions
    def gather(
        context: Any, places: Any, values: Any, dense: Any, sums: Any, start: Any, stop: Any, d: Any, at: Any, to: Any
    ) -> Any:
        """``sums[to + ·] += Σ_e values[e] · dense[places[e]·d + at + ·]``, e in ``start … stop-1``; stop > start."""
        signature = types.void(places, values, dense, sums, *[types.intp] * 5)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            where, weight, rows, total = (origin(context, builder, signature, arguments, one) for one in range(4))
            start, stop, d, at, to = arguments[4:]
            count = context.make_array(signature.args[0])(context, builder, arguments[0]).nitems
            last = builder.sub(count, number(1))

            def begins(entry: Any) -> Any:
                place = builder.load(builder.gep(where, [entry]))
                wide = place if place.type == LONG else builder.sext(place, LONG)
                return builder.add(builder.mul(wide, d), at)

            places = [builder.add(to, number(LANES * one)) for one in range(width)]
            first = [load(builder, total, place) for place in places]
            before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(loop)
            builder.position_at_end(loop)
            entry = builder.phi(LONG)
            running = [builder.phi(vector.type) for vector in first]
            later = builder.add(entry, number(_AHEAD))
            ahead = begins(builder.select(builder.icmp_signed("<", later, last), later, last))
            for line in range(-(-width * LANES // _LINE)):
                fetch(builder, rows, builder.add(ahead, number(_LINE * line)))
            here, factor = begins(entry), spread(builder, builder.load(builder.gep(weight, [entry])))
            added = []
            for one, vector in enumerate(running):
                term = builder.fmul(factor, load(builder, rows, builder.add(here, number(LANES * one))), flags=FUSED)
                added.append(builder.fadd(vector, term, flags=FUSED))
            following = builder.add(entry, number(1))
            entry.add_incoming(start, before)
            entry.add_incoming(following, loop)
            for vector, begin, end in zip(running, first, added, strict=True):
                vector.add_incoming(begin, before)
                vector.add_incoming(end, loop)
            builder.cbranch(builder.icmp_signed("<", following, stop), loop, after)
            builder.position_at_end(after)
            for vector, place in zip(added, places, strict=True):
                store(builder, vector, total, place)
            return context.get_dummy_value()

        return signature, generate

    return gather


_MANY = 4
_WIDE, _NARROW = _MANY * LANES, LANES
_gather_many, _gather_one = _gatherer(_MANY), _gatherer(1)


@compiled
def _product(
    starts: Any, places: Any, values: Any, dense: Any, d: int, plus: Any, scale: Any, sums: Any, begin: int, end: int
) -> None:
    if len(plus) > 0:
        sums[begin * d : end * d] = plus[begin * d : end * d]
    else:
        sums[begin * d : end * d] = 0
    for row in range(begin, end):
        start, stop, to, at = starts[row], starts[row + 1], row * d, 0
        if stop > start:
            while at + _WIDE <= d:
                _gather_many(places, values, dense, sums, start, stop, d, at, to + at)
                at += _WIDE
            while at + _NARROW <= d:
                _gather_one(places, values, dense, sums, start, stop, d, at, to + at)
                at += _NARROW
            for entry in range(start, stop):
                begins = np.int64(places[entry]) * d
                for column in range(at, d):
                    sums[to + column] += values[entry] * dense[begins + column]
        for column in range(to, to + d):
            sums[column] *= scale
