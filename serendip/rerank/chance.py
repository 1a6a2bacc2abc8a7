"""Numbers by chance that depend on a query's own seed alone: the same in whatever batch it is asked.

Source: the generator SplitMix64 of G. Steele, D. Lea and C. Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014, which is a function of seed and position and so needs no loop.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from serendip.rerank.lists import Doubles

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def uniform(seeds: NDArray[np.uint64], start: int, count: int) -> Doubles:
    """``[q, count]`` numbers between 0 and 1, both left out: those from position ``start`` of each seed's."""
    place = np.arange(start + 1, start + count + 1, dtype=np.uint64)
    bits = _mixed(_mixed(seeds)[:, None] + place * _GAMMA)
    return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def normal(seeds: NDArray[np.uint64], start: int, count: int) -> Doubles:
    """``[q, count]`` numbers of mean 0 and deviation 1; as `uniform`."""
    return np.asarray(ndtri(uniform(seeds, start, count)))


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


__all__ = ["normal", "uniform"]
