"""What a user did beside an event that is learned from: what came before it, or all else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.data.events import bag_of
from serendip.data.rows import first_of_moments

Codes = NDArray[np.int64]
HISTORY = "history"
MANY = 16
"""Items for each code in a bag from which it is quicker to sort the codes than to mark them among all items."""


@dataclass(frozen=True)
class Earlier:
    """Some events of a log, to be asked which of them came before others.

    Attributes:
        items: ``[l]`` their codes, user by user.
        ahead: ``[m]`` for each event of the log, how many of them come before it.
        begins: ``[m]`` how many come before the first of its user.
        n: how many items there are.
        name: what the bag of them is called among the inputs of the query tower.
    """

    items: Codes
    ahead: Codes
    begins: Codes
    n: int
    name: str = HISTORY

    @classmethod
    def of(cls, data: Dataset, kind: int | None = None, *, apart: bool = False) -> Earlier:
        """Of the events with interest; or of those of a kind, and then what came before is of an earlier time, so that
        what was noted of the event itself under another kind is not among it.

        Args:
            data: the log.
            kind: position in ``data.schema.event_types``.
            apart: whether what came before is of an earlier time in any case: of things that are shown together, one
                must not tell what came of another.
        """
        events = data.events
        chosen = events.weight > 0 if kind is None or events.kind is None else events.kind == kind
        ahead: Codes = np.cumsum(chosen) - chosen
        begins = ahead[events.indptr[events.users]]
        if kind is not None or apart:
            ahead = ahead[first_of_moments(events)]
        name = HISTORY if kind is None else bag_of(data.schema.event_types[kind])
        return cls(events.items[chosen].astype(np.int64), ahead, begins, data.n_items, name)

    def inputs(self, rows: NDArray[np.integer], length: int) -> dict[str, Codes]:
        """Of the query tower."""
        ends = self.ahead[rows]
        sizes = np.minimum(ends - self.begins[rows], length)
        begins = np.cumsum(sizes) - sizes
        places = np.repeat(ends - sizes - begins, sizes) + np.arange(sizes.sum())
        return _as_bags(self.items[places], begins, self.n, self.name)


def _as_bags(codes: Codes, begins: Codes, n: int, name: str) -> dict[str, Codes]:
    """Inputs of the query tower: the codes in the bags, each once; the places of all of them; where each bag begins."""
    from serendip.nn.query import BEGINS, PLACES

    if n > MANY * len(codes):
        known, places = np.unique(codes, return_inverse=True)
    else:
        met = np.zeros(n, np.bool_)
        met[codes] = True
        known, places = np.flatnonzero(met), (np.cumsum(met) - 1)[codes]
    return {name: known, name + PLACES: places, name + BEGINS: begins}


@dataclass(frozen=True)
class Others:
    """The events with interest of a log, to be asked for all of a user's but one.

    Attributes:
        items: ``[l]`` their codes, user by user.
        place: ``[m]`` for each event of the log with interest, where it is among them.
        begins, ends: ``[m]`` where those of its user begin and end.
        n: how many items there are.
    """

    items: Codes
    place: Codes
    begins: Codes
    ends: Codes
    n: int

    @classmethod
    def of(cls, data: Dataset) -> Others:
        """Of all events of a log."""
        events = data.events
        liked = events.weight > 0
        place: Codes = np.cumsum(liked) - liked
        bounds = np.append(place, liked.sum())[events.indptr]
        begins, ends = bounds[:-1][events.users], bounds[1:][events.users]
        return cls(events.items[liked].astype(np.int64), place, begins, ends, data.n_items)

    def inputs(self, rows: NDArray[np.integer], length: int) -> dict[str, Codes]:
        """Of the query tower."""
        return _as_bags(*self.bags(rows, length), self.n, HISTORY)

    def bags(self, rows: NDArray[np.integer], length: int) -> tuple[Codes, Codes]:
        """The last ``length`` items beside each of these events, one bag after the other, and where each begins."""
        place, last = self.place[rows], self.ends[rows]
        first = np.maximum(self.begins[rows], last - length - (place >= last - length))
        inside = place >= first
        sizes = last - first - inside
        starts = np.cumsum(sizes) - sizes
        found = np.repeat(first - starts, sizes) + np.arange(sizes.sum())
        found += np.repeat(inside, sizes) & (found >= np.repeat(place, sizes))
        return self.items[found], starts
