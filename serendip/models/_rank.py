"""The inverse of a Gram matrix, read off item-to-item weights and changed by the rows that changed.

With ``P = (XᵀX + Λ)⁻¹`` and ``B_ij = −P_ij / P_jj``, the weights of `serendip.models.ease`, the equation of column j
says ``1 / P_jj = (XᵀX + Λ)_jj − Σ_i (XᵀX)_ji B_ij``, so that B and X give P. If k rows of X change, from N to M, then
``P' = P − P Uᵀ (C + U P Uᵀ)⁻¹ U P`` with the rows of M and N in U, and C = ±1 on its diagonal (M. Woodbury, 1950).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from serendip.types import Floats

Doubles = NDArray[np.float64]
BLOCK = 1024
SHARE = 8  # so many times the changed rows must be fewer than the items for this to be the cheaper way


def pays(rows: int, n: int) -> bool:
    """Whether changing the inverse costs less than inverting."""
    return SHARE * rows < n


def inverse_of(weights: Floats, matrix: csr_array, reg: Doubles) -> NDArray[Any] | None:
    """P, of the type of ``weights``; None where rounding has left nothing of it.

    Args:
        weights: B ``[n, n]``.
        matrix: X ``[m, n]``.
        reg: the diagonal of Λ.
    """
    n = len(weights)
    left = np.bincount(matrix.indices, matrix.data.astype(np.float64) ** 2, n) + reg
    for start in range(0, matrix.shape[0], BLOCK):
        some = matrix[start : start + BLOCK]
        row = np.repeat(np.arange(some.shape[0]), np.diff(some.indptr))
        answered = (some @ weights)[row, some.indices].astype(np.float64)
        left -= np.bincount(some.indices, some.data * answered, n)
    if not (left > 0).all():
        return None
    out = weights * (-1 / left).astype(weights.dtype)
    np.einsum("ii->i", out)[:] = 1 / left
    return out


def change_rows(inverse: NDArray[Any], old: csr_array, new: csr_array) -> bool:
    """Change P in place as these rows of X change; whether rounding left something of it."""
    rows = csr_array(vstack([new, old], "csr"))
    signs = np.repeat([1.0, -1.0], [new.shape[0], old.shape[0]])
    turned = np.asarray(rows @ inverse)  # U P
    small = np.diag(signs) + (rows @ turned.T.astype(np.float64))
    try:
        solved = np.linalg.solve(small, turned.astype(np.float64)).astype(inverse.dtype)
    except np.linalg.LinAlgError:
        return False
    for start in range(0, len(inverse), BLOCK):
        inverse[start : start + BLOCK] -= turned[:, start : start + BLOCK].T @ solved
    return bool((np.diagonal(inverse) > 0).all() and np.isfinite(solved).all())
