"""The cross-entropy of a softmax over candidates that many queries share, with its gradients, in bounded memory.

For queries x ``[b, h, d]`` and candidates y ``[k, d]`` the logits are ``s_qj = max_h x_qh·y_j / τ + bias_j``, and

``L = Σ_q w_q [ log Σ_j exp s_qj − s_q,p(q) ]``

with p(q) the positive of a query. Value and gradients come in one pass, and the ``b × k`` logits are never held as a
whole: at most those of a block of queries a thread.

Bound: three matrix products, ``6·b·h·k·d`` operations, and ``b·k`` powers (see `softmax_tile`).
"""

from __future__ import annotations

from dataclasses import dataclass

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
_SUMMED = 2048
"""Rows of the candidates' gradients that are added up at a time."""


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
    from serendip.kernels.softmax_block import part
    from serendip.kernels.softmax_tile import CANDIDATES, QUERIES, WHOLE

    b, h, d = queries.shape
    k = len(candidates)
    hidden = nothing(b) if hidden is None else hidden
    wide = -(-d // WHOLE) * WHOLE
    x, y = _filled(queries, (b, h, wide)), _filled(candidates, (-(-k // CANDIDATES) * CANDIDATES, wide))
    shift = np.full(len(y), -np.inf, np.float32)
    shift[:k] = 0 if bias is None else bias * np.float32(np.log2(np.e))
    fixed = (
        positives,
        np.ones(b, np.float32) if weights is None else weights,
        hidden.order,
        hidden.lows,
        hidden.highs,
        np.zeros((b, 0), np.bool_) if hidden.mask is None else hidden.mask,
        -1 if hidden.hard is None else hidden.hard,
        (np.float32(np.log2(np.e) / temperature), np.float32(1 / temperature)),
    )
    to_queries = np.empty_like(x)
    blocks = -(-b // QUERIES)
    parts = max(1, min(b // _ROWS, max(_PARTS, b // (4 * _ROWS)), _MOST_PARTS, _HELD // y.size))
    bounds = [min(b, -(-at * blocks // parts) * QUERIES) for at in range(parts + 1)]
    values, shares = np.zeros(parts), np.zeros((parts, *y.shape), np.float32)

    def task(start: int, stop: int) -> None:
        for at in range(start, stop):
            values[at] = part(x, y, shift, *fixed, bounds[at], bounds[at + 1], to_queries, shares[at])

    pool.rows(task, parts, chunk=1, threads=threads)
    to_candidates = np.empty_like(y)

    def add(start: int, stop: int) -> None:
        np.sum(shares[:, start:stop], axis=0, out=to_candidates[start:stop])

    pool.rows(add, len(y), chunk=_SUMMED, threads=threads)
    return float(values.sum() * np.log(2)), to_queries[:, :, :d], to_candidates[:k, :d]


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
