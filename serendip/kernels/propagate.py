"""A sparse matrix times a dense one, compiled: one step of what spreads along the edges of a graph.

Bound: one gather of ``4·d`` bytes an entry. Rows to come are fetched ahead, as no processor guesses where they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.jit import compiled
from serendip.kernels.registers import instructions, pointer
from serendip.types import Floats

_CHUNK = 256
_AHEAD = 24
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
    out = np.empty((matrix.shape[0], dense.shape[1]), np.float32)
    flat = dense.reshape(-1)
    first = np.zeros((0, dense.shape[1]), np.float32) if plus is None else plus

    def task(start: int, stop: int) -> None:
        _product(matrix.indptr, matrix.indices, matrix.data, flat, first, np.float32(scale), out, start, stop)

    pool.rows(task, len(out), chunk=_CHUNK, threads=threads)
    return out


@instructions
def _fetch(context: Any, values: Any, place: Any) -> Any:
    """Ask for the cache line that holds ``values[place]``, which need not exist."""
    signature = types.void(values, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        where = builder.bitcast(pointer(context, builder, signature, arguments, 0), byte)
        builder.call(function, [where, *(ir.Constant(number, flag) for flag in (0, 3, 1))])
        return context.get_dummy_value()

    return signature, generate


@compiled
def _product(
    starts: Any, places: Any, values: Any, dense: Any, plus: Any, scale: Any, out: Any, begin: int, end: int
) -> None:
    d = out.shape[1]
    for row in range(begin, end):
        line = out[row]
        if len(plus) > 0:
            line[:] = plus[row]
        else:
            line[:] = 0
        for entry in range(starts[row], starts[row + 1]):
            if entry + _AHEAD < len(places):
                ahead = np.int64(places[entry + _AHEAD]) * d
                for at in range(0, d, _LINE):
                    _fetch(dense, ahead + at)
            value, begins = values[entry], np.int64(places[entry]) * d
            vector = dense[begins : begins + d]
            for at in range(d):
                line[at] += value * vector[at]
        for at in range(d):
            line[at] *= scale
