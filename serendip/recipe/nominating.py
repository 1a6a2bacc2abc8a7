"""What retrieval would have shown before each event: what a ranker learns against where nobody logged views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.pipeline import coded, stack
from serendip.run import Shown
from serendip.types import ABSENT, Ids, Queries, Recs, SerendipError, Stage

BLOCK = 4096
"""Queries asked at a time."""


def cuts_of(data: Dataset, parts: int = 5, start: float = 0.5) -> tuple[int, ...]:
    """Moments (unix seconds) at which retrieval is fitted again: rising, none twice.

    They leave the first ``start`` of the events before the first, and divide the rest into so many parts of like size.

    Raises:
        SerendipError: the log has no unix times.
    """
    times = data.events.time
    if data.schema.time_kind != "unix" or times is None or not len(times):
        raise SerendipError(
            "What retrieval would have shown must be found in a log with unix times, as a part before each moment is "
            f"learned from. Got time_kind = {data.schema.time_kind!r} instead. Try a log with times."
        )
    shares = np.linspace(start, 1, parts, endpoint=False)
    return tuple(int(moment) for moment in np.unique(np.sort(times)[(shares * len(times)).astype(np.int64)]))


def nominated(
    data: Dataset,
    fit: Callable[[Dataset], Stage],
    cuts: Sequence[int],
    k: int = 200,
    progress: Callable[[int, int], None] | None = None,
) -> Shown:
    """What retrieval would have shown, point in time.

    At each of the moments it is fitted on the events before, and asked for everybody who has events from then until the
    next moment, with what was known of them. No later event can change a list. Events before the first moment have
    none.

    Args:
        data: the log that the ranker learns from.
        fit: what names items, fitted on the data it is given.
        cuts: unix seconds, rising, such as `cuts_of` gives.
        k: how long the lists are at most.
        progress: told of how many of the moments lists are known.

    Raises:
        SerendipError: the log has no times.
    """
    events = data.events
    if events.time is None:
        raise SerendipError("What retrieval would have shown must be found in a log with times. Got none.")
    at = np.full(len(events), ABSENT, np.int32)
    found: list[Recs] = []
    total = 0
    for done, (begin, end) in enumerate(zip(cuts, (*cuts[1:], None), strict=True)):
        if progress is not None:
            progress(done, len(cuts))
        rows = np.flatnonzero((events.time >= begin) & (True if end is None else events.time < end))
        before = events.time < begin
        if not len(rows) or not (events.weight[before] > 0).any():
            continue
        users, place = np.unique(events.users[rows], return_inverse=True)
        at[rows] = total + place
        found.append(_asked(data, data.where(before), fit, users, k, begin))
        total += len(users)
    return _as_shown(found, at)


def _as_shown(found: Sequence[Recs], at: Ids) -> Shown:
    """The lists, one after the other, for the events that have one each."""
    width = max((part.items.shape[1] for part in found), default=0)
    items = np.concatenate([np.empty((0, width), np.int32), *(_wide(part.items, width, ABSENT) for part in found)])
    told = [coded(part) for part in found]
    names = tuple(sorted({name for _, own in told for name in own}))
    standings = np.full((*items.shape, len(names)), np.nan, np.float32)
    start = 0
    for part, own in told:
        standings[start : start + len(part), : part.shape[1], [names.index(name) for name in own]] = part
        start += len(part)
    kept = [place for place in range(len(names)) if not np.isnan(standings[..., place]).all()]
    return Shown(items, at, standings[..., kept], tuple(names[place] for place in kept))


def _wide(part: NDArray[Any], width: int, blank: Any) -> NDArray[Any]:
    return np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=blank)


def _asked(data: Dataset, earlier: Dataset, fit: Callable[[Dataset], Stage], users: Ids, k: int, time: int) -> Recs:
    """``[u, ≤ k]`` the lists of users, in the codes of the data, from what the earlier part of it knows."""
    stage = fit(earlier)
    known = earlier.user_ids.encode(data.user_ids.decode(users))
    codes = np.append(data.item_ids.encode(earlier.item_ids.ids), ABSENT).astype(np.int32)

    def ask(part: Ids) -> Recs:
        queries: Queries = earlier.queries(part, k=k, time=np.full(len(part), time, np.int64))
        return stage(queries).top(k)

    lists = stack([ask(known[start : start + BLOCK]) for start in range(0, len(known), BLOCK)])
    return replace(lists, items=codes[lists.items])


__all__ = ["cuts_of", "nominated"]
