"""`Dataset`: a validated, encoded event log with what is known of its users and items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.data.schema import Report, Schema
from serendip.data.vocab import Vocab
from serendip.types import ABSENT, Floats, Ids, Queries

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """The encoded log, one row per event, sorted by user, then time, then the order of the file.

    Attributes:
        users, items: ``[m]`` codes.
        weight: ``[m]`` float32 ≥ 0: strength of interest; 0 means "seen, without interest".
        time: ``[m]`` int64 (unix seconds, or a rank within the user), or None.
        kind: ``[m]`` int16 position in ``Schema.event_types``, or None.
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
        labels: Mapping[str, Floats] = _NOTHING,
        context: Mapping[str, NDArray[Any]] = _NOTHING,
    ) -> Events:
        """Events from columns in any order."""
        order = np.argsort(users, kind="stable") if time is None else np.lexsort((time, users))
        counts = np.bincount(users, minlength=n_users)
        return cls(
            users[order],
            items[order],
            weight[order],
            None if time is None else time[order],
            None if kind is None else kind[order],
            {name: value[order] for name, value in labels.items()},
            {name: value[order] for name, value in context.items()},
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        )

    def where(self, keep: NDArray[np.bool_]) -> Events:
        """Only the events where ``keep`` ``[m]`` holds; users keep their codes."""
        counts = np.bincount(self.users[keep], minlength=len(self.indptr) - 1)
        return Events(
            self.users[keep],
            self.items[keep],
            self.weight[keep],
            None if self.time is None else self.time[keep],
            None if self.kind is None else self.kind[keep],
            {name: value[keep] for name, value in self.labels.items()},
            {name: value[keep] for name, value in self.context.items()},
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Who did what, oldest first: all that is needed to ask on a user's behalf. Kept in a bundle.

    Attributes:
        indptr: ``[users + 1]``; user ``u`` owns the slice ``indptr[u]:indptr[u+1]`` of the arrays below.
        items: ``[m]`` item codes.
        weight: ``[m]`` float32, or None where every event weighs 1.
        time: ``[m]`` int64, or None.
    """

    indptr: NDArray[np.int64]
    items: Ids
    weight: Floats | None = None
    time: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def queries(
        self, users: Ids, *, k: int = 10, exclude_seen: bool = True, length: int | None = None
    ) -> Queries:
        """Ask for these users (codes; `ABSENT` or out of range: an unknown user with no history).

        ``history`` holds the events of positive weight, at most the last ``length``; ``exclude`` all that was seen.
        """
        known = (users >= 0) & (users < len(self))
        rows = np.where(known, users, 0)
        start = np.where(known, self.indptr[rows], 0)
        count = np.where(known, self.indptr[rows + 1] - self.indptr[rows], 0) if len(self) else np.zeros(len(users), np.int64)
        seen, flat = _left_padded(start, count, self.items)
        bags: dict[str, NDArray[Any]] = {}
        history, counts = seen, count
        if self.weight is not None:
            weight = np.where(flat >= 0, self.weight[flat], 0).astype(np.float32)
            liked = weight > 0
            if not liked[flat >= 0].all():
                order = np.argsort(liked, axis=1, kind="stable")
                history = np.take_along_axis(np.where(liked, seen, ABSENT), order, axis=1)
                weight, flat = np.take_along_axis(weight * liked, order, axis=1), np.take_along_axis(flat, order, axis=1)
                flat = np.where(history == ABSENT, -1, flat)
                counts = liked.sum(axis=1)
            bags["weight"] = weight
        if self.time is not None:
            bags["time"] = np.where(flat >= 0, self.time[flat], 0)
        width = int(counts.max(initial=0))
        keep = width if length is None else min(width, length)
        cut = history.shape[1] - keep
        return Queries(
            users=np.where(known, users, ABSENT).astype(np.int32),
            history=np.ascontiguousarray(history[:, cut:]),
            bags={name: np.ascontiguousarray(value[:, cut:]) for name, value in bags.items()},
            exclude=seen if exclude_seen else None,
            k=k,
        )


def _left_padded(
    start: NDArray[np.int64], count: NDArray[np.int64], values: Ids
) -> tuple[Ids, NDArray[np.int64]]:
    """Rows of ``values`` as ``[q, max(count)]``, `ABSENT` on the left, and the flat position of each (-1: none)."""
    width = int(count.max(initial=0))
    flat = (start + count - width)[:, None] + np.arange(width)
    flat = np.where(flat >= start[:, None], flat, -1)
    padded = np.where(flat >= 0, values[flat] if len(values) else ABSENT, ABSENT).astype(np.int32)
    return padded, flat


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A validated, encoded event log and what is known of its users and items.

    Attributes:
        schema: what the columns mean.
        events: the encoded log.
        user_ids, item_ids: vocabularies: ids of the events and of the tables (an item may have no event).
        users, items: external id (``user_id``, ``item_id``) and attributes, row ``i`` for code ``i``; null where the table
            has no such row.
        users_listed, items_listed: ``[n]`` whether the table has that row.
        relations: further tables by name (friends, trust): ``left`` and ``right`` codes of two users or two items.
        report: what validation repaired and warned of.
    """

    schema: Schema
    events: Events
    user_ids: Vocab
    item_ids: Vocab
    users: pl.DataFrame
    items: pl.DataFrame
    users_listed: NDArray[np.bool_]
    items_listed: NDArray[np.bool_]
    relations: Mapping[str, pl.DataFrame] = field(default_factory=lambda: _NOTHING)
    report: Report = field(default_factory=Report)

    @property
    def n_users(self) -> int:
        """Size of the user vocabulary."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return len(self.item_ids)

    @property
    def weighted(self) -> bool:
        """Whether events differ in weight."""
        return len(self.events) > 0 and bool((self.events.weight != 1).any())

    @property
    def histories(self) -> Histories:
        """The events as histories, sharing their memory."""
        return Histories(
            self.events.indptr, self.events.items, self.events.weight if self.weighted else None, self.events.time
        )

    def matrix(self, weight: str | None = None) -> csr_array:
        """Users × items, float32; repeated pairs are summed; columns sorted.

        Args:
            weight: None for 1 per pair with interest (binary), ``count`` for the number of events, ``weight`` for the sum of
                event weights, ``auto`` for ``weight`` where events differ in weight and binary otherwise, or the name of a
                label (events that lack it are left out).
        """
        events = self.events
        if weight == "auto":
            weight = "weight" if self.weighted else None
        if weight in (None, "count", "weight"):
            values = events.weight if weight == "weight" else (events.weight > 0).astype(np.float32)
            keep = events.weight > 0
        elif weight in events.labels:
            values = events.labels[weight]
            keep = ~np.isnan(values)
        else:
            known = ", ".join(["count", "weight", "auto", *events.labels])
            raise ValueError(f"weight must be None or one of {known}. Got {weight!r} instead.")
        shape = (self.n_users, self.n_items)
        matrix = csr_array((values[keep], (events.users[keep], events.items[keep])), shape=shape, dtype=np.float32)
        matrix.sum_duplicates()
        if weight is None:
            matrix.data[:] = 1
        return matrix

    def sequences(self, length: int) -> Ids:
        """``[users, length]`` item codes, oldest first, `ABSENT` on the left: the last ``length`` events with interest."""
        history = self.queries(length=length).history
        out = np.full((self.n_users, length), ABSENT, np.int32)
        out[:, length - history.shape[1] :] = history
        return out

    def queries(
        self, users: Ids | None = None, *, k: int = 10, exclude_seen: bool = True, length: int | None = None
    ) -> Queries:
        """Ask for these users (codes; all by default) with what the log knows of them."""
        chosen = np.arange(self.n_users, dtype=np.int32) if users is None else np.asarray(users, np.int32)
        return self.histories.queries(chosen, k=k, exclude_seen=exclude_seen, length=length)

    def where(self, keep: NDArray[np.bool_]) -> Dataset:
        """Only the events where ``keep`` ``[events]`` holds. Vocabularies keep only ids that those events or the tables name,
        so that nothing of the dropped events remains."""
        events = self.events.where(keep)
        users, user_code = _compact(events.users, self.users_listed)
        items, item_code = _compact(events.items, self.items_listed)
        counts = np.diff(events.indptr)[users]
        return replace(
            self,
            events=replace(
                events,
                users=user_code[events.users],
                items=item_code[events.items],
                indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            ),
            user_ids=Vocab(self.user_ids.ids.gather(users)),
            item_ids=Vocab(self.item_ids.ids.gather(items)),
            users=self.users[users],
            items=self.items[items],
            users_listed=self.users_listed[users],
            items_listed=self.items_listed[items],
            relations={name: _recode(table, user_code) for name, table in self.relations.items()},
        )

    @classmethod
    def from_frames(
        cls, events: Any, users: Any = None, items: Any = None, *, schema: Schema | None = None
    ) -> Dataset:
        """Read, check and encode a log: Polars, pandas or Arrow frames, or paths of files."""
        log = _polars(events)
        given = schema or Schema.infer(log.columns)
        user_table = None if users is None else _polars(users)
        item_table = None if items is None else _polars(items)
        tables = [(user_table, given.user), (item_table, given.item)]
        user_ids, item_ids = (
            Vocab.build(log[column], *([] if table is None else [table[column]])) for table, column in tables
        )
        time = None if given.timestamp is None else log[given.timestamp].cast(pl.Int64).to_numpy()
        weight = np.ones(len(log), np.float32) if given.weight is None else log[given.weight].cast(pl.Float32).to_numpy()
        labels = {} if given.rating is None else {"rating": log[given.rating].cast(pl.Float32).to_numpy()}
        return cls(
            given,
            Events.sort(
                user_ids.encode(log[given.user]), item_ids.encode(log[given.item]), weight,
                n_users=len(user_ids), time=time, labels=labels,
            ),
            user_ids,
            item_ids,
            _aligned(user_table, given.user, "user_id", user_ids),
            _aligned(item_table, given.item, "item_id", item_ids),
            *(
                np.isin(np.arange(len(vocab)), [] if table is None else vocab.encode(table[column]))
                for (table, column), vocab in zip(tables, (user_ids, item_ids), strict=True)
            ),
        )


def _polars(source: Any) -> pl.DataFrame:
    if isinstance(source, pl.DataFrame):
        return source
    return pl.read_parquet(source)


def _aligned(table: pl.DataFrame | None, column: str, name: str, vocab: Vocab) -> pl.DataFrame:
    rows = pl.DataFrame({name: vocab.ids, "__code": np.arange(len(vocab), dtype=np.int32)})
    if table is not None:
        keyed = table.with_columns(pl.Series("__code", vocab.encode(table[column]))).drop(column)
        rows = rows.join(keyed, on="__code", how="left", maintain_order="left")
    return rows.drop("__code")


def _compact(used: Ids, listed: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Ids]:
    """The codes still needed, and the new code of each old one (`ABSENT`: dropped)."""
    needed = listed.copy()
    needed[used] = True
    kept = np.flatnonzero(needed)
    code = np.full(len(listed), ABSENT, np.int32)
    code[kept] = np.arange(len(kept), dtype=np.int32)
    return kept, code


def _recode(table: pl.DataFrame, code: Ids) -> pl.DataFrame:
    moved = table.with_columns(pl.Series(name, code[table[name].to_numpy()]) for name in ("left", "right"))
    return moved.filter((pl.col("left") != ABSENT) & (pl.col("right") != ABSENT))
