"""Lists in which no value comes too often."""

from __future__ import annotations

import numpy as np

from serendip.rerank.lists import Mask, Places
from serendip.types import ABSENT, Ids


def limited(codes: Ids, held: Mask, most: int, n: int) -> Places:
    """``[q, n]`` the places of the first items of each list of which no value came ``most`` times before.

    `ABSENT` where there are fewer.

    Args:
        codes: ``[q, c, w]`` the values of each item, each once, `ABSENT`-padded.
        held: ``[q, c]`` where there is an item.
        most: how many items may have one value.
        n: how many are wanted.
    """
    q, c, w = codes.shape
    own = _numbered(codes.reshape(q, c * w)).reshape(q, c, w)
    counts = np.zeros((q, c * w + 1), np.int32)
    chosen, taken = np.full((q, n), ABSENT, np.int64), np.zeros(q, np.int64)
    for place in range(c):
        if (taken >= n).all():
            break
        real = codes[:, place] != ABSENT
        over = ((np.take_along_axis(counts, own[:, place], axis=1) >= most) & real).any(axis=1)
        rows = np.flatnonzero(held[:, place] & ~over & (taken < n))
        chosen[rows, taken[rows]] = place
        counts[rows[:, None], own[rows, place]] += real[rows]
        taken[rows] += 1
    return chosen


def _numbered(codes: Ids) -> Places:
    """Codes ``[q, m]`` numbered row by row, each value of a row below m; m for `ABSENT`."""
    m = codes.shape[1]
    order = np.argsort(codes, axis=1, kind="stable")
    rising = np.take_along_axis(codes, order, axis=1)
    number = np.zeros(codes.shape, np.int64)
    number[:, 1:] = np.cumsum(rising[:, 1:] != rising[:, :-1], axis=1)
    out = np.empty_like(number)
    np.put_along_axis(out, order, number, axis=1)
    return np.where(codes == ABSENT, m, out)


__all__ = ["limited"]
