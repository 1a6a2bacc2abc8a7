"""What learned user vectors say of histories, so that a history alone is answered: for `bpr`, `warp`, `logistic_mf`.

Descent learns a vector w_u for each user of the log. What answers is its best linear estimate from the history,

``ŵ_u = |H|^−½ Σ_{i∈H} M h_i + m``,  ``(M, m) = argmin Σ_u ‖w_u − ŵ_u‖² + κ ‖M‖²``,

with h the item vectors: a ridge regression over all users of the log. So an answer follows new events at once and new
users need no refit. The estimate also evens out the noise that descent leaves in each w_u.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels.pool import blas_threads
from serendip.scorers import Summed
from serendip.types import Floats

Doubles = NDArray[np.float64]

POWER = 0.5
RIDGE = 1e-3
"""κ, as a share of the mean square of a history's sum, times the number of users."""


def answering(
    matrix: csr_array, users: Floats, items: Floats, bias: Floats, known: NDArray[np.bool_], threads: int | None = None
) -> Summed:
    """The scorer that estimates a user's vector from the history.

    Args:
        matrix: ``[users, known]`` the pairs learned from, of any values above 0; each user has at least one.
        users, items, bias: ``[users, d]``, ``[known, d]``, ``[known]`` what was learned.
        known: ``[n]`` which items of the vocabulary these are; nothing is known of the others.
        threads: as in `serendip.kernels.pool.count`.
    """
    sizes = np.diff(matrix.indptr).astype(np.float32)
    ones = csr_array((np.repeat(sizes**-POWER, sizes.astype(np.int64)), matrix.indices, matrix.indptr), matrix.shape)
    with blas_threads(threads):
        said = (ones @ items).astype(np.float64)
        from_history, constant = _ridge(said, users.astype(np.float64))
        spoken = (items.astype(np.float64) @ from_history).astype(np.float32)
        level = (items.astype(np.float64) @ constant).astype(np.float32) + bias
        vectors = np.column_stack([items, level])
    tables = [np.full((len(known), part.shape[1]), np.nan, np.float32) for part in (vectors, spoken)]
    tables[0][known], tables[1][known] = vectors, spoken
    return Summed(tables[0], tables[1], np.empty((0, items.shape[1]), np.float32), POWER)


def _ridge(left: Doubles, right: Doubles) -> tuple[Doubles, Doubles]:
    """M ``[d, d]`` and m ``[d]`` that minimise ``‖left M + m − right‖² + κ ‖M‖²``."""
    if len(left) == 0:
        return np.zeros((left.shape[1], right.shape[1])), np.zeros(right.shape[1])
    mean_left, mean_right = left.mean(axis=0), right.mean(axis=0)
    centred = left - mean_left
    gram = centred.T @ centred
    kappa = RIDGE * (left**2).sum() / left.shape[1]
    gram[np.diag_indices_from(gram)] += max(kappa, np.finfo(np.float64).tiny)
    from_history = np.linalg.solve(gram, centred.T @ (right - mean_right))
    return from_history, mean_right - mean_left @ from_history
