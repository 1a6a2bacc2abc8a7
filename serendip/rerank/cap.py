"""At most so many items with one value within the first places."""

from __future__ import annotations

from dataclasses import dataclass

from serendip.rerank.alike import held
from serendip.rerank.limits import limited
from serendip.rerank.lists import front, places
from serendip.types import ABSENT, Ids, Queries, Recs


@dataclass(frozen=True, eq=False)
class CapStage:
    """Made by `serendip.rerank.bind` of `serendip.rerank.Cap`. An item with several values counts for each.

    Attributes:
        codes: ``[n + 1, w]`` the values of each item, `ABSENT`-padded; nothing in the last row.
        most: how many items may have one value.
        within: how many first places; None: all that are asked for.
    """

    codes: Ids
    most: int
    within: int | None

    def __call__(self, queries: Queries, recs: Recs) -> Recs:
        """The same items: those that are within the cap, in their order, and behind them the others."""
        n = min(places(queries, recs), self.within or queries.k)
        codes = self.codes[held(recs.items, len(self.codes))]
        chosen = limited(codes, recs.items != ABSENT, self.most, n)
        return recs.ordered(front(chosen, recs.items.shape[1]))


__all__ = ["CapStage"]
