"""The cross-entropy of a softmax over items that many users share, with its gradients, in blocks of bounded memory.

For users x ``[b, d]``, items y ``[n, d]``, the positive pairs P ``[b, n]`` and candidates C (k items),

``L = Σ_u [ p_u · log Σ_{j∈C} exp(x_u·y_j / τ) − Σ_i P_ui x_u·y_i / τ ]``    with ``p_u = Σ_i P_ui``

The logits are computed once a user, not once a pair, and never held as a whole: value and gradients come in one pass.

Bound: three matrix products, ``6·b·k·d`` operations, and ``b·k`` exponentials.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.propagate import product
from serendip.types import Floats

_LOGITS = 1 << 19
"""Logits held at a time by a thread: 2 MB, which a second-level cache may hold."""
_FEWEST = 32
_PARTS = 32
"""Most sums of item gradients held at a time."""


def cross_entropy(
    users: Floats,
    items: Floats,
    positives: csr_array,
    candidates: NDArray[np.int64],
    temperature: float,
    *,
    threads: int | None = None,
) -> tuple[float, Floats, Floats]:
    """L, and its gradients ``[b, d]`` and ``[n, d]``; the same however many threads there are.

    Args:
        users: ``[b, d]`` float32, C-contiguous.
        items: ``[n, d]`` float32, C-contiguous.
        positives: ``[b, n]`` float32.
        candidates: ``[k]`` codes, which may repeat.
        temperature: τ > 0.
        threads: see `pool.count`.
    """
    chosen = items[candidates]
    near = product(positives, items, threads=threads)
    totals = np.asarray(positives.sum(axis=1), np.float32)
    turned = np.ascontiguousarray(chosen.T)
    to_users = np.empty_like(users)
    b, k = len(users), len(chosen)
    chunk = max(_FEWEST, _LOGITS // max(k, 1), -(-b // _PARTS))
    values: dict[int, float] = {}
    shares: dict[int, Floats] = {}

    def task(start: int, stop: int) -> None:
        x, weight = users[start:stop] / np.float32(temperature), totals[start:stop]
        share = np.zeros_like(chosen)
        values[start] = 0.0
        step = max(_FEWEST, _LOGITS // max(k, 1))
        for first in range(0, stop - start, step):
            rows = slice(first, min(first + step, stop - start))
            values[start] += _part(x[rows], weight[rows], turned, chosen, to_users[start:stop][rows], share)
        shares[start] = share

    pool.rows(task, b, chunk=chunk, threads=threads)
    to_chosen = sum((shares[start] for start in sorted(shares)), np.zeros_like(chosen))
    found = sum(values[start] for start in sorted(values))
    found -= float(np.einsum("bd,bd->", users, near, dtype=np.float64)) / temperature
    to_users -= near
    to_users /= np.float32(temperature)
    pairs = product(csr_array(positives.T.tocsr()), users, scale=-1 / temperature, threads=threads)
    spread = csr_array((np.ones(k, np.float32), (candidates, np.arange(k))), shape=(len(items), k))
    return found, to_users, product(spread, to_chosen, plus=pairs, threads=threads)


def _part(x: Floats, weight: Floats, turned: Floats, chosen: Floats, to_users: Floats, share: Floats) -> float:
    """The log-partitions of some users, weighted and summed; their gradients are written and added."""
    logits: Any = x @ turned
    highest = logits.max(axis=1)
    logits -= highest[:, None]
    np.exp(logits, out=logits)
    total = logits.sum(axis=1)
    logits *= (weight / total)[:, None]
    np.matmul(logits, chosen, out=to_users)
    share += logits.T @ x
    return float(weight.astype(np.float64) @ (highest + np.log(total)))
