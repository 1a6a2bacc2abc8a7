"""`Events`, the encoded log; and `Histories`, to ask on a user's behalf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.types import ABSENT, Floats, Ids, Queries

if TYPE_CHECKING:
    import polars as pl

NOTHING: Mapping[str, Any] = MappingProxyType({})
_STRETCH = 1 << 17  # numbers sorted at a time
_CODES = (1 << 32) - 1  # what 32 bits count


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """The encoded log, one row per event, sorted by user, then time, then the order of the file.

    Attributes:
        users, items: ``[m]`` codes.
        weight: ``[m]`` float32 ≥ 0: strength of interest; 0 means "seen, without interest".
        time: ``[m]`` int64 (unix seconds, or a rank within the user), or None.
        kind: ``[m]`` int16 position in ``Schema.event_types``, `ABSENT` where the log does not say, or None.
        labels: ``[m]`` float32 by name (``rating``, ``click`` …), NaN where missing.
        context: ``[m]`` further columns by name.
        indptr: ``[users + 1]`` where each user's events begin.
    """

    users: Ids
    items: Ids
    weight: Floats
    time: NDArray[np.int64] | None
    kind: NDArray[np.int16] | None
    labels: Mapping[str, Floats]
    context: Mapping[str, NDArray[Any]]
    indptr: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.users)

    @classmethod
    def sort(
        cls,
        users: Ids,
        items: Ids,
        weight: Floats,
        *,
        n_users: int,
        time: NDArray[np.int64] | None = None,
        kind: NDArray[np.int16] | None = None,
        labels: Mapping[str, Floats] = NOTHING,
        context: Mapping[str, NDArray[Any]] = NOTHING,
    ) -> Events:
        """Events from columns in any order."""
        events = cls(users, items, weight, time, kind, labels, context, np.zeros(n_users + 1, np.int64))
        return events.take(order_of(users, time))

    def take(self, rows: NDArray[Any]) -> Events:
        """The chosen events (positions or a mask) in the order given, which must sort them; users keep their codes."""
        users = self.users[rows]
        return Events(
            users,
            self.items[rows],
            self.weight[rows],
            None if self.time is None else self.time[rows],
            None if self.kind is None else self.kind[rows],
            {name: value[rows] for name, value in self.labels.items()},
            {name: value[rows] for name, value in self.context.items()},
            starts(np.bincount(users, minlength=len(self.indptr) - 1)),
        )

    def where(self, keep: NDArray[np.bool_]) -> Events:
        """Only the events where ``keep`` ``[m]`` holds; users keep their codes."""
        return self.take(np.asarray(keep, bool))


class Kinds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The kinds of events of a log.

    Attributes:
        names: in the order of their codes.
        target: those that are to be foretold; empty: all.
        impressions: those that say what was shown, and no more.
    """

    names: tuple[str, ...]
    target: tuple[str, ...] = ()
    impressions: tuple[str, ...] = ()

    @property
    def others(self) -> dict[str, int]:
        """The code of each kind that is not the target; nothing where all are."""
        return {name: code for code, name in enumerate(self.names) if self.target and name not in self.target}

    def shown(self, kind: NDArray[np.int16]) -> NDArray[np.bool_]:
        """``[m]`` which events, given their kinds, say what was shown, and no more."""
        return np.isin(kind, [code for code, name in enumerate(self.names) if name in self.impressions])

    def wanted(self, kind: NDArray[np.int16]) -> NDArray[np.bool_]:
        """``[m]`` which events, given their kinds, are of the target."""
        if not self.target:
            return np.ones(len(kind), bool)
        return np.isin(kind, [code for code, name in enumerate(self.names) if name in self.target])


def bag_of(kind: str) -> str:
    """The name of the bag, in `serendip.types.Queries.bags`, that holds the items of the events of a kind."""
    return f"events.{kind}"


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Who did what, oldest first: all that is needed to ask on a user's behalf. Kept in a bundle.

    Attributes:
        indptr: ``[users + 1]``; user ``u`` owns the slice ``indptr[u]:indptr[u+1]`` of the arrays below.
        items: ``[m]`` item codes.
        weight: ``[m]`` float32, or None where every event weighs 1.
        time: ``[m]`` int64, or None.
        kind: ``[m]`` int16 position in ``kinds.names``, `ABSENT` where it is not known, or None.
        kinds: the kinds there are; None where ``kind`` is.
    """

    indptr: NDArray[np.int64]
    items: Ids
    weight: Floats | None = None
    time: NDArray[np.int64] | None = None
    kind: NDArray[np.int16] | None = None
    kinds: Kinds | None = None

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def queries(self, users: Ids, *, k: int = 10, exclude_seen: bool = True, length: int | None = None) -> Queries:
        """Ask for these users (codes; `ABSENT` or out of range: an unknown user with no history).

        ``history`` holds the events of positive weight, at most the last ``length``; ``exclude`` all that was seen,
        which is more than shown. The bags ``weight`` and ``time`` are 0 where ``history`` is `ABSENT`. Of each kind
        that is not the target there is a bag (`bag_of`) with the items of its events, whatever they weigh, at most the
        last ``length``.
        """
        if length is not None and length < 0:
            raise ValueError(f"length must be None or at least 0. Got {length} instead.")
        users = np.asarray(users)
        known = (users >= 0) & (users < len(self))
        begin = self.indptr[np.where(known, users, 0)]
        count = np.where(known, self.indptr[np.where(known, users + 1, 0)] - begin, 0)
        row = np.repeat(np.arange(len(users)), count)
        flat = np.repeat(begin - starts(count)[:-1], count) + np.arange(len(row))  # positions of all their events
        exclude = self._seen(row, flat, len(users)) if exclude_seen else None
        others = self._bags(row, flat, len(users), length)
        if self.weight is not None:
            liked = self.weight[flat] > 0
            row, flat = row[liked], flat[liked]
            count = np.bincount(row, minlength=len(users))
        bags: dict[str, NDArray[Any]] = others
        if self.weight is not None:
            bags["weight"] = left_padded(row, count, self.weight[flat], length, 0)
        if self.time is not None:
            bags["time"] = left_padded(row, count, self.time[flat], length, 0)
        return Queries(
            users=np.where(known, users, ABSENT).astype(np.int32),
            history=left_padded(row, count, self.items[flat], length, ABSENT),
            bags=bags,
            exclude=exclude,
            k=k,
        )

    def _seen(self, row: NDArray[np.int64], flat: NDArray[np.int64], q: int) -> Ids:
        """``[q, e]`` the items of events at ``flat``, grouped by ``row``, that say more than that they were shown."""
        if self.kind is not None and self.kinds is not None and self.kinds.impressions:
            seen = ~self.kinds.shown(self.kind[flat])
            row, flat = row[seen], flat[seen]
        return left_padded(row, np.bincount(row, minlength=q), self.items[flat], None, ABSENT)

    def _bags(
        self, row: NDArray[np.int64], flat: NDArray[np.int64], q: int, length: int | None
    ) -> dict[str, NDArray[Any]]:
        """The bag of each other kind, from the events at ``flat``, grouped by ``row``."""
        if self.kind is None or self.kinds is None:
            return {}
        kind, out = self.kind[flat], {}
        for name, code in self.kinds.others.items():
            own = kind == code
            count = np.bincount(row[own], minlength=q)
            out[bag_of(name)] = left_padded(row[own], count, self.items[flat[own]], length, ABSENT)
        return out


def context_frame(context: Mapping[str, NDArray[Any]]) -> pl.DataFrame:
    """Columns of moments, `Events.context` or a part of it, as a table."""
    import polars as pl

    columns = []
    for name, array in context.items():
        plain: NDArray[Any] | list[Any] = array
        if array.dtype == object:
            plain = [value.tolist() if isinstance(value, np.ndarray) else value for value in array.tolist()]
        columns.append(pl.Series(name, plain, strict=False))
    return pl.DataFrame(columns)


def left_padded(
    row: NDArray[np.int64], count: NDArray[np.int64], values: NDArray[Any], length: int | None, blank: int
) -> NDArray[Any]:
    """Values grouped by ``row`` as ``[len(count), width]``: the last ``length`` of each, ``blank`` on the left."""
    width = int(count.max(initial=0)) if length is None else min(length, int(count.max(initial=0)))
    place = width - starts(count)[1:][row] + np.arange(len(row))
    out = np.full((len(count), width), blank, values.dtype)
    kept = place >= 0
    out[row[kept], place[kept]] = values[kept]
    return out


def starts(counts: NDArray[Any]) -> NDArray[np.int64]:
    """``[n + 1]`` where each of n groups of these sizes begins, and where the last one ends."""
    out = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=out[1:])
    return out


def distinct(indptr: NDArray[np.int64], items: Ids, n: int) -> tuple[NDArray[np.int64], Ids]:
    """Each group's items, below n, ascending and once each: where each group begins, and the items.

    Groups are sorted a stretch at a time, small enough for the cache, as numbers of 32 bits that hold the group too:
    in vector registers, several times as fast as one group after the other.
    """
    out, kept = items.astype(np.uint32), np.ones(len(items), np.bool_)
    first, groups = 0, len(indptr) - 1
    while first < groups:
        last = int(np.searchsorted(indptr, indptr[first] + _STRETCH, side="right")) - 1
        last = min(max(last, first + 1), first + max(1, _CODES // max(n, 1)), groups)
        part = slice(indptr[first], indptr[last])
        base = np.repeat(np.arange(last - first, dtype=np.uint32) * np.uint32(n), np.diff(indptr[first : last + 1]))
        keys = np.add(out[part], base, out=out[part])
        if not (keys[1:] > keys[:-1]).all():
            keys.sort()
            np.not_equal(keys[1:], keys[:-1], out=kept[part][1:])
        keys -= base
        first = last
    if kept.all():
        return indptr, out.view(np.int32)
    return starts(kept)[indptr], out[kept].view(np.int32)


def order_of(users: Ids, time: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Positions of the rows by user, then time, then as they come."""
    if time is None:
        return stable_order(users)
    order = stable_order(time)
    return order[stable_order(users[order])]


def stable_order(keys: NDArray[Any]) -> NDArray[np.int64]:
    """``argsort(keys, kind="stable")`` of integers.

    Key and position are sorted together as one integer where 63 bits hold both, which is several times as fast.
    """
    m = len(keys)
    if m == 0:
        return np.empty(0, np.int64)
    low, span = int(keys.min()), int(keys.max()) - int(keys.min())
    bits = m.bit_length()
    if span.bit_length() + bits > 63:
        return np.argsort(keys, kind="stable")
    packed = keys.astype(np.int64)
    packed -= low
    packed <<= bits
    packed |= np.arange(m)
    packed.sort()
    packed &= (1 << bits) - 1
    return packed
