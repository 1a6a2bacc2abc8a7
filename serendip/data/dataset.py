"""`Dataset`: a validated, encoded event log with what is known of its users and items."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.data.events import NOTHING, Events, Histories, distinct, starts
from serendip.data.schema import LabelKind, Report, Schema, TimeKind
from serendip.data.vocab import Vocab
from serendip.types import ABSENT, Ids, Queries, SerendipError

if TYPE_CHECKING:
    from serendip.data.features.declared import Feature
    from serendip.data.features.fitted import Features
    from serendip.data.ingest import Inputs


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A validated, encoded event log and what is known of its users and items.

    Attributes:
        schema: what the columns mean.
        events: the encoded log.
        user_ids, item_ids: vocabularies: ids of the events and of the tables (an item may have no event).
        users, items: external id (``user_id``, ``item_id``) and attributes, row ``i`` for code ``i``; null where the
            table has no such row.
        users_listed, items_listed: ``[n]`` whether the table has that row.
        relations: further tables by name (friends, trust): ``left`` and ``right`` codes of two users or two items.
        report: what validation repaired and warned of.
        features: those that the schema declares, fitted to this data and nothing else; None where it declares none.
    """

    schema: Schema
    events: Events
    user_ids: Vocab
    item_ids: Vocab
    users: pl.DataFrame
    items: pl.DataFrame
    users_listed: NDArray[np.bool_]
    items_listed: NDArray[np.bool_]
    relations: Mapping[str, pl.DataFrame] = field(default_factory=lambda: NOTHING)
    report: Report = field(default_factory=Report)
    features: Features | None = None

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
        events, kinds = self.events, self.schema.kinds
        named = kinds is not None and events.kind is not None
        return Histories(
            events.indptr,
            events.items,
            events.weight if self.weighted else None,
            events.time,
            events.kind if named else None,
            kinds if named else None,
        )

    @property
    def wanted(self) -> NDArray[np.bool_]:
        """``[events]`` what is to be foretold: events with interest, of the kinds that are the target."""
        liked: NDArray[np.bool_] = self.events.weight > 0
        kinds, kind = self.schema.kinds, self.events.kind
        return liked if kinds is None or kind is None else liked & kinds.wanted(kind)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """``[events]`` which say more than that an item was shown: it is not shown again."""
        kinds, kind = self.schema.kinds, self.events.kind
        everything = np.ones(len(self.events), np.bool_)
        return everything if kinds is None or kind is None else everything & ~kinds.shown(kind)

    def matrix(self, weight: str | None = None) -> csr_array:
        """Users × items, float32; repeated pairs are summed; columns sorted.

        Args:
            weight: None for 1 per pair with interest (binary), ``count`` for the number of events with interest,
                ``weight`` for the sum of event weights, ``auto`` for ``weight`` where events differ in weight and
                binary otherwise, or the name of a label (events that lack it are left out).
        """
        events = self.events
        if weight == "auto":
            weight = "weight" if self.weighted else None
        if weight in (None, "count", "weight"):
            keep = events.weight > 0
            values = events.weight if weight == "weight" else keep.astype(np.float32)
        elif weight in events.labels:
            values = events.labels[weight]
            keep = ~np.isnan(values)
        else:
            known = ", ".join(["count", "weight", "auto", *events.labels])
            raise ValueError(f"weight must be None or one of {known}. Got {weight!r} instead.")
        shape, indptr = (self.n_users, self.n_items), starts(np.bincount(events.users[keep], minlength=self.n_users))
        index = np.int32 if indptr[-1] <= np.iinfo(np.int32).max else np.int64
        items = events.items[keep]
        if weight is None:
            indptr, items = distinct(indptr, items, self.n_items)
            return csr_array((np.ones(len(items), np.float32), items.astype(index), indptr.astype(index)), shape=shape)
        matrix = csr_array((values[keep].astype(np.float32), items.astype(index), indptr.astype(index)), shape=shape)
        matrix.sum_duplicates()
        return matrix

    def sequences(self, length: int) -> Ids:
        """``[users, length]`` item codes, oldest first, `ABSENT` on the left: the last events with interest."""
        history = self.histories.queries(
            np.arange(self.n_users, dtype=np.int32), length=length, exclude_seen=False
        ).history
        out = np.full((self.n_users, length), ABSENT, np.int32)
        out[:, length - history.shape[1] :] = history
        return out

    def queries(
        self,
        users: Ids | None = None,
        *,
        k: int = 10,
        exclude_seen: bool = True,
        length: int | None = None,
        time: NDArray[np.int64] | None = None,
    ) -> Queries:
        """Ask for these users (codes; all by default) with what the log and the users table know of them.

        ``time`` ``[q]``: when they ask (unix seconds), if it is known.
        """
        chosen = np.arange(self.n_users, dtype=np.int32) if users is None else np.asarray(users, np.int32)
        asked = self.histories.queries(chosen, k=k, exclude_seen=exclude_seen, length=length)
        return self.asked(asked if time is None else replace(asked, time=np.asarray(time, np.int64)))

    def asked(self, queries: Queries, context: pl.DataFrame | None = None) -> Queries:
        """The queries with the features of their users, and of the moment ``queries.time``, filled in.

        They stay as they are where the data have no features.

        Args:
            queries: in the codes of this data; a user who is `ABSENT` or out of range has no attributes.
            context: ``[q]`` further columns of the moments, named as those of the events; one without columns is none.

        Raises:
            SerendipError: context of another type than in training.
        """
        if self.features is None:
            return queries
        known = (queries.users >= 0) & (queries.users < self.n_users)
        rows = pl.Series(queries.users, dtype=pl.Int64).set(pl.Series(~known, dtype=pl.Boolean), None)
        return self.features.asked(queries, self.features.users(self.users.select(pl.all().gather(rows))), context)

    def with_features(self, declared: Mapping[str, Feature]) -> Dataset:
        """The same data with these features in place of those it has, fitted to it.

        Raises:
            SerendipError: features that these data do not have, or that do not go together.
        """
        from serendip.data.features.checking import as_declared

        return replace(self, schema=msgspec.structs.replace(self.schema, features=as_declared(declared)))._fitted()

    def _fitted(self) -> Dataset:
        if not self.schema.features:
            return replace(self, features=None)
        from serendip.data.features.fitted import Features

        return replace(self, features=Features.fit(self))

    def where(self, keep: NDArray[np.bool_]) -> Dataset:
        """Only the events where ``keep`` ``[events]`` holds. Vocabularies keep only ids that those events or the tables
        name, and features are fitted again, so that nothing of the dropped events remains."""
        events = self.events.where(keep)
        users, user_code = _compact(events.users, self.users_listed)
        items, item_code = _compact(events.items, self.items_listed)
        counts = np.diff(events.indptr)[users]
        kept = replace(
            self,
            events=replace(
                events,
                users=user_code[events.users],
                items=item_code[events.items],
                indptr=starts(counts),
            ),
            user_ids=Vocab(self.user_ids.ids.gather(users)),
            item_ids=Vocab(self.item_ids.ids.gather(items)),
            users=self.users[users],
            items=self.items[items],
            users_listed=self.users_listed[users],
            items_listed=self.items_listed[items],
            relations={
                name: _recode(table, item_code if self.schema.relations.get(name) == "items" else user_code)
                for name, table in self.relations.items()
            },
        )
        return kept._fitted()

    @classmethod
    def from_frames(
        cls,
        events: Any,
        users: Any = None,
        items: Any = None,
        *,
        schema: Schema | None = None,
        columns: Mapping[str, str | Sequence[str] | None] | None = None,
        time_kind: TimeKind | None = None,
        positive_from: float | None = None,
        event_weights: Mapping[str, float] | None = None,
        target: Sequence[str] | None = None,
        labels: Mapping[str, LabelKind] | None = None,
        relations: Mapping[str, Any] | None = None,
        features: Mapping[str, Feature] | None = None,
        encoding: str | None = None,
        strict: bool = False,
        rejects: str | Path | None = None,
        part: bool = False,
        now: float | None = None,
    ) -> Dataset:
        """Read, check and encode a log.

        Repaired and counted: blanks around an id; in the users and items tables, a row that repeats another one; in a
        log with times, a row that equals another one in every column, its time included. Without times a repeated pair
        is repeat consumption and stays. Everything found is in ``report``.

        Args:
            events: the log: a path, a folder, a list of paths, or a Polars, pandas or PyArrow table
                (`serendip.data.read`).
            users, items: tables with a row per user or item.
            schema: what the columns mean; None: inferred, with the help of the next six (`Schema.infer`).
            columns, time_kind, positive_from, event_weights, target, labels: as in `Schema.infer`.
            relations: tables of pairs by name (friends, also-bought); their first two columns hold ids of users, or of
                items if the first is named like an item column.
            features: what is made of columns for models that read features, in place of those of the schema; columns
                of the events that they read are kept as context.
            encoding: of text files; None: UTF-8.
            strict: whether to refuse what would be repaired.
            rejects: a .parquet or .csv file for the refused rows; the others are used. None: a refused row is an error.
            part: whether this is a part of a log, which may hold a single user or item.
            now: unix seconds; events more than a day later are refused. None: the clock.

        Raises:
            SchemaError: with everything that is wrong.
            SerendipError: a file that cannot be read.
        """
        from serendip.data.ingest import Inputs, ingest
        from serendip.data.roles import infer

        settings = (columns, time_kind, positive_from, event_weights, target, labels)
        if schema is not None and any(setting is not None for setting in settings):
            raise TypeError(
                "give either a schema, or columns, time_kind, positive_from, event_weights, target, labels."
            )
        if relations is not None and not isinstance(relations, Mapping):
            raise SerendipError(
                'relations must be tables by name, such as {"trust": "trust.parquet"}. '
                f"Got {relations!r:.80} instead."
            )
        inputs = Inputs.read(events, users, items, relations or {}, encoding or "utf-8")
        known = schema or infer(
            inputs.events,
            inputs.users,
            inputs.items,
            columns=columns,
            time_kind=time_kind,
            positive_from=positive_from,
            event_weights=event_weights,
            target=target,
            labels=labels,
        )
        if features is not None:
            from serendip.data.features.checking import as_declared

            known = _with_context(known, as_declared(features), inputs)
        moment = time.time() if now is None else now
        return ingest(inputs, known, strict=strict, rejects=rejects, part=part, now=moment)._fitted()

    def summary(self) -> dict[str, Any]:
        """The data set in numbers that JSON can hold.

        ``events, users, items``; ``density`` (share of user-item pairs that occur); ``time_kind``; ``first, last``
        (ISO 8601, None unless times are moments); ``repeated_pairs`` (events beyond the first of their pair); ``gini``
        (of the number of events per item, items without events left out); ``items_without_events``;
        ``users_with_few_events`` (share of the users in the log with fewer than 5 events); ``rating_mean`` or None;
        ``event_types`` (events by kind); ``interest`` (the rule that says which events show interest, as a sentence).
        """
        from serendip.data.summary import summarise

        return summarise(self)


def _with_context(schema: Schema, features: Mapping[str, Feature], inputs: Inputs) -> Schema:
    """The schema with these features, and with the columns of the events that they read among the context.

    Raises:
        SerendipError: the events have no such column.
    """
    from serendip.data.features.checking import require_column
    from serendip.data.features.declared import column_of

    sides = {"context": inputs.events, "item": inputs.items, "user": inputs.users}
    there = {side: () if table is None else table.frame.columns for side, table in sides.items()}
    own = {name: one for name, one in features.items() if one.side == "context"}
    for name, one in own.items():
        require_column(name, one, there)
    read = dict.fromkeys(column_of(name, one) for name, one in own.items())
    new = [name for name in read if name is not None and name != schema.timestamp]
    return msgspec.structs.replace(
        schema, context=tuple(dict.fromkeys((*schema.context, *new))), features=dict(features)
    )


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


__all__ = ["Dataset", "Events", "Histories"]
