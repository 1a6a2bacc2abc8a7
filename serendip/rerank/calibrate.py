"""The mix of values in a list comes near to that in the history, value by value of an attribute.

``p(g|u)`` is the mean over the history, by the weight of its events, and ``q(g|u)`` that over the list, of ``p(g|i)``:
1 over the number of an item's values for each of them. Item by item that one is added for which

``(1 − λ) Σ r(i) − λ KL(p, (1 − a) q + a p)``

is greatest, r being relevance (0 … 1) and a the smoothing. Source: H. Steck, "Calibrated recommendations", RecSys 2018.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from serendip.rerank.alike import held
from serendip.rerank.lists import Doubles, best, front, places, relevance, take
from serendip.types import ABSENT, Ids, Queries, Recs


@dataclass(frozen=True, eq=False)
class CalibrateStage:
    """Made by `serendip.rerank.bind` of `serendip.rerank.Calibrate`.

    Attributes:
        codes: ``[n + 1, w]`` the values of each item, `ABSENT`-padded; nothing in the last row.
        size: how many values there are.
        weight: λ, 0 … 1.
        smoothing: a, above 0 and below 1.
    """

    codes: Ids
    size: int
    weight: float
    smoothing: float

    def __call__(self, queries: Queries, recs: Recs) -> Recs:
        """The same items; whose history says nothing of the values keeps the list."""
        left, worth = recs.items != ABSENT, (1 - self.weight) * relevance(recs)
        wanted, a = self.mix(queries), self.smoothing
        each = np.arange(len(recs))
        codes = self.codes[held(recs.items, len(self.codes))]
        real = codes != ABSENT
        place_of = np.where(real, codes, 0)
        share = real / np.maximum(real.sum(axis=2, keepdims=True), 1)
        of_value = wanted[each[:, None, None], place_of]
        total = np.zeros_like(wanted)  # Σ p(g|i) over those chosen that have values
        count = np.zeros(len(recs))
        chosen = np.full((len(recs), places(queries, recs)), ABSENT, np.int64)
        for place in range(chosen.shape[1]):
            n = np.maximum(count[:, None] + real.any(axis=2), 1)  # [q, c] items with values, this one included
            now = total[each[:, None, None], place_of]
            # KL = Σ p log p − Σ p log((1 − a) q + a p): of the values that an item lacks only n changes.
            before = _logs(total, wanted, n, a)
            change = _log((1 - a) * (now + share) / n[..., None] + a * of_value) - _log(
                (1 - a) * now / n[..., None] + a * of_value
            )
            near = before + np.where(real, of_value * change, 0).sum(axis=2)
            chosen[:, place] = at = best(worth + self.weight * near, left)
            take(left, at)
            rows = np.flatnonzero(at != ABSENT)
            np.add.at(total, (rows[:, None], place_of[rows, at[rows]]), share[rows, at[rows]])
            count[rows] += real[rows, at[rows]].any(axis=1)
        return recs.ordered(front(chosen, left.shape[1]))

    def mix(self, queries: Queries) -> Doubles:
        """``[q, size]`` p(g|u): shares that sum to 1, or zeros where the history says nothing."""
        history = queries.history
        weight = np.broadcast_to(np.asarray(queries.bags.get("weight", 1.0), np.float64), history.shape)
        codes = self.codes[held(history, len(self.codes))]
        real = codes != ABSENT
        share = weight[..., None] * real / np.maximum(real.sum(axis=2, keepdims=True), 1)
        out = np.zeros((len(queries), max(self.size, 1)))
        row, event, value = np.nonzero(real)
        np.add.at(out, (row, codes[row, event, value]), share[row, event, value])
        total = out.sum(axis=1, keepdims=True)
        found: Doubles = out / np.where(total > 0, total, 1)
        return found


def _logs(total: Doubles, wanted: Doubles, n: Doubles, a: float) -> Doubles:
    """``[q, c]`` of ``Σ_g p log((1 − a) total / n + a p)``; n takes two values in a row at most."""
    low = n.min(axis=1, initial=np.inf)
    high = n.max(axis=1, initial=-np.inf)
    ends = []
    for end in (low, high):
        each = np.where(np.isfinite(end), end, 1)[:, None]
        ends.append((wanted * _log((1 - a) * total / each + a * wanted)).sum(axis=1)[:, None])
    found: Doubles = np.where(n == low[:, None], ends[0], ends[1])
    return found


def _log(value: Doubles) -> Doubles:
    """The logarithm, 0 of 0: what the history lacks counts nothing."""
    found: Doubles = np.log(np.where(value > 0, value, 1))
    return found


__all__ = ["CalibrateStage"]
