"""As `search`, on processors that multiply bytes: most items are ruled out by rounded vectors, the others looked up.

Queries and items are rounded to 8 bits, ``q ≈ s·a`` and ``v ≈ t·b``, so that ``q·v`` is ``s·t·(a·b)`` but for at most
``‖s·a‖ ‖v − t·b‖ + ‖q − s·a‖ ‖v‖`` (Cauchy-Schwarz). Where even that much more would not reach the query's k-th best
score so far, the item is not looked at; else its score is computed in full. Nothing is approximated.

Bound: ``2·q·n·d`` operations on bytes, of which an instruction does four times as many as on floats, and a vector of
``4·d`` bytes looked up for each item that is not ruled out: a few hundred a query.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from llvmlite import binding
from numba import types
from numpy.typing import NDArray

from serendip.kernels.best import add, close_up, keep, key_of, listed, score_of
from serendip.kernels.jit import compiled
from serendip.kernels.normal import dot
from serendip.kernels.registers import instructions, multiply_bytes, number, pointer, spread
from serendip.kernels.tile import ROWS, WIDTH, lowest_bit, reached
from serendip.types import ABSENT, Floats

AVAILABLE = bool(binding.get_host_cpu_features().get("avx512vnni"))
LEAST = 64  # dimensions from which it pays
_MOST = 127  # of a byte
_SHIFT = 128  # added to queries, whose bytes have no sign
_RANGE = np.float32(1e15)  # scales beyond it, or below its inverse, are left to `search`
_LARGEST = np.float64(np.finfo(np.float32).max)
_EVERY, _NONE = np.float32(-2e9), np.float32(2e9)  # what sums of products must reach, for all to pass and for none


@dataclass(frozen=True, slots=True, eq=False)
class Coarse:
    """Item vectors laid out for `look`.

    Attributes:
        vectors: ``[m, d]`` in order of falling norm, filled up to whole blocks with 0.
        coarse: ``[blocks · d · WIDTH]`` their bytes b, four dimensions of an item side by side.
        shift: ``[blocks · WIDTH]`` what the queries' shift adds to a sum, negative.
        scales, errors: ``[blocks]`` t, and the largest ``‖v − t·b‖``.
    """

    vectors: Floats
    coarse: NDArray[np.int8]
    shift: NDArray[np.int32]
    scales: Floats
    errors: Floats

    @classmethod
    def of(cls, vectors: Floats) -> Self | None:
        """Lay out vectors ``[m, d]`` that are in order; None where bytes are of no use."""
        m, d = vectors.shape
        if not AVAILABLE or d < LEAST:
            return None
        blocks, wide = -(-m // WIDTH), -(-d // 4) * 4
        full = np.zeros((blocks * WIDTH, wide), np.float32)
        full[:m, :d] = vectors
        largest = np.abs(full).reshape(blocks, -1).max(axis=1)
        scales: Floats = (np.where(largest > 0, largest, 1) / _MOST).astype(np.float32)
        if not ((scales < _RANGE) & (scales > 1 / _RANGE)).all():
            return None
        by_item = np.repeat(scales, WIDTH)[:, None]
        rounded = np.rint(full / by_item)
        off = np.linalg.norm(full - rounded * by_item, axis=1).reshape(blocks, WIDTH)
        errors: Floats = off.max(axis=1).astype(np.float32)
        coarse = rounded.astype(np.int8)
        shift = -_SHIFT * coarse.sum(axis=1, dtype=np.int32)
        packed = coarse.reshape(blocks, WIDTH, wide // 4, 4).transpose(0, 2, 1, 3)
        return cls(full[:, :d].copy(), np.ascontiguousarray(packed).reshape(-1), shift, scales, errors)


@instructions
def _screen(
    context: Any, queries: Any, q: Any, items: Any, i: Any, shift: Any, s: Any, needed: Any, m: Any, hits: Any, h: Any,
    steps: Any,
) -> Any:  # fmt: skip
    """As `tile.tile` with bytes: ``hits`` says which sums reach ``needed[m:]``; the sums stay in registers."""
    place = types.intp
    signature = types.boolean(queries, place, items, place, shift, place, needed, place, hits, place, place)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        query, item, begin, least, found = (
            pointer(context, builder, signature, arguments, at) for at in range(0, 10, 2)
        )
        sums = multiply_bytes(builder, begin, query, ROWS, item, WIDTH, arguments[10])
        some = number(0)
        for row, line in enumerate(sums):
            bits = reached(builder, line, spread(builder, builder.load(builder.gep(least, [number(row)]))))
            builder.store(bits, builder.gep(found, [number(row)]))
            some = builder.or_(some, bits)
        return builder.zext(builder.icmp_unsigned("!=", some, number(0)), context.get_value_type(types.boolean))

    return signature, generate


@compiled
def look(
    vectors: Any, coarse: Any, shift: Any, scales: Any, errors: Any, codes: Any, norms: Any, n: int, queries: Any,
    k: int, exclude: Any, allow: Any, keys: Any,
) -> None:  # fmt: skip
    """As `search._search`; the first five arguments are of `Coarse`."""
    q, d = queries.shape
    slots = -(-q // ROWS) * ROWS
    wide = -(-d // 4) * 4
    lanes = np.empty(slots * wide, np.uint8)
    length, scale, error = np.zeros(slots, np.float32), np.ones(slots, np.float32), np.zeros(slots, np.float32)
    _round(queries, wide, lanes, length, scale, error)
    seen = np.empty(exclude.shape, np.int32)
    seen_count = np.zeros(q, np.int64)
    for row in range(q):
        seen_count[row] = close_up(exclude[row], n, seen[row])
    count, mark = np.zeros(q, np.int64), np.zeros(q, np.uint64)
    worst, needed = np.full(slots, np.float32(np.inf), np.float32), np.empty(slots, np.int32)
    worst[:q] = -np.inf
    rounding = np.float32((d + 8) * 2.0**-22)
    hits = np.empty(ROWS, np.uint64)
    for block in range(len(norms)):
        if not _needed(worst, length, scale, error, scales[block], errors[block], norms[block], rounding, needed):
            break
        for first in range(0, slots, ROWS):
            if not _screen(lanes, first * wide, coarse, block * wide * WIDTH, shift, block * WIDTH, needed, first,
                           hits, 0, wide // 4):  # fmt: skip
                continue
            for at in range(min(ROWS, q - first)):
                found = hits[at]
                if not found:
                    continue
                row = first + at
                best, told, query = keys[row], seen[row][: seen_count[row]], queries[row]
                bits = allow[min(row, len(allow) - 1)]
                seen_now, mark_now = count[row], mark[row]
                while found:
                    place = block * WIDTH + np.int64(lowest_bit(found))
                    found &= found - np.uint64(1)
                    code = codes[place]
                    if code == ABSENT:
                        continue
                    score = dot(query, vectors[place])
                    if not score > -np.inf:
                        continue
                    key = key_of(score, code)
                    if key < mark_now or listed(told, len(told), code):
                        continue
                    if len(bits) and not bits[code >> 3] >> (code & 7) & 1:
                        continue
                    seen_now, mark_now = add(best, seen_now, k, key, mark_now)
                count[row], mark[row] = seen_now, mark_now
                worst[row] = score_of(mark_now)
    for row in range(q):
        if count[row] > k:
            keep(keys[row], count[row], k)


@compiled
def _round(queries: Any, wide: int, lanes: Any, length: Any, scale: Any, error: Any) -> None:
    """Write the shifted bytes of the queries in blocks of `ROWS`, four dimensions side by side, and their bounds.

    Of a query beyond the range of scales all is error; one with a NaN gets the length NaN, and so finds nothing.
    """
    q, d = queries.shape
    lanes[:] = _SHIFT
    for row in range(q):
        query = queries[row]
        largest, square, left = np.float32(0), np.float64(0), np.float64(0)
        for at in range(d):
            largest = max(largest, abs(query[at]))
            square += np.float64(query[at]) * np.float64(query[at])
        if np.isnan(square):
            length[row] = np.nan
            continue
        length[row] = min(np.sqrt(square), _LARGEST)
        step = largest / np.float32(_MOST) if largest > 0 else np.float32(1)
        if not (step < _RANGE and step > 1 / _RANGE):
            error[row] = length[row]
            continue
        start = row // ROWS * ROWS * wide + row % ROWS * 4
        for at in range(d):
            value = np.rint(query[at] / step)
            lanes[start + at // 4 * 4 * ROWS + at % 4] = np.uint8(np.int32(value) + _SHIFT)
            rest = np.float64(query[at]) - np.float64(step) * np.float64(value)
            left += rest * rest
        scale[row], error[row] = step, np.sqrt(left)


@compiled
def _needed(
    worst: Any, length: Any, scale: Any, error: Any, step: Any, off: Any, norm: Any, rounding: Any, needed: Any
) -> bool:
    """Write what the sum of products must be at least; whether any query may still find something."""
    some = False
    longest, apart = np.float32(norm), np.float32(off)
    for row in range(len(needed)):
        reach = (length[row] + error[row]) * apart + error[row] * longest
        reach = (reach + length[row] * longest * rounding) * np.float32(1 + 1e-5) + np.float32(1e-37)
        least = (worst[row] - reach) / (scale[row] * step)
        least = max(least - abs(least) * np.float32(1e-6) - np.float32(2), _EVERY)
        open_ = length[row] * longest * (np.float32(1) + rounding) + np.float32(1e-37) >= worst[row]
        some |= open_
        needed[row] = np.int32(min(least, _NONE) if open_ else _NONE)
    return some
