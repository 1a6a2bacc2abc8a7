"""ε-greedy lists: each place goes with probability ε to any of the items left, else to the first of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from serendip.rerank.chance import uniform
from serendip.rerank.lists import Doubles, Places, take
from serendip.types import ABSENT

KEPT = 256
"""Tables of probabilities that are kept."""


def drawn(seeds: NDArray[np.uint64], counts: Places, k: int, epsilon: float) -> Places:
    """``[q, k]`` which of a list's items stands at each place; `ABSENT` where there is none.

    Args:
        seeds: ``[q]``.
        counts: ``[q]`` how many items each list has.
        k: places.
        epsilon: ε.
    """
    left = np.arange(int(counts.max(initial=0))) < counts[:, None]
    chance = uniform(seeds, 0, 2 * k)
    chosen = np.full((len(seeds), k), ABSENT, np.int64)
    for place in range(min(k, left.shape[1])):
        rest = left.sum(axis=1)
        nth = np.where(chance[:, 2 * place] < epsilon, np.floor(chance[:, 2 * place + 1] * rest), 0)
        at = ((np.cumsum(left, axis=1) == nth[:, None] + 1) & left).argmax(axis=1)
        chosen[:, place] = at = np.where(rest > 0, at, ABSENT)
        take(left, at)
    return chosen


def likely(chosen: Places, counts: Places, epsilon: float) -> Doubles:
    """``[q, k]`` how likely each item was at its place, over all that chance could have brought; NaN for `ABSENT`."""
    out = np.full(chosen.shape, np.nan)
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        k = min(chosen.shape[1], int(count))
        out[rows, :k] = table(int(count), k, epsilon)[chosen[rows, :k], np.arange(k)]
    return out


@lru_cache(KEPT)
def table(count: int, k: int, epsilon: float) -> Doubles:
    """``[count, k]`` the probability of each item at each place; columns sum to 1.

    What has been drawn is known by f, the first item that is left: the others drawn lie behind it, and each set of so
    many of them is as likely as any other. So the probabilities of f, place by place, are all that it takes.

    Args:
        count: how many items there are.
        k: places, at most ``count``.
        epsilon: ε.
    """
    out = np.zeros((count, k))
    first = np.zeros(count + 1)  # of each f
    first[0] = 1
    for place in range(k):
        rest = count - place
        own = 1 - epsilon + epsilon / rest  # the first is drawn
        f = np.arange(min(place + 1, count))
        behind = count - f - 1
        out[f, place] += first[f] * own
        other = np.where(behind > 0, first[f] * epsilon * (rest - 1) / (rest * np.maximum(behind, 1)), 0)
        out[1:, place] += np.cumsum(np.append(other, np.zeros(count - len(other))))[: count - 1]
        after = np.zeros(count + 1)
        after[f] = first[f] * epsilon * (rest - 1) / rest  # another one is
        moved = 0.0
        for at in range(min(place + 2, count + 1)):  # the first item of those left after f, where f is drawn
            drawn = place + 1 - at  # so many of those from here on have been
            gone = drawn / (count - at) if count > at else 0.0
            after[at] += moved * (1 - gone)
            moved = moved * gone + (first[at] * own if at < count else 0.0)
        first = after
    return out


__all__ = ["drawn", "likely", "table"]
