"""Top-k by sorting plain Python tuples: the independent answer that every path is held to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serendip.types import ABSENT, Recs, pack_mask


def lists(scores: NDArray[np.float32], k: int, exclude=None, mask=None) -> list[list[int]]:
    out = []
    for row, line in enumerate(scores):
        banned = set() if exclude is None else set(exclude[row].tolist())
        allowed = np.ones(len(line), bool) if mask is None else mask[row % len(mask)]
        found = [
            (-float(score), code)
            for code, score in enumerate(line)
            if not np.isnan(score) and score > -np.inf and allowed[code] and code not in banned
        ]
        out.append([code for _, code in sorted(found)[:k]])
    return out


def assert_lists(recs: Recs, scores: NDArray[np.float32], k: int, exclude=None, mask=None) -> None:
    expected = lists(scores, k, exclude, mask)
    assert recs.items.shape == recs.scores.shape == (len(scores), k)
    assert (recs.items.dtype, recs.scores.dtype) == (np.int32, np.float32)
    for row, codes in enumerate(expected):
        padding = k - len(codes)
        assert recs.items[row].tolist() == codes + [ABSENT] * padding
        assert recs.scores[row].tolist() == scores[row, codes].tolist() + [-np.inf] * padding


def case(rng: np.random.Generator, q: int, n: int):
    """Scores with many ties and specials, an exclusion list with holes and strangers, a mask; masks may be None."""
    special = np.array([-np.inf, np.nan, 0.0, -0.0, 1.0, 2.0, -3.0, np.inf], np.float32)
    scores = rng.choice(special, (q, n)) if rng.random() < 0.5 else rng.integers(0, 9, (q, n)).astype(np.float32)
    exclude = rng.integers(-2, n + 3, (q, int(rng.integers(0, 9)))).astype(np.int32) if rng.random() < 0.6 else None
    rows, share = int(rng.choice([1, max(q, 1)])), rng.choice([0.0, 0.5, 1.0])
    mask = rng.random((rows, n)) < share if rng.random() < 0.6 else None
    return scores, exclude, mask, None if mask is None else pack_mask(mask)
