"""A determinantal point process: of all lists the one with the greatest ``det L``, found item by item.

``L_ij = exp(α r_i) S_ij exp(α r_j)`` with relevance r (0 … 1), likeness S (1 on the diagonal) and
``α = θ / (2 (1 − θ))``. Greedy search adds the item of the greatest ``log det`` each time; with a Cholesky factor that
grows by a row, a step costs the number of items times that of those chosen. Likeness by vectors is ``(1 + cos) / 2``,
as the determinant does not tell what is opposite from what is alike.

Source: L. Chen, G. Zhang and H. Zhou, "Fast greedy MAP inference for determinantal point process to improve
recommendation diversity", NeurIPS 2018. Where no item is left that is unlike those chosen, the search ends there; here
the rest follows in the order that it has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from serendip.rerank.alike import Alike, Rows
from serendip.rerank.lists import Doubles, Places, best, by_place, front, places, relevance, take
from serendip.types import ABSENT, Queries, Recs

LEAST = 1e-9
"""What is left of an item's own likeness of 1 where those chosen say all of it."""


@dataclass(frozen=True, eq=False)
class DppStage:
    """Made by `serendip.rerank.bind` of `serendip.rerank.Dpp`.

    Attributes:
        alike: by what.
        weight: θ, 0 … 1, below 1.
        sort: whether the chosen stand in the order that they came in.
    """

    alike: Alike
    weight: float
    sort: bool = False

    def __call__(self, queries: Queries, recs: Recs) -> Recs:
        """The same items; the first ``queries.k`` places are chosen one after the other."""
        left = recs.items != ABSENT
        worth = self.weight / (1 - self.weight) * relevance(recs)  # of log L_ii
        rows = self._likeness(recs)
        each = np.arange(len(recs))
        chosen = np.full((len(recs), places(queries, recs)), ABSENT, np.int64)
        own = np.ones(left.shape)  # d² of S: what those chosen do not say of each item
        factor = np.zeros((*left.shape, chosen.shape[1]))
        for place in range(chosen.shape[1]):
            fresh = left & (own > LEAST)
            gain = np.where(fresh, worth + np.log(np.maximum(own, LEAST)), -np.inf)
            at = best(gain, fresh)
            if (at == ABSENT).all():
                break
            chosen[:, place] = at
            take(left, at)
            to = np.maximum(at, 0)
            said = np.einsum("qcp,qp->qc", factor[:, :, :place], factor[each, to, :place])
            step = (rows(at) - said) / np.sqrt(np.maximum(own[each, to], LEAST))[:, None]
            step[at == ABSENT] = 0
            factor[:, :, place] = step
            own = own - step**2
        chosen = by_place(chosen) if self.sort else chosen
        return recs.ordered(front(chosen, left.shape[1]))

    def _likeness(self, recs: Recs) -> Rows:
        """S, row by row: 1 of an item to itself, 0 of one of which nothing is known to any other."""
        rows, known = self.alike.among(recs.items), self.alike.known(recs.items)
        each = np.arange(len(recs))

        def alike(at: Places) -> Doubles:
            to = np.maximum(at, 0)
            found = rows(at)
            if self.alike.signed:
                found = (1 + found) / 2 * known * known[each, to][:, None]
            found[each, to] = 1
            return found

        return alike


__all__ = ["DppStage"]
