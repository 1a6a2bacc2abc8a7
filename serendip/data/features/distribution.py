"""How numbers are distributed, and where a number lies in that: x̃ ∈ [0, 1), x̃² and √x̃.

x̃(x) = ∫₋∞ˣ dF, linear between the quantiles of F seen in training, 0 below the first and just below 1 above the last.
Where several quantiles are equal (a value that many rows have) x̃ is the mean of their levels; so a column that is
constant gives 0.5 in every row, which says nothing, as it should.
Source: Covington, Adams, Sargin (2016), "Deep Neural Networks for YouTube Recommendations", section 4.1; the mean of
the levels is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serendip.types import Floats, SerendipError

Doubles = NDArray[np.float64]

MOST = 1_000_000
"""So many values are enough to know a distribution by."""
BELOW_ONE = float(np.nextafter(np.float32(1), np.float32(0)))


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """Attributes:
    bounds: ``[b]`` distinct quantiles, rising, at least one.
    levels: ``[b]`` the share of values below each, in 0 … 1.
    """

    bounds: Doubles
    levels: Doubles

    def __post_init__(self) -> None:
        flat = self.bounds.ndim == 1 and self.bounds.shape == self.levels.shape and len(self.bounds) > 0
        if not flat or not np.isfinite([self.bounds, self.levels]).all() or (np.diff(self.bounds) <= 0).any():
            raise SerendipError("features: a distribution must have rising quantiles and a level for each.")
        if self.levels.min() < 0 or self.levels.max() > 1 or (np.diff(self.levels) < 0).any():
            raise SerendipError("features: a distribution must have levels that rise within 0 … 1.")

    @classmethod
    def fit(cls, values: Doubles, quantiles: int) -> Distribution:
        """Of these values, NaN left out, of more than `MOST` an even part; of none, one quantile at 0."""
        known = values[np.isfinite(values)]
        known = known[:: max(1, -(-len(known) // MOST))]
        if not len(known):
            return cls(np.zeros(1), np.full(1, 0.5))
        levels = np.linspace(0, 1, quantiles + 1)
        bounds, group = np.unique(np.quantile(known, levels), return_inverse=True)
        mean = np.bincount(group, levels) / np.bincount(group)
        return cls(bounds, np.clip(mean, 0, 1))

    def place(self, values: Doubles) -> Doubles:
        """``[m]`` x̃ of each value; NaN stays NaN."""
        found = np.clip(np.interp(values, self.bounds, self.levels), 0, BELOW_ONE)
        return np.where(np.isnan(values), np.nan, found)  # with a single quantile np.interp loses NaN

    def columns(self, values: Doubles, powers: bool, *, present: bool = True) -> Floats:
        """``[m, d]`` float32: x̃, with ``powers`` x̃² and √x̃, with ``present`` a 1 that tells the lowest value from none;
        all NaN where missing, which networks take for 0."""
        x = self.place(values)
        parts = [x, x * x, np.sqrt(x)] if powers else [x]
        flag = [np.where(np.isnan(x), np.nan, 1)] if present else []
        return np.stack([*parts, *flag], axis=1).astype(np.float32)


def width_of(powers: bool, *, present: bool = True) -> int:
    """How many columns `Distribution.columns` gives."""
    return (3 if powers else 1) + present
