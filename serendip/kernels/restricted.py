"""Ridge regressions of each column of a matrix on a few others, from the Gram matrix, compiled and batched.

Bound: for each of the n regressions on m columns one look at the m rows of the Gram matrix that they have, and ``m³/3``
multiply-adds for the solution.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.kernels.jit import compiled
from serendip.types import Floats

_NUMBERS = 1 << 22  # of the matrices solved at a time


def regress(gram: csr_array, chosen: csr_array, reg: NDArray[np.float64], *, threads: int | None = None) -> Floats:
    """For each row i of ``chosen`` the ``w`` over its columns N that minimises ``wᵀ G_NN w − 2 wᵀ G_Ni + Σ reg w²``.

    Args:
        gram: G, ``[n, n]`` float32 and symmetric.
        chosen: ``[n, n]``; the columns stored in row i are N; its values are not used.
        reg: ``[n]`` above 0, by column.
        threads: see `pool.count`; the result does not depend on it.

    Returns:
        One value for each stored place of ``chosen``, in its order.
    """
    out = np.empty(chosen.nnz, np.float32)
    counts = np.diff(chosen.indptr)
    most = int(counts.max(initial=0))
    if most == 0:
        return out

    def task(start: int, stop: int) -> None:
        first, last = chosen.indptr[start], chosen.indptr[stop]
        width = int(counts[start:stop].max(initial=0))
        if width == 0:
            return
        left, right = np.zeros((stop - start, width, width)), np.zeros((stop - start, width))
        starts = chosen.indptr[start : stop + 1] - first
        _fill(
            gram.indptr, gram.indices, gram.data, start, starts, chosen.indices[first:last], left, right
        )  # fmt: skip
        places = np.arange(width)
        used = places < counts[start:stop, None]
        # A place that is not used gets the equation w = 0.
        penalty = np.ones(used.shape)
        penalty[used] = reg[chosen.indices[first:last]]
        # Never below the rounding error of the sums, so that there always is one solution.
        diagonal = left[:, places, places]
        left[:, places, places] += np.maximum(penalty, 1e-10 * diagonal.max(axis=1, keepdims=True))
        out[first:last] = np.linalg.solve(left, right[:, :, None])[:, :, 0][used]

    pool.rows(task, len(counts), chunk=max(1, _NUMBERS // most**2), threads=threads)
    return out


@compiled
def _fill(
    starts: Any, columns: Any, values: Any, first: int, chosen_starts: Any, chosen: Any, left: Any, right: Any
) -> None:  # fmt: skip
    place = np.zeros(len(starts) - 1, np.int32)
    for at in range(len(left)):
        named = chosen[chosen_starts[at] : chosen_starts[at + 1]]
        for order in range(len(named)):
            place[named[order]] = order + 1
        for order in range(len(named)):
            row = named[order]
            for entry in range(starts[row], starts[row + 1]):
                found = place[columns[entry]]
                if found:
                    left[at, order, found - 1] = values[entry]
        own = first + at
        for entry in range(starts[own], starts[own + 1]):
            found = place[columns[entry]]
            if found:
                right[at, found - 1] = values[entry]
        for order in range(len(named)):
            place[named[order]] = 0
