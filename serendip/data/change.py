"""New events joined to a log that is known already: codes that were given stay what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.data.events import Events
from serendip.data.read import read
from serendip.data.schema import Schema
from serendip.data.vocab import Vocab
from serendip.types import ABSENT, SerendipError

NAMES: Mapping[str, str] = {name: name for name in ("events", "users", "items")}


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """A log before and after new events, in the vocabularies of after: new ids come last.

    Attributes:
        before: the log as it was; new users and items have no event in it.
        after: the log with the new events and what the new tables say.
        events: how many events are new.
        notes: what was left out.
    """

    before: Dataset
    after: Dataset
    events: int
    notes: tuple[str, ...] = ()

    @classmethod
    def read(
        cls,
        known: Dataset,
        events: Any,
        users: Any = None,
        items: Any = None,
        *,
        encoding: str | None = None,
        strict: bool = False,
        rejects: str | Path | None = None,
        now: float | None = None,
    ) -> Change:
        """Read new events, and users and items if there are any, by the schema of what is known, and join them to it.

        Args:
            known: what they are joined to.
            events, users, items, encoding, strict, rejects, now: as of `Dataset.from_frames`.

        Raises:
            SchemaError: with everything that is wrong with the new tables.
            SerendipError: a file that cannot be read; texts for ids where the known ones are integers.
        """
        how = {"encoding": encoding, "strict": strict, "rejects": rejects, "now": now}
        new = read_part(known.schema, events, users, items, **how)
        return cls.join(known, new, names_of(events, users, items))

    @classmethod
    def join(cls, known: Dataset, new: Dataset, names: Mapping[str, str] = NAMES) -> Change:
        """Join two logs of one schema. With times, new events that the log holds already are dropped.

        Args:
            known: the log as it was.
            new: what comes to it.
            names: what to call the new ``events``, ``users`` and ``items`` in messages.

        Raises:
            SerendipError: texts for ids where the known ones are integers; a column of another type than the known one;
                one log has times and the other has not.
        """
        user_ids = _extended(known.user_ids, new.user_ids, names, "users", new.users_listed)
        item_ids = _extended(known.item_ids, new.item_ids, names, "items", new.items_listed)
        users, users_listed, user_notes = _table(
            known.users, known.users_listed, new.users, new.users_listed, user_ids, names["users"]
        )
        items, items_listed, item_notes = _table(
            known.items, known.items_listed, new.items, new.items_listed, item_ids, names["items"]
        )
        wide = Events(**{**_fields(known.events), "indptr": _wider(known.events.indptr, len(user_ids))})
        kinds = tuple(dict.fromkeys((*known.schema.event_types, *new.schema.event_types)))
        fresh = _encoded(new, user_ids, item_ids, kinds)
        if (wide.time is None) != (fresh.time is None):
            raise SerendipError(
                f"{names['events']}: new events must have times where the known ones have, and none where those have "
                f"none. Got {'none' if fresh.time is None else 'times'} instead."
            )
        again = _known_already(wide, fresh)
        fresh = fresh.where(~again)
        notes = [*user_notes, *item_notes, *_new_kinds(known.schema, kinds, fresh)]
        if again.any():
            notes.append(f"events: {int(again.sum()):,} are there already and were left out")
        before = replace(
            known,
            events=wide,
            user_ids=user_ids,
            item_ids=item_ids,
            users=_blank(known.users, user_ids),
            items=_blank(known.items, item_ids),
            users_listed=_padded(known.users_listed, len(user_ids)),
            items_listed=_padded(known.items_listed, len(item_ids)),
        )
        after = replace(
            before,
            schema=msgspec.structs.replace(known.schema, event_types=kinds),
            events=_merged(wide, fresh, len(user_ids)),
            users=users,
            items=items,
            users_listed=users_listed,
            items_listed=items_listed,
            report=new.report,
        )
        return cls(before, after, len(fresh), tuple(notes))


def read_part(schema: Schema, events: Any, users: Any = None, items: Any = None, **how: Any) -> Dataset:
    """A part of a log read by the schema of the whole; ``how`` as of `Dataset.from_frames`.

    Labels and context that its events lack are left out, as nothing is learned of them: what comes of an event may not
    be known yet. So are ratings, where they do not say what is of interest.
    """
    table = read(events, "events", encoding=how.get("encoding") or "utf-8")
    there = table.frame.columns
    rated = schema.rating in there or schema.positive_from is not None
    plain = msgspec.structs.replace(
        schema,
        relations={},
        event_types=(),
        features={},
        rating=schema.rating if rated else None,
        labels={name: kind for name, kind in schema.labels.items() if name in there},
        context=tuple(name for name in schema.context if name in there),
    )
    return Dataset.from_frames(table, users, items, schema=plain, part=True, **how)


def _fields(events: Events) -> dict[str, Any]:
    return {name: getattr(events, name) for name in Events.__dataclass_fields__}


def _wider(indptr: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    return np.concatenate([indptr, np.full(n + 1 - len(indptr), indptr[-1])])


def names_of(events: Any, users: Any = None, items: Any = None) -> Mapping[str, str]:
    """What to call tables in messages: their files, or what they are."""
    given = {"events": events, "users": users, "items": items}
    return {role: str(table) if isinstance(table, str | Path) else role for role, table in given.items()}


def _extended(known: Vocab, come: Vocab, names: Mapping[str, str], role: str, listed: NDArray[np.bool_]) -> Vocab:
    """The known ids and the new ones, which come from the events and, where any is ``listed``, the table."""
    try:
        return known.extend(come.ids)
    except SerendipError as error:
        where = [names["events"], *([names[role]] if listed.any() else [])]
        raise SerendipError(
            f"{', '.join(where)}: {role}: {error} Try the kind of ids that the log had, or fit again."
        ) from error


def _new_kinds(known: Schema, kinds: tuple[str, ...], new: Events) -> list[str]:
    """A note on kinds of new events that the log did not have."""
    if new.kind is None or not known.event_types:
        return []
    counts = {kind: int((new.kind == code).sum()) for code, kind in enumerate(kinds) if kind not in known.event_types}
    said = [f"{kind} ({count:,} of weight {known.weight_of(kind):g})" for kind, count in counts.items() if count]
    there = ", ".join(known.event_types)
    return [f"events: of kinds that were not known: {', '.join(said)}; known were {there}"] if said else []


def _padded(listed: NDArray[np.bool_], n: int) -> NDArray[np.bool_]:
    return np.concatenate([listed, np.zeros(n - len(listed), bool)])


def _encoded(new: Dataset, user_ids: Vocab, item_ids: Vocab, kinds: tuple[str, ...]) -> Events:
    """The new events in the common codes, sorted."""
    events = new.events
    users, items = user_ids.encode(new.user_ids.ids)[events.users], item_ids.encode(new.item_ids.ids)[events.items]
    place = np.array([*(kinds.index(kind) for kind in new.schema.event_types), ABSENT], np.int16)
    return Events.sort(
        users,
        items,
        events.weight,
        n_users=len(user_ids),
        time=events.time,
        kind=None if events.kind is None else place[events.kind],
        labels=events.labels,
        context=events.context,
    )


def _known_already(known: Events, new: Events) -> NDArray[np.bool_]:
    """``[m]`` which new events equal a known one in user, item, weight, kind and time; none without times."""
    if known.time is None or new.time is None or not len(new):
        return np.zeros(len(new), bool)
    touched = np.zeros(len(known.indptr) - 1, bool)
    touched[new.users] = True
    near = np.flatnonzero(touched[known.users])
    kinds = () if known.kind is None or new.kind is None else ("kind",)
    columns = ("users", "items", "weight", "time", *kinds)
    there, came = (
        pl.DataFrame({name: getattr(events, name)[rows] for name in columns})
        for events, rows in ((known, near), (new, slice(None)))
    )
    found = came.join(there.unique().with_columns(found=True), on=columns, how="left", maintain_order="left")["found"]
    return found.fill_null(False).to_numpy()


def _merged(known: Events, new: Events, n_users: int) -> Events:
    """Both, sorted; of equal user and time the known ones first. A label that one lacks is missing there."""
    m, more = len(known), len(new)
    labels = {
        name: np.concatenate(
            [part.labels.get(name, np.full(size, np.nan, np.float32)) for part, size in ((known, m), (new, more))]
        )
        for name in dict.fromkeys((*known.labels, *new.labels))
    }
    context = {
        name: np.concatenate([known.context[name], new.context[name]])
        for name in known.context
        if name in new.context and known.context[name].dtype.kind == new.context[name].dtype.kind
    }
    kind = None
    if known.kind is not None or new.kind is not None:
        absent = (np.full(size, ABSENT, np.int16) for size in (m, more))
        kind = np.concatenate(
            [none if part.kind is None else part.kind for part, none in zip((known, new), absent, strict=True)]
        )
    return Events.sort(
        np.concatenate([known.users, new.users]),
        np.concatenate([known.items, new.items]),
        np.concatenate([known.weight, new.weight]),
        n_users=n_users,
        time=None if known.time is None or new.time is None else np.concatenate([known.time, new.time]),
        kind=kind,
        labels=labels,
        context=context,
    )


def _blank(table: pl.DataFrame, vocab: Vocab) -> pl.DataFrame:
    """The table with a row per id: null for the new ones."""
    rows = pl.Series([*range(len(table)), *[None] * (len(vocab) - len(table))], dtype=pl.Int64)
    key = table.columns[0]
    return pl.DataFrame([vocab.ids.alias(key), *table.drop(key).select(pl.all().gather(rows)).get_columns()])


def _table(
    known: pl.DataFrame,
    known_listed: NDArray[np.bool_],
    new: pl.DataFrame,
    new_listed: NDArray[np.bool_],
    vocab: Vocab,
    file: str,
) -> tuple[pl.DataFrame, NDArray[np.bool_], list[str]]:
    """Rows for all ids: the new table's where it has one, else the known one's; and which ids have a row."""
    key, n = known.columns[0], len(vocab)
    listed = _padded(known_listed, n)
    if not new_listed.any():
        return _blank(known, vocab), listed, []
    bare = known.width == 1
    extra = [name for name in new.columns[1:] if not bare and name not in known.columns]
    notes = (
        [f"{key.removesuffix('_id')}s: columns that are not known were left out: {', '.join(extra)}"] if extra else []
    )
    names = new.columns[1:] if bare else known.columns[1:]
    codes = vocab.encode(new[new.columns[0]])
    place = np.full(n, ABSENT, np.int64)
    place[: len(known)] = np.arange(len(known))
    place[codes[new_listed]] = len(known) + np.flatnonzero(new_listed)
    listed[codes[new_listed]] = True
    rows = pl.Series(place).set(pl.Series(place == ABSENT, dtype=pl.Boolean), None)
    columns = [vocab.ids.alias(key)]
    for name in names:
        kind = new.schema[name] if bare else known.schema[name]
        old = pl.Series(name, [None] * len(known), dtype=kind) if bare else known[name]
        come = (
            _as_known(new[name], kind, file) if name in new.columns else pl.Series(name, [None] * len(new), dtype=kind)
        )
        columns.append(pl.concat([old, come]).gather(rows))
    return pl.DataFrame(columns), listed, notes


def _as_known(column: pl.Series, kind: pl.DataType, file: str) -> pl.Series:
    try:
        return column.cast(kind)
    except pl.exceptions.PolarsError as error:
        odd = next((f", such as {value!r:.60}" for value in column.drop_nulls() if not _casts(value, kind)), "")
        raise SerendipError(
            f'{file}: column "{column.name}" must be of the type {kind}, as it is known. Got {column.dtype} instead'
            f"{odd}. Try values like those that the fit had, or fit again."
        ) from error


def _casts(value: Any, kind: pl.DataType) -> bool:
    try:
        pl.Series([value]).cast(kind)
    except pl.exceptions.PolarsError:
        return False
    return True


__all__ = ["Change", "names_of", "read_part"]
