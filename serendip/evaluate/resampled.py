"""Measures of fixed rows under resampling of the users they belong to.

A resample is how often each user counts, so that no row is copied. Means and grouped measures are sums over users times
these counts; AUCs are counted anew from rows that were sorted once (`serendip.evaluate.pairs`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serendip.evaluate import columns as given
from serendip.evaluate.columns import Values
from serendip.evaluate.pairs import counted, levels, share
from serendip.evaluate.reliability import Strategy, binned
from serendip.evaluate.rows import group_auc, group_losses, log_losses, watched
from serendip.types import ABSENT, SerendipError

Codes = NDArray[np.int64]
Resampled = Callable[[Codes], Values]
"""How often each user counts ``[r, n]`` to the measure ``[r]``, NaN where it is not defined."""


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """The rows that measures are taken of, without what is foretold of them. A measure reads the columns it needs.

    Attributes:
        users: ``[m]`` whose row each is: codes, or anything that can be sorted. Rows of the code `ABSENT` (−1) stand
            for themselves.
        labels: ``[m]``; NaN leaves a row out. For ``weighted_per_user_loss`` whether it was clicked.
        groups: ``[m]`` for ``gauc`` and ``weighted_per_user_loss``; each group belongs to one user.
        watch_time: ``[m]`` for ``weighted_per_user_loss``.
        bins, strategy: for ``ece``. Bins are those of all rows in every resample.
    """

    users: ArrayLike
    labels: ArrayLike
    groups: ArrayLike | None = None
    watch_time: ArrayLike | None = None
    bins: int = 10
    strategy: Strategy = "quantile"


@dataclass(frozen=True, eq=False, slots=True)
class Prepared:
    """A measure of rows that were checked.

    Attributes:
        of: the measure, given how often each user counts.
        rows, users: how many have a label.
    """

    of: Resampled
    rows: int
    users: int


@dataclass(frozen=True, eq=False, slots=True)
class _Part:
    """Rows with a label: ``[m]`` what is true, what is foretold and the number of the user, of ``n`` in all."""

    true: Values
    foretold: Values
    user: Codes
    n: int

    def sums(self, *terms: NDArray[Any]) -> Values:
        """``[n, len(terms)]`` of each user."""
        return np.column_stack([np.bincount(self.user, term, self.n) for term in terms])


def prepare(measure: str, rows: Rows, predicted: ArrayLike) -> Prepared:
    """The measure, ready to be asked for any number of resamples.

    Raises:
        SerendipError: a measure that is none of `MEASURES`, a column that it lacks, and what the measure itself
            refuses.
    """
    if measure not in _MAKERS:
        raise SerendipError(f"the measure of rows must be one of {', '.join(_MAKERS)}. Got {measure!r} instead.")
    optional = {"groups": rows.groups, "watch_time": rows.watch_time}
    there = {name: column for name, column in optional.items() if column is not None}
    lacks = [name for name in _READS.get(measure, ()) if name not in there]
    if lacks:
        raise SerendipError(f"{measure} needs {' and '.join(lacks)} beside labels. Got none instead.")
    users, labels, told, *rest = given.columns(users=rows.users, labels=rows.labels, predicted=predicted, **there)
    more = dict(zip(there, rest, strict=True))
    have = given.known(labels) if measure in _OF_NUMBERS else given.binary(labels)
    if measure == "weighted_per_user_loss":
        have = watched(more["watch_time"], labels)
    check = given.probable if measure in _OF_PROBABILITIES else given.ordered
    user, n = _numbered(users[have])
    part = _Part(labels[have].astype(np.float64), check(told)[have], user, n)
    return Prepared(_MAKERS[measure](part, rows, {name: column[have] for name, column in more.items()}), len(user), n)


def _numbered(users: NDArray[Any]) -> tuple[Codes, int]:
    """The number of each row's user, and how many there are; strangers get a number each."""
    distinct, number = np.unique(users, return_inverse=True)
    if users.dtype.kind in "iu" and len(distinct) and distinct[0] == ABSENT:
        strangers = np.flatnonzero(number == 0)
        number[strangers] = len(distinct) + np.arange(len(strangers))
        return number - 1, len(distinct) - 1 + len(strangers)
    return number, len(distinct)


Columns = dict[str, NDArray[Any]]


def _pairs(part: _Part, rows: Rows, more: Columns) -> Resampled:
    found = [level.owned(part.user) for level in levels(part.true, part.foretold)]

    def of(counts: Codes) -> Values:
        pairs = [counted(found, drawn, drawn) for drawn in counts.astype(np.float64)]
        return np.array([share(*one)[0] for one in pairs])

    return of


def _ratio(sums: Values) -> Resampled:
    """Of two sums per user ``[n, 2]``."""

    def of(counts: Codes) -> Values:
        part, whole = (counts @ sums).T
        return share(part, whole)

    return of


def _logloss(part: _Part, rows: Rows, more: Columns) -> Resampled:
    return _ratio(part.sums(log_losses(part.true, part.foretold), np.ones(len(part.user))))


def _mae(part: _Part, rows: Rows, more: Columns) -> Resampled:
    return _ratio(part.sums(np.abs(part.foretold - part.true), np.ones(len(part.user))))


def _rmse(part: _Part, rows: Rows, more: Columns) -> Resampled:
    squares = _ratio(part.sums((part.foretold - part.true) ** 2, np.ones(len(part.user))))
    return lambda counts: np.sqrt(squares(counts))


def _ece(part: _Part, rows: Rows, more: Columns) -> Resampled:
    place = binned(part.foretold, rows.bins, rows.strategy)
    gaps = np.bincount(part.user * rows.bins + place, part.true - part.foretold, part.n * rows.bins)
    size = np.bincount(part.user, minlength=part.n).astype(np.float64)
    sums: Values = np.column_stack([gaps.reshape(part.n, rows.bins), size])

    def of(counts: Codes) -> Values:
        total = counts.astype(np.float64) @ sums
        return share(np.abs(total[:, :-1]).sum(axis=1), total[:, -1])

    return of


def _gauc(part: _Part, rows: Rows, more: Columns) -> Resampled:
    code, owner = _owned(more["groups"], part)
    areas = group_auc(part.true, part.foretold, code, len(owner), np.ones(len(code)))
    size = np.where(np.isnan(areas), 0.0, np.bincount(code, minlength=len(owner)))
    return _of_groups(np.nan_to_num(areas) * size, size, owner, part.n)


def _weighted_per_user_loss(part: _Part, rows: Rows, more: Columns) -> Resampled:
    code, owner = _owned(more["groups"], part)
    lost, total = group_losses(more["watch_time"], part.true, part.foretold, code, len(owner))
    return _of_groups(lost, total, owner, part.n)


def _of_groups(part: Values, whole: Values, owner: Codes, n: int) -> Resampled:
    return _ratio(np.column_stack([np.bincount(owner, part, n), np.bincount(owner, whole, n)]))


def _owned(groups: NDArray[Any], part: _Part) -> tuple[Codes, Codes]:
    """The number of each row's group ``[m]``, and of each group's user ``[g]``."""
    distinct, code = np.unique(groups, return_inverse=True)
    owner = np.zeros(len(distinct), np.int64)
    owner[code] = part.user
    foreign = np.flatnonzero(owner[code] != part.user)
    if len(foreign):
        raise SerendipError(
            f"each group must belong to one user, to be resampled with. Got rows of several in the group "
            f"{groups[foreign[0]]} instead. Try groups by user, or by user and day."
        )
    return code, owner


_MAKERS: dict[str, Callable[[_Part, Rows, Columns], Resampled]] = {
    "auc": _pairs,
    "gauc": _gauc,
    "logloss": _logloss,
    "ece": _ece,
    "mae": _mae,
    "rmse": _rmse,
    "xauc": _pairs,
    "weighted_per_user_loss": _weighted_per_user_loss,
}
_READS = {"gauc": ("groups",), "weighted_per_user_loss": ("groups", "watch_time")}
_OF_NUMBERS = {"mae", "rmse", "xauc"}
_OF_PROBABILITIES = {"logloss", "ece"}

MEASURES = tuple(_MAKERS)
"""The measures that can be resampled, by name. ``ece`` is `expected_calibration_error`."""
