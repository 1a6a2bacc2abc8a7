"""Sets of (row, code) pairs as int64 keys ``row · base + code``, by sorting: here much faster than NumPy's hashing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]


def distinct(keys: Keys) -> Keys:
    """The distinct keys, sorted."""
    ordered = np.sort(keys)
    return ordered[starts(ordered)]


def starts(ordered: Keys) -> NDArray[np.int64]:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))


def among(keys: Keys, wanted: Keys) -> NDArray[np.bool_]:
    """Whether each key is one of ``wanted``, which is sorted; negative keys never are.

    A table addressed by the low bits of the keys first rules out nearly all that are not; only the others are searched.
    """
    found = np.zeros(len(keys), np.bool_)
    if len(wanted) == 0:
        return found
    size = 1 << min(24, max(10, (16 * len(wanted)).bit_length()))
    table = np.zeros(size, np.bool_)
    table[wanted & (size - 1)] = True
    likely = np.flatnonzero(table[keys & (size - 1)])
    place = np.minimum(np.searchsorted(wanted, keys[likely]), len(wanted) - 1)
    found[likely[(wanted[place] == keys[likely]) & (keys[likely] >= 0)]] = True
    return found
