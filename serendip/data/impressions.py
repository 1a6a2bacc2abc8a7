"""What was shown, as rows to learn from: what came of each, and how often its user had passed by before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.data.events import Events, bag_of
from serendip.types import ABSENT, Floats, SerendipError

Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]

ITEM, USER = "unclicked_item", "unclicked_user"
"""Columns of the moment: how often what is shown, and how often anything, was shown to the user before in vain."""


def with_impressions(data: Dataset, shown: Sequence[str]) -> Dataset:
    """The data with a binary label for each kind of event of the target: what came of every impression.

    The label of an impression is 1 where its user did that with its item then or later, before it was shown to the same
    user again; otherwise 0. Events that are no impressions do not have it. The columns of `with_churn` stand beside
    them, counted by the first kind of the target. What was shown and no more is not seen: it may be shown again.

    Args:
        data: a log that names kinds of events and their target.
        shown: the kinds that are impressions.

    Raises:
        SerendipError: the log names no kinds or no target, a kind that it does not have, or one that is of the target.
    """
    kinds, kind = data.schema.kinds, data.events.kind
    if kinds is None or kind is None or not kinds.target:
        raise SerendipError(
            "impressions need a log that names kinds of events, some of which are the target. Try data.target, such as "
            '["click"], beside data.impressions.'
        )
    for name in shown:
        if name not in kinds.others:
            there = ", ".join(kinds.others) or "none"
            raise SerendipError(
                f"impressions must be kinds of events that are not the target ({there}). Got {name!r} instead."
            )
    offered = np.isin(kind, [kinds.names.index(name) for name in shown])
    if not offered.any():
        raise SerendipError(f"the log holds no impression: no event of the kinds {', '.join(shown)}.")
    labels: dict[str, Floats] = {}
    resolved = np.full(len(offered), ABSENT, np.int64)
    for name in reversed(kinds.target):
        if name not in kinds.names:
            continue
        resolved = _answers(data, offered, kind == kinds.names.index(name))
        labels[name] = np.where(offered, (resolved != ABSENT).astype(np.float32), np.float32(np.nan))
    schema = msgspec.structs.replace(
        data.schema,
        labels={**data.schema.labels, **dict.fromkeys(labels, "binary")},
        impressions=tuple(dict.fromkeys(shown)),
    )
    events = replace(data.events, labels={**data.events.labels, **labels})
    return _counted(replace(data, schema=schema, events=events), offered, resolved)


def as_known(part: Dataset) -> Dataset:
    """An earlier part of a log as it was known when the part ended: an impression whose label is 1 by an event beyond
    the part has none, as to call it 0 would be wrong of what is held out.

    Args:
        part: of what `with_impressions` gave; anything else stays as it is.
    """
    kinds, kind, before = part.schema.kinds, part.events.kind, part.events.labels
    shown = part.schema.impressions
    if kinds is None or kind is None or not np.isin(kind, [kinds.names.index(name) for name in shown]).any():
        return part
    own = with_impressions(part, shown).events.labels
    labels = {
        name: np.where((values == 1) & (own[name] == 0), np.float32(np.nan), values) if name in kinds.target else values
        for name, values in before.items()
    }
    return replace(part, events=replace(part.events, labels=labels))


def with_churn(data: Dataset, label: str) -> Dataset:
    """The data with two columns of the moment, from what was known before it: of the impressions of the user at earlier
    times, how many of the same item (``unclicked_item``) and of any (``unclicked_user``) had label 0.

    Without times, the order of the file counts. Features of the kind ``number`` and the side ``context`` read them.
    Source: Covington, Adams and Sargin, "Deep neural networks for YouTube recommendations", RecSys 2016, section 4.1.

    Args:
        data: a log whose impressions are the events with the label.
        label: 0 or 1.

    Raises:
        SerendipError: there is no such label, or it is not binary.
    """
    labels = data.events.labels
    if label not in labels or data.schema.labels.get(label) != "binary":
        known = ", ".join(name for name in labels if data.schema.labels.get(name) == "binary") or "none"
        raise SerendipError(f"churn must be a binary label of the events ({known}). Got {label!r} instead.")
    offered = ~np.isnan(labels[label])
    place = np.arange(len(offered))
    return _counted(data, offered, np.where(labels[label] == 1, place, ABSENT))


@dataclass(frozen=True)
class Passed:
    """How often items had been shown to users in vain, to be asked about any pair at the moment of any event.

    Attributes:
        shown, taken: of each kind of impressions by its bag, and of events with interest, what to look up.
        moment: ``[m]`` the rank of each event's time.
        users: ``[m]`` whose each event is.
        n: how many items there are.
    """

    shown: Mapping[str, Earlier]
    taken: Earlier
    moment: Codes
    users: NDArray[np.int32]
    n: int

    @classmethod
    def of(cls, data: Dataset) -> Self:
        """Of a log; of one that does not say what was shown, nothing is known."""
        events, kinds = data.events, data.schema.kinds
        moment = _moments(events)
        pairs = events.users.astype(np.int64) * data.n_items + events.items

        def some(chosen: Mask) -> Earlier:
            return Earlier.of(pairs[chosen], moment[chosen])

        names = () if kinds is None or events.kind is None else kinds.impressions
        shown = {bag_of(name): some(_of_kind(data, name)) for name in names}
        return cls(shown, some(events.weight > 0), moment, events.users, data.n_items)

    def before(self, rows: NDArray[np.integer[Any]], items: NDArray[np.integer[Any]]) -> dict[str, Floats]:
        """``[b, c]`` by bag, of the users of these events and items ``[b, c]``: the logarithm of one more than how
        often an item had been shown at earlier times, less how often it had been taken up.
        """
        pairs = self.users[rows].astype(np.int64)[:, None] * self.n + items
        moments = np.broadcast_to(self.moment[rows][:, None], pairs.shape)
        taken = self.taken.count(pairs, moments) if self.shown else 0
        return {
            name: np.log1p(np.maximum(one.count(pairs, moments) - taken, 0)).astype(np.float32)
            for name, one in self.shown.items()
        }


@dataclass(frozen=True)
class Earlier:
    """Things at moments, to be counted.

    Attributes:
        groups: what occurs, rising, each once.
        keys: of each occurrence the place of what occurs times the span, and the moment; rising.
        span: one more than the last moment.
    """

    groups: Codes
    keys: Codes
    span: int

    @classmethod
    def of(cls, groups: Codes, moments: Codes) -> Self:
        """What occurs ``[l]``, and when."""
        distinct, place = np.unique(groups, return_inverse=True)
        span = int(moments.max(initial=0)) + 1
        return cls(distinct, np.sort(place * span + moments), span)

    def count(self, groups: Codes, moments: Codes) -> Codes:
        """How often each of ``groups`` occurs before each of ``moments``, in their shape."""
        if not len(self.groups):
            return np.zeros(groups.shape, np.int64)
        place = np.minimum(np.searchsorted(self.groups, groups), len(self.groups) - 1)
        begin = place * self.span
        found = np.searchsorted(self.keys, begin + np.minimum(moments, self.span)) - np.searchsorted(self.keys, begin)
        return np.where(self.groups[place] == groups, found, 0)


def _of_kind(data: Dataset, name: str) -> Mask:
    kind = data.events.kind
    assert kind is not None
    return np.asarray(kind == data.schema.event_types.index(name))


def _answers(data: Dataset, offered: Mask, done: Mask) -> Codes:
    """``[m]`` of each impression the event that it led to, `ABSENT` where there is none."""
    events = data.events
    pair = events.users.astype(np.int64) * data.n_items + events.items
    # Of one moment, what was shown comes before what was done with it.
    order = np.lexsort((~offered, _moments(events), pair))
    shown, answered = offered[order], done[order]
    m = len(order)
    later = _next(answered)
    again = np.append(_next(shown), m)[1:]  # strictly after
    same = np.append(pair[order], -1)[later] == pair[order]
    found = shown & same & (later < m) & (later < again)
    out = np.full(m, ABSENT, np.int64)
    out[order[found]] = order[later[found]]
    return out


def _next(chosen: Mask) -> Codes:
    """``[m]`` the first chosen place from each one on; m where there is none."""
    m = len(chosen)
    places = np.where(chosen, np.arange(m), m)
    return np.asarray(np.minimum.accumulate(places[::-1])[::-1])


def _counted(data: Dataset, offered: Mask, resolved: Codes) -> Dataset:
    """With the columns of `with_churn`: impressions at earlier times, less those that had led to something by then.

    Args:
        data: the log.
        offered: ``[m]`` which events are impressions.
        resolved: ``[m]`` the event that an impression led to, or `ABSENT`.
    """
    events, moment = data.events, _moments(data.events)
    users = events.users.astype(np.int64)
    rows = np.flatnonzero(offered)
    led = rows[resolved[rows] != ABSENT]
    context = dict(events.context)
    for name, group in ((ITEM, users * data.n_items + events.items), (USER, users)):
        passed = Earlier.of(group[rows], moment[rows]).count(group, moment)
        answered = Earlier.of(group[led], moment[resolved[led]]).count(group, moment)
        context[name] = (passed - answered).astype(np.float32)
    return replace(data, events=replace(events, context=context))


def _moments(events: Events) -> Codes:
    """``[m]`` the rank of each event's time among all times; without times its place."""
    if events.time is None:
        return np.arange(len(events))
    return np.unique(events.time, return_inverse=True)[1].astype(np.int64)


__all__ = ["ITEM", "USER", "Earlier", "Passed", "as_known", "with_churn", "with_impressions"]
