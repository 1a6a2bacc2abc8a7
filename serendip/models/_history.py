"""What learned user vectors say of histories, so that a history alone is answered: for `bpr`, `warp`, `logistic_mf`.

Descent learns a vector w_u for each user of the log. What answers is its best linear estimate from the history,

``ŵ_u = |H|^−½ Σ_{i∈H} M h_i + m``,  ``(M, m) = argmin Σ_u Σ_H ‖w_u − ŵ_u‖² + κ ‖M‖²``,

with h the item vectors: a ridge regression in which each user of the log occurs twice, once with the whole history and
once with a random part of it, so that short histories are understood as well. An answer follows new events at once, and
new users need no refit. The estimate also evens out the noise that descent leaves in each w_u: its lists of held-out
events are better than those of w_u itself, so that w_u is not kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels.pool import blas_threads
from serendip.scorers import Summed
from serendip.types import Floats

Doubles = NDArray[np.float64]

POWER = 0.5
ROWS = 1 << 14  # histories summed up at a time
RIDGE = 1e-3
"""κ, as a share of the mean square of a history's sum, times the number of users."""


def answering(
    matrix: csr_array,
    users: Floats,
    items: Floats,
    bias: Floats,
    known: NDArray[np.bool_],
    rng: np.random.Generator,
    threads: int | None = None,
) -> Summed:
    """The scorer that estimates a user's vector from the history.

    Args:
        matrix: ``[users, known]`` the pairs learned from, of any values above 0; each user has at least one.
        users, items, bias: ``[users, d]``, ``[known, d]``, ``[known]`` what was learned.
        known: ``[n]`` which items of the vocabulary these are; nothing is known of the others.
        rng: which parts of the histories are taken.
        threads: as in `serendip.kernels.pool.count`.
    """
    with blas_threads(threads):
        from_history, constant = _ridge([matrix, thinned(matrix, rng)], users, items)
        spoken = (items.astype(np.float64) @ from_history).astype(np.float32)
        level = (items.astype(np.float64) @ constant).astype(np.float32) + bias
        vectors = np.column_stack([items, level])
    tables = [np.full((len(known), part.shape[1]), np.nan, np.float32) for part in (vectors, spoken)]
    tables[0][known], tables[1][known] = vectors, spoken
    return Summed(tables[0], tables[1], np.empty((0, items.shape[1]), np.float32), POWER)


def thinned(matrix: csr_array, rng: np.random.Generator) -> csr_array:
    """Of each row a random part: each entry stays with a chance that is drawn once for the row, evenly from 0 … 1."""
    sizes = np.diff(matrix.indptr)
    stays = rng.random(matrix.nnz) < np.repeat(rng.random(len(sizes)), sizes)
    starts = np.concatenate([[0], np.cumsum(stays)])[matrix.indptr]
    return csr_array((matrix.data[stays], matrix.indices[stays], starts), shape=matrix.shape)


def _said(matrix: csr_array, items: Floats) -> Doubles:
    """``|H|^−½ Σ_{i∈H} h_i`` of each row; 0 for an empty one."""
    sizes = np.diff(matrix.indptr)
    scale = np.maximum(sizes, 1).astype(np.float32) ** np.float32(-POWER)
    said = csr_array((np.repeat(scale, sizes), matrix.indices, matrix.indptr), shape=matrix.shape) @ items
    return np.asarray(said, np.float64)


def _ridge(parts: Sequence[csr_array], users: Floats, items: Floats) -> tuple[Doubles, Doubles]:
    """M ``[d, d]`` and m ``[d]`` that minimise ``Σ ‖w M + m − u‖² + κ ‖M‖²``.

    The sum runs over the rows of each part that hold something, with w what they say and u the vector of their user.
    """
    d = users.shape[1]
    count, sums, products = 0, np.zeros((2, d)), np.zeros((2, d, d))
    for part in parts:
        for start in range(0, len(users), ROWS):
            rows = part[start : start + ROWS]
            some = np.diff(rows.indptr) > 0
            left, right = _said(rows, items)[some], users[start : start + ROWS][some].astype(np.float64)
            count += len(left)
            sums += left.sum(axis=0), right.sum(axis=0)
            products += left.T @ left, left.T @ right
    if count == 0:
        return np.zeros((d, d)), np.zeros(d)
    mean_left, mean_right = sums / count
    gram = products[0] - np.outer(sums[0], mean_left)
    kappa = RIDGE * np.trace(products[0]) / d
    gram[np.diag_indices_from(gram)] += max(kappa, np.finfo(np.float64).tiny)
    from_history = np.linalg.solve(gram, products[1] - np.outer(sums[0], mean_right))
    return from_history, mean_right - mean_left @ from_history
