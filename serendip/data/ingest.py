"""From tables to an encoded `Dataset`: check, encode, sort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from msgspec.structs import replace
from numpy.typing import NDArray

from serendip.data.check import ASIDE, Log, check_events
from serendip.data.dataset import Dataset
from serendip.data.events import Events, order_of, starts
from serendip.data.findings import Findings
from serendip.data.keyed import Keyed, check_keyed, check_relation
from serendip.data.read import read
from serendip.data.rejects import check_target, write_rejects
from serendip.data.schema import Schema
from serendip.data.table import Table
from serendip.data.vocab import Coded, Vocab
from serendip.types import Ids

Rows = NDArray[np.int64] | slice
ALL = slice(None)
NAMED_BEFORE = "naming the columns as in the log that is known"


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """The tables as read; ``users`` and ``items`` may be None."""

    events: Table
    users: Table | None
    items: Table | None
    relations: Mapping[str, Table]

    @classmethod
    def read(cls, events: Any, users: Any, items: Any, relations: Mapping[str, Any], encoding: str) -> Inputs:
        """Read the tables.

        Raises:
            SerendipError: as `serendip.data.read.read`.
        """
        return cls(
            read(events, "events", encoding=encoding),
            None if users is None else read(users, "users", encoding=encoding),
            None if items is None else read(items, "items", encoding=encoding),
            {name: read(source, name, encoding=encoding) for name, source in relations.items()},
        )

    @property
    def tables(self) -> list[Table]:
        """Every table that is given."""
        given = (self.events, self.users, self.items, *self.relations.values())
        return [table for table in given if table is not None]


def ingest(
    inputs: Inputs, schema: Schema, *, strict: bool, rejects: str | Path | None, part: bool, now: float
) -> Dataset:
    """See `Dataset.from_frames`."""
    target = None if rejects is None else check_target(rejects, inputs.tables)
    found = Findings(strict, naming=NAMED_BEFORE) if part else Findings(strict)
    for note in [note for table in inputs.tables for one in table.parts for note in one.notes]:
        found.note(note)
    found.note(understood(schema))
    log = check_events(inputs.events, schema, now, found, part=part)
    users = check_keyed(inputs.users, schema.user_key or schema.user, "user_id", found)
    items = check_keyed(inputs.items, schema.item_key or schema.item, "item_id", found)
    relations = {name: check_relation(table, schema, found) for name, table in inputs.relations.items()}
    found.stop(at_rows=False)
    assert log is not None  # without one there is an error
    _check_size(inputs.events, log, 1 if part else 2, found)
    found.stop(at_rows=False)
    user_ids, item_ids = _vocab(log.users, users, inputs.events, found), _vocab(log.items, items, inputs.events, found)
    events = _encode(log, user_ids, item_ids, inputs.events, found)
    if target is None:
        found.stop()
    user_rows, users_listed = _attributes(users, "user_id", user_ids)
    item_rows, items_listed = _attributes(items, "item_id", item_ids)
    _warn(events, users, items, users_listed, items_listed, inputs.events, found)
    known = {name: one for name, one in relations.items() if one is not None}
    pairs = {name: one.pairs(user_ids if one.side == "users" else item_ids, found) for name, one in known.items()}
    if pairs:
        found.note(f"Relations: {', '.join(f'{n} ({len(pairs[n]):,} pairs of {known[n].side})' for n in pairs)}.")
    if target is not None:
        write_rejects(target, inputs.tables, found)
        found.set_aside(target)
    lines = len(inputs.events.frame) + sum(len(part.ragged) for part in inputs.events.parts)
    return Dataset(
        replace(log.schema, relations={name: one.side for name, one in known.items()}),
        events,
        user_ids,
        item_ids,
        user_rows,
        item_rows,
        users_listed,
        items_listed,
        pairs,
        found.report(lines, len(events)),
    )


def understood(schema: Schema) -> str:
    """Which column plays which role, as one sentence."""
    roles = {
        "user": schema.user,
        "item": schema.item,
        "timestamp": schema.timestamp,
        "weight": schema.weight,
        "rating": schema.rating,
        "event_type": schema.event_type,
        "title": schema.title,
        "categories": ", ".join(schema.categories),
        "text": ", ".join(schema.text),
        "labels": ", ".join(f"{name} ({kind})" for name, kind in schema.labels.items()),
        "context": ", ".join(schema.context),
    }
    return "Columns: " + "; ".join(f"{role}: {names}" for role, names in roles.items() if names) + "."


def _kept(table: Table, found: Findings) -> Rows:
    """The rows that are not refused; all of them as a slice, which costs nothing to take."""
    keep = found.kept(table)
    return ALL if keep.all() else np.flatnonzero(keep)


def _check_size(table: Table, log: Log, least: int, found: Findings) -> None:
    """There must be events, of ``least`` users and items (1 or 2)."""
    if not len(table.frame):
        found.error(table.name, "expected events. Got no rows at all.", "Try another file.")
        return
    rows = _kept(table, found)
    for role, coded in (("user", log.users), ("item", log.items)):
        used = _used(coded, rows)
        if not len(used):
            found.error(table.name, "expected events that can be used. Every row is refused.", "")
            return
        if len(used) < least:
            what = f"expected events of at least two {role}s. All are of the {role} {used[0]!r}."
            found.error(table.name, what, f"Try another column for the {role} (--columns {role}=…).")


def _vocab(coded: Coded, keyed: Keyed | None, table: Table, found: Findings) -> Vocab:
    """The ids of the rows that are used."""
    rows = _kept(table, found)
    parts = [_used(coded, rows)]
    if keyed is not None:
        parts.append(_used(keyed.ids, keyed.rows))
    return Vocab.build(*parts)


def _used(coded: Coded, rows: Rows) -> pl.Series:
    if isinstance(rows, slice):
        return coded.values
    flags = np.zeros(len(coded.values), bool)
    flags[coded.codes[rows]] = True
    return coded.values.filter(pl.Series(flags, dtype=pl.Boolean))


def _encode(log: Log, user_ids: Vocab, item_ids: Vocab, table: Table, found: Findings) -> Events:
    """The kept rows of the log, encoded and sorted, without exact repeats."""
    rows = _kept(table, found)
    users = user_ids.encode(log.users.values)[log.users.codes[rows]]
    items = item_ids.encode(log.items.values)[log.items.codes[rows]]
    key = None if log.times is None else log.times.key[rows]
    order = order_of(users, key)
    if key is not None:
        repeated = _repeats(table, users, items, key, order, rows)
        if len(repeated):
            mask = np.zeros(len(table.frame), bool)
            mask[repeated if isinstance(rows, slice) else rows[repeated]] = True
            what = f"exact repeats of an earlier row, its time included, were dropped: {len(repeated):,}."
            found.repair(table, None, mask, "no row that repeats another one exactly", what, ASIDE)
            single = np.ones(len(order), bool)
            single[repeated] = False
            order = order[single[order]]
    users = users[order]
    source = order if isinstance(rows, slice) else rows[order]
    return Events(
        users,
        items[order],
        log.weight[source],
        None if log.times is None else log.times.seconds(source),
        None if log.kind is None else log.kind[source],
        {name: value[source] for name, value in log.labels.items()},
        {name: value[source] for name, value in log.context.items()},
        starts(np.bincount(users, minlength=len(user_ids))),
    )


def _repeats(
    table: Table, users: Ids, items: Ids, key: NDArray[np.int64], order: NDArray[np.int64], rows: Rows
) -> NDArray[np.int64]:
    """Positions of the rows that equal an earlier one in every column; compares rows of one user and moment only."""
    user, moment = users[order], key[order]
    tied = (user[1:] == user[:-1]) & (moment[1:] == moment[:-1])
    del user, moment
    near = np.zeros(len(order), bool)
    near[1:] |= tied
    near[:-1] |= tied
    some: NDArray[np.int64] = np.sort(order[near])
    codes = pl.DataFrame({"user": users[some], "item": items[some], "time": key[some]})
    some = some[codes.is_duplicated().to_numpy()]
    whole = table.frame[some if isinstance(rows, slice) else rows[some]]
    first = whole.select(pl.struct(pl.all()).is_first_distinct()).to_series()
    return np.asarray(some[~first.to_numpy()])


def _attributes(keyed: Keyed | None, name: str, vocab: Vocab) -> tuple[pl.DataFrame, NDArray[np.bool_]]:
    if keyed is None:
        return pl.DataFrame({name: vocab.ids}), np.zeros(len(vocab), bool)
    return keyed.attributes(name, vocab)


def _warn(
    events: Events,
    users: Keyed | None,
    items: Keyed | None,
    users_listed: NDArray[np.bool_],
    items_listed: NDArray[np.bool_],
    table: Table,
    found: Findings,
) -> None:
    """What is unusual about the data set as a whole."""
    for keyed, codes, listed, name in (
        (users, events.users, users_listed, "users"),
        (items, events.items, items_listed, "items"),
    ):
        if keyed is None:
            continue
        seen = np.bincount(codes, minlength=len(listed)) > 0
        bare, idle = int((seen & ~listed).sum()), int((listed & ~seen).sum())
        if bare:
            hint = "Check that the ids are written alike in both." if bare == seen.sum() else ""
            what = f"{name} of the log without a row here: {bare:,} of {int(seen.sum()):,}. They are kept."
            found.warn(keyed.table.name, what, hint, bare)
        if idle:
            found.warn(keyed.table.name, f"{name} without an event in the log: {idle:,}. They are kept.", "", idle)
    if not (events.weight > 0).any():
        hint = "Check positive_from, event_weights and the weights."
        found.warn(table.name, "no event shows interest, so there is nothing to learn.", hint, len(events))
    single = int((np.diff(events.indptr) == 1).sum())
    if single:
        found.warn(table.name, f"users with one event only: {single:,}. They are kept.", "", single)
