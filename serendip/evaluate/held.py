"""`Split`: what may be learnt from, who asks, and what each of them went on to like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset, Events, Histories
from serendip.data.events import context_frame
from serendip.data.impressions import as_known
from serendip.data.rows import EventRows, asked_of
from serendip.evaluate.keys import among, distinct, starts
from serendip.evaluate.segments import standard_segments
from serendip.types import ABSENT, Floats, Ids, Queries, SerendipError, Truth

Moment = Literal["first"] | int


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """The events kept from training, one row each, in the codes of the training vocabularies.

    Attributes:
        users, items: ``[m]`` codes, `ABSENT` for ids that training has never heard of.
        weight: ``[m]`` float32, 0 for "seen, without interest".
        labels: ``[m]`` float32 by name (``rating`` …), for models that predict them.
        time: ``[m]`` int64 unix seconds, or None where the log has none.
    """

    users: Ids
    items: Ids
    weight: Floats
    labels: Mapping[str, Floats]
    time: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """One protocol applied to one log.

    Attributes:
        name: of the protocol.
        description: the protocol in one sentence, for reports.
        train: the data without the test: vocabularies hold no id that only the test names.
        asking: what is known of those who ask: the training histories, or, where the askers are no part of training,
            the events they are given.
        users: ``[q]`` row of ``asking`` of each query, `ABSENT` for an asker without history.
        known: ``[q]`` training user code of each query, `ABSENT` where training has never heard of the user.
        truth: what each asker went on to like, ``[q]``; see `serendip.types.Truth`.
        test: the held-out events themselves, with their labels.
        asked: makes `rows`.
        time: ``[q]`` unix seconds at which each query asks, or None where the protocol has no such moment.
        context: ``[q]`` columns of the moments at which queries ask, by name, where each asks at an event of its own.
        repeats: whether items that the asker already has count as truth (and are therefore not excluded).
        segments: groups of queries by name, ``[q]`` masks.
        notes: what a reader of a figure should know: who was left out and why.
    """

    name: str
    description: str
    train: Dataset
    asking: Histories
    users: Ids
    known: Ids
    truth: Truth
    test: HeldOut
    asked: Callable[[], EventRows]
    time: NDArray[np.int64] | None
    repeats: bool
    segments: Mapping[str, NDArray[np.bool_]]
    notes: tuple[str, ...] = ()
    context: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.users)

    def queries(
        self, rows: slice | NDArray[Any] = slice(None), k: int = 10, exclude_seen: bool | None = None
    ) -> Queries:
        """The chosen queries. ``exclude_seen`` None: seen items are excluded unless repeats count as truth."""
        exclude = not self.repeats if exclude_seen is None else exclude_seen
        asked = self.asking.queries(self.users[rows], k=k, exclude_seen=exclude)
        who = replace(asked, users=self.known[rows], time=None if self.time is None else self.time[rows])
        return self.train.asked(who, context_frame({name: array[rows] for name, array in self.context.items()}))

    def rows(self) -> EventRows:
        """The held-out events, to be asked about one by one: each with what is known of its user from before it."""
        return self.asked()

    def of(self, train: Dataset) -> Split:
        """The same split with other features, or another schema, of its training part."""
        return replace(self, train=train, asked=lambda: replace(self.asked(), data=train))

    def take(self, rows: slice | NDArray[Any]) -> Split:
        """The same protocol with the chosen queries only, in the order given; the held-out events stay as they are."""
        return replace(
            self,
            users=self.users[rows],
            known=self.known[rows],
            truth=self.truth.take(rows),
            time=None if self.time is None else self.time[rows],
            context={name: array[rows] for name, array in self.context.items()},
            segments={name: mask[rows] for name, mask in self.segments.items()},
        )


def hold_out(
    data: Dataset,
    held: NDArray[np.bool_],
    *,
    name: str,
    description: str,
    given: NDArray[np.bool_] | None = None,
    time: Moment | None = None,
    repeats: bool = False,
    notes: tuple[str, ...] = (),
) -> Split:
    """Take the events in ``held`` ``[events]`` out of the data.

    Args:
        data: the whole log.
        held: the events to hold out.
        name, description, repeats, notes: as in `Split`.
        given: events that are no part of training either, but are the askers' history at the time of asking.
        time: when queries ask: ``"first"`` for the time of each asker's first held-out event, a moment (unix seconds),
            or None. Left out where the log has no unix time. Where it is given, what is held out is later, and
            impressions that it answers have no label in training.

    Raises:
        SerendipError: nothing is left to learn from, or nobody has anything to be asked about.
    """
    train = data.where(~held if given is None else ~(held | given))
    if len(train.events) == 0:
        raise SerendipError(
            f"{name} must leave events to learn from. Got a split that holds out all {len(data.events):,} events. "
            "Try a smaller test share, or another protocol."
        )
    if time is not None:
        train = as_known(train)
    user_code, item_code = train.user_ids.encode(data.user_ids.ids), train.item_ids.encode(data.item_ids.ids)
    asking, row = train.histories, user_code
    if given is not None:
        asking, row = _given_histories(data, given, held, item_code)
    return assemble(
        train,
        data.events.where(held),
        data.wanted[held],
        user_code,
        item_code,
        asking=asking,
        row=row,
        seen=(data.events.users[~held & data.seen], data.events.items[~held & data.seen]),
        time=time if data.schema.time_kind == "unix" else None,
        name=name,
        description=description,
        repeats=repeats,
        notes=notes,
    )


def assemble(
    train: Dataset,
    held: Events,
    wanted: NDArray[np.bool_],
    user_code: Ids,
    item_code: Ids,
    *,
    asking: Histories,
    row: Ids,
    seen: tuple[Ids, Ids],
    time: Moment | None,
    name: str,
    description: str,
    repeats: bool,
    notes: tuple[str, ...],
) -> Split:
    """A `Split` from training data and held-out events that have vocabularies of their own.

    Args:
        train: what may be learnt from.
        held: the held-out events.
        wanted: ``[m]`` which of them are to be foretold.
        user_code, item_code: the training code of each code of ``held``, `ABSENT` where training has none.
        asking: what is known of those who ask, in training item codes.
        row: ``[users of held]`` the row of ``asking`` of each user of ``held``, or `ABSENT`.
        seen: users and items of the events before, in the codes of ``held``; one with an `ABSENT` id counts for none.
        time, name, description, repeats, notes: as in `hold_out`.
    """
    n_items = len(item_code)
    pairs = _pairs(held.users, held.items, wanted, n_items)
    lost = 0
    if not repeats:
        asked = np.zeros(len(user_code), np.bool_)
        asked[held.users] = True
        had = (seen[0] != ABSENT) & (seen[1] != ABSENT) & asked[seen[0]]
        fresh = ~among(pairs, _pairs(*seen, had, n_items))
        lost = len(fresh) - int(fresh.sum())
        pairs = pairs[fresh]
    users, items = pairs // max(n_items, 1), pairs % max(n_items, 1)
    if len(users) == 0:
        raise SerendipError(
            f"{name} must hold out at least one item that its user liked and did not have before. Got none among "
            f"{len(held):,} held-out events. Try a larger test share, another protocol, or repeats = true."
        )
    start = starts(users)
    askers = users[start]
    truth = Truth(np.append(start, len(users)).astype(np.int64), item_code[items])
    rows, known = row[askers], user_code[askers]
    if lost:
        notes = (*notes, f"Held-out items left out of the truth, because their users had them before: {lost:,}.")
    return Split(
        name=name,
        description=description,
        train=train,
        asking=asking,
        users=rows,
        known=known,
        truth=truth,
        test=HeldOut(
            user_code[held.users],
            item_code[held.items],
            held.weight,
            held.labels,
            held.time if train.schema.time_kind == "unix" else None,
        ),
        asked=partial(asked_of, train, asking, row, held, user_code, item_code),
        time=_moments(held, askers, time),
        context=_contexts(held, askers) if time == "first" and held.time is not None else {},
        repeats=repeats,
        segments=standard_segments(train, asking, rows, known, truth),
        notes=notes,
    )


def _pairs(users: Ids, items: Ids, chosen: NDArray[np.bool_], n_items: int) -> NDArray[np.int64]:
    """The distinct (user, item) pairs of the chosen events as sorted keys ``user · n_items + item``."""
    return distinct(users[chosen].astype(np.int64) * n_items + items[chosen])


def _moments(held: Events, askers: NDArray[np.int64], time: Moment | None) -> NDArray[np.int64] | None:
    if time is None or held.time is None:
        return None
    if isinstance(time, int):
        return np.full(len(askers), time, np.int64)
    return held.time[held.indptr[askers]]


def _contexts(held: Events, askers: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """What is known of the moment of each asker's first held-out event."""
    return {name: array[held.indptr[askers]] for name, array in held.context.items()}


def _given_histories(
    data: Dataset, given: NDArray[np.bool_], held: NDArray[np.bool_], item_code: Ids
) -> tuple[Histories, Ids]:
    """The given events in training item codes, a row for each user of ``held``, and the row of each user."""
    events, all_of = data.events, data.histories
    askers = np.flatnonzero(np.bincount(events.users[held], minlength=data.n_users))
    row = np.full(data.n_users, ABSENT, np.int32)
    row[askers] = np.arange(len(askers), dtype=np.int32)
    keep = given & (item_code[events.items] != ABSENT) & (row[events.users] != ABSENT)
    counts = np.bincount(row[events.users[keep]], minlength=len(askers))
    histories = Histories(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        item_code[events.items[keep]],
        events.weight[keep] if data.weighted else None,
        None if events.time is None else events.time[keep],
        None if all_of.kind is None else all_of.kind[keep],
        all_of.kinds,
    )
    return histories, row
