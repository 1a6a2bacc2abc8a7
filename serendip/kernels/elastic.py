"""Elastic nets by coordinate descent over a Gram matrix, one column of the answer after the other, compiled.

Only coordinates whose entry in the Gram matrix is above the l1 penalty can leave 0, because nothing else can raise
their gradient. After each sweep over those, the ones above 0 are swept alone until they are settled.

Bound: one multiply-add per entry of the Gram matrix's row for each coordinate that moves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.jit import compiled

_CHUNK = 64


def nonnegative(
    gram: csr_array,
    l1: float,
    l2: float,
    *,
    sweeps: int,
    tolerance: float,
    only: NDArray[np.int64] | None = None,
    threads: int | None = None,
) -> csr_array:
    """For each column j the ``w ≥ 0`` with ``w_j = 0`` that minimises ``½ wᵀGw − wᵀg_j + l1 Σ w + ½ l2 ‖w‖²``.

    Args:
        gram: G, ``[n, n]`` float32, symmetric and not negative, such as ``XᵀX`` for X ≥ 0; g_j is its column j.
        l1, l2: 0 or more.
        sweeps: how often all coordinates are gone through at most.
        tolerance: a sweep that moves nothing by more is the last.
        only: the j that are wanted, ascending; None: all.
        threads: see `pool.count`; the result does not depend on it.

    Returns:
        W ``[n, n]`` float32, one column for each j; empty for those that are not wanted.
    """
    n = gram.shape[0]
    diagonal = gram.diagonal().astype(np.float32)
    starts = gram.indptr.astype(np.int64)
    columns = gram.indices.view(f"u{gram.indices.itemsize}")
    wanted = np.arange(n) if only is None else only.astype(np.int64)
    parts: dict[int, csr_array] = {}

    def task(start: int, stop: int) -> None:
        out = np.zeros((stop - start, n), np.float32)
        _descend(
            wanted[start:stop], starts, columns, gram.data, diagonal, np.float32(l1), np.float32(l2), sweeps,
            np.float32(tolerance), out,
        )  # fmt: skip
        parts[start] = csr_array(out)

    pool.rows(task, len(wanted), chunk=_CHUNK, threads=threads)
    ordered = [parts[start] for start in sorted(parts)]
    counts = np.zeros(n + 1, np.int64)
    counts[1 + wanted] = np.concatenate([np.zeros(0, np.int64), *(np.diff(part.indptr) for part in ordered)])
    ends = np.cumsum(counts)
    items = np.concatenate([np.zeros(0, np.int32), *(part.indices for part in ordered)])
    values = np.concatenate([np.zeros(0, np.float32), *(part.data for part in ordered)])
    return csr_array(csr_array((values, items, ends), shape=(n, n)).T.tocsr())


@compiled
def _descend(
    wanted: Any, starts: Any, columns: Any, values: Any, diagonal: Any, l1: Any, l2: Any, sweeps: int, tolerance: Any,
    out: Any,
) -> None:  # fmt: skip
    n = len(diagonal)
    left = np.empty(n, np.float32)
    able = np.empty(n, np.int64)
    above = np.empty(n, np.int64)
    for at in range(len(out)):
        own, w = wanted[at], out[at]
        left[:] = 0
        count = 0
        for entry in range(starts[own], starts[own + 1]):
            left[columns[entry]] = values[entry]
            if values[entry] > l1 and columns[entry] != own:
                able[count] = columns[entry]
                count += 1
        gain = np.empty(count, np.float32)
        for place in range(count):
            gain[place] = (l1 - left[able[place]]) / np.sqrt(diagonal[able[place]] + l2)
        able[:count] = able[:count][np.argsort(gain)]
        done = 0
        while done < sweeps:
            moved = _sweep(able, count, starts, columns, values, diagonal, l1, l2, left, w)
            done += 1
            if moved <= tolerance:
                break
            some = 0
            for place in range(count):
                above[some] = able[place]
                some += w[able[place]] > 0
            while done < sweeps and moved > tolerance:
                moved = _sweep(above, some, starts, columns, values, diagonal, l1, l2, left, w)
                done += 1


@compiled
def _sweep(
    chosen: Any, count: int, starts: Any, columns: Any, values: Any, diagonal: Any, l1: Any, l2: Any, left: Any, w: Any
) -> Any:
    """Set each chosen coordinate to its best value given the others; returns the farthest move."""
    farthest = np.float32(0)
    for place in range(count):
        i = chosen[place]
        old = w[i]
        new = max(left[i] + diagonal[i] * old - l1, np.float32(0)) / (diagonal[i] + l2)
        step = new - old
        if step != 0:
            w[i] = new
            farthest = max(farthest, abs(step))
            for entry in range(starts[i], starts[i + 1]):
                left[columns[entry]] -= step * values[entry]
    return farthest
