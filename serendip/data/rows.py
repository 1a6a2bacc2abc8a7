"""`EventRows`: events to be asked about one by one, each with what its user did before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.data.events import Events, Histories, bag_of, context_frame, left_padded, starts
from serendip.types import ABSENT, Floats, Ids, Queries, SerendipError

if TYPE_CHECKING:
    from serendip.data.schema import LabelKind

Codes = NDArray[np.int64]

ROWS = 4096
"""Rows asked about at a time, at most."""
CELLS = 1 << 22
"""Events of histories held at a time, padding included."""


@dataclass(frozen=True, eq=False)
class EventRows:
    """Events with labels, in the codes of the data that a model was fitted on.

    Attributes:
        data: whose features are applied.
        histories: what is known of those who ask, in its item codes.
        users, items: ``[m]`` codes; `ABSENT` for what the data have never heard of.
        who: ``[m]`` codes that tell users apart, those too that the data have never heard of.
        row: ``[m]`` row of ``histories``, `ABSENT` where nothing is known.
        ends: ``[m]`` where in ``histories`` what came before the event ends; 0 where nothing is known.
        time: ``[m]`` unix seconds, or None.
        context: ``[m]`` columns of the moments, by name.
        labels: ``[m]`` float32 by name, NaN where one is not known.
    """

    data: Dataset
    histories: Histories
    users: Ids
    items: Ids
    who: Ids
    row: Ids
    ends: Codes
    time: NDArray[np.int64] | None
    context: Mapping[str, NDArray[Any]]
    labels: Mapping[str, Floats]

    @classmethod
    def of(cls, data: Dataset) -> EventRows:
        """The events of the data themselves, each with what its user did before.

        Before is at an earlier time: what was noted at the same moment may be what came of the event. Without times,
        the order of the file counts.
        """
        events = data.events
        return cls(
            data,
            data.histories,
            events.users,
            events.items,
            events.users,
            events.users,
            first_of_moments(events),
            events.time if data.schema.time_kind == "unix" else None,
            events.context,
            events.labels,
        )

    @classmethod
    def held(cls, train: Dataset, test: Dataset) -> EventRows:
        """Events kept from training, each with what training knows of its user from before it.

        Args:
            train: what a model was fitted on.
            test: the others, with columns of the same names.
        """
        users, items = train.user_ids.encode(test.user_ids.ids), train.item_ids.encode(test.item_ids.ids)
        return asked_of(train, train.histories, users, test.events, users, items)

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: NDArray[Any] | slice) -> EventRows:
        """The chosen rows, in the order given."""
        return EventRows(
            self.data,
            self.histories,
            self.users[rows],
            self.items[rows],
            self.who[rows],
            self.row[rows],
            self.ends[rows],
            None if self.time is None else self.time[rows],
            {name: array[rows] for name, array in self.context.items()},
            {name: array[rows] for name, array in self.labels.items()},
        )

    def label(self, name: str) -> tuple[Floats, LabelKind]:
        """``[m]`` a label, NaN where it is not known, and what it measures.

        Raises:
            SerendipError: there is no such label.
        """
        if name not in self.labels:
            known = ", ".join(self.labels) or "none"
            raise SerendipError(
                f"rows must have the label {name!r}. They have: {known}. Try naming its column in data.labels."
            )
        return self.labels[name], self.data.schema.labels.get(name, "rating")

    def queries(self, rows: NDArray[Any] | slice = slice(None), length: int | None = None) -> Queries:
        """One query for each of the chosen rows: who asked, when, in which context, and what was done before.

        Args:
            rows: which.
            length: how many of the latest events a history has at most; None: all.
        """
        row, end = self.row[rows], self.ends[rows]
        known = row != ABSENT
        begin = np.where(known, self.histories.indptr[np.where(known, row, 0)], 0)
        end = np.where(known, end, 0)
        liked = self._liked.between(begin, end, length)
        bags = {
            name: past.between(begin, end, length).padded(self.histories.items, ABSENT) for name, past in self._others
        }
        if self.histories.weight is not None:
            bags["weight"] = liked.padded(self.histories.weight, 0)
        if self.histories.time is not None:
            bags["time"] = liked.padded(self.histories.time, 0)
        asked = Queries(
            users=self.users[rows],
            history=liked.padded(self.histories.items, ABSENT),
            bags=bags,
            time=None if self.time is None else self.time[rows],
        )
        return self.data.asked(asked, context_frame({name: array[rows] for name, array in self.context.items()}))

    @cached_property
    def _liked(self) -> _Chosen:
        weight = self.histories.weight
        return _Chosen.of(np.ones(len(self.histories.items), bool) if weight is None else weight > 0)

    @cached_property
    def _others(self) -> list[tuple[str, _Chosen]]:
        kind, kinds = self.histories.kind, self.histories.kinds
        if kind is None or kinds is None:
            return []
        return [(bag_of(name), _Chosen.of(kind == code)) for name, code in kinds.others.items()]


def row_queries(rows: EventRows, length: int | None = None, size: int = ROWS) -> Iterator[tuple[Codes, Queries]]:
    """Which rows, and one query for each of them, in batches of bounded memory: those of like length together.

    Args:
        rows: `EventRows.of(data)`, `EventRows.held(train, test)` or those of a split.
        length: how many of the latest events a history has at most; None: all.
        size: rows of a batch, at most.

    Raises:
        SerendipError: a size below 1.
    """
    if size < 1:
        raise SerendipError(f"size must be at least 1. Got {size} instead.")
    known = rows.row != ABSENT
    begin = np.where(known, rows.histories.indptr[np.where(known, rows.row, 0)], 0)
    width = np.where(known, rows.ends - begin, 0)
    if length is not None:
        width = np.minimum(width, length)
    order = np.argsort(width, kind="stable")
    at = 0
    while at < len(order):
        count = min(size, len(order) - at)
        count = min(count, max(1, CELLS // max(int(width[order[at + count - 1]]), 1)))
        chosen = order[at : at + count]
        yield chosen, rows.queries(chosen, length)
        at += count


def asked_of(train: Dataset, asking: Histories, row: Ids, held: Events, user_code: Ids, item_code: Ids) -> EventRows:
    """Held-out events whose users' histories are rows of ``asking``.

    Args:
        train: whose features are applied.
        asking: what is known of those who ask, in training item codes.
        row: ``[users of held]`` the row of ``asking`` of each user, or `ABSENT`.
        held: the events.
        user_code, item_code: the training code of each code of ``held``, `ABSENT` where training has none.
    """
    rows = row[held.users]
    unix = train.schema.time_kind == "unix"
    return EventRows(
        train,
        asking,
        user_code[held.users],
        item_code[held.items],
        held.users,
        rows,
        _before(asking, rows, held.time),
        held.time if unix else None,
        held.context,
        held.labels,
    )


def first_of_moments(events: Events) -> Codes:
    """``[m]`` the place of the first event of the same user and time; without times, of the event itself."""
    m = len(events)
    if events.time is None:
        return np.arange(m)
    new = np.ones(m, np.bool_)
    new[1:] = (np.diff(events.users) != 0) | (np.diff(events.time) != 0)
    return np.maximum.accumulate(np.where(new, np.arange(m), 0))


def _before(asking: Histories, row: Ids, time: NDArray[np.int64] | None) -> Codes:
    """``[m]`` where in ``asking`` the events of these rows before these times end; all of them where none is known."""
    known = row != ABSENT
    last = np.where(known, asking.indptr[np.where(known, row + 1, 0)], 0)
    if time is None or asking.time is None or not len(asking.items):
        return last
    moments, rank = np.unique(asking.time, return_inverse=True)
    owner = np.repeat(np.arange(len(asking)), np.diff(asking.indptr))
    span = len(moments) + 1
    wanted = row.astype(np.int64) * span + np.searchsorted(moments, time)
    return np.where(known, np.searchsorted(owner * span + rank, wanted), 0)


@dataclass(frozen=True)
class _Chosen:
    """Some events of histories, to be asked which of them lie between two places.

    Attributes:
        places: ``[l]`` where they stand, rising.
        ahead: ``[m + 1]`` how many of them come before each place.
    """

    places: Codes
    ahead: Codes

    @classmethod
    def of(cls, chosen: NDArray[np.bool_]) -> _Chosen:
        return cls(np.flatnonzero(chosen), starts(chosen))

    def between(self, begin: Codes, end: Codes, length: int | None) -> _Latest:
        """Of each pair of places the last ones between them."""
        stop = self.ahead[end]
        count = stop - self.ahead[begin]
        if length is not None:
            count = np.minimum(count, length)
        row = np.repeat(np.arange(len(count)), count)
        flat = np.repeat(stop - count - starts(count)[:-1], count) + np.arange(len(row))
        return _Latest(row, count, self.places[flat])


@dataclass(frozen=True)
class _Latest:
    """Events by the row they belong to: ``row`` and ``places`` ``[l]``, ``count`` ``[q]``."""

    row: Codes
    count: Codes
    places: Codes

    def padded(self, values: NDArray[Any], blank: int) -> NDArray[Any]:
        """``[q, width]``, ``blank`` on the left."""
        return left_padded(self.row, self.count, values[self.places], None, blank)


__all__ = ["CELLS", "ROWS", "EventRows", "asked_of", "first_of_moments", "row_queries"]
