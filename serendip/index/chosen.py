"""Which items may be listed, and the best of those that were found: what all indices share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.types import ABSENT, Floats, Ids, Recs

Bits = NDArray[np.uint8]

_COUNTED = 1 << 10
_SORTED = 4
"""Times as many values as are wanted, above which those that are not among them are left out before sorting."""


def count_of(bits: Bits) -> int:
    """How many items are allowed; ``[bytes]``."""
    whole = len(bits) // 8 * 8
    return int(np.bitwise_count(bits[:whole].view(np.uint64)).sum() + np.bitwise_count(bits[whole:]).sum())


def about(bits: Bits) -> int:
    """As `count_of`; of many items, from one word of 64 in so many that about a thousand are counted."""
    step = len(bits) // 8 // _COUNTED
    if step < 2:
        return count_of(bits)
    words = bits[: len(bits) // 8 * 8].view(np.uint64)[::step]
    return int(np.bitwise_count(words).sum()) * (len(bits) // 8) // len(words)


def codes_of(bits: Bits, n: int) -> Ids:
    """The allowed items among ``0 … n-1``, ascending; quick where they are few."""
    held = np.flatnonzero(bits)
    place = np.flatnonzero(np.unpackbits(bits[held], bitorder="little"))
    codes: Ids = (held[place >> 3] * 8 + (place & 7)).astype(np.int32)
    return codes[codes < n]


def bit_of(bits: Bits, row: NDArray[Any], code: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether item ``code`` (0 or more) is allowed for query ``row``, element by element; ``[1 | q, bytes]``."""
    chosen = bits[0, code >> 3] if len(bits) == 1 else bits[row, code >> 3]
    return np.asarray((chosen >> (code & 7).astype(np.uint8)) & 1, bool)


def excluded(banned: Ids, row: NDArray[Any], code: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether item ``code`` is excluded for query ``row``, element by element; ``[q, e]``, each row sorted."""
    if not banned.size or not len(code):
        return np.zeros(len(code), bool)
    if len(banned) == 1:
        place = np.searchsorted(banned[0], code)
        return np.asarray(banned[0, np.minimum(place, banned.shape[1] - 1)] == code)
    base = np.int64(max(int(banned.max()), int(code.max())) + 2)
    lines = (np.arange(len(banned), dtype=np.int64)[:, None] * base + banned).ravel()
    return np.isin(row.astype(np.int64) * base + code, lines)


def best_of(row: NDArray[np.int64], code: Ids, value: Floats, k: int) -> tuple[NDArray[np.int64], Ids, Floats]:
    """The k best of each row: rows ascending, the higher value first, of equal ones the lower code."""
    if not len(row) or (row == row[0]).all():
        if len(row) > _SORTED * k > 0:
            high = np.flatnonzero(value >= np.partition(value, len(row) - k)[len(row) - k])
            row, code, value = row[high], code[high], value[high]
        order = np.lexsort((code, -value))[:k]
        return row[order], code[order], value[order]
    order = np.lexsort((code, -value, row))
    row, code, value = row[order], code[order], value[order]
    keep = place_of(row) < k
    return row[keep], code[keep], value[keep]


def place_of(row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each element, how many of the same row stand before it; rows ascend."""
    at = np.arange(len(row))
    if not len(row) or row[0] == row[-1]:
        return at
    begins = np.flatnonzero(np.concatenate([[True], row[1:] != row[:-1]]))
    return at - np.repeat(begins, np.diff(np.append(begins, len(row))))


def listed(q: int, k: int, row: NDArray[np.int64], code: Ids, value: Floats) -> Recs:
    """What `best_of` gave as lists."""
    recs = Recs.empty(q, k)
    place = place_of(row)
    recs.items[row, place], recs.scores[row, place] = code, value
    return recs


def merged(left: Recs, right: Recs, k: int) -> Recs:
    """The k best of both lists of each query; they have no item in common."""
    items = np.concatenate([left.items, right.items], axis=1)
    held = items != ABSENT
    row, at = np.nonzero(held)
    return listed(
        len(items), k, *best_of(row, items[row, at], np.concatenate([left.scores, right.scores], axis=1)[row, at], k)
    )
