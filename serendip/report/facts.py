"""`Facts`: what a reader should know of the data before believing any figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.data.events import Histories
from serendip.data.findings import Finding, Report
from serendip.data.summary import gini, interest

Counts = NDArray[np.int64]

MOST_BARS = 60
UNITS = (("hour", "h"), ("day", "D"), ("week", "W"), ("month", "M"), ("year", "Y"))
SINCE_MONDAY = 3
"""Days from the Monday before it to 1970-01-01, a Thursday."""


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Events over time.

    Attributes:
        unit: ``hour``, ``day``, ``week``, ``month`` or ``year``.
        starts: ``[b]`` ISO dates of the beginnings.
        counts: ``[b]`` events in each.
    """

    unit: str
    starts: tuple[str, ...]
    counts: Counts


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What is known of the data.

    Attributes:
        events, users, items: how many; ``pairs``: how many distinct user–item pairs.
        first, last: ISO dates of the first and last event, or None where events have no date.
        per_user: events per user that has any: lower decile, median, upper decile.
        popularity: ``[items]`` events per item, most popular first.
        timeline: events over time, or None where they have no date.
        rules: sentences saying what counts as interest.
        report: what validation repaired and warned of, or None where it is not known any more.
    """

    events: int
    users: int
    items: int
    pairs: int
    first: str | None
    last: str | None
    per_user: tuple[int, int, int]
    popularity: Counts
    timeline: Timeline | None
    rules: tuple[str, ...]
    report: Report | None

    @property
    def density(self) -> float:
        """Share of all possible user–item pairs that occur."""
        return self.pairs / max(self.users * self.items, 1)

    @property
    def gini(self) -> float:
        """Gini coefficient of the events per item that has any."""
        return gini(self.popularity[self.popularity > 0])

    @property
    def silent_items(self) -> int:
        """How many items have no event."""
        return int((self.popularity == 0).sum())

    def top_share(self, part: float) -> float:
        """Share of the events that belong to the most popular ``part`` of the items."""
        head = self.popularity[: max(round(part * len(self.popularity)), 1)]
        return float(head.sum() / max(self.popularity.sum(), 1))

    def findings(self, severity: Any) -> tuple[Finding, ...]:
        """What validation found of that severity."""
        return () if self.report is None else self.report.of(severity)


def describe(data: Dataset) -> Facts:
    """The facts of a data set, with what its validation found."""
    events = data.events
    dated = events.time is not None and data.schema.time_kind == "unix"
    return _facts(
        events.users,
        events.items,
        events.time if dated else None,
        data.n_users,
        data.n_items,
        _rules(data),
        data.report,
    )


def recall(histories: Histories, n_items: int, *, dated: bool) -> Facts:
    """The facts that the histories kept in a bundle still tell.

    Args:
        histories: who did what.
        n_items: size of the item vocabulary.
        dated: whether their times are unix seconds.
    """
    users = np.repeat(np.arange(len(histories)), np.diff(histories.indptr))
    rules = ["Every event counts as interest."]
    if histories.weight is not None:
        rules = ["Events differ in weight; those of weight 0 were seen without interest."]
    time = histories.time if dated else None
    return _facts(users, histories.items, time, len(histories), n_items, rules, None)


def _facts(
    users: NDArray[Any],
    items: NDArray[Any],
    time: Counts | None,
    n_users: int,
    n_items: int,
    rules: list[str],
    report: Report | None,
) -> Facts:
    per_user = np.bincount(users, minlength=n_users)
    popularity = np.sort(np.bincount(items, minlength=n_items))[::-1]
    active = per_user[per_user > 0]
    deciles = np.quantile(active, (0.1, 0.5, 0.9)).astype(int).tolist() if len(active) else [0, 0, 0]
    days = None if time is None or len(time) == 0 else np.array([time.min(), time.max()], "datetime64[s]")
    return Facts(
        events=len(users),
        users=n_users,
        items=n_items,
        pairs=len(np.unique(users.astype(np.int64) * n_items + items)),
        first=None if days is None else str(days[0].astype("datetime64[D]")),
        last=None if days is None else str(days[1].astype("datetime64[D]")),
        per_user=(deciles[0], deciles[1], deciles[2]),
        popularity=popularity,
        timeline=None if days is None or time is None else _timeline(time),
        rules=tuple(rules),
        report=report,
    )


def _timeline(time: Counts) -> Timeline:
    """Events per hour, day, week, month or year: the finest that gives no more than `MOST_BARS` bars."""
    moments = time.astype("datetime64[s]")
    for unit, code in UNITS:
        whole = moments.astype(f"datetime64[{code}]").astype(np.int64)
        if unit == "week":
            whole = (moments.astype("datetime64[D]").astype(np.int64) + SINCE_MONDAY) // 7
        first, bars = int(whole.min()), int(whole.max() - whole.min()) + 1
        if bars <= MOST_BARS:
            break
    starts = np.arange(first, first + bars)
    if unit == "week":
        dates = (7 * starts - SINCE_MONDAY).astype("datetime64[D]")
    else:
        dates = starts.astype(f"datetime64[{code}]").astype("datetime64[h]" if unit == "hour" else "datetime64[D]")
    return Timeline(unit, tuple(str(date) for date in dates), np.bincount(whole - first, minlength=bars))


def _rules(data: Dataset) -> list[str]:
    """What counts as interest, in sentences."""
    ignored = int((data.events.weight == 0).sum())
    rules = [interest(data.schema)]
    if ignored:
        rules.append(f"{ignored:,} of {len(data.events):,} events are kept as seen, without interest.")
    return rules


__all__ = ["Facts", "Timeline", "describe", "recall"]
