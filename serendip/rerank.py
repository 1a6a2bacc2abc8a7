"""Re-ranking of lists for diversity."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from serendip.types import ABSENT, Recs, SerendipError


@dataclass(frozen=True, eq=False)
class Mmr:
    """Maximal marginal relevance: next is the item of the greatest ``w · r(i) − (1 − w) · max of cos(i, j)``, j chosen.

    Source: Carbonell & Goldstein 1998. Relevance r is the score, scaled to 0 … 1 within its list.

    Attributes:
        vectors: ``[n, d]`` what items are like, by item code; a row of zeros is like nothing.
        weight: w, 0 … 1; at 1 the order stays.

    Raises:
        SerendipError: where the weight is not within 0 … 1.
    """

    vectors: NDArray[np.float32]
    weight: float = 0.7

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise SerendipError(f"weight must be from 0 to 1. Got {self.weight} instead. Try 0.7.")

    def __call__(self, recs: Recs) -> Recs:
        """The same items of every list in a new order, each with its score and columns."""
        held = (recs.items != ABSENT) & np.isfinite(recs.scores)  # [q, k]
        recs = recs.keep(held)
        held = recs.items != ABSENT
        rows = self.vectors[np.where(held, recs.items, 0)]  # [q, k, d]
        length = np.linalg.norm(rows, axis=2, keepdims=True)
        unit = rows / np.where(length > 0, length, 1)
        low = np.where(held, recs.scores, np.inf).min(axis=1, initial=np.inf, keepdims=True)
        high = np.where(held, recs.scores, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
        spread = np.where(high > low, high - low, 1)
        relevance = np.where(held, np.where(held, recs.scores, 0) - np.where(np.isfinite(low), low, 0), 0) / spread
        nearest = np.full(held.shape, -np.inf)
        left, order = held.copy(), np.empty(held.shape, np.int64)
        each = np.arange(len(held))
        for place in range(held.shape[1]):
            likeness = nearest if place else np.zeros(held.shape)
            gain = np.where(left, self.weight * relevance - (1 - self.weight) * likeness, -np.inf)
            best = np.where(left.any(axis=1), gain.argmax(axis=1), place)
            order[:, place] = best
            left[each, best] = False
            nearest = np.maximum(nearest, np.einsum("qkd,qd->qk", unit, unit[each, best]))
        return replace(
            recs,
            items=np.take_along_axis(recs.items, order, axis=1),
            scores=np.take_along_axis(recs.scores, order, axis=1),
            columns={name: np.take_along_axis(value, order, axis=1) for name, value in recs.columns.items()},
        )
