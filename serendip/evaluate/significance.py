"""How sure a mean is, and whether two models differ: resampling over queries.

Both functions resample counts instead of rows. Equal values are one *cell*; the counts of the cells in a resample of n
queries are multinomial, so drawing them gives exactly the distribution of the ordinary bootstrap at a cost that does
not depend on n. Values that are nearly all distinct (more than `CELLS` of them) are first grouped into about `CELLS`
cells, by rank and by size, each standing for its mean; the mean is then exact, and what the spread loses by it is
given back by one factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

CELLS = 256
_DRAWS = 1 << 20  # counts drawn at a time


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and how sure it is.

    Attributes:
        mean: over the queries that have a value; NaN without any.
        low, high: bounds; NaN with fewer than two values, which say nothing about spread.
        n: how many queries have a value.
    """

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Paired:
    """The difference between two models on the same queries.

    Attributes:
        difference: mean of a − b over the queries where both have a value.
        low, high: bootstrap bounds of that mean.
        p_value: of the sign-flip permutation test (two-sided); NaN with fewer than two queries.
        n: how many queries have both values.
        verdict: ``better`` (a above b), ``worse`` or ``no difference shown``.
    """

    difference: float
    low: float
    high: float
    p_value: float
    n: int
    verdict: str


def mean_interval(values: NDArray[Any], level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """Percentile bootstrap of the mean over queries; NaN values are left out.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. It holds its level from some
    dozens of queries on; for fewer it is somewhat too narrow.

    Shapes: values ``[q]``. Memory: 8 MB beyond the values and their sorted copy.

    Raises:
        ValueError: a level outside (0, 1), or fewer than 1 resample.
    """
    _check(level, resamples)
    known = _known(values)
    if len(known) < 2:
        return Interval(float(known[0]) if len(known) else float("nan"), float("nan"), float("nan"), len(known))
    mean = float(known.mean())
    means = mean + _bootstrap(known, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), len(known))


def paired(
    a: NDArray[Any],
    b: NDArray[Any],
    level: float = 0.95,
    resamples: int = 2000,
    flips: int = 10_000,
    seed: int = 0,
) -> Paired:
    """Whether a differs from b, query by query.

    The interval is the percentile bootstrap of the mean difference. The p-value is that of the sign-flip permutation
    test: if neither is better, each difference might as well have the other sign; ``p = (1 + extreme) / (1 + flips)``
    counts the random signs whose mean is at least as far from 0, so it is never below ``1 / (1 + flips)``. A
    difference is called shown when the interval excludes 0 and ``p < 1 − level``. No allowance is made for comparing
    many models or metrics.
    Source: Smucker, Allan and Carterette, "A comparison of statistical significance tests for information retrieval
    evaluation", CIKM 2007.

    Shapes: a, b ``[q]``, the same queries in the same order; NaN in either leaves the query out.

    Raises:
        ValueError: values for different numbers of queries, a level outside (0, 1), fewer than 1 resample or flip.
    """
    _check(level, resamples)
    _check(level, flips)
    if a.shape != b.shape:
        raise ValueError(f"paired needs values of the same queries. Got {len(a)} and {len(b)} values instead.")
    difference = _known(a.astype(np.float64) - b.astype(np.float64))
    interval = mean_interval(difference, level, resamples, seed)
    p_value = _sign_flip(difference, flips, np.random.default_rng([seed, 1])) if len(difference) > 1 else float("nan")
    verdict = "no difference shown"
    if p_value < 1 - level and not interval.low <= 0 <= interval.high:
        verdict = "better" if interval.mean > 0 else "worse"
    return Paired(interval.mean, interval.low, interval.high, p_value, interval.n, verdict)


def _bootstrap(values: Values, resamples: int, rng: np.random.Generator) -> Values:
    """``[resamples]`` deviations of resampled means from the mean."""
    n = len(values)
    centre, counts = _cells(values - values.mean())
    spread = float(counts @ centre**2)
    lost = np.sqrt(float(((values - values.mean()) ** 2).sum()) / spread) if spread > 0 else 1.0
    share = counts / n
    step = max(1, _DRAWS // len(counts))
    drawn = [rng.multinomial(n, share, size=min(step, resamples - at)) @ centre for at in range(0, resamples, step)]
    return np.concatenate(drawn) * (lost / n)


def _sign_flip(difference: Values, flips: int, rng: np.random.Generator) -> float:
    size, counts = _cells(np.abs(difference[difference != 0]))
    if len(counts) == 0:
        return 1.0
    observed = abs(float(difference.sum()))
    # A tie with the observed sum counts as extreme; the allowance is for sums added up in another order.
    threshold = observed - 1e-9 * float(counts @ size)
    step = max(1, _DRAWS // len(counts))
    extreme = 0
    for at in range(0, flips, step):
        heads = rng.binomial(counts, 0.5, size=(min(step, flips - at), len(counts)))
        extreme += int((np.abs((2 * heads - counts) @ size) >= threshold).sum())
    return (1 + extreme) / (1 + flips)


def _cells(values: Values) -> tuple[Values, NDArray[np.int64]]:
    """Values grouped into about `CELLS` cells: the mean of each cell and how many values it holds."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= CELLS:
        return distinct, counts
    half = CELLS // 2
    by_rank = (np.cumsum(counts) - 1) * half // len(values)
    by_size = ((distinct - distinct[0]) / (distinct[-1] - distinct[0]) * half).astype(np.int64)
    start = np.flatnonzero(np.diff(by_rank, prepend=-1) | np.diff(by_size, prepend=-1))
    sizes = np.add.reduceat(counts, start)
    return np.add.reduceat(distinct * counts, start) / sizes, sizes


def _known(values: NDArray[Any]) -> Values:
    numbers = np.asarray(values, np.float64)
    return numbers[~np.isnan(numbers)]


def _check(level: float, resamples: int) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1. Got {level} instead.")
    if resamples < 1:
        raise ValueError(f"the number of resamples must be at least 1. Got {resamples} instead.")
