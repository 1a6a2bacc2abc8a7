"""The softmax over candidates of pairs of a query and its positive, where a query may have several.

``L = Σ_r w_r [ log Σ_j exp s_q(r),j − s_q(r),p(r) ] + λ/2 ( Σ_r |x_q(r)|² + Σ_j |y_j|² )``,  with
``s_qj = x_q·y_j / τ + bias_j``.

What a query makes of the candidates is computed once, however many pairs it has: ``Σ_q (Σ_r w_r) log Σ_j exp s_qj`` as
in `softmax`; what is left is a product of two vectors a pair.

Bound: three matrix products, ``6·u·k·d`` operations for u queries, as of `softmax`, and ``6·b·d`` for the pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.kernels import pool
from serendip.kernels.jit import compiled, summed
from serendip.kernels.rows import Groups
from serendip.kernels.softmax_block import add_up, part
from serendip.kernels.softmax_tile import CANDIDATES, QUERIES, WHOLE
from serendip.types import ABSENT, Floats

Codes = NDArray[np.int64]

_BLOCKS = 3
"""Blocks of queries, at least, that are worth a sum of the candidates' gradients of their own."""
_PARTS = 12
"""Most such sums."""
_HELD = 1 << 27
"""Most numbers in those sums: half a gigabyte."""
_LOG2E = float(np.log2(np.e))


def softmax_pairs(
    queries: Floats,
    groups: Groups,
    items: Floats,
    candidates: Codes,
    positives: Codes,
    *,
    temperature: float = 1.0,
    bias: Floats | None = None,
    weights: Floats,
    reg: float = 0.0,
    threads: int | None = None,
) -> tuple[float, Floats, Floats]:
    """L, and its gradients ``[u, d]`` and ``[k, d]``; the same however many threads there are.

    Args:
        queries: a table ``[n, d]`` float32, of which x are some rows.
        groups: which rows, and which pairs each of them has.
        items: a table ``[m, d]`` float32, of which y are some rows.
        candidates: ``[k]`` which rows.
        positives: p, ``[b]`` places among the candidates.
        temperature: τ > 0.
        bias: ``[k]`` float32; None: 0.
        weights: w, ``[b]`` float32.
        reg: λ.
        threads: see `pool.count`.
    """
    u, k, d = len(groups.rows), len(candidates), queries.shape[1]
    x, y = _taken(queries, groups.rows, 1), _taken(items, candidates, CANDIDATES)
    shift = np.full(len(y), -np.inf, np.float32)
    shift[:k] = 0 if bias is None else bias * np.float32(_LOG2E)
    scale = np.float32(_LOG2E / temperature), np.float32(1 / temperature)
    pairs = groups.order, groups.begins, groups.ends, positives, weights
    to_queries, blocks = np.empty_like(x), -(-u // QUERIES)
    parts = max(1, min(blocks // _BLOCKS, _PARTS, _HELD // y.size))
    bounds = [min(u, -(-at * blocks // parts) * QUERIES) for at in range(parts + 1)]
    values, shares = [0.0] * parts, np.empty((parts, *y.shape), np.float32)

    def task(start: int, stop: int) -> None:
        for at in range(start, stop):
            values[at] = _part(
                x, y, shift, pairs, scale, bounds[at], bounds[at + 1], np.float32(reg), to_queries, shares[at]
            )

    pool.rows(task, parts, chunk=1, threads=threads, blas=False)
    add_up(shares.reshape(parts, -1), 0, y.size)
    value, to_candidates = sum(values) / _LOG2E, shares[0]
    if reg:
        value += reg / 2 * float(np.vdot(y, y))
        to_candidates += np.float32(reg) * y
    return value, to_queries[:, :d], to_candidates[:k, :d]


def _taken(table: Floats, rows: Codes, whole: int) -> Floats:
    """Rows of a table, filled up with zeros to whole blocks."""
    d = table.shape[1]
    shape = -(-len(rows) // whole) * whole, -(-d // WHOLE) * WHOLE
    if shape == (len(rows), d):
        return table.take(rows, axis=0)
    out = np.zeros(shape, np.float32)
    out[: len(rows), :d] = table.take(rows, axis=0)
    return out


@compiled
def _part(
    queries: Any, candidates: Any, shift: Any, pairs: Any, scale: Any, first: int, last: int, reg: Any,
    to_queries: Any, to_candidates: Any,
) -> float:  # fmt: skip
    """The loss of the queries ``first … last-1``, in base 2; the gradients that come of them are written."""
    order, begins, ends, positives, weights = pairs
    u, d = queries.shape
    whole, none = np.zeros(u, np.float32), np.zeros(u, np.int64)
    for query in range(first, last):
        for at in range(begins[query], ends[query]):
            whole[query] += weights[order[at]]
    mask = np.zeros((u, 0), np.bool_)
    heads, gradients = queries.reshape(u, 1, d), to_queries.reshape(u, 1, d)
    found: float = part(
        heads, candidates, shift, none + ABSENT, whole, none[:0], none, none, mask, -1, scale, first, last, gradients,
        to_candidates,
    )  # fmt: skip
    x, y, to_x, to_y = (queries.reshape(-1), candidates.reshape(-1), to_queries.reshape(-1), to_candidates.reshape(-1))
    for query in range(first, last):
        if reg > 0:
            found += _hold(x, query * d, d, reg * (ends[query] - begins[query]), to_x) * _LOG2E
        for at in range(begins[query], ends[query]):
            pair = order[at]
            positive = positives[pair]
            near = _pull(x, y, query * d, positive * d, d, weights[pair] * scale[1], to_x, to_y)
            found -= weights[pair] * (near * scale[0] + shift[positive])
    return found


@summed
def _pull(x: Any, y: Any, own: int, other: int, d: int, share: Any, to_x: Any, to_y: Any) -> Any:
    """The product of two vectors, whose gradients are taken off; all arrays are flat."""
    found = np.float32(0)
    first, second = np.uint64(own), np.uint64(other)
    for column in range(np.uint64(d)):
        found += x[first + column] * y[second + column]
        to_x[first + column] -= share * y[second + column]
        to_y[second + column] -= share * x[first + column]
    return found


@summed
def _hold(x: Any, own: int, d: int, share: Any, to_x: Any) -> Any:
    """``share/2`` times the square of a vector, whose gradient is added; both arrays are flat."""
    found = np.float32(0)
    first, factor = np.uint64(own), np.float32(share)
    for column in range(np.uint64(d)):
        found += x[first + column] * x[first + column]
        to_x[first + column] += factor * x[first + column]
    return found * factor / 2
