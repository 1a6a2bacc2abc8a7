"""What one column of a sparse matrix has in common with all others, and the k most alike, compiled.

The products ``c_ij = Σ_u x_ui x_uj`` of column i are added up row by row in an array of all columns (F. G. Gustavson,
"Two fast algorithms for sparse matrices", ACM TOMS 4, 1978). Counts up to 255 are kept as bytes, so that the array of a
large catalogue fits the first-level cache and is read 64 columns an instruction. What is looked for there is a product
that can reach the k-th similarity, as estimated from a sample of the sums: columns are numbered by falling ``right``,
so that one number says what a block of 64 columns needs. If fewer than k are found, the mark is lowered.

Bound: ``Σ_u |row u|²`` additions, and one pass over n bytes per column; where the columns have few entries for that,
only the places touched are looked at, which are written down on the way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from serendip.kernels.best import add, keep, key_of
from serendip.kernels.jit import compiled, summed
from serendip.kernels.registers import instructions, pointer
from serendip.kernels.tile import lowest_bit

BLOCK = 64
_SAMPLE = 64
_FEW = 128  # columns per addition from which it is quicker to write down the places touched than to look at all
_BYTE = 255
_PER_PART = 8
_PART = _PER_PART * BLOCK  # columns for which it is worked out what they need
_SURE = 6  # of the sample, to be above the mark
_STRIDE = 37  # odd: visits all parts of a row
_HALVINGS = 7
_MORE = 1.3  # times k, estimated to be above the mark
_SLACK = np.float32(1 - 1e-5)  # rounding must not hide a product that is just enough
_LEAST = np.finfo(np.float32).smallest_subnormal


@compiled
def most_alike(
    chosen: Any, codes: Any, row_starts: Any, columns: Any, values: Any, column_starts: Any, rows: Any,
    values_by_column: Any, steps: Any, unit: Any, left: Any, right: Any, shrink: Any, overlap: Any, keys: Any,
) -> None:  # fmt: skip
    """Write the keys (see `best`) of the k most alike of each chosen column into a row of ``keys`` ``[chosen, k]``.

    The arguments are as in `neighbours`; ``right`` falls, and is filled up to a multiple of `BLOCK` with its last.
    """
    n, k = len(codes), keys.shape[1]
    parts = -(-n // _PART)
    lows = np.empty(parts, np.float32)
    for part in range(parts):
        lows[part] = right[min((part + 1) * _PART, len(right)) - 1]
    counts, needed_count = np.zeros(len(right), np.uint8), np.empty(parts, np.uint8)
    sums, needed_sum = np.zeros(len(right), np.float32), np.empty(parts, np.float32)
    touched = np.empty(n // _FEW + 2, np.uint32)
    found = np.empty(max(len(right) + 1, 2 * k), np.uint64)
    blocks, reaching = np.empty(len(right) // BLOCK + 1, np.uint64), np.empty(len(right) // BLOCK + 1, np.uint64)
    for at in range(len(chosen)):
        own = chosen[at]
        entries = slice(column_starts[own], column_starts[own + 1])
        near, scale = rows[entries], (left[own], shrink, overlap)
        weights = values_by_column[entries] if len(values) else values_by_column
        if steps[own] * _FEW < n:
            count = _add_listed(near, weights, row_starts, columns, values, sums, touched)
            sums[own] = 0
            size = _best_listed(touched[:count], sums, scale, right, codes, found[: 2 * k], k)
        elif len(values) or len(near) > _BYTE:
            if len(values):
                _add(near, weights, row_starts, columns, values, sums)
            else:
                _count(near, row_starts, columns, np.float32(1), sums)
            sums[own] = 0
            least = _estimate(near, row_starts, columns, scale, right, sums, unit, k)
            size = _best(
                least, scale, right, lows, codes, sums, needed_sum, np.float32(np.inf), found, blocks, reaching, k
            )
            sums[:] = 0
        else:
            _count(near, row_starts, columns, np.uint8(1), counts)
            counts[own], most = 0, np.float32(len(near))
            least = _estimate(near, row_starts, columns, scale, right, counts, np.float32(1), k)
            size = _best(least, scale, right, lows, codes, counts, needed_count, most, found, blocks, reaching, k)
            counts[:] = 0
        if size > k:
            keep(found, size, k)
        for place in range(min(size, k)):
            keys[at, place] = found[place]


@instructions
def _reaching(context: Any, values: Any, start: Any, least: Any) -> Any:
    """Bit j says whether ``values[start + j]`` is ``least`` or more, for j below `BLOCK`."""
    signature = types.uint64(values, types.intp, values.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, least = pointer(context, builder, signature, arguments, 0), arguments[2]
        vector = ir.VectorType(least.type, BLOCK)
        none, lanes = ir.Constant(vector, ir.Undefined), ir.VectorType(ir.IntType(32), BLOCK)
        one = builder.insert_element(none, least, ir.Constant(ir.IntType(32), 0))
        all_least = builder.shuffle_vector(one, none, ir.Constant(lanes, [0] * BLOCK))
        block = builder.load(builder.bitcast(first, vector.as_pointer()), align=1)
        compare = builder.fcmp_ordered if isinstance(least.type, ir.FloatType) else builder.icmp_unsigned
        return builder.bitcast(compare(">=", block, all_least), ir.IntType(BLOCK))

    return signature, generate


@compiled
def _similarity(product: Any, scale: Any, right: Any) -> Any:
    left, shrink, overlap = scale
    if np.isnan(overlap):
        return product / (left * right + shrink)
    return product / (left + right - overlap * product + shrink)


@compiled
def _product(similarity: Any, scale: Any, right: Any) -> Any:
    """The inverse of `_similarity`."""
    left, shrink, overlap = scale
    if np.isnan(overlap):
        return similarity * (left * right + shrink)
    return similarity * (left + right + shrink) / (np.float32(1) + similarity * overlap)


@compiled
def _add(near: Any, weights: Any, row_starts: Any, columns: Any, values: Any, sums: Any) -> None:
    """Add up the near rows, times their weights."""
    for at in range(len(near)):
        part = slice(row_starts[near[at]], row_starts[near[at] + 1])
        for place, value in zip(columns[part], values[part]):  # noqa: B905, not known to Numba
            sums[place] += weights[at] * value


@compiled
def _count(near: Any, row_starts: Any, columns: Any, one: Any, sums: Any) -> None:
    """As `_add` where all values are 1."""
    for row in near:
        start, stop = np.uint64(row_starts[row]), np.uint64(row_starts[row + np.uint32(1)])
        for entry in range(start, stop):
            sums[columns[entry]] += one


@compiled
def _add_listed(near: Any, weights: Any, row_starts: Any, columns: Any, values: Any, sums: Any, touched: Any) -> int:
    """As `_add`; writes down each place whose sum was 0 and counts them. One whose sum stays 0 comes up again."""
    count = 0
    for at in range(len(near)):
        row = near[at]
        for entry in range(row_starts[row], row_starts[row + 1]):
            place = columns[entry]
            before = sums[place]
            touched[count] = place
            count += before == 0
            sums[place] = before + (weights[at] * values[entry] if len(values) else np.float32(1))
    return count


@compiled
def _best_listed(touched: Any, sums: Any, scale: Any, right: Any, codes: Any, found: Any, k: int) -> int:
    """Write the keys of the best columns touched, set their sums back to 0, and count the keys."""
    size, mark = 0, np.uint64(0)
    for at in range(len(touched)):
        place = touched[at]
        similar = _similarity(sums[place], scale, right[place])
        sums[place] = 0
        if similar >= _LEAST and similar < np.inf:
            key = key_of(similar, codes[place])
            if key > mark:
                size, mark = add(found, size, k, key, mark)
    return size


@compiled
def _estimate(near: Any, row_starts: Any, columns: Any, scale: Any, right: Any, sums: Any, unit: Any, k: int) -> Any:
    """A similarity that k columns probably reach, and not many more; the least above 0 where about all are needed.

    Of the additions an even sample is drawn. One of c additions to a column stands for 1/c of the column; c is told
    from the sum and the typical addition, ``unit``.
    """
    similar, standing = np.empty(_SAMPLE, np.float32), np.empty(_SAMPLE, np.float32)
    products, rights = np.empty(_SAMPLE, np.float32), np.empty(_SAMPLE, np.float32)
    for at in range(_SAMPLE):
        row = near[np.uint64(at * len(near)) // np.uint64(_SAMPLE)]
        start = np.uint64(row_starts[row])
        length = np.uint64(row_starts[row + np.uint32(1)]) - start
        place = columns[start + np.uint64(at * _STRIDE % 64) * length // np.uint64(64)]
        products[at], rights[at], standing[at] = sums[place], right[place], length
    high = np.float32(0)
    for at in range(_SAMPLE):
        product = products[at]
        value = _similarity(product, scale, rights[at]) if product > 0 else np.float32(0)
        similar[at] = value if value < np.inf else np.float32(0)
        high = max(high, similar[at])
        standing[at] *= unit / max(product, unit)
    enough = np.float32(_MORE * k * _SAMPLE / len(near))
    low = np.float32(0)
    for _ in range(_HALVINGS):
        middle = (low + high) / np.float32(2)
        count, total = _standing_above(similar, standing, middle)
        if count >= _SURE and total >= enough:
            low = middle
        else:
            high = middle
    return max(low, _LEAST)


@summed
def _standing_above(similar: Any, standing: Any, least: Any) -> tuple[int, Any]:
    """Of the sample's similarities from ``least`` up: how many, and how much they stand for."""
    count, total = 0, np.float32(0)
    for at in range(len(similar)):
        reached = similar[at] >= least
        count += reached
        total += standing[at] if reached else np.float32(0)
    return count, total


@compiled
def _best(
    least: Any, scale: Any, right: Any, lows: Any, codes: Any, sums: Any, needed: Any, most: Any,
    found: Any, blocks: Any, reaching: Any, k: int,
) -> int:  # fmt: skip
    """Write the keys of all columns as similar as ``least``, or as less if those are fewer than k, and count them."""
    while True:
        size: int = _at_least(least, scale, right, lows, codes, sums, needed, most, found, blocks, reaching)
        if size >= k or least <= _LEAST:
            return size
        least = least / np.float32(2) if least > 1e-9 else _LEAST


@compiled
def _reached(sums: Any, needed: Any, found: Any, blocks: Any, reaching: Any) -> int:
    """Write the places whose sum is what their part needs, and count them; a part that needs 0 is left out.

    In three passes without a branch that cannot be foretold: a number of bits per block, the blocks that have any, and
    the places. ``blocks`` and ``reaching`` have room for all blocks.
    """
    none, next_, many = np.uint64(0), np.uint64(1), np.uint64(BLOCK)
    some = np.uint64(0)
    last = np.uint64(len(sums)) // many
    for part in range(len(needed)):
        if needed[part] == 0:
            continue
        start = np.uint64(part * _PER_PART)
        for block in range(start, min(start + np.uint64(_PER_PART), last)):
            bits = _reaching(sums, np.int64(block * many), needed[part])
            reaching[some] = bits
            blocks[some] = block
            some += np.uint64(bits != none)
    places = np.uint64(0)
    for at in range(some):
        bits, first = reaching[at], blocks[at] * many
        found[places] = first + lowest_bit(bits)
        places += next_
        bits &= bits - next_
        while bits:
            found[places] = first + lowest_bit(bits)
            places += next_
            bits &= bits - next_
    return int(places)


@compiled
def _at_least(
    least: Any, scale: Any, right: Any, lows: Any, codes: Any, sums: Any, needed: Any, most: Any,
    found: Any, blocks: Any, reaching: Any,
) -> int:  # fmt: skip
    """Write the keys of all columns as similar as ``least`` but not infinitely, and count them.

    ``most`` is the highest sum there can be, infinity for sums that are not whole: a part that needs more is left out.
    """
    for part in range(len(needed)):
        product = _product(least, scale, lows[part]) * _SLACK
        product = max(product, _LEAST) if most == np.inf else max(np.ceil(product), np.float32(1))
        needed[part] = product if product <= most else 0
    places = _reached(sums, needed, found, blocks, reaching)
    size = 0
    for at in range(places):
        place = np.int64(found[at])
        similar = _similarity(np.float32(sums[place]), scale, right[place])
        found[size] = key_of(similar, codes[place])
        size += (similar >= least) & (similar < np.inf)
    return size
