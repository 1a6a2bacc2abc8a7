"""How sure a measure of rows is, where the rows of a user belong together: bootstrap over users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from serendip.evaluate.columns import Values
from serendip.evaluate.resampled import MEASURES, Codes, Rows, prepare
from serendip.types import SerendipError

_DRAWS = 1 << 22  # users drawn at a time


@dataclass(frozen=True, slots=True)
class Clustered:
    """A measure, or a difference of two, and how sure it is.

    Attributes:
        value: of all rows that have a label.
        low, high: percentile bootstrap bounds; NaN with fewer than two users.
        standard_error: standard deviation over the resamples; NaN likewise.
        rows, users: how many have a label.
        undefined: resamples in which the measure is not defined, as none of the few positives was drawn; bounds and
            standard error leave them out.
    """

    value: float
    low: float
    high: float
    standard_error: float
    rows: int
    users: int
    undefined: int

    @property
    def minimum_detectable_effect(self) -> float:
        """The least true effect that such data would show four times in five: 2.80 standard errors."""
        return minimum_detectable_effect(self.standard_error)


def clustered(
    measure: str, rows: Rows, predicted: ArrayLike, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Clustered:
    """A measure with its percentile bootstrap over users: as many users are drawn as there are, with all their rows.

    Chance gaps raise a binned calibration error, and resampling adds to them: the bounds of ``ece`` lie rather high.
    Source: Field and Welsh, "Bootstrapping clustered data", JRSS B 69(3), 2007.

    Args:
        measure: one of `MEASURES`.
        rows: what it is taken of.
        predicted: ``[m]`` scores, or probabilities for ``logloss`` and ``ece``.
        level: of the bounds.
        resamples: how many.
        seed: of the draws.

    Raises:
        SerendipError: an unknown measure, a column that it lacks, what the measure itself refuses, a group of several
            users; a level outside (0, 1), fewer than 2 resamples.
    """
    return _resampled(measure, rows, (predicted,), level, resamples, seed)


def clustered_difference(
    measure: str,
    rows: Rows,
    a: ArrayLike,
    b: ArrayLike,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Clustered:
    """The measure of prediction ``a`` less that of ``b`` on the same rows: each resample of users serves both.

    Arguments and errors as of `clustered`.
    """
    return _resampled(measure, rows, (a, b), level, resamples, seed)


def minimum_detectable_effect(standard_error: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The least true effect that a two-sided test at level alpha finds with the given power.

    ``(z_{1 − α/2} + z_power) · standard error``, 2.80 standard errors by default.
    Source: Bloom, "Minimum detectable effects", Evaluation Review 19(5), 1995.

    Raises:
        SerendipError: alpha or power outside (0, 1).
    """
    if not (0 < alpha < 1 and 0 < power < 1):
        raise SerendipError(f"alpha and power must be between 0 and 1. Got {alpha} and {power} instead.")
    normal = NormalDist()
    return (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) * standard_error


def _resampled(
    measure: str, rows: Rows, predictions: tuple[ArrayLike, ...], level: float, resamples: int, seed: int
) -> Clustered:
    if not 0 < level < 1:
        raise SerendipError(f"level must be between 0 and 1. Got {level} instead.")
    if resamples < 2:
        raise SerendipError(f"resamples must be at least 2. Got {resamples} instead.")
    made = [prepare(measure, rows, predicted) for predicted in predictions]
    m, n = made[0].rows, made[0].users

    def of(counts: Codes) -> Values:
        first, *second = (one.of(counts) for one in made)
        return first - second[0] if second else first

    value = float(of(np.ones((1, n), np.int64))[0])
    draws = np.concatenate([np.empty(0), *(of(counts) for counts in _drawn(n, resamples, seed))])
    able = draws[~np.isnan(draws)]
    undefined = len(draws) - len(able)
    if len(able) < 2:
        return Clustered(value, np.nan, np.nan, np.nan, m, n, undefined)
    low, high = np.quantile(able, [(1 - level) / 2, (1 + level) / 2])
    return Clustered(value, float(low), float(high), float(able.std(ddof=1)), m, n, undefined)


def _drawn(n: int, resamples: int, seed: int) -> Iterator[Codes]:
    """``[r, n]`` how often each of n users is drawn, some resamples at a time; nothing for fewer than two users."""
    if n < 2:
        return
    rng = np.random.default_rng(seed)
    step = max(1, _DRAWS // n)
    for start in range(0, resamples, step):
        r = min(step, resamples - start)
        drawn = rng.integers(0, n, (r, n)) + np.arange(r)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=r * n).reshape(r, n)


__all__ = [
    "MEASURES",
    "Clustered",
    "Rows",
    "clustered",
    "clustered_difference",
    "minimum_detectable_effect",
]
