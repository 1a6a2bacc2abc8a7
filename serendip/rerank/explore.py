"""Some items by chance, to learn what they are worth, and how likely each was at its place."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from serendip.rerank import epsilon, thompson
from serendip.rerank.lists import Doubles, Mask, Places, front, places, relevance
from serendip.rerank.options import Explore
from serendip.rerank.pin import PINNED
from serendip.types import ABSENT, PROPENSITY, Queries, Recs, Uncertain


@dataclass(frozen=True, eq=False)
class ExploreStage:
    """Made by `serendip.rerank.bind` of `serendip.rerank.Explore`.

    Attributes:
        options: as declared.
        scorer: whose uncertainty it is, with Thompson sampling.
    """

    options: Explore
    scorer: Uncertain | None = None

    def __call__(self, queries: Queries, recs: Recs) -> Recs:
        """The lists as they are where ``queries.draw`` is None. Else the same items, some by chance, and the column
        ``propensity``: the probability, over all that chance could have brought, that the item stands where it stands.
        Pinned items stay where they are, with 1."""
        if queries.draw is None:
            return recs
        free = self._free(recs)
        slots = np.argsort(~free, axis=1, kind="stable")  # the places of free items, one after the other
        k = int((free & (np.arange(free.shape[1]) < places(queries, recs))).sum(axis=1).max(initial=0))
        chosen, likely = self._drawn(queries, recs, free, slots, k)
        turned = front(chosen, free.shape[1])
        order = np.empty_like(slots)
        np.put_along_axis(order, slots, np.take_along_axis(slots, turned, axis=1), axis=1)
        told = np.where((recs.items != ABSENT) & ~free, 1.0, np.nan)
        shown = slots[:, :k]
        fixed = np.take_along_axis(told, shown, axis=1)
        np.put_along_axis(told, shown, np.where(chosen == ABSENT, fixed, likely), axis=1)
        found = recs.ordered(order)
        return replace(found, columns={**found.columns, PROPENSITY: told.astype(np.float32)})

    def _free(self, recs: Recs) -> Mask:
        """``[q, c]`` what may change its place."""
        free: Mask = recs.items != ABSENT
        if "source" in recs.columns:
            free &= recs.columns["source"] != PINNED
        if self.options.among is not None:
            free &= np.cumsum(free, axis=1) <= self.options.among
        return free

    def _drawn(self, queries: Queries, recs: Recs, free: Mask, slots: Places, k: int) -> tuple[Places, Doubles]:
        """``[q, k]`` which of the free items come first, and how likely each was there."""
        assert queries.draw is not None
        counts = free.sum(axis=1)
        if self.options.policy == "epsilon_greedy":
            chosen = epsilon.drawn(queries.draw, counts, k, self.options.epsilon)
            return chosen, epsilon.likely(chosen, counts, self.options.epsilon)
        assert self.scorer is not None
        spread = self.options.scale * thompson.deviations(self.scorer, queries, recs.items)
        held = np.arange(free.shape[1]) < counts[:, None]
        worth, spread = (np.take_along_axis(part, slots, axis=1) for part in (relevance(recs), spread))
        chosen = thompson.drawn(queries.draw, held, worth, spread, k)[0]
        return chosen, thompson.likely(chosen, queries.draw, held, worth, spread, self.options.draws)


__all__ = ["ExploreStage"]
