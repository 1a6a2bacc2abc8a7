"""Counting the pairs of rows that scores put in the right order, in O(m log m) time.

A pair counts where the two rows belong to one group and have different values. Written in binary, the ranks of two
different values first differ in some bit: where all higher bits agree, the row with the 1 is the higher one. So there
is one `Level` per bit, on which the rows that agree in the higher bits form a *block*, and every pair is counted on one
level: a running sum of the weights of the lower rows, in the order of the scores, counts those below each higher one.

What depends on values and scores is found once; the weights may change afterwards, at O(m) per level.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.evaluate.columns import Values

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Level:
    """The pairs whose values first differ in one bit: a rows without it, b rows that have it.

    Attributes:
        lows, highs: ``[a]``, ``[b]`` whose weight each row has, each by block and then by score.
        begin, end: ``[b]`` where in ``lows`` the block of each higher row begins and ends.
        below, up_to: ``[b]`` where in ``lows`` the scores that are as high begin and end.
        groups: ``[b]`` of each higher row.
    """

    lows: Places
    highs: Places
    begin: Places
    end: Places
    below: Places
    up_to: Places
    groups: Places

    def count(self, low: Values, high: Values) -> tuple[Values, Values]:
        """``[b]`` pairs of each higher row that are ordered rightly, ties for one half, and all pairs it is in.

        A pair counts as often as the weight ``low`` of its lower row times the weight ``high`` of its higher one.

        Shapes: low, high ``[m]``, in the order in which the rows were given.
        """
        sums = np.zeros(len(self.lows) + 1)
        np.cumsum(low[self.lows], out=sums[1:])
        weight, begun = high[self.highs], sums[self.begin]
        return weight * ((sums[self.below] + sums[self.up_to]) / 2 - begun), weight * (sums[self.end] - begun)

    def owned(self, owner: Places) -> Level:
        """The same level, for weights of owners ``[n]`` instead of rows; ``owner`` ``[m]`` says whose each row is."""
        return replace(self, lows=owner[self.lows], highs=owner[self.highs])


def levels(values: NDArray[Any], scores: Values, groups: Places | None = None) -> Iterator[Level]:
    """The levels of rows ``[m]``, one after another; none where no value differs from another.

    Args:
        values: what the rows should be ordered by; no NaN.
        scores: what they are ordered by; no NaN.
        groups: codes from 0 on; None: all rows are one group, 0.
    """
    distinct, rank = np.unique(values, return_inverse=True)
    group = np.zeros(len(rank), np.int64) if groups is None else groups
    bits = max(len(distinct) - 1, 0).bit_length()
    order = np.lexsort((scores, group))
    for bit in reversed(range(bits)):
        block = (group << (bits - bit - 1)) | (rank >> (bit + 1))
        order = order[np.argsort(block[order], kind="stable")]
        new_block = np.diff(block[order], prepend=-1) != 0
        ranked = scores[order]
        new_score = new_block | np.append(True, ranked[1:] != ranked[:-1])
        high = np.asarray((rank[order] >> bit) & 1, np.bool_)
        before = np.append(0, np.cumsum(~high))  # lower rows before each place
        begin, end = _run(new_block, before)
        below, up_to = _run(new_score, before)
        yield Level(order[~high], order[high], begin[high], end[high], below[high], up_to[high], group[order[high]])


def counted(found: Iterable[Level], low: Values, high: Values, n: int = 1) -> tuple[Values, Values]:
    """``[n]`` pairs of each group that are ordered rightly, ties for one half, and all its pairs; see `Level.count`."""
    won, pairs = np.zeros(n), np.zeros(n)
    for level in found:
        right, every = level.count(low, high)
        if n == 1:
            won += right.sum()
            pairs += every.sum()
        else:
            won += np.bincount(level.groups, right, n)
            pairs += np.bincount(level.groups, every, n)
    return won, pairs


def share(part: Values, whole: Values) -> Values:
    """``part / whole``; NaN where there is no whole."""
    out: Values = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return out


def _run(new: NDArray[np.bool_], before: Places) -> tuple[Places, Places]:
    """``[m]`` what stands in ``before`` ``[m + 1]`` at the begin and at the end of each place's run."""
    starts = np.flatnonzero(new)
    run = np.cumsum(new) - 1
    return before[starts][run], before[np.append(starts[1:], len(new))][run]
