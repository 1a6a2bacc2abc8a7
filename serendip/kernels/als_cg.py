"""The rows of an ALS half step by conjugate gradients, compiled.

For a row with entries e of weight ``c_e`` and vectors ``v_e``, and with D the diagonal that the eigenbasis leaves,
solves ``(D + Σ_e c_e v_e v_eᵀ) w = Σ_e c_e v_e`` by so many steps of conjugate gradients from w = 0, with D⁻¹ as
preconditioner (G. Takács, I. Pilászy and D. Tikk, "Applications of the conjugate gradient method for implicit feedback
collaborative filtering", RecSys 2011).

Deviations: there a step costs ``d²`` for the part that all rows share, and the first begins with the row's last vector.
In the eigenbasis a step costs d and, the preconditioner being exact for that part, so few suffice that it does not pay
to turn the last vector into the new basis.

Bound: reading ``4·d`` bytes an entry, once from memory and ``2·steps`` times from the cache, for ``(1 + 2·steps)·m·d``
multiplications with additions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serendip.kernels.jit import compiled, summed
from serendip.kernels.lines import GROUP, add_weighted_gram, combine
from serendip.kernels.normal import dot

TOLERANCE = 1e-12
"""Of the first residual's square: below it there are only rounding errors to follow."""


@compiled
def solve_rows(
    starts: Any, places: Any, weights: Any, vectors: Any, shared: Any, strength: Any, steps: int, solved: Any
) -> None:
    """Write the vectors ``solved`` ``[rows, wide]``; all are in the eigenbasis, ``shared`` is the diagonal there.

    A row whose equations single precision cannot hold gets NaN.
    """
    wide = vectors.shape[1]
    flat = vectors.reshape(-1)
    diagonal, inverse = np.empty(wide, np.float32), np.empty(wide, np.float32)
    residual, ahead, image = np.empty(wide, np.float32), np.empty(wide, np.float32), np.empty(wide, np.float32)
    part = np.empty(GROUP, np.float32)
    longest = 0
    for row in range(len(solved)):
        longest = max(longest, starts[row + 1] - starts[row])
    places_of = np.empty(longest, np.int64)
    for row in range(len(solved)):
        near, weight = places[starts[row] : starts[row + 1]], weights[starts[row] : starts[row + 1]]
        begins = places_of[: len(near)]
        for entry in range(len(near)):
            begins[entry] = np.int64(near[entry]) * wide
        for at in range(wide):
            diagonal[at] = shared[at] + strength[row]
            inverse[at] = np.float32(1) / diagonal[at]
        out = solved[row]
        out[:] = 0
        residual[:] = 0
        combine(flat, begins, weight, residual)
        for at in range(wide):
            ahead[at] = residual[at] * inverse[at]
        length = dot(residual, ahead)
        if not np.isfinite(length):  # the regularisation is too small for single precision
            out[:] = np.nan
            continue
        least = np.float32(TOLERANCE) * length
        for _ in range(steps):
            if not length > least:
                break
            for at in range(wide):
                image[at] = diagonal[at] * ahead[at]
            add_weighted_gram(flat, begins, weight, ahead, part, image)
            now = _advance(length / dot(ahead, image), ahead, image, inverse, out, residual)
            ratio = now / length
            length = now
            for at in range(wide):
                ahead[at] = residual[at] * inverse[at] + ratio * ahead[at]


@summed
def _advance(step: Any, ahead: Any, image: Any, inverse: Any, out: Any, residual: Any) -> Any:
    """Go the step; the new residual's square in the preconditioner's measure."""
    total = np.float32(0)
    for at in range(len(out)):
        out[at] += step * ahead[at]
        left = residual[at] - step * image[at]
        residual[at] = left
        total += left * left * inverse[at]
    return total
