"""The cross-entropy of a softmax over candidates that many queries share, with its gradients, in bounded memory.

For queries x ``[b, h, d]`` and candidates y ``[k, d]`` the logits are ``s_qj = max_h x_qh·y_j / τ + bias_j``, and

``L = Σ_q w_q [ log Σ_j exp s_qj − s_q,p(q) ]``

with p(q) the positive of a query. Value and gradients come in one pass, and the ``b × k`` logits are never held as a
whole: at most those of a block of queries a thread.

Bound: three matrix products, ``6·b·h·k·d`` operations, and ``b·k`` powers (see `softmax_tile`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.propagate import product
from serendip.types import ABSENT, Floats

_ROWS = 256
"""Fewest queries that are worth a sum of the candidates' gradients of their own."""
_PARTS, _MOST_PARTS = 8, 16
"""How many sums there are where there are queries enough, and where there are so many that a sum does not count."""
_HELD = 1 << 27
"""Most numbers in those sums: half a gigabyte."""
_SUMMED = 1 << 17
"""Numbers of the candidates' gradients that are added up at a time."""
_LOG2E = float(np.log2(np.e))


@dataclass(frozen=True, slots=True)
class Hidden:
    """What does not count as a candidate of a query; its positive always does.

    Attributes:
        order: ``[k]`` int64, candidates.
        lows, highs: ``[b]`` int64: the candidates ``order[lows[q]:highs[q]]``, ascending, do not count for query q.
        mask: ``[b, k]`` bool, what does count; None: everything else does.
        hard: how many candidates besides the positive count, those with the highest logits; None: all.
    """

    order: NDArray[np.int64]
    lows: NDArray[np.int64]
    highs: NDArray[np.int64]
    mask: NDArray[np.bool_] | None = None
    hard: int | None = None


def nothing(b: int) -> Hidden:
    """Every candidate counts for the b queries."""
    none = np.zeros(b, np.int64)
    return Hidden(none[:0], none, none)


def alike(candidate_ids: NDArray[np.int64], ids: NDArray[np.int64]) -> Hidden:
    """Candidates do not count for a query whose positive has the same id.

    Args:
        candidate_ids: ``[k]``.
        ids: ``[b]`` of the queries' positives.
    """
    order = np.argsort(candidate_ids, kind="stable")
    ascending = candidate_ids[order]
    return Hidden(order, np.searchsorted(ascending, ids, "left"), np.searchsorted(ascending, ids, "right"))


def softmax(
    queries: Floats,
    candidates: Floats,
    positives: NDArray[np.int64],
    *,
    temperature: float = 1.0,
    bias: Floats | None = None,
    hidden: Hidden | None = None,
    weights: Floats | None = None,
    threads: int | None = None,
) -> tuple[float, Floats, Floats]:
    """L, and its gradients ``[b, h, d]`` and ``[k, d]``; the same however many threads there are.

    Args:
        queries: ``[b, h, d]`` float32.
        candidates: ``[k, d]`` float32.
        positives: ``[b]`` places among the candidates; `ABSENT`: only the logarithm of the sum counts.
        temperature: τ > 0.
        bias: ``[k]`` float32; None: 0.
        hidden: what does not count; None: everything counts.
        weights: w, ``[b]`` float32; None: 1.
        threads: see `pool.count`.
    """
    (part, add_up), (block, chunk, whole) = _compiled()
    b, h, d = queries.shape
    k = len(candidates)
    hidden = nothing(b) if hidden is None else hidden
    wide = -(-d // whole) * whole
    x, y = _filled(queries, (b, h, wide)), _filled(candidates, (-(-k // chunk) * chunk, wide))
    shift = np.full(len(y), -np.inf, np.float32)
    shift[:k] = 0 if bias is None else bias * np.float32(_LOG2E)
    fixed = (
        positives,
        np.ones(b, np.float32) if weights is None else weights,
        hidden.order,
        hidden.lows,
        hidden.highs,
        np.zeros((b, 0), np.bool_) if hidden.mask is None else hidden.mask,
        -1 if hidden.hard is None else hidden.hard,
        (np.float32(_LOG2E / temperature), np.float32(1 / temperature)),
    )
    to_queries = np.empty_like(x)
    blocks = -(-b // block)
    parts = max(1, min(b // _ROWS, max(_PARTS, b // (4 * _ROWS)), _MOST_PARTS, _HELD // y.size))
    bounds = [min(b, -(-at * blocks // parts) * block) for at in range(parts + 1)]
    values, shares = [0.0] * parts, np.empty((parts, *y.shape), np.float32)

    def task(start: int, stop: int) -> None:
        for at in range(start, stop):
            values[at] = part(x, y, shift, *fixed, bounds[at], bounds[at + 1], to_queries, shares[at])

    _deal(task, parts, 1, threads)
    flat, to_candidates = shares.reshape(parts, -1), shares[0]
    _deal(lambda start, stop: add_up(flat, start, stop), y.size, _SUMMED, threads)
    return sum(values) / _LOG2E, to_queries[:, :, :d], to_candidates[:k, :d]


@cache
def _compiled() -> tuple[tuple[Any, Any], tuple[int, int, int]]:
    """What is compiled, and the sizes of its blocks."""
    from serendip.kernels.softmax_block import add_up, part
    from serendip.kernels.softmax_tile import CANDIDATES, QUERIES, WHOLE

    return (part, add_up), (QUERIES, CANDIDATES, WHOLE)


def _deal(task: Callable[[int, int], None], n: int, chunk: int, threads: int | None) -> None:
    """As `pool.rows`, without the threads where there is one chunk."""
    if n <= chunk:
        task(0, n)
    else:
        pool.rows(task, n, chunk=chunk, threads=threads, blas=False)


def _filled(values: Floats, shape: tuple[int, ...]) -> Floats:
    """The array, C-contiguous, filled up with zeros to that shape."""
    if values.shape == shape:
        return np.ascontiguousarray(values)
    out = np.zeros(shape, np.float32)
    out[tuple(slice(size) for size in values.shape)] = values
    return out


def cross_entropy(
    users: Floats,
    items: Floats,
    positives: csr_array,
    candidates: NDArray[np.int64],
    temperature: float,
    *,
    threads: int | None = None,
) -> tuple[float, Floats, Floats]:
    """``Σ_u [ p_u · log Σ_{j∈C} exp(x_u·y_j / τ) − Σ_i P_ui x_u·y_i / τ ]`` with ``p_u = Σ_i P_ui``, and its gradients.

    The candidates C are drawn, and a user's positives P need not be among them.

    Args:
        users: x, ``[b, d]`` float32, C-contiguous.
        items: y, ``[n, d]`` float32, C-contiguous.
        positives: P, ``[b, n]`` float32.
        candidates: ``[k]`` codes, which may repeat.
        temperature: τ > 0.
        threads: see `pool.count`.
    """
    b, k = len(users), len(candidates)
    near = product(positives, items, threads=threads)
    found, to_users, to_chosen = softmax(
        users[:, None],
        items[candidates],
        np.full(b, ABSENT, np.int64),
        temperature=temperature,
        weights=np.asarray(positives.sum(axis=1), np.float32),
        threads=threads,
    )
    found -= float(np.einsum("bd,bd->", users, near, dtype=np.float64)) / temperature
    pairs = product(csr_array(positives.T.tocsr()), users, scale=-1 / temperature, threads=threads)
    spread = csr_array((np.ones(k, np.float32), (candidates, np.arange(k))), shape=(len(items), k))
    to_items = product(spread, np.ascontiguousarray(to_chosen), plus=pairs, threads=threads)
    return found, to_users[:, 0] - near / np.float32(temperature), to_items
