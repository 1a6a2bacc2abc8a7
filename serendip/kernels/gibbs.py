"""Gibbs steps of a factorisation machine whose features come in blocks that cases share.

A *block* (the user, the item, the day) has rows of features; each case points to one row of each block. Whatever a
step needs of the cases of a row are a few sums, so that a feature costs as many operations as rows have it, however
many cases those rows have (S. Rendle, "Scaling factorization machines to relational data", VLDB 2013). Bound: for each
factor and block two passes over the cases, some 32 bytes each, and one over the block's features.

Features of a block are a matrix by column: ``starts [c + 1]``, ``rows`` and ``values``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serendip.kernels.jit import compiled

_ROOT = math.sqrt(0.5)
_PEAK = 1 / math.sqrt(2 * math.pi)
_LEAST = 1e-300


@compiled
def linear(
    case: Any, starts: Any, rows: Any, values: Any, noise: Any, precision: Any, centre: Any, alpha: Any, w: Any,
    error: Any, counts: Any,
) -> None:  # fmt: skip
    """Draw the weights of a block in turn, and move the errors ``[m]`` (truth − model) along.

    ``w_j ~ N(σ² (α Σ x e_j + μ_j λ_j), σ²)``, ``σ² = 1 / (α Σ x² + λ_j)``, with e_j the error without w_j.

    Args:
        case: ``[m]`` row of each case.
        starts, rows, values: the block's features.
        noise: ``[c]`` standard normal numbers.
        precision, centre: ``[c]`` λ and μ of each feature's prior.
        alpha: precision of the errors.
        w: ``[c]`` drawn in place.
        error: ``[m]`` changed in place.
        counts: ``[rows]`` how many cases a row has.
    """
    total = np.zeros(len(counts))
    moved = np.zeros(len(counts))
    for c in range(len(case)):
        total[case[c]] += error[c]
    for j in range(len(w)):
        square, product = 0.0, 0.0
        for at in range(starts[j], starts[j + 1]):
            x, row = values[at], rows[at]
            square += x * x * counts[row]
            product += x * total[row]
        below = alpha * square + precision[j]
        new = (alpha * (product + w[j] * square) + precision[j] * centre[j]) / below + noise[j] / math.sqrt(below)
        step = new - w[j]
        w[j] = new
        for at in range(starts[j], starts[j + 1]):
            x, row = values[at], rows[at]
            total[row] -= step * x * counts[row]
            moved[row] += step * x
    for c in range(len(case)):
        error[c] -= moved[case[c]]


@compiled
def factor(
    case: Any, starts: Any, rows: Any, values: Any, noise: Any, precision: Any, centre: Any, alpha: Any, v: Any,
    sums: Any, whole: Any, error: Any, counts: Any,
) -> None:  # fmt: skip
    """Draw one factor of a block's features in turn, and move sums and errors along.

    As `linear`, with ``h = x (Q − v x)`` in the place of x, where Q is the case's ``Σ v x`` over all blocks.

    Args:
        case, starts, rows, values, noise, precision, centre, alpha, error, counts: as in `linear`.
        v: ``[c]`` drawn in place.
        sums: ``[rows]`` ``Σ v x`` of each row of the block, changed in place.
        whole: ``[m]`` Q of each case, changed in place.
    """
    n = len(counts)
    other, squared, total, product = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    before, spread = sums.copy(), np.zeros(n)
    for c in range(len(case)):
        row = case[c]
        rest = whole[c] - sums[row]
        other[row] += rest
        squared[row] += rest * rest
        total[row] += error[c]
        product[row] += rest * error[c]
    for j in range(len(v)):
        old = v[j]
        square, cross = 0.0, 0.0
        for at in range(starts[j], starts[j + 1]):
            x, row = values[at], rows[at]
            own = sums[row] - old * x
            square += x * x * (own * (counts[row] * own + 2 * other[row]) + squared[row])
            cross += x * (own * total[row] + product[row])
        below = alpha * square + precision[j]
        new = (alpha * (cross + old * square) + precision[j] * centre[j]) / below + noise[j] / math.sqrt(below)
        step = new - old
        v[j] = new
        for at in range(starts[j], starts[j + 1]):
            x, row = values[at], rows[at]
            own, move = sums[row] - old * x, step * x
            total[row] -= move * (own * counts[row] + other[row])
            product[row] -= move * (own * other[row] + squared[row])
            sums[row] += move
            spread[row] += (new * new - old * old) * x * x
    for c in range(len(case)):
        row = case[c]
        step = sums[row] - before[row]
        rest = whole[c] - before[row]
        error[c] -= step * (0.5 * (sums[row] + before[row]) + rest) - 0.5 * spread[row]
        whole[c] += step


@compiled
def cut_likelihood(level: Any, centre: Any, cuts: Any, slope: Any, diagonal: Any, beside: Any) -> float:
    """Log-likelihood of levels under the ordered probit, and what Newton's method needs to know of it.

    A case of level l has the probability ``Φ(γ_l − η) − Φ(γ_{l−1} − η)``, γ without end at both sides.

    Args:
        level: ``[m]`` 0 … L − 1.
        centre: ``[m]`` η.
        cuts: ``[L − 1]`` γ, ascending.
        slope, diagonal, beside: ``[L − 1]`` and ``[L − 2]``: the gradient by γ, the diagonal of the Hessian and what
            stands beside it; written.
    """
    last = len(cuts)
    slope[:], diagonal[:], beside[:] = 0, 0, 0
    total = 0.0
    for c in range(len(level)):
        place = level[c]
        low = cuts[place - 1] - centre[c] if place > 0 else -np.inf
        high = cuts[place] - centre[c] if place < last else np.inf
        share = max(_between(low, high), _LEAST)
        total += math.log(share)
        above = _PEAK * math.exp(-0.5 * high * high) / share if place < last else 0.0
        below = _PEAK * math.exp(-0.5 * low * low) / share if place > 0 else 0.0
        if place < last:
            slope[place] += above
            diagonal[place] -= above * (high + above)
        if place > 0:
            slope[place - 1] -= below
            diagonal[place - 1] += below * (low - below)
        if 0 < place < last:
            beside[place - 1] += above * below
    return total


@compiled
def truncated(level: Any, error: Any, latent: Any, cuts: Any, uniform: Any) -> None:
    """Draw the latent value of each case, normal about η between the cuts of its level.

    ``latent`` and ``error`` ``[m]`` are changed in place and keep ``η = latent − error``.
    """
    last = len(cuts)
    for c in range(len(level)):
        place = level[c]
        centre = latent[c] - error[c]
        low = cuts[place - 1] - centre if place > 0 else -np.inf
        high = cuts[place] - centre if place < last else np.inf
        if low > 0:
            drawn = -_draw(-high, -low, uniform[c])
        else:
            drawn = _draw(low, high, uniform[c])
        latent[c] = centre + drawn
        error[c] = drawn


@compiled
def _between(low: float, high: float) -> float:
    """``Φ(high) − Φ(low)`` without cancellation in the tails."""
    if low > 0:
        return 0.5 * (math.erfc(low * _ROOT) - math.erfc(high * _ROOT))
    if high < 0:
        return 0.5 * (math.erfc(-high * _ROOT) - math.erfc(-low * _ROOT))
    return 1 - 0.5 * (math.erfc(high * _ROOT) + math.erfc(-low * _ROOT))


@compiled
def _draw(low: float, high: float, uniform: float) -> float:
    """A standard normal number between bounds of which the lower is at most 0, by inversion."""
    start = 0.5 * math.erfc(-low * _ROOT)
    share = start + uniform * _between(low, high)
    return min(max(_quantile(share), low), high) if share > _LEAST else high


@compiled
def _quantile(share: float) -> float:
    """The standard normal quantile, by Newton's method from a rational guess (error below 1e-9 after two steps).

    The guess is 26.2.23 of Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, good to 4.5e-4.
    """
    tail = min(share, 1 - share)
    if tail <= 0:
        return -np.inf if share < 0.5 else np.inf
    t = math.sqrt(-2 * math.log(tail))
    guess = (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t
    for _ in range(2):
        # Halley's step on log Φ, whose slope is φ/Φ; it stays exact in the tail.
        ratio = (0.5 * math.erfc(-guess * _ROOT) - tail) / (_PEAK * math.exp(-0.5 * guess * guess))
        guess -= ratio / (1 + 0.5 * guess * ratio)
    return guess if share < 0.5 else -guess
