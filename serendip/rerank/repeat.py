"""What becomes of items that the history holds, where what was seen may be shown again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from serendip.rerank.lists import Mask, by_value, relevance
from serendip.rerank.shelf import DAY
from serendip.types import ABSENT, Queries, Recs


@dataclass(frozen=True, eq=False)
class RepeatStage:
    """Made by `serendip.rerank.bind` of `serendip.rerank.Repeat`.

    Attributes:
        policy: what becomes of them.
        after: days after which an event no longer counts; None: all count.
        weight: what is taken off the relevance (0 … 1), with ``lower``.
        latest: unix seconds of the last event: now, where a query does not say.
    """

    policy: Literal["hide", "lower", "keep"]
    after: float | None
    weight: float
    latest: int | None

    @property
    def reads_time(self) -> bool:
        """Whether it asks when a query is made."""
        return self.after is not None

    def __call__(self, queries: Queries, recs: Recs) -> Recs:
        """The lists; shorter ones with ``hide``."""
        if self.policy == "keep":
            return recs
        had = self._had(queries, recs)
        if self.policy == "hide":
            return recs.keep((recs.items != ABSENT) & ~had)
        return by_value(recs, relevance(recs) - self.weight * had)

    def _had(self, queries: Queries, recs: Recs) -> Mask:
        """``[q, c]`` which items the history holds. An event without a time counts as one of just now."""
        history, when = queries.history, queries.bags.get("time")
        if self.after is not None and when is not None and self.latest is not None:
            now = np.full(len(queries), self.latest) if queries.time is None else queries.time
            history = np.where(now[:, None] - when >= self.after * DAY, ABSENT, history)
        base = np.int64(max(recs.items.max(initial=0), history.max(initial=0)) + 2)
        rows = np.arange(len(recs), dtype=np.int64)[:, None] * base
        found: Mask = np.isin(rows + recs.items, rows + history) & (recs.items != ABSENT)
        return found


__all__ = ["RepeatStage"]
