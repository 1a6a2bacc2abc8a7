"""The cuts of the ordered probit: where on the latent scale one level of rating ends and the next begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.special import ndtri

Values = NDArray[np.float64]

FREEDOM = 8  # degrees of freedom of the proposal, whose tails must be heavier than the target's
STEPS = 20


@dataclass(slots=True, eq=False)
class Cuts:
    """The present cuts ``γ [L − 1]``, drawn by a Metropolis–Hastings step that integrates the latent values out.

    The proposal is a t distribution about the mode of the likelihood of γ given η, with the Hessian there as its
    precision. The likelihood is log-concave, so that Newton's method finds the mode.

    Source: J. H. Albert and S. Chib, "Sequential ordinal modeling with applications to survival data", Biometrics 57,
    2001 (tailored proposals); M. K. Cowles, Statistics and Computing 6, 1996 (integrating the latent values out).

    Attributes:
        level: ``[m]`` level of each rating, each of 0 … L − 1 at least once.
        values: ``[L − 1]`` the cuts.
    """

    level: NDArray[np.int32]
    values: Values

    @classmethod
    def of(cls, level: NDArray[np.int32]) -> Cuts:
        """Cuts at the quantiles of the levels."""
        share = np.cumsum(np.bincount(level))[:-1] / len(level)
        return cls(level, ndtri(share))

    def draw(self, centre: Values, rng: np.random.Generator) -> bool:
        """Draw the cuts given ``η [m]``; whether the proposal was taken."""
        mode, precision = self._mode(centre)
        # With P = U'U, the banded Cholesky factor, U⁻¹ z has the covariance P⁻¹.
        upper = cholesky_banded(precision)
        normal = rng.standard_normal(len(mode))
        radius = np.sqrt(FREEDOM / rng.chisquare(FREEDOM))
        proposed = mode + radius * _back(upper, normal)
        accept = np.log(rng.random())
        if not bool((np.diff(proposed) > 0).all()):
            return False
        new, old = self._likelihood(centre, proposed)[0], self._likelihood(centre, self.values)[0]
        ratio = new - old + _density(self.values - mode, precision) - _density(proposed - mode, precision)
        if accept >= ratio:
            return False
        self.values = proposed
        return True

    def _likelihood(self, centre: Values, cuts: Values) -> tuple[float, Values, Values]:
        """Log-likelihood, gradient, and the negative Hessian as the upper bands ``[2, L − 1]``."""
        from serendip.kernels import gibbs

        slope, bands = np.empty(len(cuts)), np.zeros((2, len(cuts)))
        diagonal, beside = np.empty(len(cuts)), np.empty(max(len(cuts) - 1, 0))
        found = gibbs.cut_likelihood(self.level, centre, cuts, slope, diagonal, beside)
        bands[0, 1:], bands[1] = -beside, np.maximum(-diagonal, 1e-9)
        return float(found), slope, bands

    def _mode(self, centre: Values) -> tuple[Values, Values]:
        """Where the likelihood is highest, and its negative Hessian there."""
        mode = self.values
        found, slope, precision = self._likelihood(centre, mode)
        for _ in range(STEPS):
            step = cho_solve_banded((cholesky_banded(precision), False), slope)
            if slope @ step < 1e-3:  # the mode is nearer than a small part of the deviation
                break
            length = 1.0
            while length > 1e-6:
                tried = mode + length * step
                if bool((np.diff(tried) > 0).all()):
                    better = self._likelihood(centre, tried)
                    if better[0] > found:
                        mode, (found, slope, precision) = tried, better
                        break
                length /= 2
            else:
                break
        return mode, precision


def _back(upper: Values, right: Values) -> Values:
    """Solve ``U x = right`` for an upper bidiagonal U given as bands."""
    out = right.copy()
    for row in range(len(out) - 1, -1, -1):
        if row + 1 < len(out):
            out[row] -= upper[0, row + 1] * out[row + 1]
        out[row] /= upper[1, row]
    return out


def _density(offset: Values, precision: Values) -> float:
    """Log-density of the proposal, but for a constant."""
    square = precision[1] @ offset**2 + 2 * precision[0, 1:] @ (offset[1:] * offset[:-1])
    return float(-0.5 * (FREEDOM + len(offset)) * np.log1p(square / FREEDOM))
