"""Items that stand at a place whatever their score, unless the query excludes or does not allow them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from serendip.rerank.lists import Mask, Places
from serendip.types import ABSENT, Ids, Queries, Recs

PINNED = "pinned"
"""The source of a pinned item."""


@dataclass(frozen=True, eq=False)
class PinStage:
    """Made by `serendip.rerank.bind` of `serendip.rerank.Pin`.

    Attributes:
        items: ``[p]`` codes, one after the other.
        place: of the first of them, from 1.
        unknown: ids that are not known.
    """

    items: Ids
    place: int
    unknown: tuple[str, ...] = ()

    def __call__(self, queries: Queries, recs: Recs) -> Recs:
        """The items pinned are moved to their places, or added with the score 0; the others keep their order. In a list
        that ends before their place they stand last."""
        if self.unknown:
            note = f"{PINNED}: {len(self.unknown)} not known: {', '.join(self.unknown)}"
            recs = replace(recs, notes=(*recs.notes, note))
        if not len(self.items):
            return recs
        asked = np.broadcast_to(self.items, (len(recs), len(self.items)))
        pins = Recs(asked, np.zeros(asked.shape, np.float32))
        if queries.exclude is not None:
            pins = pins.without(queries.exclude)
        pins = pins.keep(queries.allowed(pins.items))
        lists = replace(Recs.empty(len(recs), recs.items.shape[1] + len(self.items)), notes=recs.notes)
        lists = lists.fill(recs).fill(pins)
        lists = lists.top(int(lists.counts.max(initial=0)))
        pinned = _among(lists.items, pins.items)
        if "source" in lists.columns:
            source = np.where(pinned, PINNED, lists.columns["source"])
            lists = replace(lists, columns={**lists.columns, "source": source})
        return lists.ordered(self._order(lists, pins, pinned))

    def _order(self, lists: Recs, pins: Recs, pinned: Mask) -> Places:
        """``[q, c]`` where each place takes its item from."""
        held = lists.items != ABSENT
        count = pins.counts
        first = np.clip(lists.counts - count, 0, self.place - 1)  # of the pinned ones, as far as there are others
        place = np.arange(held.shape[1])
        taken = (place >= first[:, None]) & (place < (first + count)[:, None])
        nth = np.maximum(np.cumsum(held & ~pinned, axis=1) - 1, 0)
        at = np.take_along_axis(np.argsort(taken, axis=1, kind="stable"), nth, axis=1)  # the new place of each
        turn = (lists.items[:, :, None] == pins.items[:, None, :]).argmax(axis=2)
        at = np.where(pinned, first[:, None] + turn, np.where(held, at, held.shape[1] + place))
        return np.argsort(at, axis=1, kind="stable")


def _among(items: Ids, pins: Ids) -> Mask:
    found: Mask = (items[:, :, None] == pins[:, None, :]).any(axis=2) & (items != ABSENT)
    return found


__all__ = ["PINNED", "PinStage"]
