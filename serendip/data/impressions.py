"""What was shown, as rows to learn from: what came of each, and how often its user had passed by before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.data.events import Events
from serendip.types import ABSENT, Floats, SerendipError

Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]

ITEM, USER = "unclicked_item", "unclicked_user"
"""Columns of the moment: how often what is shown, and how often anything, was shown to the user before in vain."""


def with_impressions(data: Dataset, shown: Sequence[str]) -> Dataset:
    """The data with a binary label for each kind of event of the target: what came of every impression.

    The label of an impression is 1 where its user did that with its item then or later, before it was shown to the same
    user again; otherwise 0. Events that are no impressions do not have it. The columns of `with_churn` stand beside
    them, counted by the first kind of the target.

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
    schema = msgspec.structs.replace(data.schema, labels={**data.schema.labels, **dict.fromkeys(labels, "binary")})
    events = replace(data.events, labels={**data.events.labels, **labels})
    return _counted(replace(data, schema=schema, events=events), offered, resolved)


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
        passed = _before(group[rows], moment[rows], group, moment)
        answered = _before(group[led], moment[resolved[led]], group, moment)
        context[name] = (passed - answered).astype(np.float32)
    return replace(data, events=replace(events, context=context))


def _before(group: Codes, moment: Codes, groups: Codes, moments: Codes) -> Codes:
    """``[m]`` how many things, each of a group and at a moment, are of the same group as each row and at an earlier
    moment."""
    distinct, place = np.unique(groups, return_inverse=True)
    span = int(moments.max(initial=0)) + 1
    keys = np.sort(np.searchsorted(distinct, group) * span + moment)
    return np.searchsorted(keys, place * span + moments) - np.searchsorted(keys, place * span)


def _moments(events: Events) -> Codes:
    """``[m]`` the rank of each event's time among all times; without times its place."""
    if events.time is None:
        return np.arange(len(events))
    return np.unique(events.time, return_inverse=True)[1].astype(np.int64)


__all__ = ["ITEM", "USER", "with_churn", "with_impressions"]
