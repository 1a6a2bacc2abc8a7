"""Keeping the k best of a stream of scores, compiled.

A score and an item code make one 64-bit key that grows with the score and, of equal scores, falls with the code:
the order of `topk` as the order of integers. Candidates are appended to a buffer of ``2·k`` keys; whenever it is full,
the k largest are kept by quickselect with branchless partitions, and the least of them becomes the mark that later
candidates must pass. Bound: a row of n scores in random order makes about ``k·log2(n/k)`` appends, each partitioned
a few times.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.kernels.jit import compiled
from serendip.types import ABSENT, Floats, Ids

_SIGN = np.uint32(0x80000000)
_ALL = np.uint32(0xFFFFFFFF)
_HALF = np.uint64(32)
_NONE = np.uint64(0)  # a key below that of any score


@compiled
def key_of(score: Any, code: int) -> Any:
    """The key of a float32 score that is not NaN, and an item code."""
    bits = np.float32(score + np.float32(0)).view(np.uint32)  # the sum turns -0 into 0, which it must tie with
    bits = ~bits if bits & _SIGN else bits | _SIGN
    return (np.uint64(bits) << _HALF) | np.uint64(_ALL - np.uint32(code))


@compiled
def score_of(key: Any) -> Any:
    """The float32 score in a key; ``-inf`` for the empty one."""
    if key == _NONE:
        return np.float32(-np.inf)
    bits = np.uint32(key >> _HALF)
    bits = bits ^ _SIGN if bits & _SIGN else ~bits
    return np.uint32(bits).view(np.float32)


@compiled
def keep(keys: Any, count: int, k: int) -> Any:
    """Move the k largest of the first ``count`` > k distinct keys to the front, in no order; returns their least."""
    left, right = 0, count
    while True:
        first, middle, last = keys[left], keys[(left + right) >> 1], keys[right - 1]
        pivot = max(min(first, middle), min(max(first, middle), last))
        place = left
        for at in range(left, right):
            key = keys[at]
            keys[at] = keys[place]
            keys[place] = key
            place += key >= pivot
        # keys[left:place] >= pivot > keys[place:right]
        if place > k:
            if place == right:  # pivot is the least: leave it out, so that the range shrinks
                at = left
                while keys[at] != pivot:
                    at += 1
                right -= 1
                keys[at], keys[right] = keys[right], pivot
            else:
                right = place
        elif place == k:
            return pivot
        else:
            left = place


@compiled
def add(keys: Any, count: int, k: int, key: Any, mark: Any) -> tuple[int, Any]:
    """Append a key above the mark; returns the new count and mark. ``keys`` has room for more than k keys."""
    keys[count] = key
    count += 1
    if count == len(keys):
        mark = keep(keys, count, k)
        count = k
    return count, mark


def room(k: int) -> int:
    """How many keys a row's buffer holds."""
    return max(2 * k, 32)


def decode(keys: NDArray[np.uint64], items: Ids, scores: Floats) -> None:
    """Write the lists of ``keys`` into ``items`` and ``scores`` ``[q, k]``, best first.

    The first k keys of each row of ``keys`` ``[q, room]`` are the best in any order, or 0 for none.
    """
    _unpack(np.sort(keys[:, : items.shape[1]], axis=1), items, scores)


def decode_filled(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], Ids, Floats]:
    """The lists of ``keys`` ``[q, k]``, best first, one after the other: the length of each, all items, all scores."""
    ordered = np.sort(keys, axis=1)
    counts = _filled(ordered)
    items, scores = np.empty(counts.sum(), np.int32), np.empty(counts.sum(), np.float32)
    _unpack_filled(ordered, counts, items, scores)
    return counts, items, scores


@compiled
def _unpack(ordered: Any, items: Any, scores: Any) -> None:
    for row in range(len(ordered)):
        _unpack_row(ordered[row], items[row], scores[row])


@compiled
def _filled(ordered: Any) -> Any:
    """How many keys of each row are not empty; the empty ones come first."""
    counts = np.empty(len(ordered), np.int64)
    for row in range(len(ordered)):
        line = ordered[row]
        empty = 0
        while empty < len(line) and line[empty] == _NONE:
            empty += 1
        counts[row] = len(line) - empty
    return counts


@compiled
def _unpack_filled(ordered: Any, counts: Any, items: Any, scores: Any) -> None:
    k = ordered.shape[1]
    start = 0
    for row in range(len(ordered)):
        stop = start + counts[row]
        _unpack_row(ordered[row, k - counts[row] :], items[start:stop], scores[start:stop])
        start = stop


@compiled
def _unpack_row(ordered: Any, items: Any, scores: Any) -> None:
    """Write the list of ascending keys, best first."""
    last = len(ordered) - 1
    for place in range(len(ordered)):
        key = ordered[last - place]
        items[place] = np.int32(_ALL - np.uint32(key)) if key != _NONE else ABSENT
        scores[place] = score_of(key)


@compiled
def close_up(codes: Any, n: int, out: Any) -> int:
    """Copy the codes in ``0 … n-1`` to the front of ``out`` and count them."""
    count = 0
    for code in codes:
        if 0 <= code < n:
            out[count] = code
            count += 1
    return count


@compiled
def listed(codes: Any, count: int, code: int) -> bool:
    """Whether the code is among the first ``count``; without an early exit, so that it runs in vector registers."""
    found = False
    for place in range(count):
        found |= codes[place] == code
    return found
