"""What is new, what is worth more, or what fits a filter goes up: ``r(i) + w · b(i)``, the greatest first.

``b`` is a number of the item; 1 for what fits a filter, else 0; or ``2^(−age / half_life)``. Relevance r is 0 … 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from serendip.rerank.alike import held
from serendip.rerank.lists import Doubles, by_value, relevance
from serendip.rerank.shelf import DAY
from serendip.types import Queries, Recs


@dataclass(frozen=True, eq=False)
class BoostStage:
    """Made by `serendip.rerank.bind` of `serendip.rerank.Boost`.

    Attributes:
        values: ``[n + 1]`` a number per item, NaN where there is none and in the last row.
        weight: w.
        half_life: in units of ``values``, which then say when an item came; None: they are added as they are.
        dated: whether they are unix days.
    """

    values: Doubles
    weight: float
    half_life: float | None = None
    dated: bool = False

    @property
    def reads_time(self) -> bool:
        """Whether it asks when a query is made."""
        return self.dated and self.half_life is not None

    def __call__(self, queries: Queries, recs: Recs) -> Recs:
        """The same items. What has no number gets nothing."""
        found = self.values[held(recs.items, len(self.values))]
        if self.half_life is not None:
            found = np.exp2(-np.maximum(self._now(queries) - found, 0) / self.half_life)
        return by_value(recs, relevance(recs) + self.weight * np.nan_to_num(found, nan=0.0))

    def _now(self, queries: Queries) -> Doubles:
        """``[q, 1]`` or ``[1, 1]``: when it is asked, else when the newest item came."""
        if self.dated and queries.time is not None:
            return queries.time[:, None] / DAY
        known = self.values[np.isfinite(self.values)]
        return np.full((1, 1), known.max(initial=0.0))


__all__ = ["BoostStage"]
