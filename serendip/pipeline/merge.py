"""`Merge`: what several stages name, as one list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from serendip.pipeline.composite import Composite, asked
from serendip.pipeline.lists import append, besides, permitted
from serendip.pipeline.ranking import NEAR, standing
from serendip.pipeline.stages import checked
from serendip.types import ABSENT, Queries, Recs, SerendipError, Stage, blank_of

How = Literal["round_robin", "normalised", "fused"]
"""How lists become one."""

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Quota:
    """How many of the items of a merged list come from a source, the one in whose list they stand highest.

    Attributes:
        least: so many at least, as far as it names so many.
        most: so many at most; None: any number.
    """

    least: int = 0
    most: int | None = None


@dataclass(frozen=True, eq=False)
class Merge(Composite):
    """What several stages name, as one list without repeats. Made by `serendip.pipeline.merge`.

    The score of an item is what it is ordered by, one of these. ``r`` is its place (from 1) in a list, ``z`` its
    `standing` there, both among what that stage names, ``w`` the stage's weight:

    * ``round_robin``: ``1 / r`` of the list where it stands highest: the first of each, then the second of each, …
    * ``normalised``: ``Σ w · z``; one that a stage does not name counts there as the last that it names.
    * ``fused``: ``Σ w / (60 + r)`` over the stages that name it.

    Of equal ones the one that stands higher in a list comes first, then that of the earlier stage. ``source`` is the
    stage in whose list the item stands highest, of equals the first; the columns of all stages stay beside it, so that
    ``score.NAME`` holds what each of them gave.

    Sources: ``normalised``, without the missing scores, is CombSUM by zero mean and unit variance, M. Montague and
    J. A. Aslam, "Relevance score normalization for metasearch", CIKM 2001; ``fused`` is that of `Rank`.

    Attributes:
        stages: that name items.
        how: as above.
        weights: of each stage.
        quotas: of each stage. Where those that must be there are more than the list holds, the first of them are.
        least: how many items each stage is asked for where a query asks for fewer; None: ``queries.k``.
    """

    how: How = "round_robin"
    weights: tuple[float, ...] = ()
    quotas: tuple[Quota, ...] = ()
    least: int | None = None

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """``[q, ≤ k]`` items, behind the given lists if there are any."""
        given = None if recs is None else permitted(recs, queries)
        rest = queries if given is None else besides(queries, given.items)
        wide = replace(rest, k=self.least) if self.least is not None and 0 < queries.k < self.least else rest
        lists = [asked(stage, wide) for stage in self.stages]
        notes = tuple(dict.fromkeys(note for part in lists for note in part.notes))
        merged = replace(_merged(lists, self, max(queries.k, 0)), notes=notes)
        return merged if given is None else append(given, merged)


class _Groups(NamedTuple):
    """The distinct items of all queries, best first within each: ``[g]`` each.

    Attributes:
        row: of which query.
        item: which.
        score: what it is ordered by.
        first: its place in the list where it stands highest, and of which stage, as one number.
        entry: ``[q, C]`` for each place of the lists beside each other, which of these it is, or `ABSENT`.
    """

    row: Places
    item: NDArray[np.int32]
    score: NDArray[np.float64]
    first: Places
    entry: Places


def _merged(lists: Sequence[Recs], how: Merge, k: int) -> Recs:
    """The lists as one of at most k items."""
    q, widths = len(lists[0]), [part.items.shape[1] for part in lists]
    if sum(widths) == 0 or q == 0 or k == 0:
        return Recs.empty(q)
    found = _grouped(lists, how)
    if len(found.row) == 0:
        return Recs.empty(q)
    source = found.first % len(lists)
    at = _chosen(found.row, source, how.quotas, q, k)
    kept = at != ABSENT
    row, place = found.row[kept], at[kept]
    width = int(place.max(initial=-1)) + 1
    items, scores = np.full((q, width), ABSENT, np.int32), np.full((q, width), -np.inf, np.float32)
    items[row, place], scores[row, place] = found.item[kept], found.score[kept]
    spots = np.where(found.entry == ABSENT, ABSENT, at[np.maximum(found.entry, 0)])
    columns = _columns(lists, spots, width)
    if "source" in columns:
        begin = np.cumsum([0, *widths[:-1]])
        best = begin[source[kept]] + found.first[kept] // len(lists) - 1
        beside = np.concatenate([_source(part) for part in lists], axis=1)
        columns["source"] = np.full((q, width), "", beside.dtype)
        columns["source"][row, place] = beside[row, best]
    return Recs(items, scores, columns)


def _grouped(lists: Sequence[Recs], how: Merge) -> _Groups:
    """The distinct items of the lists, in their order."""
    q, number = len(lists[0]), len(lists)
    widths = [part.items.shape[1] for part in lists]
    items = np.concatenate([part.items for part in lists], axis=1)
    total = items.shape[1]
    place = np.concatenate([np.arange(1, width + 1) for width in widths])
    first = np.tile(place * number + np.repeat(np.arange(number), widths), q)
    gain, base = _gains(lists, how)
    order = (np.argsort(items, axis=1, kind="stable") + np.arange(q)[:, None] * total).ravel()  # among all places
    alike = items.ravel()[order]
    fresh = np.ones(q * total, bool)
    fresh[1:] = alike[1:] != alike[:-1]
    fresh[::total] = True
    start = np.flatnonzero(fresh)
    together = np.maximum if how.how == "round_robin" else np.add
    value = together.reduceat(gain.ravel()[order], start)
    highest = np.minimum.reduceat(first[order], start)
    row, item = start // total, alike[start]
    held = np.flatnonzero(item != ABSENT)
    by_place = np.full((q, number * (max(widths) + 1)), ABSENT)
    by_place[row[held], highest[held]] = held  # sorts them in one pass: no two have one place
    sorted_ = by_place[by_place != ABSENT]
    sorted_ = sorted_[np.lexsort((-value[sorted_], *((row[sorted_],) if q > 1 else ())))]
    rank = np.full(len(start), ABSENT, np.int64)
    rank[sorted_] = np.arange(len(sorted_))
    entry = np.empty(q * total, np.int64)
    entry[order] = rank[np.cumsum(fresh) - 1]
    row = row[sorted_]
    return _Groups(row, item[sorted_], value[sorted_] + base[row], highest[sorted_], entry.reshape(q, total))


def _gains(lists: Sequence[Recs], how: Merge) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``[q, C]`` what each place of the lists, beside each other, adds to the score of its item; ``[q]`` what all items
    of a query have."""
    base = np.zeros(len(lists[0]))
    parts: list[NDArray[np.float64]] = []
    for part, weight in zip(lists, how.weights, strict=True):
        place = np.arange(1, part.items.shape[1] + 1)
        if how.how == "normalised":
            held = part.items != ABSENT
            z = np.where(held, standing(np.where(held, part.scores, np.nan)), 0).astype(np.float64)
            low = z.min(axis=1, initial=0, where=held)
            parts.append(weight * (z - low[:, None]))
            base += weight * low
        else:
            gain = 1 / place if how.how == "round_robin" else weight / (NEAR + place)
            parts.append(gain[None])
    gains = np.concatenate(parts, axis=1)
    return np.broadcast_to(gains, (len(base), gains.shape[1])), base


def _chosen(row: Places, source: Places, quotas: Sequence[Quota], q: int, k: int) -> Places:
    """``[g]`` the place (from 0) of each item, given in order, in its merged list; `ABSENT` where it is left out."""
    begin = np.searchsorted(row, np.arange(q))
    if all(quota == Quota() for quota in quotas):
        place = np.arange(len(row)) - begin[row]
        return np.where(place < k, place, ABSENT)

    def running(mask: NDArray[np.bool_]) -> Places:
        """How many are within the mask up to each, itself included, in its list."""
        before = np.concatenate([[0], np.cumsum(mask)])
        count: Places = before[1:] - before[begin[row]]
        return count

    must, may = np.zeros(len(row), bool), np.ones(len(row), bool)
    for number, quota in enumerate(quotas):
        own = source == number
        count = running(own)
        must |= own & (count <= quota.least)
        may &= ~own | (count <= (len(row) if quota.most is None else quota.most))
    must &= running(must) <= k
    room = k - np.bincount(row[must], minlength=q)
    free = may & ~must
    chosen = must | (free & (running(free) <= room[row]))
    return np.where(chosen, running(chosen) - 1, ABSENT)


def _columns(lists: Sequence[Recs], spots: Places, width: int) -> dict[str, NDArray[Any]]:
    """The columns of the lists for a merged one, given where each of their places is there; of several that say
    something of an item the first counts."""
    out: dict[str, NDArray[Any]] = {}
    begin = np.cumsum([0, *(part.items.shape[1] for part in lists)])
    for part, start, stop in reversed(list(zip(lists, begin[:-1], begin[1:], strict=True))):
        row, place = np.nonzero(spots[:, start:stop] != ABSENT)
        to = spots[row, start + place]
        for name, values in part.columns.items():
            if name == "source":
                out[name] = values
                continue
            if name not in out:
                out[name] = np.full((len(spots), width), blank_of(values.dtype), values.dtype)
            out[name][row, to] = values[row, place]
    return out


def _source(part: Recs) -> NDArray[Any]:
    return part.columns["source"] if "source" in part.columns else np.full(part.items.shape, "")


def merge(
    *stages: Stage,
    how: How = "round_robin",
    weights: Sequence[float] | None = None,
    quotas: Sequence[Quota | None] | None = None,
    least: int | None = None,
) -> Merge:
    """A stage that makes one list of those of several.

    Args:
        stages: that name items.
        how: ``round_robin``, ``normalised`` or ``fused``; see `Merge`.
        weights: of each stage, above 0; None: all alike. Of no effect in turn (``round_robin``).
        quotas: of each stage, or None for one that has none; None: of none.
        least: how many items each stage is asked for where a query asks for fewer; None: as many as it asks for.

    Raises:
        SerendipError: as `first_of`; or what is given for each stage is not sound.
    """
    parts, number = checked("merge", stages), len(stages)
    weighing = (1.0,) * number if weights is None else tuple(map(float, weights))
    counts = tuple(quota or Quota() for quota in quotas or (None,) * number)
    if how not in get_args(How):
        raise SerendipError(f"merge(how=…) must be one of {', '.join(get_args(How))}. Got {how!r} instead.")
    if len(weighing) != number or not all(0 < weight < np.inf for weight in weighing):
        raise SerendipError(
            f"merge(weights=…) must be a number above 0 for each of the {number} stages. Got {list(weighing)} instead."
        )
    if len(counts) != number:
        raise SerendipError(f"merge(quotas=…) must be one for each of the {number} stages. Got {len(counts)} instead.")
    for quota in counts:
        if quota.least < 0 or (quota.most is not None and quota.most < max(quota.least, 1)):
            raise SerendipError(
                "A quota must have least ≥ 0 and most ≥ least, most ≥ 1 or None. "
                f"Got least = {quota.least}, most = {quota.most}."
            )
    if least is not None and least < 1:
        raise SerendipError(f"merge(least=…) must be at least 1, or None. Got {least} instead.")
    return Merge(parts, how, weighing, counts, least)


__all__ = ["How", "Merge", "Quota", "merge"]
