"""Whether what is foretold with a probability comes true as often: bins of rows by probability, and their mean gap.

Equal-count bins (``quantile``) are made by mid-rank, so that rows of one probability share a bin and the order of the
rows plays no part; equal-width bins (``uniform``) divide 0 … 1. Bins without a row are not shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serendip.evaluate import columns as given
from serendip.evaluate.columns import Values
from serendip.types import SerendipError

Strategy = Literal["quantile", "uniform"]


@dataclass(frozen=True, eq=False, slots=True)
class Reliability:
    """Bins of rows by what was foretold of them, lowest first; ``[b]`` float64 but for the counts.

    Attributes:
        predicted: mean probability of each bin.
        observed: share of its rows whose label is 1.
        count: how many rows it has, at least 1.
        low, high: Wilson interval of ``observed``, as if rows were independent.
    """

    predicted: Values
    observed: Values
    count: NDArray[np.int64]
    low: Values
    high: Values

    def __len__(self) -> int:
        return len(self.count)

    @property
    def error(self) -> float:
        """The expected calibration error: mean ``|observed − predicted|``, each bin by its rows; NaN without any."""
        rows = self.count.sum()
        return float(self.count @ np.abs(self.observed - self.predicted) / rows) if rows else float("nan")


def reliability(
    labels: ArrayLike,
    probabilities: ArrayLike,
    bins: int = 10,
    strategy: Strategy = "quantile",
    level: float = 0.95,
) -> Reliability:
    """What was foretold and what came true, bin by bin; rows whose label is NaN are left out.

    Shapes: ``[m]`` each; labels 0, 1 or NaN.

    Args:
        labels: what came true.
        probabilities: what was foretold.
        bins: how many at most.
        strategy: ``quantile`` (bins of equally many rows) or ``uniform`` (of equal width).
        level: of the intervals.

    Raises:
        SerendipError: lengths that differ, another label or strategy, probabilities outside 0 … 1, fewer than one bin,
            a level outside (0, 1).
    """
    y, p = given.columns(labels=labels, probabilities=probabilities)
    have = given.binary(y)
    y, p = y[have].astype(np.float64), given.probable(p)[have]
    place = binned(p, bins, strategy)
    count = np.bincount(place, minlength=bins)
    full = count > 0
    foretold, true = (np.bincount(place, of, bins)[full] for of in (p, y))
    count = count[full]
    low, high = wilson(true, count, level)
    return Reliability(foretold / count, true / count, count, low, high)


def expected_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = 10, strategy: Strategy = "quantile"
) -> float:
    """Mean ``|observed − predicted|`` over the bins of `reliability`, each by its rows; NaN without rows.

    Few rows per bin raise it: even perfect probabilities do not come true exactly.
    Source: Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015.

    Raises:
        SerendipError: as `reliability`.
    """
    return reliability(labels, probabilities, bins, strategy).error


def binned(probabilities: Values, bins: int, strategy: Strategy) -> NDArray[np.int64]:
    """``[m]`` the bin of each row, below ``bins``.

    Raises:
        SerendipError: another strategy, fewer than one bin.
    """
    if bins < 1:
        raise SerendipError(f"bins must be at least 1. Got {bins} instead.")
    if strategy not in get_args(Strategy):
        raise SerendipError(f"strategy must be one of {', '.join(get_args(Strategy))}. Got {strategy!r} instead.")
    if strategy == "uniform":
        return np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    _, place, count = np.unique(probabilities, return_inverse=True, return_counts=True)
    twice = 2 * np.cumsum(count) - count  # twice the rank of the middle of each run of equal probabilities
    return np.asarray((twice * bins // (2 * max(len(probabilities), 1)))[place])


def wilson(successes: NDArray[Any], counts: NDArray[Any], level: float = 0.95) -> tuple[Values, Values]:
    """Bounds of shares ``successes / counts``, on both sides of them and within 0 … 1; NaN where nothing was counted.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22(158), 1927.

    Shapes: ``[b]`` each.

    Raises:
        SerendipError: a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise SerendipError(f"level must be between 0 and 1. Got {level} instead.")
    z = NormalDist().inv_cdf((1 + level) / 2)
    n = np.where(np.asarray(counts) > 0, counts, np.nan).astype(np.float64)
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(rate * (1 - rate) / n + (z / (2 * n)) ** 2) / (1 + z * z / n)
    return np.clip(centre - half, 0, rate), np.clip(centre + half, rate, 1)
